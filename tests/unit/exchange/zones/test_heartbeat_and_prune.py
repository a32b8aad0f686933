"""Heartbeats, and pruning a zone, on fake databases."""

from typing import cast

import pytest

from isthmus.engine.view import View
from isthmus.exchange.zones.heartbeat import INTERVAL
from isthmus.exchange.zones.prune import PrunePlan, looks_dead, plan_pruning, zones
from isthmus.model.external_ids import alive_key, zone_claim
from isthmus.model.operations import Delete, Operation, set_keys
from isthmus.model.problems import Problem
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Gateway,
    IcEncap,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    LogicalSwitchPort,
    NbGlobal,
    RowId,
    TransitSwitch,
)
from support.fakes.fleet import Fleet
from support.fakes.zone import Zone

NOW = 1_800_000_000
DAY = 86400


@pytest.fixture
def fleet() -> Fleet:
    """Two zones on one transit switch that exchange one subnet each, with a heartbeat at NOW."""
    fleet = Fleet("az1", "az2")
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach("ts", f"169.254.100.{number}/24")
        set_time(zone, NOW)
    fleet.settle()
    return fleet


def set_time(zone: Zone, now: int) -> None:
    """Supply a zone's engine with the time of day."""
    assert zone.exchange.heartbeat is not None
    zone.exchange.heartbeat.set_time(now)


def view_of(zone: Zone) -> View:
    """What a zone's engine sees."""
    zone.feed()
    view: View = zone.engine.view
    return view


def keys_of(zone: Zone) -> dict[str, str]:
    """The claims and heartbeats in IC-SB."""
    return cast("dict[str, str]", zone.find(IcSbGlobal)["external_ids"])


def planned(zone: Zone, name: str, now: int, *, alive_too: bool = False) -> PrunePlan:
    """The plan to prune a zone, while another one is alive."""
    set_time(zone, now)
    zone.settle()
    plan = plan_pruning(view_of(zone), name, now, DAY, alive_too=alive_too)
    assert isinstance(plan, PrunePlan), plan
    return plan


def commit(fleet: Fleet, operations: tuple[Operation, ...]) -> str:
    """Write to IC-SB; return the kind of result."""
    return type(fleet.ic_sb.transact(operations)).__name__


def test_zones_write_heartbeats(fleet: Fleet) -> None:
    """Each writes the time under its own name, again only when half an interval has passed."""
    one, two = fleet.zones
    ids = keys_of(one)
    assert {ids[alive_key(name)] for name in ("az1", "az2")} == {str(NOW)}
    written = len(fleet.ic_sb.committed)
    set_time(two, NOW + INTERVAL // 3)
    fleet.settle()
    assert len(fleet.ic_sb.committed) == written
    set_time(two, NOW + INTERVAL)
    fleet.settle()
    assert len(fleet.ic_sb.committed) == written + 1
    states = {zone.name: zone.silent_for for zone in zones(view_of(one), NOW + INTERVAL)}
    assert states == {"az1": INTERVAL, "az2": 0}


def test_nothing_is_written_while_the_time_is_unknown() -> None:
    """An engine without the time of day, as in place of ovn-ic, writes no heartbeat."""
    fleet = Fleet("az1")
    fleet.settle()
    [zone] = zones(view_of(fleet.zones[0]), NOW)
    assert (zone.state, zone.silent_for) == ("unknown", None)
    assert not looks_dead(view_of(fleet.zones[0]), NOW, 0)


def test_a_zone_that_leaves_removes_its_heartbeat(fleet: Fleet) -> None:
    """No claim and no heartbeat stays of a zone that left or was renamed."""
    one, two = fleet.zones
    one.rename("other")
    two.rename("")
    fleet.settle()
    ids = keys_of(one)
    assert set(ids) == {zone_claim("other"), alive_key("other")}


def test_states_by_age(fleet: Fleet) -> None:
    """Alive for three intervals, then silent; a clock that is ahead counts as now."""
    view = view_of(fleet.zones[0])
    assert [zone.state for zone in zones(view, NOW - 50)] == ["alive", "alive"]
    assert [zone.silent_for for zone in zones(view, NOW - 50)] == [0, 0]
    assert [zone.state for zone in zones(view, NOW + 1799)] == ["alive", "alive"]
    assert [zone.state for zone in zones(view, NOW + 1800)] == ["silent", "silent"]
    assert looks_dead(view, NOW + DAY - 1, DAY) == ()
    set_time(fleet.zones[0], NOW + DAY)
    fleet.zones[0].settle()
    assert looks_dead(view_of(fleet.zones[0]), NOW + DAY, DAY) == ("az2",)


def test_no_zone_is_pruned_while_all_look_dead(fleet: Fleet) -> None:
    """After an outage of the databases, or by a clock two days ahead, all heartbeats look old."""
    view = view_of(fleet.zones[0])
    found = plan_pruning(view, "az2", NOW + 2 * DAY, DAY, alive_too=False)
    assert isinstance(found, Problem)
    assert "this host's clock is wrong" in found.message
    assert isinstance(plan_pruning(view, "az2", NOW + 2 * DAY, DAY, alive_too=True), PrunePlan)


def test_a_time_that_is_no_number_is_no_heartbeat(fleet: Fleet) -> None:
    """Another zone can write anything, such as more digits than Python converts."""
    [row] = fleet.zones[0].all(IcSbGlobal)
    wrong = {alive_key("az2"): "9" * 10_000}
    fleet.ic_sb.transact([set_keys(IcSbGlobal, RowId(row["_uuid"]), "external_ids", wrong)])
    states = {zone.name: zone.state for zone in zones(view_of(fleet.zones[0]), NOW)}
    assert states == {"az1": "alive", "az2": "unknown"}


def test_fault_16_a_dead_zone_is_pruned_with_all_that_it_left(fleet: Fleet) -> None:
    """What a dead zone had left stayed everywhere forever; now one command removes it."""
    one, two = fleet.zones
    fleet.zones.remove(two)
    claim = {"isthmus-address-169.254.100.2": f"az2/{two.uuid(NbGlobal)}"}
    switch = one.uuid(TransitSwitch, name="ts")
    fleet.ic_nb.transact([set_keys(TransitSwitch, switch, "external_ids", claim)])
    plan = planned(one, "az2", NOW + DAY)
    assert (plan.zone.gateways, plan.zone.ports, plan.zone.routes, plan.addresses) == (1, 1, 1, 1)
    assert commit(fleet, plan.ic_sb) == "Committed"
    assert type(fleet.ic_nb.transact(plan.ic_nb)).__name__ == "Committed"
    fleet.settle()
    for kind in (AvailabilityZone, Gateway, IcEncap, IcPortBinding, IcRoute):
        assert len(one.all(kind)) == 1, kind
    assert set(keys_of(one)) == {zone_claim("az1"), alive_key("az1")}
    assert one.find(TransitSwitch)["external_ids"] == {}
    assert one.learned() == {}
    assert not one.all(Chassis, name="az2-gw")
    assert not one.all(LogicalSwitchPort, name="ts-az2")


def test_a_zone_with_a_recent_heartbeat_is_not_pruned(fleet: Fleet) -> None:
    """It is refused with name and age, unless --alive-too is given."""
    one, _ = fleet.zones
    set_time(one, NOW + DAY - 1)
    one.settle()
    found = plan_pruning(view_of(one), "az2", NOW + DAY - 1, DAY, alive_too=False)
    assert isinstance(found, Problem)
    assert "sent a heartbeat 86399 s ago" in found.message
    assert planned(one, "az2", NOW + DAY - 1, alive_too=True).ic_sb


def test_a_zone_that_comes_back_meanwhile_is_not_pruned(fleet: Fleet) -> None:
    """A heartbeat between reading and writing makes the transaction fail."""
    one, two = fleet.zones
    plan = planned(one, "az2", NOW + DAY)
    set_time(two, NOW + DAY)
    fleet.settle()
    assert commit(fleet, plan.ic_sb) != "Committed"
    assert len(one.all(AvailabilityZone)) == 2


def test_a_pruned_zone_that_is_alive_comes_back(fleet: Fleet) -> None:
    """The daemon of a zone that was pruned by mistake registers it and its routes again."""
    one, _ = fleet.zones
    assert commit(fleet, planned(one, "az2", NOW, alive_too=True).ic_sb) == "Committed"
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2"}}
    assert alive_key("az2") in keys_of(one)


def test_a_claim_without_a_zone_can_be_pruned(fleet: Fleet) -> None:
    """A zone of which only the claim is left is listed, and removed."""
    one, two = fleet.zones
    fleet.zones.remove(two)
    for kind in (IcRoute, IcPortBinding, Gateway):
        for row in one.all(kind):
            if row["availability_zone"] == one.uuid(AvailabilityZone, name="az2"):
                fleet.ic_sb.transact([Delete(kind, RowId(row["_uuid"]))])
    fleet.ic_sb.transact([Delete(AvailabilityZone, one.uuid(AvailabilityZone, name="az2"))])
    [_, left] = zones(view_of(one), NOW)
    assert (left.name, left.registered) == ("az2", False)
    assert commit(fleet, planned(one, "az2", NOW + DAY).ic_sb) == "Committed"
    fleet.settle()
    assert [zone.name for zone in zones(view_of(one), NOW)] == ["az1"]


def test_what_is_left_in_ic_nb_can_be_pruned(fleet: Fleet) -> None:
    """After a write to IC-NB that failed, the command finds the zone's claims there again."""
    one, two = fleet.zones
    fleet.zones.remove(two)
    switch = one.uuid(TransitSwitch, name="ts")
    claim = {"isthmus-address-169.254.100.2": f"az2/{two.uuid(NbGlobal)}"}
    fleet.ic_nb.transact([set_keys(TransitSwitch, switch, "external_ids", claim)])
    assert commit(fleet, planned(one, "az2", NOW + DAY).ic_sb) == "Committed"
    fleet.settle()
    plan = planned(one, "az2", NOW + DAY)
    assert (plan.zone.registered, plan.addresses) == (False, 1)
    fleet.ic_nb.transact(plan.ic_nb)
    assert one.find(TransitSwitch)["external_ids"] == {}


def test_an_unknown_name_is_named(fleet: Fleet) -> None:
    """Pruning a zone that does not exist is an error."""
    found = plan_pruning(view_of(fleet.zones[0]), "az9", NOW, DAY, alive_too=False)
    assert isinstance(found, Problem)
    assert "does not exist" in found.message
