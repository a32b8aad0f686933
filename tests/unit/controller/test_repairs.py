"""What others delete or change is set back, and the engine says what.

Ordinary changes say nothing.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest

from isthmus.model.operations import Delete, Insert, Mutate, Operation, Ref
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    Chassis,
    Database,
    GatewayChassis,
    IcDatapathBinding,
    IcPortBinding,
    IcRoute,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    SbEncap,
    SbPortBinding,
    TransitSwitch,
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
    assert {type(repair.row) for repair in one.engine.repaired} - {SbEncap} == {kind}
    assert other.engine.repaired == []


@pytest.mark.parametrize(
    ("kind", "row", "changes"),
    [
        (LogicalRouterPort, {"name": "az1-ts"}, {"networks": frozenset({"169.254.101.9/24"})}),
        (LogicalRouterPort, {"name": "az1-ts"}, {"options": {}}),
        (LogicalRouterPort, {"name": "az1-ts"}, {"external_ids": {}}),
        (GatewayChassis, {"chassis_name": "gw-az1"}, {"priority": 3}),
        (LogicalSwitchPort, {"name": "ts-az1"}, {"addresses": frozenset()}),
        (LogicalSwitchPort, {"name": "ts-az2"}, {"addresses": frozenset()}),
        (LogicalSwitchPort, {"name": "ts-az2"}, {"options": {}}),
        (LogicalSwitch, {"name": "ts"}, {"other_config": {"interconn-ts": "ts"}}),
        (LogicalRouterPolicy, {"match": f"ip4.dst == {PREFIX}"}, {"action": "drop"}),
        (NbGlobal, {}, {"options": {"northd_probe_interval": "5000"}}),
        (SbPortBinding, {"logical_port": "ts-az2"}, {"chassis": frozenset()}),
        (Chassis, {"name": "gw-az2"}, {"hostname": "other"}),
        (IcPortBinding, {"logical_port": "ts-az1"}, {"address": "", "gateway": ""}),
    ],
)
def test_a_changed_column_is_set_back_and_named(
    fleet: ControlledFleet, kind: type[Row], row: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Whatever it holds."""
    one, other = fleet.zones
    before = one.find(kind, **row)
    one.update(kind, one.uuid(kind, **row), **changes)
    fleet.settle()
    found = {type(repair.row): set(repair.columns) for repair in one.engine.repaired}
    assert one.find(kind, **row) == before
    assert found == {kind: set(changes)}
    assert other.engine.repaired == []


@pytest.mark.parametrize(
    ("kind", "row", "changes"),
    [
        (SbEncap, {"chassis_name": "gw-az2"}, {"ip": "192.0.2.99"}),
        (LogicalRouterStaticRoute, {"ip_prefix": PREFIX}, {"nexthop": "169.254.100.99"}),
        (IcRoute, {"ip_prefix": "10.1.0.0/16"}, {"nexthop": "169.254.100.99"}),
    ],
)
def test_a_row_that_is_replaced_because_it_was_changed_is_named(
    fleet: ControlledFleet, kind: type[Row], row: dict[str, Any], changes: dict[str, Any]
) -> None:
    """As one that was made again."""
    one, other = fleet.zones
    one.update(kind, one.uuid(kind, **row), **changes)
    fleet.settle()
    assert len(one.all(kind, **row)) == 1
    assert not one.all(kind, **changes)
    assert kind in {type(repair.row) for repair in one.engine.repaired}
    assert other.engine.repaired == []


def test_what_is_done_while_a_transaction_is_in_flight_is_named(fleet: ControlledFleet) -> None:
    """A deleted and a changed row, while an unrelated route is being learned."""
    one, other = fleet.zones
    other.add_router_port("more", "10.3.0.1/16")
    assert other.work()
    one.feed()
    sent = one.plan()
    assert [transaction.database for transaction in sent] == [Database.NB]
    one.write(port(one, "ts-az2"))
    one.update(LogicalRouterPort, one.uuid(LogicalRouterPort, name="az1-ts"), options={})
    one.in_flight += sent
    fleet.settle()
    assert {(type(repair.row), repair.columns) for repair in one.engine.repaired} == {
        (LogicalSwitchPort, ()),
        (LogicalRouterPort, ("options",)),
    }


def test_a_change_of_a_row_that_is_being_inserted_is_not_a_repair(fleet: ControlledFleet) -> None:
    """As northd changes ports, before the result of the transaction has arrived."""
    one, other = fleet.zones
    other.add_router_port("more", "10.3.0.1/16")
    assert other.work()
    one.feed()
    (sent,) = one.plan()
    result = one.commit(sent)
    one.feed()
    route = one.uuid(LogicalRouterStaticRoute, ip_prefix="10.3.0.0/16")
    one.update(LogicalRouterStaticRoute, route, nexthop="169.254.100.99")
    one.feed()
    one.engine.completed(sent, result, one.now)
    assert one.engine.repaired == []


def test_children_of_a_deleted_row_are_named_with_it(fleet: ControlledFleet) -> None:
    """The ports of a switch, and the gateways of a router port."""
    one, _ = fleet.zones
    one.write(Delete(LogicalSwitch, one.uuid(LogicalSwitch, name="ts")))
    fleet.settle()
    names = {getattr(repair.row, "name", "") for repair in one.engine.repaired}
    assert names == {"ts", "ts-az1", "ts-az2"}
    one.engine.repaired.clear()
    one.drop_router_port("az1-ts")
    fleet.settle()
    kinds = {type(repair.row) for repair in one.engine.repaired}
    assert kinds == {LogicalRouterPort, GatewayChassis}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_second_router_with_the_name_of_the_vpcs(fleet: ControlledFleet, restarted: bool) -> None:
    """The router with the most ports stays the VPC's, and the problem names the other one."""
    one, _ = fleet.zones
    policy = one.find(LogicalRouterPolicy)
    one.write(Insert(LogicalRouter, {"name": "ovn-cluster"}))
    if restarted:
        one.start()
    fleet.settle()
    twin = next(row for row in one.all(LogicalRouter) if not row["ports"])
    (problem,) = one.problems()
    assert problem.reason is Reason.NAME_TAKEN
    assert problem.remedy.endswith(f"ovn-nbctl lr-del {twin['_uuid']}")
    gone = frozenset({Ref(RowId(policy["_uuid"]))})
    one.write(Mutate(LogicalRouter, one.router, (("policies", "delete", gone),)))
    fleet.settle()
    assert one.all(LogicalRouterPolicy, match=policy["match"])
    one.write(Delete(LogicalRouter, RowId(twin["_uuid"])))
    fleet.settle()
    assert one.problems() == []


def toggle_subnet(zone: ControlledZone) -> None:
    """Add a Subnet's router port, or remove it."""
    if zone.all(LogicalRouterPort, name="new"):
        zone.drop_router_port("new")
    else:
        zone.add_router_port("new", f"10.9{zone.name[-1]}.0.1/16")


def toggle_ts(fleet: ControlledFleet) -> None:
    """Add a second transit switch, or remove it."""
    if fleet.ic_nb.rows(TransitSwitch)[1:]:
        fleet.drop_ts("ts2")
    else:
        fleet.add_ts("ts2", "169.254.101.0/24")


@pytest.mark.parametrize("seed", range(20))
def test_no_history_of_ordinary_edits_is_a_repair(fleet: ControlledFleet, seed: int) -> None:
    """Edits of configurations, Subnets, transit switches and gateways, while others take effect.

    Zones share a transit switch's datapath: one that does not know of the switch yet may delete
    the row that another has just written, which is made again.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret
    for zone in fleet.zones:
        zone.add_chassis(f"gw2-{zone.name}", f"192.0.2.1{zone.name[-1]}", hostname="gw2")
    edits: list[Callable[[ControlledZone], object]] = [
        toggle_subnet,
        lambda _: toggle_ts(fleet),
        lambda _: fleet.settle(),
        lambda zone: zone.join(**{"enable-ic": dice.choice(["true", "false"])}),
        lambda zone: zone.join(gw_nodes=dice.choice(["gw", "gw2", "gw,gw2", "gw2,gw"])),
        lambda zone: zone.join(auto_route=dice.choice(["true", "false"])),
        lambda zone: zone.dead.symmetric_difference_update({f"gw-{zone.name}"}),
    ]
    for _ in range(60):
        dice.choice(edits)(dice.choice(fleet.zones))
        for zone in fleet.zones:
            for _ in range(dice.randrange(4)):
                zone.step()
    fleet.settle()
    repairs = [repair for zone in fleet.zones for repair in zone.engine.repaired]
    assert [one for one in repairs if not isinstance(one.row, IcDatapathBinding)] == []


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
