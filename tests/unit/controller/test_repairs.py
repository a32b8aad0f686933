"""Rows that others delete come back, and the engine says which; ordinary changes say nothing."""

from collections.abc import Callable

import pytest

from isthmus.model.operations import Delete, Mutate, Operation, Ref
from isthmus.model.rows import (
    Chassis,
    IcPortBinding,
    IcRoute,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    Row,
    SbEncap,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet

PREFIX = "10.2.0.0/16"


@pytest.fixture
def fleet() -> ControlledFleet:
    """Two zones that have joined, and learn a prefix from each other."""
    fleet = ControlledFleet("az1", "az2")
    for zone in fleet.zones:
        zone.join()
    fleet.settle()
    for zone in fleet.zones:
        assert zone.engine.repaired == []  # joining repairs nothing
    return fleet


def child(zone: ControlledZone, column: str, kind: type[Row], **columns: object) -> Operation:
    """Removes a child row from the router."""
    gone = frozenset({Ref(zone.uuid(kind, **columns))})
    return Mutate(LogicalRouter, zone.router, ((column, "delete", gone),))


def port(zone: ControlledZone, name: str) -> Operation:
    """Removes a port from the copy of the transit switch."""
    gone = frozenset({Ref(zone.uuid(LogicalSwitchPort, name=name))})
    switch = zone.uuid(LogicalSwitch, name="ts")
    return Mutate(LogicalSwitch, switch, (("ports", "delete", gone),))


@pytest.mark.parametrize(
    ("kind", "deletion"),
    [
        (
            LogicalRouterStaticRoute,
            lambda z: child(z, "static_routes", LogicalRouterStaticRoute, ip_prefix=PREFIX),
        ),
        (
            LogicalRouterPolicy,
            lambda z: child(z, "policies", LogicalRouterPolicy, match=f"ip4.dst == {PREFIX}"),
        ),
        (LogicalSwitchPort, lambda z: port(z, "ts-az2")),
        (Chassis, lambda z: Delete(Chassis, z.uuid(Chassis, name="gw-az2"))),
        (
            IcPortBinding,
            lambda z: Delete(IcPortBinding, z.uuid(IcPortBinding, logical_port="ts-az1")),
        ),
        (IcRoute, lambda z: Delete(IcRoute, z.uuid(IcRoute, ip_prefix="10.1.0.0/16"))),
    ],
)
def test_a_deleted_row_is_made_again_and_named(
    fleet: ControlledFleet, kind: type[Row], deletion: Callable[[ControlledZone], Operation]
) -> None:
    """Whatever reconciler writes it."""
    one, other = fleet.zones
    before = len(one.all(kind))
    one.write(deletion(one))
    fleet.settle()
    assert len(one.all(kind)) == before
    # A chassis comes with its encap.
    assert {type(row) for row in one.engine.repaired} - {SbEncap} == {kind}
    assert other.engine.repaired == []


def test_ordinary_changes_are_not_repairs(fleet: ControlledFleet) -> None:
    """Routes of another zone that come and go, and a zone that leaves and joins again."""
    one, other = fleet.zones
    for _ in range(3):
        other.drop_router_port("ovn-default")
        fleet.settle()
        other.add_router_port("ovn-default", "10.2.0.1/16")
        fleet.settle()
    other.join(**{"enable-ic": "false"})
    fleet.settle()
    other.join()
    fleet.settle()
    assert [zone.engine.repaired for zone in fleet.zones] == [[], []]
    assert one.learned()
