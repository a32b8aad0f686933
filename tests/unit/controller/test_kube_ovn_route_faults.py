"""Faults that users of Kube-OVN's feature hit and that concern routes, one test each.

The numbers are those under which they were collected; what each was is in the test's sentence.
"""

import pytest

from isthmus.model.rows import IcRoute, LogicalRouterPort, LogicalRouterStaticRoute, NbGlobal
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import node, subnet


@pytest.fixture
def fleet() -> ControlledFleet:
    """Two joined clusters with one Subnet each."""
    fleet = ControlledFleet("az1", "az2")
    for number, site in enumerate(fleet.zones, start=1):
        site.apply(subnet("ovn-default", f"10.{number}.0.0/16"))
        site.join()
    fleet.settle()
    return fleet


def learned(site: ControlledZone) -> set[str]:
    """The prefixes that a cluster has learned."""
    return {row["ip_prefix"] for row in site.all(LogicalRouterStaticRoute)}


def advertised(fleet: ControlledFleet) -> set[str]:
    """The prefixes that all clusters advertise."""
    return {row["ip_prefix"] for row in fleet.ic_sb.rows(IcRoute)}


@pytest.mark.parametrize("remote", ["10.1.0.0/16", "10.1.7.0/24", "10.0.0.0/8"])
def test_fault_1_a_remote_prefix_never_breaks_local_traffic(
    fleet: ControlledFleet, remote: str
) -> None:
    """A remote prefix replaced a local one, or was banned permanently; it is now refused while it
    overlaps, and everything else is exchanged."""
    one, two = fleet.zones
    host = remote.replace(".0/", ".1/")
    two.add_router_port("apps", host)
    fleet.settle()
    assert learned(one) == {"10.2.0.0/16"}
    (problem,) = one.problems()
    assert problem.object == "Subnet ovn-default"
    assert f"{remote} of zone az2" in problem.message
    assert "ic-route-blacklist" not in one.find(NbGlobal)["options"]
    two.update(LogicalRouterPort, two.uuid(LogicalRouterPort, name="apps"), networks=frozenset())
    fleet.settle()
    assert one.problems() == []
    two.update(
        LogicalRouterPort, two.uuid(LogicalRouterPort, name="apps"), networks=frozenset({host})
    )
    one.delete(subnet("ovn-default", "10.1.0.0/16"))
    fleet.settle()
    assert learned(one) == {"10.2.0.0/16", remote}


def test_fault_1_a_subnet_that_comes_later_takes_its_prefix_back(fleet: ControlledFleet) -> None:
    """A learned prefix is withdrawn when a local Subnet uses it."""
    one, two = fleet.zones
    two.add_router_port("apps", "10.77.0.1/16")
    fleet.settle()
    assert learned(one) == {"10.2.0.0/16", "10.77.0.0/16"}
    one.apply(subnet("late", "10.77.3.0/24", disableInterConnection=True))
    fleet.settle()
    assert learned(one) == {"10.2.0.0/16"}
    assert [problem.object for problem in one.problems()] == ["Subnet late"]


def test_fault_2_what_is_not_disabled_any_more_is_exchanged_again(fleet: ControlledFleet) -> None:
    """The blacklist kept its entries forever; it now follows the Subnets."""
    one, two = fleet.zones
    one.apply(subnet("ovn-default", "10.1.0.0/16", disableInterConnection=True))
    fleet.settle()
    assert learned(two) == set()
    one.apply(subnet("ovn-default", "10.1.0.0/16", disableInterConnection=False))
    fleet.settle()
    assert learned(two) == {"10.1.0.0/16"}
    assert "ic-route-blacklist" not in one.find(NbGlobal)["options"]


def test_fault_3_a_custom_vpc_may_use_another_clusters_prefix(fleet: ControlledFleet) -> None:
    """A conflict was reported between unrelated VPCs; they may now use the same prefix."""
    one, _ = fleet.zones
    one.apply(subnet("theirs", "10.2.0.0/16", vpc="blue"))
    fleet.settle()
    assert learned(one) == {"10.2.0.0/16"}
    assert one.problems() == []
    one.apply(subnet("theirs", "10.2.0.0/16", vpc="ovn-cluster"))
    fleet.settle()
    assert learned(one) == set()
    assert [problem.object for problem in one.problems()] == ["Subnet theirs"]


def test_fault_17_nodes_and_the_join_network_are_not_exchanged(
    fleet: ControlledFleet,
) -> None:
    """Node addresses and the join network were advertised; they now are not, and not learned."""
    one, two = fleet.zones
    one.apply(node("gw", "192.168.65.11"), subnet("join", "100.64.0.0/16"))
    one.add_router_port("join", "100.64.0.1/16")
    one.add_route("192.168.65.11/32", "100.64.0.2")
    fleet.settle()
    assert advertised(fleet) == {"10.1.0.0/16", "10.2.0.0/16"}
    two.add_router_port("theirs", "100.64.0.1/16")
    two.add_router_port("nodes", "192.168.65.1/24")
    fleet.settle()
    assert learned(one) == {"10.2.0.0/16", "192.168.65.11/32"}
    assert {problem.object for problem in one.problems()} == {"Subnet join", "Node gw"}
