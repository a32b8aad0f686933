"""What earlier releases of Kube-OVN, and mistakes, leave behind: it is adopted and never cut."""

from typing import Any

import pytest

from isthmus.controller.gateway_labels import gateway_nodes
from isthmus.model.operations import Update
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    GatewayChassis,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitchPort,
    RowId,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet


@pytest.fixture
def fleet() -> ControlledFleet:
    """Two zones that have joined."""
    return joined(ControlledFleet("az1", "az2"))


def joined(fleet: ControlledFleet) -> ControlledFleet:
    """Join all zones of a fleet."""
    for zone in fleet.zones:
        zone.join()
    fleet.settle()
    return fleet


def mark(fleet: ControlledFleet, ts: str = "ts", **ids: str) -> None:
    """Replace Kube-OVN's marks on a transit switch; keep the claims on it."""
    row = fleet.ts(ts)
    claims = {k: v for k, v in row["external_ids"].items() if k.startswith("isthmus-")}
    uuid = RowId(row["_uuid"])
    fleet.ic_nb.transact([Update(TransitSwitch, uuid, {"external_ids": {**claims, **ids}})])


def path(zone: ControlledZone) -> list[list[dict[str, Any]]]:
    """The rows that carry a zone's traffic, with their UUIDs."""
    kinds = (LogicalRouterPort, LogicalSwitchPort, GatewayChassis, LogicalRouterStaticRoute)
    return [sorted(zone.all(kind), key=lambda row: str(row["_uuid"])) for kind in kinds]


def reasons(zone: ControlledZone) -> set[Reason]:
    """The reasons of a zone's problems."""
    return {problem.reason for problem in zone.problems()}


def test_a_transit_switch_without_vendor_is_adopted() -> None:
    """Kube-OVN marks transit switches with the vendor from 1.16 on; before, with the subnet."""
    fleet = ControlledFleet("az1", "az2")
    mark(fleet, subnet="169.254.100.0/24")
    joined(fleet)
    for zone in fleet.zones:
        assert zone.all(LogicalRouterStaticRoute)
        assert zone.problems() == []


def test_a_joined_zone_keeps_its_path_without_marks(fleet: ControlledFleet) -> None:
    """Ports and routes stay when vendor and subnet vanish; the missing subnet is reported."""
    before = [path(zone) for zone in fleet.zones]
    mark(fleet, subnet="169.254.100.0/24")
    fleet.settle()
    assert [path(zone) for zone in fleet.zones] == before
    assert reasons(fleet.zones[0]) == set()
    mark(fleet)
    fleet.settle()
    assert [path(zone) for zone in fleet.zones] == before
    assert reasons(fleet.zones[0]) == {Reason.INVALID_TRANSIT_SWITCH}
    mark(fleet, subnet="169.254.100.0/24", vendor="kube-ovn")
    fleet.settle()
    assert [path(zone) for zone in fleet.zones] == before
    assert reasons(fleet.zones[0]) == set()


def test_another_vendors_mark_disconnects(fleet: ControlledFleet) -> None:
    """A transit switch that was given to another vendor is left."""
    mark(fleet, subnet="169.254.100.0/24", vendor="acme")
    fleet.settle()
    assert {row["name"] for row in fleet.zones[0].all(LogicalRouterPort)} == {"ovn-default"}


def test_router_ports_without_marks_are_adopted(fleet: ControlledFleet) -> None:
    """Kube-OVN marks router ports from 1.12 on; an unmarked one keeps its row and its MAC."""
    zone = fleet.zones[0]
    port = zone.find(LogicalRouterPort, name="az1-ts")
    zone.write(Update(LogicalRouterPort, RowId(port["_uuid"]), {"external_ids": {}}))
    zone.start()
    fleet.settle()
    assert zone.problems() == []
    after = zone.find(LogicalRouterPort, name="az1-ts")
    assert (after["_uuid"], after["mac"]) == (port["_uuid"], port["mac"])
    assert after["external_ids"]["vendor"] == "kube-ovn"


def test_of_two_transit_switches_with_one_subnet_one_is_connected(fleet: ControlledFleet) -> None:
    """The start script gives every TS_NAME the same default; the path that works stays."""
    ports = [path(zone)[0] for zone in fleet.zones]
    fleet.add_ts("a", "169.254.100.0/24")
    fleet.settle()
    assert [path(zone)[0] for zone in fleet.zones] == ports
    assert reasons(fleet.zones[0]) == {Reason.SHARED_SUBNET}
    fleet.drop_ts("a")
    fleet.settle()
    assert reasons(fleet.zones[0]) == set()


def test_two_transit_switches_with_one_subnet_from_the_start() -> None:
    """All zones choose the same one, the first by number."""
    fleet = ControlledFleet("az1", "az2")
    fleet.add_ts("ts1", "169.254.100.0/24")
    joined(fleet)
    for zone in fleet.zones:
        names = {row["name"] for row in zone.all(LogicalRouterPort)}
        assert names == {"ovn-default", f"{zone.name}-ts"}
        assert zone.all(LogicalRouterStaticRoute)
        assert reasons(zone) == {Reason.SHARED_SUBNET}


def test_a_misspelt_gateway_keeps_its_label(fleet: ControlledFleet) -> None:
    """The node that serves stays labelled until a node of the new list can serve."""
    zone = fleet.zones[0]
    zone.join(gw_nodes="gww")
    fleet.settle()
    assert gateway_nodes(zone.intents[0].view, zone.inputs) == {"gw", "gww"}
    zone.add_chassis("gw2-az1", "192.0.2.91", hostname="gww")
    fleet.settle()
    assert gateway_nodes(zone.intents[0].view, zone.inputs) == {"gww"}


def test_the_label_of_an_adopted_gateway_stays(fleet: ControlledFleet) -> None:
    """A port that is not marked yet counts, too: the daemon labels before it marks."""
    zone = fleet.zones[0]
    port = zone.find(LogicalRouterPort, name="az1-ts")
    zone.write(Update(LogicalRouterPort, RowId(port["_uuid"]), {"external_ids": {}}))
    zone.start()
    zone.join(gw_nodes="gww")
    assert gateway_nodes(zone.intents[0].view, zone.inputs) == {"gw", "gww"}


def test_all_chassis_of_a_reinstalled_gateway_are_candidates(fleet: ControlledFleet) -> None:
    """The old row may come first by name; with both as candidates, BFD finds the live one."""
    zone = fleet.zones[0]
    zone.add_chassis("a-stale", "192.0.2.91", hostname="gw")
    fleet.settle()
    rows = zone.all(GatewayChassis)
    assert {row["chassis_name"] for row in rows} == {"a-stale", "gw-az1"}
    assert len({row["priority"] for row in rows}) == 2
    assert reasons(zone) == {Reason.DUPLICATE_CHASSIS}
    (problem,) = zone.problems()
    assert "a-stale, gw-az1" in problem.message
