"""What the guard's judge does about what happens while it judges."""

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest

from isthmus.authz import authorizer as guard_judge
from isthmus.authz.authorizer import Judge
from isthmus.authz.database_state import Known
from isthmus.authz.request import Policy, RefusedError

ZONES = {
    "az1": "11111111-0000-4000-8000-000000000000",
    "az2": "22222222-0000-4000-8000-000000000000",
}
NEXTHOPS = {"az1": "169.254.100.1", "az2": "169.254.100.2"}


def route(zone: str, prefix: str) -> dict[str, Any]:
    """A route of a zone, as it is written and as it is reported."""
    return {
        "transit_switch": "ts", "availability_zone": ["uuid", ZONES[zone]],
        "ip_prefix": prefix, "nexthop": NEXTHOPS[zone],
    }  # fmt: skip


def insert(zone: str, prefix: str) -> dict[str, Any]:
    """The operation that announces it."""
    return {"op": "insert", "table": "Route", "row": route(zone, prefix)}


class Court:
    """A judge, two zones with a port each, and what was told."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.known, self.ready = Known(), True
        self.told: list[RefusedError] = []
        self._number = 0
        self.judge = Judge(self.known, policy or Policy(), self._see, self.told.append)
        names = {uuid: {"new": {"name": name}} for name, uuid in ZONES.items()}
        ports = {f"port {name}": {"new": self._port(name)} for name in ZONES}
        self.known.apply({"Availability_Zone": names, "Port_Binding": ports})

    @staticmethod
    def _port(zone: str) -> dict[str, Any]:
        address = NEXTHOPS[zone]
        return {
            "transit_switch": "ts", "availability_zone": ["uuid", ZONES[zone]],
            "address": f"0a:00:00:00:00:0{address[-1]} {address}/24",
        }  # fmt: skip

    def committed(self, zone: str, prefix: str) -> None:
        """The server reports a route."""
        self._number += 1
        self.known.apply({"Route": {f"route {self._number}": {"new": route(zone, prefix)}}})

    def _see(self) -> None:
        if not self.ready:
            raise ConnectionResetError


async def judged_while(court: Court, operations: list[Any], zone: str, prefix: str) -> list[Any]:
    """What becomes of az2's operations if another route comes when judging has begun."""
    judging = asyncio.ensure_future(court.judge.check(operations, "az2"))
    await asyncio.sleep(0)  # the first slice
    assert not judging.done()
    court.committed(zone, prefix)
    return list(await judging)


@pytest.fixture(autouse=True)
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """As small as can be."""
    monkeypatch.setattr(guard_judge, "SLICE", -1.0)


MANY = [insert("az2", "10.1.0.0/16"), *({"op": "comment", "comment": "x"} for _ in range(100))]


def test_what_is_announced_while_a_large_transaction_is_judged_counts() -> None:
    """Else a zone could have a free prefix judged, and written once it is another's."""
    with pytest.raises(RefusedError, match=r"zone az1 has 10\.0\.0\.0/8"):
        asyncio.run(judged_while(Court(), MANY, "az1", "10.0.0.0/8"))


@pytest.mark.parametrize(("zone", "prefix"), [("az1", "10.2.0.0/16"), ("az2", "10.1.0.0/16")])
def test_other_news_holds_nothing_up(zone: str, prefix: str) -> None:
    """Routes to elsewhere, and the zone's own, change nothing about it."""
    assert asyncio.run(judged_while(Court(), MANY, zone, prefix)) == MANY


def test_one_transaction_of_a_zone_is_judged_at_a_time() -> None:
    """Others have their turns in between, however many one zone sends."""

    async def both() -> tuple[bool, list[Any]]:
        court = Court()
        judging = [asyncio.ensure_future(court.judge.check(MANY, "az2")) for _ in range(20)]
        other = await court.judge.check([insert("az1", "10.3.0.0/16")], "az1")
        early = sum(one.done() for one in judging)
        await asyncio.gather(*judging)
        return early <= 1, other

    in_turn, other = asyncio.run(both())
    assert in_turn
    assert other == [insert("az1", "10.3.0.0/16")]


def test_nothing_passes_while_the_databases_are_not_known() -> None:
    """Also if that ends in the midst of it."""
    court = Court()

    async def lost() -> None:
        judging = asyncio.ensure_future(court.judge.check(MANY, "az2"))
        await asyncio.sleep(0)
        court.ready = False
        await judging

    with pytest.raises(ConnectionResetError):
        asyncio.run(lost())


def test_two_zones_that_come_in_one_moment_are_told_of() -> None:
    """By two members both may be let in, which nobody can prevent; it is seen."""
    court = Court()
    court.committed("az1", "10.1.0.0/16")
    court.committed("az1", "10.1.2.0/24")
    assert not court.told
    court.committed("az2", "10.1.0.0/16")
    court.committed("az2", "10.1.3.0/24")
    assert [one.zone for one in court.told] == ["az2", "az2"]
    for prefix, one in zip(("10.1.0.0/16", "10.1.3.0/24"), court.told, strict=True):
        assert one.why.startswith(f"announces {prefix}: zone az1 has 10.1.0.0/16, and was let in")


def test_what_was_there_before_or_may_be_is_not_told_of() -> None:
    """The first contents of a database, and prefixes that the operator lets several announce."""
    first = Court()
    first.ready = False
    shared = Court(Policy(shared=(ip_network("10.0.0.0/8"),)))
    for court in (first, shared):
        court.committed("az1", "10.1.0.0/16")
        court.committed("az2", "10.1.0.0/16")
        assert not court.told
