"""Long work of the proxy lets other tasks run."""

import asyncio

import pytest

from isthmus.authz import slices
from isthmus.authz.database_state import DatabaseState
from isthmus.authz.slices import in_slices

ROW = {"transit_switch": "ts", "availability_zone": ["uuid", "z"], "nexthop": "169.254.100.1"}


def test_other_tasks_run_between_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice ends after its time, and the caller is called."""
    monkeypatch.setattr(slices, "SLICE", -1.0)
    seen = list[str]()

    async def work() -> None:
        asyncio.get_running_loop().call_soon(seen.append, "other")
        async for item in in_slices(range(60), lambda: seen.append("resumed")):
            seen.append(str(item))

    asyncio.run(work())
    assert seen.count("resumed") == 3
    assert seen.index("19") < seen.index("other") < seen.index("20")


def test_an_update_removes_rows_last() -> None:
    """Between two slices no zone lacks a row that it has before and after the update."""
    state = DatabaseState()
    old = {"new": {**ROW, "ip_prefix": "10.1.0.0/16"}}
    new = {"new": {**ROW, "ip_prefix": "10.2.0.0/16"}}
    list(state.apply({"Route": {"old": old}}))
    steps = state.apply({"Route": {"old": {"old": old["new"]}, "new": new}})
    assert next(steps) == new["new"]
    assert state.row("Route", "old")
    assert next(steps) is None
    assert not state.row("Route", "old")
