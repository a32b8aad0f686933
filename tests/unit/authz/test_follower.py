"""Whatever a server sends to the authorizing proxy, only its own database is missing meanwhile."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from isthmus.authz import follower
from isthmus.authz.database_state import COLUMNS, DatabaseState
from isthmus.authz.follower import DatabaseFollower
from isthmus.model.bounds import SERVER_MESSAGE
from isthmus.ovsdb.jsonrpc_asyncio import read_messages
from support.hostile.answers import ANYWHERE, notification, result
from support.hostile.ovsdb_server import OTHER_ROW, ROW, Answer, HostileServer

SB = "OVN_IC_Southbound"
SCHEMA: dict[str, Any] = {
    "name": SB,
    "tables": {
        table: {"columns": {name: {"type": "string"} for name in columns}}
        for table, columns in COLUMNS[SB].items()
    },
}
ZONE = {"name": "az1"}
ROUTE = {
    "transit_switch": "ts", "availability_zone": ["uuid", ROW], "ip_prefix": "10.0.0.0/16",
    "nexthop": "169.254.100.1", "external_ids": ["map", [["a", "b"]]],
}  # fmt: skip
CONTENTS = {"Availability_Zone": {ROW: {"new": ZONE}}, "Route": {OTHER_ROW: {"new": ROUTE}}}
HONEST: Mapping[str, Any] = {
    "transact _Server": [{"rows": [{"model": "clustered"}]}],
    "get_schema": SCHEMA,
    "monitor": CONTENTS,
    "transact": [],
}
STEPS = ("transact _Server", "get_schema", "monitor")


def table(name: str, value: Any) -> Answer:
    """A schema in which one table is something else."""
    return result(SCHEMA | {"tables": SCHEMA["tables"] | {name: value}})


def route(**values: Any) -> Any:
    """Contents with a route that has wrong values."""
    return {"Route": {OTHER_ROW: {"new": ROUTE | values}}}


WRONG_CONTENTS: Mapping[str, Any] = {
    "a list": [1],
    "a table of the other database": {"Transit_Switch": {ROW: {"new": {"name": "ts"}}}},
    "a table that is a list": {"Route": [1]},
    "a row that is a text": {"Route": {ROW: "new"}},
    "a new row that is a list": {"Route": {ROW: {"new": [1]}}},
    "a zone without a name": {"Availability_Zone": {ROW: {"new": {}}}},
    "a list as name": {"Availability_Zone": {ROW: {"new": {"name": []}}}},
    "a number as prefix": route(ip_prefix=5),
    "a set as next hop": route(nexthop=["set", []]),
    "a text as reference": route(availability_zone="az1"),
    "a set as reference": route(availability_zone=["set", []]),
    "half a map": route(external_ids=["map"]),
    "pairs of three": route(external_ids=["map", [["a", "b", "c"]]]),
    "pairs of numbers": route(external_ids=["map", [[1, 2]]]),
    "a text as map": route(external_ids="a"),
}
CASES: dict[str, tuple[str, Answer]] = {
    **{f"{step}: {name}": (step, lie) for step in STEPS for name, lie in ANYWHERE.items()},
    "get_schema: no tables": ("get_schema", result({"name": SB})),
    "get_schema: a table is null": ("get_schema", table("Route", None)),
    "get_schema: columns are a text": ("get_schema", table("Route", {"columns": "ip_prefix"})),
    "get_schema: a column is missing": ("get_schema", table("Route", {"columns": {}})),
    **{f"monitor: {name}": ("monitor", result(lie)) for name, lie in WRONG_CONTENTS.items()},
}
AFTERWARDS: dict[str, bytes] = {
    "no parameters": notification("update"),
    "too few parameters": notification("update", 1),
    "a reply to nothing": b'{"id":["a"],"result":1,"error":null}',
    "a reply without a result": b'{"id":1}',
    "a list": b"[1]",
    "not UTF-8": b"\xff",
    **{f"an update of {name}": notification("update", None, lie)
       for name, lie in WRONG_CONTENTS.items()},
}  # fmt: skip


class _NoReceiver:
    """Receives routes and does nothing."""

    def route_applied(self, route: Any) -> None:
        """Take a route."""

    def route_written(self, route: Any) -> None:
        """Take a route."""


class Followed:
    """A follower of a hostile server."""

    def __init__(self, directory: Path) -> None:
        self.server = HostileServer(directory / "sb.sock", HONEST)
        self.state = DatabaseState()
        self.follower = DatabaseFollower(SB, directory / "sb.sock", self.state, _NoReceiver())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Serve until a state is reached; an error of the follower is raised."""
        for _ in range(2000):
            if condition():
                return
            self.server.turn()
            assert not self.running.done(), self.running.result()
            await asyncio.sleep(0.001)
        raise AssertionError("not reached")

    def run(self, *steps: Any) -> None:
        """Follow while coroutine functions run one after the other."""

        async def play() -> None:
            self.running = asyncio.create_task(self.follower.run())
            try:
                for step in steps:
                    await step()
            finally:
                self.running.cancel()
                await asyncio.gather(self.running, return_exceptions=True)

        try:
            asyncio.run(play())
        finally:
            self.server.close()

    async def serve(self) -> None:
        """Serve until the server's lies have had an effect, or have none."""
        turns = iter(range(50))
        await self.until(lambda: self.server.connections > 1 or next(turns, None) is None)

    async def recover(self) -> None:
        """Require that honest data are taken as soon as the server sends them."""
        self.server.lies, self.server.after = {}, b""
        self.server.drop_clients()
        before = self.server.connections
        await self.until(lambda: self.server.connections > before and self.follower.ready.is_set())
        assert self.state.row("Availability_Zone", ROW) == ZONE
        assert [row["ip_prefix"] for row in self.state.tables["Route"].values()] == ["10.0.0.0/16"]
        assert self.follower.clustered


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Followed:
    """A follower that tries again soon, and takes only short messages."""
    monkeypatch.setattr(follower, "_RETRY_INTERVAL", 0.001)
    monkeypatch.setattr(follower, "_MOST_DISTRUST", 0.001)
    bound = replace(SERVER_MESSAGE, most=1 << 17)
    monkeypatch.setattr(follower, "read_messages", partial(read_messages, limits=bound))
    return Followed(tmp_path)


@pytest.mark.parametrize(("step", "lie"), CASES.values(), ids=CASES)
def test_a_wrong_answer_is_survived(
    followed: Followed, step: str, lie: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """The follower connects again, and every line of the log is short and printable."""
    followed.server.lies = {step: lie}
    with caplog.at_level(logging.WARNING):
        followed.run(followed.serve, followed.recover)
    for record in caplog.records:
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 600


@pytest.mark.parametrize("message", AFTERWARDS.values(), ids=AFTERWARDS)
def test_a_wrong_message_is_survived(followed: Followed, message: bytes) -> None:
    """Also once the contents are complete."""
    followed.server.after = message
    followed.run(followed.serve, followed.recover)


@pytest.mark.parametrize("name", WRONG_CONTENTS)
def test_wrong_contents_are_named_and_not_used(
    followed: Followed, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the database, the socket and the consequence once, and no row is kept."""
    followed.server.lies = {"monitor": result(WRONG_CONTENTS[name])}

    async def stays_empty() -> None:
        await followed.until(lambda: followed.server.connections > 3)
        assert not followed.follower.ready.is_set()
        assert not any(followed.state.tables.values())

    with caplog.at_level(logging.WARNING):
        followed.run(stays_empty, followed.recover)
    [record] = caplog.records
    assert f"{SB}: the server at" in record.getMessage()
    assert "sent invalid data, so the connection was closed" in record.getMessage()
    assert "zones cannot write meanwhile; restart" in record.getMessage()


def test_a_server_that_hangs_ends_the_wait_of_a_client(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's connection is closed, and the client can try another member."""
    monkeypatch.setattr(follower, "_ANSWER_LIMIT", 0.01)

    async def waits() -> None:
        await followed.until(followed.follower.ready.is_set)
        with pytest.raises(OSError, match=r"^$"):
            await followed.follower.caught_up()

    followed.run(waits)
