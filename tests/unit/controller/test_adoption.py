"""What earlier releases of Kube-OVN, and mistakes, leave behind: it is adopted and never cut."""

from typing import Any

import pytest

from isthmus.controller.gateway_labels import gateway_nodes
from isthmus.model.operations import Delete, Insert, Update
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    GatewayChassis,
    IcPortBinding,
    IcRoute,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitchPort,
    RowId,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet

BLUE = {"vendor": "isthmus", "isthmus-network": "blue"}


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
    claims = {k: v for k, v in row["external_ids"].items() if k.startswith("isthmus-address-")}
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


def test_a_transit_switch_without_any_mark_is_adopted_by_its_ports() -> None:
    """A start script with another TS_NAME wrote no subnet: the networks of our ports show it."""
    fleet = ControlledFleet("az1", "az2")
    joined(fleet)
    fleet.ic_nb.transact([Update(TransitSwitch, RowId(fleet.ts()["_uuid"]), {"external_ids": {}})])
    before = [path(zone) for zone in fleet.zones]
    for zone in fleet.zones:
        zone.start()
    fleet.settle()
    assert [path(zone) for zone in fleet.zones] == before
    assert reasons(fleet.zones[0]) == {Reason.INVALID_TRANSIT_SWITCH}
    assert [key for key in fleet.ts()["external_ids"] if key.startswith("isthmus-address-169")]
    zone = fleet.zones[0]
    zone.add_chassis("gw2-az1", "192.0.2.91", hostname="gw2")
    zone.join(gw_nodes="gw2")
    fleet.settle()
    assert [row["chassis_name"] for row in zone.all(GatewayChassis)] == ["gw2-az1"]


def test_a_vendor_without_a_subnet_keeps_the_ports(fleet: ControlledFleet) -> None:
    """A transit switch of 1.16 that loses its subnet alone is still ours."""
    before = [path(zone) for zone in fleet.zones]
    mark(fleet, vendor="kube-ovn")
    fleet.settle()
    assert [path(zone) for zone in fleet.zones] == before
    assert reasons(fleet.zones[0]) == {Reason.INVALID_TRANSIT_SWITCH}


def test_a_custom_vpcs_transit_switch_that_loses_its_network_keeps_the_ports() -> None:
    """A missing mark is not an edit of `vpcs`."""
    fleet = ControlledFleet("az1")
    fleet.add_ts("blue", "169.254.200.0/24", vendor="isthmus")
    mark(fleet, "blue", **{"subnet": "169.254.200.0/24", **BLUE})
    (zone,) = fleet.zones
    zone.write(Insert(LogicalRouter, {"name": "shop"}))
    zone.join(vpcs="shop=blue")
    fleet.settle()
    before = path(zone)
    assert any(row["name"] == "az1-blue" for row in before[0])
    mark(fleet, "blue", subnet="169.254.200.0/24", vendor="isthmus")
    fleet.settle()
    assert path(zone) == before
    assert Reason.INVALID_TRANSIT_SWITCH in reasons(zone)
    mark(fleet, "blue", **{"subnet": "169.254.200.0/24", **BLUE})
    fleet.settle()
    assert path(zone) == before
    zone.join()
    fleet.settle()
    assert not any(row["name"] == "az1-blue" for row in path(zone)[0])


def share_subnet(zones: int = 2) -> ControlledFleet:
    """Zones with ports on `ts` and `ts1`, which have one subnet, as Kube-OVN connects them."""
    fleet = ControlledFleet(*(f"az{number}" for number in range(1, zones + 1)))
    fleet.add_ts("ts1", "169.254.101.0/24")
    joined(fleet)
    row = fleet.ts("ts1")
    ids = {"subnet": "169.254.100.0/24", "vendor": "kube-ovn"}
    fleet.ic_nb.transact([Update(TransitSwitch, RowId(row["_uuid"]), {"external_ids": ids})])
    zone = fleet.zones[0]
    port = zone.uuid(LogicalRouterPort, name="az1-ts1")
    zone.update(LogicalRouterPort, port, networks=frozenset({"169.254.100.77/24"}))
    return fleet


def unpublish(fleet: ControlledFleet, *names: str) -> None:
    """Delete ports and the routes over them from IC-SB, as if their zones had never connected."""
    rows = [row for row in fleet.ic_sb.rows(IcPortBinding) if row["logical_port"] in names]
    ports = [Delete(IcPortBinding, RowId(row["_uuid"])) for row in rows]
    over = {(row["availability_zone"], row["transit_switch"]) for row in rows}
    routes = [
        Delete(IcRoute, RowId(row["_uuid"]))
        for row in fleet.ic_sb.rows(IcRoute)
        if (row["availability_zone"], row["transit_switch"]) in over
    ]
    fleet.ic_sb.transact([*ports, *routes])


def connected(zone: ControlledZone) -> set[str]:
    """The router ports on transit switches after a restart of the zone's daemon."""
    zone.start()
    zone.settle()
    return {row["name"] for row in zone.all(LogicalRouterPort)} - {"ovn-default"}


def test_of_two_connected_transit_switches_the_one_with_peers_stays() -> None:
    """Both have ports of ours; the first by number leads to no other zone."""
    fleet = share_subnet()
    unpublish(fleet, "ts-az2")
    assert connected(fleet.zones[0]) == {"az1-ts1"}
    assert reasons(fleet.zones[0]) == {Reason.SHARED_SUBNET}


def test_of_two_connected_transit_switches_the_one_with_a_live_gateway_stays() -> None:
    """The port of the first by number has a gateway whose chassis is gone."""
    fleet = share_subnet()
    unpublish(fleet, "ts-az2", "ts1-az2")  # the port that is left is the last path to no zone
    zone = fleet.zones[0]
    (row,) = (row for row in zone.all(GatewayChassis) if row["name"].startswith("az1-ts-"))
    zone.update(GatewayChassis, RowId(row["_uuid"]), chassis_name="gone")
    assert connected(zone) == {"az1-ts1"}


def test_no_port_is_removed_that_alone_leads_to_a_zone() -> None:
    """Each of two zones can be reached by one of the transit switches only."""
    fleet = share_subnet(3)
    unpublish(fleet, "ts-az2", "ts1-az3")
    zone = fleet.zones[0]
    assert connected(zone) == {"az1-ts", "az1-ts1"}
    (problem,) = zone.problems()
    assert problem.reason is Reason.SHARED_SUBNET
    assert "az2" in problem.message
    fleet.settle()  # the daemons of az2 and az3 connect to both, and then leave the second
    assert connected(zone) == {"az1-ts"}


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
    """The old row may come first by name; the one that serves is preferred, BFD knows the rest."""
    zone = fleet.zones[0]
    zone.add_chassis("a-stale", "192.0.2.91", hostname="gw")
    fleet.settle()
    zone.start()
    fleet.settle()
    rows = sorted(zone.all(GatewayChassis), key=lambda row: -row["priority"])
    assert [row["chassis_name"] for row in rows] == ["gw-az1", "a-stale"]
    assert rows[0]["priority"] > rows[1]["priority"]
    assert reasons(zone) == {Reason.DUPLICATE_CHASSIS}
    (problem,) = zone.problems()
    assert "a-stale, gw-az1" in problem.message
