"""A route that changes is replaced without a gap between our engine and `ovn-ic`, both ways."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.servers import FILES, RealFleet, RealZone, Servers, fleet_in, wait_until
from support.ovn.undone_deletes import UndoneDeletes

pytestmark = pytest.mark.ovn

PREFIX = "172.20.0.0/16"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Two zones that exchange a static route each; az1 is run by our engine, az2 by `ovn-ic`."""
    with fleet_in(tmp_path) as fleet:
        fleet.add_ts("ts")
        for number, name in enumerate(("az1", "az2"), start=1):
            zone = fleet.add_zone(name)
            options = [f"options:ic-route-{what}=true" for what in ("adv", "learn")]
            zone.nbctl("set", "NB_Global", ".", *options)
            zone.start_daemon("isthmus" if number == 1 else "ovn-ic")
            zone.join("ts", f"169.254.100.{number}/24")
        yield fleet


def log_of(servers: Servers, database: Database) -> UndoneDeletes:
    """The log of a database from now on."""
    return UndoneDeletes(servers.directory / f"{FILES[database]}.db")


def next_hops(zone: RealZone) -> set[str]:
    """The next hops of the learned routes to the prefix."""
    return zone.learned().get(PREFIX, set())


@pytest.mark.parametrize("changing", [0, 1])
def test_a_next_hop_changes(fleet: RealFleet, changing: int) -> None:
    """A zone's router port on the transit switch gets another address; the other zone follows."""
    one, other = fleet.zones[changing], fleet.zones[1 - changing]
    one.nbctl("lr-route-add", "r", PREFIX, f"169.254.100.{changing + 1}0")
    old, new = f"169.254.100.{changing + 1}", f"169.254.100.{changing + 7}"
    wait_until(lambda: next_hops(other) == {old}, "the route is learned")
    logs = [log_of(other.servers, Database.NB)]
    if changing == 0:
        logs.append(log_of(fleet.ic, Database.IC_SB))
    one.nbctl("set", "Logical_Router_Port", f"{one.name}-ts", f"networks={new}/24")
    wait_until(lambda: next_hops(other) == {new}, "the next hop is learned")
    assert [undone for log in logs for undone in log.found()] == []


@pytest.mark.parametrize("changing", [0, 1])
def test_an_origin_changes(fleet: RealFleet, changing: int) -> None:
    """A static route becomes a connected network; no route is missing in the other zone."""
    one, other = fleet.zones[changing], fleet.zones[1 - changing]
    one.nbctl("lr-route-add", "r", PREFIX, f"169.254.100.{changing + 1}0")
    wait_until(lambda: next_hops(other), "the route is learned")
    log = log_of(other.servers, Database.NB)

    def origins() -> list[str]:
        columns = ("--bare", "--columns=options", "list", "Logical_Router_Static_Route")
        return other.nbctl(*columns).split()

    one.nbctl("lrp-add", "r", "net", "0a:00:00:00:00:09", "172.20.0.1/16", "--",
              "lr-route-del", "r", PREFIX)  # fmt: skip
    wait_until(lambda: origins() == ["origin=connected"], "the origin is learned")
    assert log.found() == []
