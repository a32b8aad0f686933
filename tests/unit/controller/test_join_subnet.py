"""The join subnet is found by what Kube-OVN shows, whatever `--node-switch` calls it.

Facts are from Kube-OVN's controller: it annotates every Node with the name and the CIDRs of its
subnet, and connects every node by a switch port `node-NAME` to a switch of the subnet's name.
"""

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.controller.inputs.snapshot import Manifest
from isthmus.model.operations import Insert, NewRef, Value
from isthmus.model.reasons import Reason, Severity
from isthmus.model.rows import (
    Chassis,
    IcRoute,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    RowId,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import manifest, node, subnet

JOIN = "100.99.0.0/16"


def connect_nodes(zone: ControlledZone, name: str = "nodes", port: str = "node-gw") -> None:
    """Create what Kube-OVN creates for a subnet that nodes or pods are in."""
    zone.add_router_port(f"ovn-cluster-{name}", "100.99.0.1/16")
    refs = [NewRef(), NewRef()]
    peer: dict[str, Value] = {"type": "router", "options": {"router-port": f"ovn-cluster-{name}"}}
    zone.write(
        Insert(LogicalSwitch, {"name": name, "ports": frozenset(refs)}),
        Insert(LogicalSwitchPort, {"name": f"{name}-ovn-cluster", **peer}, refs[0]),
        Insert(LogicalSwitchPort, {"name": port}, refs[1]),
    )


def annotated(name: str, switch: str, cidr: str) -> Manifest:
    """A Node as Kube-OVN annotates it."""
    keys = {"logical_switch": switch, "cidr": cidr, "allocated": "true", "gateway": "100.99.0.1"}
    annotations = {f"ovn.kubernetes.io/{key}": value for key, value in keys.items()}
    body = node(name, "192.0.2.1").body
    return manifest("Node", name, metadata={"annotations": annotations}, **body)


def advertised(fleet: ControlledFleet) -> set[str]:
    """The prefixes in IC-SB."""
    return {row["ip_prefix"] for row in fleet.ic_sb.rows(IcRoute)}


def blacklist(zone: ControlledZone) -> set[str]:
    """The global list of private prefixes."""
    text = zone.find(NbGlobal)["options"].get("ic-route-blacklist", "")
    return set(text.split(",")) - {""}


def fleet_with(shows: Callable[[ControlledZone], Any], **config: str) -> ControlledFleet:
    """Two joined zones with the same join subnet, of which some objects can be seen."""
    fleet = ControlledFleet("az1", "az2")
    for zone in fleet.zones:
        shows(zone)
        zone.join(**config)
    fleet.settle()
    return fleet


def show_nodes(zone: ControlledZone) -> None:
    """A Node with both annotations; the switch port is not named after its chassis."""
    zone.add_router_port("ovn-cluster-nodes", "100.99.0.1/16")
    zone.apply(annotated("gw", "nodes", JOIN))


def show_nodes_and_subnets(zone: ControlledZone) -> None:
    """A Node without the annotation of the CIDR, and the Subnet that it names."""
    zone.add_router_port("ovn-cluster-nodes", "100.99.0.1/16")
    zone.apply(annotated("gw", "nodes", ""), subnet("nodes", JOIN))


def show_subnets(zone: ControlledZone) -> None:
    """A Subnet that no Node names, and the switch ports."""
    connect_nodes(zone)
    zone.apply(subnet("nodes", JOIN))


@pytest.mark.parametrize("shows", [connect_nodes, show_nodes, show_nodes_and_subnets, show_subnets])
def test_the_join_subnet_is_private(shows: Callable[[ControlledZone], Any]) -> None:
    """Each kind of object alone is enough, on both sides, and nothing is reported."""
    fleet = fleet_with(shows)
    assert advertised(fleet) == {"10.1.0.0/16", "10.2.0.0/16"}
    for zone in fleet.zones:
        assert JOIN in blacklist(zone)
        assert zone.problems() == []


def test_a_pod_subnet_may_be_called_join() -> None:
    """With `--node-switch=nodes`, the name `join` means nothing."""
    fleet = ControlledFleet("az1")
    (zone,) = fleet.zones
    zone.add_router_port("ovn-cluster-join", "10.77.0.1/16")
    zone.apply(annotated("gw", "nodes", JOIN), subnet("join", "10.77.0.0/16"))
    zone.join()
    fleet.settle()
    assert advertised(fleet) == {"10.1.0.0/16", "10.77.0.0/16"}
    assert blacklist(zone) == {JOIN, "192.0.2.1/32"}


@pytest.mark.parametrize("port", ["node-exporter.monitoring", "node-other"])
def test_pods_are_no_nodes(port: str) -> None:
    """A pod or a port whose name begins like a node's does not make its subnet private."""
    fleet = fleet_with(lambda zone: connect_nodes(zone, "apps", port))
    assert JOIN in advertised(fleet)
    assert blacklist(fleet.zones[0]) == set()


def test_nodes_that_are_connected_later() -> None:
    """A join subnet that appears in a running cluster becomes private, and public without it."""
    fleet = fleet_with(lambda _: None)
    (zone, _) = fleet.zones
    connect_nodes(zone)
    fleet.settle()
    assert blacklist(zone) == {JOIN}
    assert JOIN not in advertised(fleet)
    zone.drop_router_port("ovn-cluster-nodes")
    fleet.settle()
    assert blacklist(zone) == set()


def test_without_any_chassis_the_list_stays() -> None:
    """A southbound database that is made again has no chassis for a while."""
    fleet = fleet_with(connect_nodes)
    (zone, _) = fleet.zones
    for row in zone.all(Chassis, hostname="gw"):
        zone.update(Chassis, RowId(row["_uuid"]), hostname="", other_config={"is-remote": "true"})
    zone.settle()
    assert blacklist(zone) == {JOIN}


def test_with_custom_vpcs_it_moves_to_the_default_vpcs_ports() -> None:
    """A custom VPC may use the addresses of the join subnet for its pods."""
    fleet = fleet_with(connect_nodes, vpcs="shop=blue")
    (zone, _) = fleet.zones
    port = zone.find(LogicalRouterPort, name="az1-ts")
    assert port["options"]["ic-route-deny-adv"] == JOIN
    assert blacklist(zone) == set()
    assert advertised(fleet) == {"10.1.0.0/16", "10.2.0.0/16"}


def test_a_physical_network_of_both_clusters_is_no_fault() -> None:
    """An underlay with u2oInterconnection, or `ovn-external`: each router has its own way there.

    Two networks with one CIDR look the same, so the prefix is shown.
    """
    shared = {"vlan": "v100", "u2oInterconnection": True}

    def attach(zone: ControlledZone) -> None:
        zone.add_router_port("ovn-cluster-underlay", "172.18.0.9/16")
        zone.apply(subnet("underlay", "172.18.0.0/16", **shared))

    fleet = fleet_with(attach)
    for zone in fleet.zones:
        assert "172.18.0.0/16" not in zone.learned()
        (problem,) = zone.problems()
        assert (problem.object, problem.value) == ("Subnet underlay", "172.18.0.0/16")
        assert (problem.reason, problem.reason.severity) == (Reason.SHARED_UNDERLAY, Severity.INFO)
    assert "zone az1 advertises the same prefix" in problem.message
    assert "172.18.0.0/16" in advertised(fleet)  # a third cluster may have no way of its own
    (zone, other) = fleet.zones
    zone.apply(subnet("underlay", "172.18.0.0/16"))
    fleet.settle()
    assert {problem.reason for problem in zone.problems()} == {Reason.OVERLAPPING_PREFIX}
    zone.apply(subnet("underlay", "172.18.0.0/24", **shared))
    fleet.settle()
    assert {problem.reason for problem in zone.problems()} == {Reason.OVERLAPPING_PREFIX}
    assert {problem.reason for problem in other.problems()} == {Reason.SHARED_UNDERLAY}
    zone.apply(subnet("underlay", "172.18.0.0/16", **shared))
    fleet.settle()
    assert {problem.reason for problem in zone.problems()} == {Reason.SHARED_UNDERLAY}


def test_a_bad_annotation_is_reported() -> None:
    """The Node keeps what is valid; the message names the annotation."""
    fleet = ControlledFleet("az1")
    (zone,) = fleet.zones
    zone.apply(annotated("gw", "nodes", f"{JOIN},x"))
    zone.join()
    fleet.settle()
    assert JOIN in blacklist(zone)
    (problem,) = zone.problems()
    assert problem.reason is Reason.INVALID_NODE
    assert "cidr" in str(problem)
