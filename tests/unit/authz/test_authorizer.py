"""The authorizer: what changes in the databases while it checks a large transaction."""

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest

from isthmus.authz import slices
from isthmus.authz.authorizer import Authorizer
from isthmus.authz.database_state import DatabaseState
from isthmus.authz.request import AuthorizationPolicy, RefusedError

ZONES = {
    "az1": "11111111-0000-4000-8000-000000000000",
    "az2": "22222222-0000-4000-8000-000000000000",
}
NEXTHOPS = {"az1": "169.254.100.1", "az2": "169.254.100.2"}


def route(zone: str, prefix: str) -> dict[str, Any]:
    """A route of a zone, as it is written and as monitors report it."""
    return {
        "transit_switch": "ts", "availability_zone": ["uuid", ZONES[zone]],
        "ip_prefix": prefix, "nexthop": NEXTHOPS[zone],
    }  # fmt: skip


def insert(zone: str, prefix: str) -> dict[str, Any]:
    """The operation that advertises it."""
    return {"op": "insert", "table": "Route", "row": route(zone, prefix)}


class Checked:
    """An authorizer, two zones with a port each, and the conflicts it reported."""

    def __init__(self, policy: AuthorizationPolicy | None = None) -> None:
        self.state, self.ready = DatabaseState(), True
        self.reported: list[RefusedError] = []
        self._number = 0
        self.authorizer = Authorizer(
            self.state,
            policy or AuthorizationPolicy(),
            self._require_ready,
            self.reported.append,
        )
        names = {uuid: {"new": {"name": name}} for name, uuid in ZONES.items()}
        ports = {f"port {name}": {"new": self._port(name)} for name in ZONES}
        list(self.state.apply({"Availability_Zone": names, "Port_Binding": ports}))

    @staticmethod
    def _port(zone: str) -> dict[str, Any]:
        address = NEXTHOPS[zone]
        return {
            "transit_switch": "ts", "availability_zone": ["uuid", ZONES[zone]],
            "address": f"0a:00:00:00:00:0{address[-1]} {address}/24",
        }  # fmt: skip

    def committed(self, zone: str, prefix: str) -> None:
        """The server commits a route."""
        self._number += 1
        updates = {"Route": {f"route {self._number}": {"new": route(zone, prefix)}}}
        for row in list(self.state.apply(updates)):
            assert row is not None
            self.authorizer.route_applied(row)
            self.authorizer.route_written(row)

    def _require_ready(self) -> None:
        if not self.ready:
            raise ConnectionResetError


async def checked_while(site: Checked, operations: list[Any], zone: str, prefix: str) -> list[Any]:
    """The result for az2's operations if another route is committed after the first slice."""
    checking = asyncio.ensure_future(site.authorizer.check(operations, "az2"))
    await asyncio.sleep(0)  # the first slice
    assert not checking.done()
    site.committed(zone, prefix)
    return list(await checking)


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices are as short as possible."""
    monkeypatch.setattr(slices, "SLICE", -1.0)


MANY = [insert("az2", "10.1.0.0/16"), *({"op": "comment", "comment": "x"} for _ in range(100))]


def test_routes_committed_during_a_check_count() -> None:
    """A prefix that another zone takes during the check is refused."""
    with pytest.raises(RefusedError, match=r"zone az1 advertises 10\.0\.0\.0/8"):
        asyncio.run(checked_while(Checked(), MANY, "az1", "10.0.0.0/8"))


@pytest.mark.parametrize(("zone", "prefix"), [("az1", "10.2.0.0/16"), ("az2", "10.1.0.0/16")])
def test_unrelated_routes_do_not_matter(zone: str, prefix: str) -> None:
    """Routes to other prefixes, and the zone's own, do not change the result."""
    assert asyncio.run(checked_while(Checked(), MANY, zone, prefix)) == MANY


def test_one_transaction_per_zone_is_checked_at_a_time() -> None:
    """Other zones are served in between, however many transactions one zone sends."""

    async def both() -> tuple[bool, list[Any]]:
        check = Checked().authorizer.check
        checking = [asyncio.ensure_future(check(MANY, "az2")) for _ in range(20)]
        other = await check([insert("az1", "10.3.0.0/16")], "az1")
        early = sum(one.done() for one in checking)
        await asyncio.gather(*checking)
        return early <= 1, other

    in_turn, other = asyncio.run(both())
    assert in_turn
    assert other == [insert("az1", "10.3.0.0/16")]


def test_nothing_passes_while_the_databases_are_incomplete() -> None:
    """A transaction fails if a database is lost during its check."""
    site = Checked()

    async def lost() -> None:
        checking = asyncio.ensure_future(site.authorizer.check(MANY, "az2"))
        await asyncio.sleep(0)
        site.ready = False
        await checking

    with pytest.raises(ConnectionResetError):
        asyncio.run(lost())


def test_routes_written_at_the_same_moment_are_reported() -> None:
    """Two members may both accept conflicting routes; the conflict is reported."""
    site = Checked()
    site.committed("az1", "10.1.0.0/16")
    site.committed("az1", "10.1.2.0/24")
    assert not site.reported
    site.committed("az2", "10.1.0.0/16")
    site.committed("az2", "10.1.3.0/24")
    assert [one.zone for one in site.reported] == ["az2", "az2"]
    for prefix, one in zip(("10.1.0.0/16", "10.1.3.0/24"), site.reported, strict=True):
        assert one.why.startswith(
            f"zone az1 advertises 10.1.0.0/16, which contains {prefix}; it was"
        )


def test_old_and_shared_routes_are_not_reported() -> None:
    """Routes of the first download and shared prefixes are not conflicts."""
    first = Checked()
    first.ready = False
    shared = Checked(AuthorizationPolicy(shared=(ip_network("10.0.0.0/8"),)))
    for site in (first, shared):
        site.committed("az1", "10.1.0.0/16")
        site.committed("az2", "10.1.0.0/16")
        assert not site.reported
