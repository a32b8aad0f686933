"""Faults that users of Kube-OVN's feature reported and that concern the engine, one test each.

The numbers identify the faults; each docstring describes one. Faults of the controller have their
tests in tests/unit/controller.
"""

import pytest

from isthmus.engine.transactions import Failed, Result, Transaction
from isthmus.model.operations import Delete, Insert, Mutate, Ref, Update
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    Gateway,
    IcPortBinding,
    IcRoute,
    LogicalRouter,
    LogicalSwitch,
    LogicalSwitchPort,
    RowId,
    SbPortBinding,
    TransitSwitch,
)
from support.fakes.fleet import Fleet
from support.fakes.zone import Zone


@pytest.fixture
def fleet() -> Fleet:
    """Two joined zones with a subnet each."""
    fleet = Fleet("az1", "az2")
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach("ts", f"169.254.100.{number}/24")
    fleet.settle()
    return fleet


def test_fault_5_a_zone_renamed_while_the_daemon_was_down_leaves_nothing_behind(
    fleet: Fleet,
) -> None:
    """The old zone and its rows stayed forever; now its row is renamed, and the others stay."""
    one, two = fleet.zones
    ports = {row["_uuid"] for row in one.all(IcPortBinding)}
    one.rename("other")
    one.start()
    fleet.settle()
    assert {row["name"] for row in two.all(AvailabilityZone)} == {"other", "az2"}
    assert {row["_uuid"] for row in two.all(IcPortBinding)} == ports
    assert two.learned() == {"10.1.0.0/16": {"169.254.100.1"}}


def test_fault_6_names_with_hyphens_are_names_like_others() -> None:
    """Objects of a zone with a hyphen in its name were not found again; names are never parsed."""
    fleet = Fleet("a-b", "a")
    fleet.add_ts("ts-b")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach("ts-b", f"169.254.100.{number}/24")
    fleet.settle()
    one, two = fleet.zones
    one.rename("")
    fleet.settle()
    assert [row["logical_port"] for row in two.all(IcPortBinding)] == ["ts-b-a"]
    assert two.learned() == {}


def test_fault_11_the_second_zone_of_a_name_takes_nothing_from_the_first(fleet: Fleet) -> None:
    """Two clusters of one name deleted each other's gateways; the second is refused, by name."""
    stranger = Zone("az1", fleet.ic_nb, fleet.ic_sb)
    fleet.zones.append(stranger)
    stranger.add_chassis("stranger-gw", "192.0.2.99")
    fleet.settle()
    assert {row["name"] for row in stranger.all(Gateway)} == {"az1-gw", "az2-gw"}
    assert any(p.value == "az1" and "in use" in p.message for p in stranger.engine.problems())


def test_fault_12_a_chassis_name_in_two_clusters_is_reported(fleet: Fleet) -> None:
    """Nothing worked and no message said why; now the node is named, and all else works."""
    one, two = fleet.zones
    two.add_chassis("az1-gw2", "192.0.2.77")
    fleet.settle()
    three = Zone("az3", fleet.ic_nb, fleet.ic_sb)
    fleet.zones.append(three)
    three.add_chassis("az1-gw2", "192.0.2.78")
    three.add_chassis("az3-gw", "192.0.2.79")
    fleet.settle()
    assert three.find(Gateway, name="az1-gw2")["availability_zone"] == two.uuid(
        AvailabilityZone, name="az2"
    )
    problem = next(p for p in three.engine.problems() if "az1-gw2" in p.object)
    assert "zone az2" in problem.message
    assert "system-id" in problem.remedy
    assert one.all(Chassis, name="az3-gw")


def test_fault_12_the_same_hostname_in_two_clusters_is_no_fault(fleet: Fleet) -> None:
    """Chassis are identified by name, so equal hostnames in two clusters do not matter."""
    one, two = fleet.zones
    for zone in (one, two):
        uuid = zone.uuid(Chassis, name=f"{zone.name}-gw")
        zone.write(Update(Chassis, uuid, {"hostname": "node-1"}))
    fleet.settle()
    for zone in (one, two):
        chassis = {(row["name"], row["hostname"]) for row in zone.all(Chassis)}
        assert chassis == {("az1-gw", "node-1"), ("az2-gw", "node-1")}
    assert {row["name"] for row in one.all(Gateway)} == {"az1-gw", "az2-gw"}
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2"}}


def test_fault_15_switches_of_others_are_left_alone(fleet: Fleet) -> None:
    """A logical switch without our mark, and one of another vendor in IC-NB, are not touched."""
    one, _ = fleet.zones
    one.write(Insert(LogicalSwitch, {"name": "ts", "other_config": {"mine": "1"}}))
    vendor = {"name": "theirs", "external_ids": {"vendor": "another"}}
    one.write(Insert(TransitSwitch, vendor))  # type: ignore[arg-type]
    fleet.settle()
    one.write(Delete(TransitSwitch, one.uuid(TransitSwitch, name="ts")))
    fleet.settle()
    copies = [row["other_config"].get("interconn-ts") for row in one.all(LogicalSwitch)]
    assert sorted(map(str, copies)) == ["None", "theirs"]
    assert one.find(LogicalSwitch, other_config={"mine": "1"})
    assert one.find(TransitSwitch, name="theirs")["external_ids"] == {"vendor": "another"}


def test_fault_16_what_a_removed_zone_left_elsewhere_goes_with_its_rows(fleet: Fleet) -> None:
    """What a dead zone had left in IC-SB stayed in every cluster; it goes when its rows go."""
    one, two = fleet.zones
    fleet.zones.remove(two)
    gone = [
        Delete(kind, RowId(row["_uuid"]))
        for kind in (IcRoute, IcPortBinding, Gateway)
        for row in two.all(kind)
        if row["availability_zone"] == two.uuid(AvailabilityZone, name="az2")
    ]
    fleet.ic_sb.transact([*gone, Delete(AvailabilityZone, two.uuid(AvailabilityZone, name="az2"))])
    fleet.settle()
    assert one.learned() == {}
    assert not one.all(Chassis, name="az2-gw")
    assert not one.all(LogicalSwitchPort, name="ts-az2")


def test_fault_20_a_refused_transaction_waits_for_nothing_else(fleet: Fleet) -> None:
    """A failed write waited for an unrelated event; it is tried again at once, alone."""
    one, _ = fleet.zones
    refused: list[Transaction] = []
    commit = one.commit

    def once(transaction: Transaction) -> Result:
        if transaction.database is Database.IC_SB and not refused:
            refused.append(transaction)
            return Failed("constraint violation", "another was quicker")
        return commit(transaction)

    one.commit = once  # type: ignore[method-assign]
    one.add_router_port("a", "10.50.1.1/24")
    one.add_router_port("b", "10.50.2.1/24")
    began = one.now
    fleet.settle()
    assert refused
    assert {"10.50.1.1/24", "10.50.2.1/24"} <= {str(r["ip_prefix"]) for r in one.all(IcRoute)}
    assert one.now == began


def test_fault_21_one_prefix_through_two_switches_settles(fleet: Fleet) -> None:
    """The routes were learned again endlessly; now both are kept, and nothing changes any more."""
    one, two = fleet.zones
    fleet.add_ts("ts1")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.attach("ts1", f"169.254.101.{number}/24")
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2", "169.254.101.2"}}
    written = len(one.nb.committed)
    two.set_options(unrelated="1")
    fleet.settle()
    assert len(one.nb.committed) == written


def test_fault_21_a_port_without_its_switch_port_is_withdrawn(fleet: Fleet) -> None:
    """Orphaned ports kept routes that led in circles; port and routes go with the switch port."""
    one, two = fleet.zones
    port = frozenset({Ref(one.uuid(LogicalSwitchPort, name="ts-az1"))})
    switch = one.uuid(LogicalSwitch, name="ts")
    one.write(Mutate(LogicalSwitch, switch, (("ports", "delete", port),)))
    fleet.settle()
    assert not one.all(IcPortBinding, logical_port="ts-az1")
    assert not one.all(IcRoute, ip_prefix="10.1.0.1/16")
    assert two.learned() == {}
    assert not two.all(SbPortBinding, logical_port="ts-az1")


def test_fault_21_a_disabled_router_learns_nothing(fleet: Fleet) -> None:
    """A disabled router kept its learned routes; they go, and come back when it is enabled."""
    one, _ = fleet.zones
    one.write(Update(LogicalRouter, one.router, {"enabled": False}))
    fleet.settle()
    assert one.learned() == {}
    one.write(Update(LogicalRouter, one.router, {"enabled": True}))
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2"}}
