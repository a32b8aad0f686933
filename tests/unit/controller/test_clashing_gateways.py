"""Gateway nodes with the tunnel IP or the chassis name of another zone's gateway."""

import pytest

from isthmus.model.reasons import Reason
from isthmus.model.rows import GatewayChassis, IcPortBinding, LogicalRouterPort, SbEncap
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet


@pytest.fixture
def fleet() -> ControlledFleet:
    """Zones az1, whose gateway has the tunnel IP 192.0.2.1, and az2, which has two nodes."""
    fleet = ControlledFleet("az1", "az2")
    fleet.zones[1].add_chassis("gw2-az2", "192.0.2.12", hostname="gw2")
    fleet.zones[0].join()
    return fleet


def move(zone: ControlledZone, chassis: str, ip: str) -> None:
    """Set the tunnel IP of a chassis."""
    zone.update(SbEncap, zone.uuid(SbEncap, chassis_name=chassis), ip=ip)


def settled(fleet: ControlledFleet) -> tuple[dict[str, int], str]:
    """The priorities of az2's gateways, and the active one that other zones know.

    A restart has nothing to write and finds the same problems.
    """
    fleet.settle()
    zone = fleet.zones[1]
    problems = zone.problems()
    zone.start()
    assert zone.settle() == 0
    assert zone.problems() == problems
    held = zone.find(LogicalRouterPort, name="az2-ts")["gateway_chassis"]
    rows = [row for row in zone.all(GatewayChassis) if row["_uuid"] in held]
    active: str = zone.find(IcPortBinding, logical_port="ts-az2")["gateway"]
    return {row["chassis_name"]: row["priority"] for row in rows}, active


def test_a_gateway_with_another_zones_tunnel_ip_comes_last(fleet: ControlledFleet) -> None:
    """When it joins, and when the tunnel IPs meet later; traffic moves back when they differ."""
    two = fleet.zones[1]
    move(two, "gw-az2", "192.0.2.1")
    fleet.settle()
    two.join(gw_nodes="gw,gw2")
    apart = {"gw-az2": 100, "gw2-az2": 99}, "gw-az2"
    clash = {"gw2-az2": 99, "gw-az2": 98}, "gw2-az2"
    assert settled(fleet) == clash
    assert Reason.TUNNEL_IP_TAKEN in {problem.reason for problem in two.problems()}
    move(two, "gw-az2", "192.0.2.2")
    assert settled(fleet) == apart
    assert not two.problems()
    move(fleet.zones[0], "gw-az1", "192.0.2.77")  # both at once, and az1 is the first to publish
    move(two, "gw-az2", "192.0.2.77")
    assert settled(fleet) == clash
    move(fleet.zones[0], "gw-az1", "192.0.2.1")
    assert settled(fleet) == apart


def test_a_gateway_with_another_zones_chassis_name_comes_last(fleet: ControlledFleet) -> None:
    """Until the other zone has left."""
    two = fleet.zones[1]
    two.add_chassis("gw-az1", "192.0.2.13", hostname="same")
    fleet.settle()
    two.join(gw_nodes="same,gw2")
    assert settled(fleet) == ({"gw2-az2": 99, "gw-az1": 98}, "gw2-az2")
    fleet.zones[0].join(**{"enable-ic": "false"})
    assert settled(fleet) == ({"gw-az1": 100, "gw2-az2": 99}, "gw-az1")


def test_the_only_gateway_serves_although_it_clashes(fleet: ControlledFleet) -> None:
    """Other zones may reach it."""
    two = fleet.zones[1]
    move(two, "gw-az2", "192.0.2.1")
    fleet.settle()
    two.join(gw_nodes="gw")
    assert list(settled(fleet)[0]) == ["gw-az2"]


def test_a_gateway_that_serves_is_not_replaced_by_one_that_clashes(fleet: ControlledFleet) -> None:
    """An edit of `gw-nodes` names only the node that other zones cannot reach."""
    two = fleet.zones[1]
    move(two, "gw-az2", "192.0.2.1")
    fleet.settle()
    two.join(gw_nodes="gw2")
    assert settled(fleet) == ({"gw2-az2": 100}, "gw2-az2")
    two.join(gw_nodes="gw")
    assert settled(fleet) == ({"gw2-az2": 99, "gw-az2": 98}, "gw2-az2")
    assert Reason.PATH_KEPT in {problem.reason for problem in two.problems()}
    move(two, "gw-az2", "192.0.2.2")
    assert settled(fleet) == ({"gw-az2": 100}, "gw-az2")
