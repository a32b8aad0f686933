"""A connection that is replaced takes nothing away before its successor is there."""

import pytest

from isthmus.model.external_ids import DECLARED
from isthmus.model.operations import Delete, Update
from isthmus.model.rows import (
    Chassis,
    IcPortBinding,
    IcRoute,
    LogicalRouterPolicy,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    SbPortBinding,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.northd import northd
from support.harm.world import World


def joined() -> tuple[ControlledFleet, ControlledZone, ControlledZone]:
    """Two zones joined by Isthmus."""
    fleet = ControlledFleet("az1", "az2")
    for zone in fleet.zones:
        zone.join()
    fleet.settle()
    one, two = fleet.zones
    return fleet, one, two


def routes(one: ControlledZone, two: ControlledZone) -> list[object]:
    """What packets between the zones depend on, apart from ports."""
    offered = {(r["transit_switch"], r["ip_prefix"], r["nexthop"]) for r in one.all(IcRoute)}
    policies = [[r["match"] for r in z.all(LogicalRouterPolicy)] for z in (one, two)]
    return [one.learned(), two.learned(), offered, policies]


def gateway(zone: ControlledZone, port: str = "ts-az1") -> object:
    """The published gateway of a port."""
    return zone.find(IcPortBinding, logical_port=port)["gateway"]


@pytest.mark.parametrize("running", [True, False])
def test_a_renamed_zone_keeps_its_routes(*, running: bool) -> None:
    """The port gets another name, which northd binds later; routes and policies never go."""
    fleet, one, two = joined()
    before = routes(one, two)
    if not running:
        one.start()
    one.join(az_name="west")
    for _ in range(50):
        for zone in fleet.zones:
            while zone.step():
                assert routes(one, two) == before
                assert len(one.all(IcPortBinding)) == 2
        for zone in fleet.zones:
            northd(zone.nb, zone.sb)
    assert gateway(one, "ts-west") == "gw-az1"
    assert not one.all(IcPortBinding, logical_port="ts-az1")


def test_a_replaced_port_goes_with_its_transit_switch() -> None:
    """A port is not kept for a successor that can never be published."""
    fleet, one, _ = joined()
    fleet.add_ts("ts1", "169.254.101.0/24")  # the last path would stay
    fleet.settle()
    one.join(az_name="west")
    one.settle()
    fleet.drop_ts("ts")
    fleet.settle()
    assert not one.all(IcPortBinding, transit_switch="ts")
    assert not one.all(IcRoute, transit_switch="ts")


def test_a_gateway_stays_published_while_ovn_chooses_another() -> None:
    """Other zones keep the port bound, also while the chassis of the only gateway is gone."""
    fleet, one, _ = joined()
    binding = one.uuid(SbPortBinding, logical_port="cr-az1-ts")
    one.update(SbPortBinding, binding, chassis=frozenset())
    one.settle()
    assert gateway(one) == "gw-az1"
    one.write(Delete(Chassis, one.uuid(Chassis, name="gw-az1")))
    one.settle()
    assert gateway(one) == "gw-az1"
    one.add_chassis("gw-new", "192.0.2.9", hostname="gw")
    fleet.settle()
    assert gateway(one) == "gw-new"


@pytest.mark.parametrize("learned", [True, False])
def test_a_route_that_is_not_declared_any_more(*, learned: bool) -> None:
    """A learned route takes its place without a gap; otherwise it is removed."""
    _, one, _ = joined()
    prefix = "10.2.0.0/16"
    changes = {} if learned else {"auto_route": "false"}
    one.join(**changes, routes=f"[{{prefix: {prefix}, zone: az2}}]")
    one.settle()
    assert DECLARED in one.find(LogicalRouterStaticRoute, ip_prefix=prefix)["external_ids"]
    one.join(**changes)
    while one.step():
        assert not learned or one.all(LogicalRouterStaticRoute, ip_prefix=prefix)
        assert not learned or one.all(LogicalRouterPolicy, match=f"ip4.dst == {prefix}")
    assert one.learned().keys() == ({prefix} if learned else set())
    left = one.all(LogicalRouterStaticRoute, ip_prefix=prefix)
    assert all(DECLARED not in row["external_ids"] for row in left)


@pytest.mark.parametrize("seed", [9, 17, 21])
def test_a_renamed_transit_switch_stays_until_the_new_ports_are_bound(seed: int) -> None:
    """Addresses stay, so routes fit the new switch at once; packets need its ports' chassis.

    With these seeds, the deletion would come before the new ports are bound.
    """
    world = World(seed)
    row = world.fleet.ts("ts")
    world.fleet.ic_nb.transact([Update(TransitSwitch, row["_uuid"], {"name": "ts-new"})])
    world.edited()
    world.settle()
    assert not world.interruptions
    assert not world.lost()
    assert all(not zone.all(LogicalSwitch, name="ts") for zone in world.fleet.zones)
