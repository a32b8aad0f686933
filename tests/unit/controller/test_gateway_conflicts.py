"""VPCs whose NAT or load balancers a port on a transit switch would change.

What northd does is in docs/reference/gateway-ports.md, and
tests/integration/controller/test_gateway_ports.py shows it.
"""

from typing import Any

import pytest

from isthmus.model.indexes import PORT_GATEWAYS, ROUTER_NATS, ROUTER_PORTS
from isthmus.model.operations import (
    Delete,
    Insert,
    NewRef,
    Ref,
    Update,
    Value,
    insert_child,
    remove_children,
    set_keys,
)
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    LoadBalancer,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalRouterPort,
    Nat,
    NbGlobal,
    RowId,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map

EIP = ("dnat_and_snat", "172.16.0.20", "10.1.0.5")
ROUTED_EIP = ("dnat_and_snat", "198.51.100.20", "10.1.0.5")
VIPS = {"10.96.0.10:80": "10.1.0.5:8080"}
ALLOWED = {"force_connect": "true"}


@pytest.fixture
def fleet() -> ControlledFleet:
    """Two zones that have not joined."""
    return ControlledFleet("az1", "az2")


def router(site: ControlledZone) -> RowId:
    """The router of the default VPC."""
    return RowId(site.find(LogicalRouter, name="ovn-cluster")["_uuid"])


def add_gateway_port(site: ControlledZone, **columns: Any) -> RowId:
    """Connect the router to an external network with a gateway chassis, as Kube-OVN does."""
    name = columns.get("name", "ovn-cluster-external")
    port: dict[str, Value] = {
        "name": name,
        "mac": "0a:00:00:00:02:01",
        "networks": frozenset({"172.16.0.1/24"}),
        **columns,
    }
    site.write(*insert_child(ROUTER_PORTS, router(site), port))
    row = site.find(LogicalRouterPort, name=name)
    candidate: dict[str, Value] = {"name": f"{name}-gw", "chassis_name": "gw-az1", "priority": 100}
    site.write(*insert_child(PORT_GATEWAYS, row["_uuid"], candidate))
    return RowId(row["_uuid"])


def add_nat(site: ControlledZone, rule: tuple[str, str, str]) -> None:
    """Add a NAT rule to the router."""
    kind, external, logical = rule
    row = {"type": kind, "external_ip": external, "logical_ip": logical}
    site.write(*insert_child(ROUTER_NATS, router(site), row))


def add_load_balancer(site: ControlledZone) -> None:
    """Attach a load balancer to the router."""
    balancer = NewRef()
    site.write(
        Insert(LoadBalancer, {"name": "web", "vips": VIPS}, balancer),
        Update(LogicalRouter, router(site), {"load_balancer": frozenset({balancer})}),
    )


def run_northd(site: ControlledZone, version: str) -> None:
    """Write the version as northd does."""
    options = {"northd_internal_version": version}
    site.write(set_keys(NbGlobal, site.find(NbGlobal)["_uuid"], "options", options))


def join(fleet: ControlledFleet, **changes: Any) -> ControlledZone:
    """Join all zones; return the first."""
    for site in fleet.zones:
        site.join(**changes)
    fleet.settle()
    return fleet.zones[0]


def apply(fleet: ControlledFleet, **changes: Any) -> None:
    """Edit the first zone's ConfigMap."""
    fleet.zones[0].apply(config_map(az_name="az1", **changes))
    fleet.settle()


def connected(site: ControlledZone, ts: str = "ts") -> bool:
    """Whether a zone has a port on a transit switch."""
    return bool(site.all(LogicalRouterPort, name=f"{site.name}-{ts}"))


def conflicts(site: ControlledZone) -> list[str]:
    """The conflicts of a zone."""
    reasons = {Reason.GATEWAY_CONFLICT, Reason.CONNECTED_ANYWAY}
    return [str(problem) for problem in site.problems() if problem.reason in reasons]


def the_conflict(site: ControlledZone) -> str:
    """The text of the only conflict."""
    (text,) = conflicts(site)
    return text


# -- what is a conflict ------------------------------------------------------------------------


def test_a_router_with_nothing_at_stake_is_connected(fleet: ControlledFleet) -> None:
    """A VPC with an external gateway and addresses in its network is connected, unreported."""
    site = fleet.zones[0]
    add_gateway_port(site)
    add_nat(site, EIP)
    add_nat(site, ("snat", "172.16.0.1", "10.1.0.0/16"))
    add_nat(site, ("dnat", "not an address", "10.1.0.7"))
    site = join(fleet)
    assert connected(site)
    assert site.problems() == []


def test_nat_outside_the_external_network_prevents_the_connection(fleet: ControlledFleet) -> None:
    """An external address outside the gateway port's networks is named with its remedies."""
    site = fleet.zones[0]
    port = add_gateway_port(site)
    add_nat(site, ROUTED_EIP)
    site = join(fleet)
    assert not connected(site)
    assert the_conflict(site) == (
        "Logical_Router ovn-cluster: nat = 'dnat_and_snat 198.51.100.20 (10.1.0.5)': has an"
        " external address outside the networks of ovn-cluster-external, so OVN ignores it when"
        " the router has another gateway port; VPC ovn-cluster is not connected; set the port of"
        f" these rules: ovn-nbctl set NAT UUID gateway_port={port}, or accept it with"
        ' force-connect: "true" in ConfigMap kube-system/ovn-ic-config'
    )


def test_a_nat_rule_with_a_gateway_port_is_no_conflict(fleet: ControlledFleet) -> None:
    """The remedy resolves the problem, and the VPC is connected without a restart."""
    site = fleet.zones[0]
    port = add_gateway_port(site)
    add_nat(site, ROUTED_EIP)
    join(fleet)
    assert not connected(site)
    site.write(Update(Nat, site.find(Nat)["_uuid"], {"gateway_port": Ref(port)}))
    fleet.settle()
    assert connected(site)
    assert site.problems() == []


def test_nat_with_several_external_gateways_is_no_conflict(fleet: ControlledFleet) -> None:
    """A rule that OVN ignores already is not changed by another gateway port."""
    site = fleet.zones[0]
    add_gateway_port(site)
    add_gateway_port(site, name="second", networks=frozenset({"172.17.0.1/24"}))
    add_nat(site, ROUTED_EIP)
    assert connected(join(fleet))
    assert site.problems() == []


def test_nat_without_a_gateway_port_conflicts_with_one_transit_switch(
    fleet: ControlledFleet,
) -> None:
    """A rule without effect would translate the traffic between clusters."""
    add_nat(fleet.zones[0], EIP)
    site = join(fleet)
    assert not connected(site)
    assert "OVN would apply it to traffic between clusters" in the_conflict(site)


def test_nat_without_a_gateway_port_is_no_conflict_with_several_transit_switches() -> None:
    """With several gateway ports, OVN ignores a rule that is in none of their networks."""
    fleet = ControlledFleet("az1", "az2")
    fleet.add_ts("ts1", "169.254.101.0/24")
    add_nat(fleet.zones[0], EIP)
    site = join(fleet)
    assert connected(site)
    assert connected(site, "ts1")
    assert site.problems() == []


def test_a_load_balancer_without_a_gateway_port_is_no_conflict(fleet: ControlledFleet) -> None:
    """No connection to it worked: without a gateway port, OVN does not translate the replies."""
    site = fleet.zones[0]
    add_load_balancer(site)
    join(fleet)
    assert connected(site)
    assert site.problems() == []


@pytest.mark.parametrize(
    ("version", "conflict"),
    [
        ("", True),
        ("23.03.1-20.27.0-70.6", True),
        ("24.09.2-20.37.0-77.4", True),
        ("25.03.0-20.41.0-77.6", False),
        ("26.09.0-21.13.0-84.16", False),
    ],
)
def test_a_load_balancer_on_an_external_gateway_depends_on_northd(
    fleet: ControlledFleet, version: str, conflict: bool
) -> None:
    """Up to some release before 25.03, load balancers worked on only one gateway port."""
    site = fleet.zones[0]
    run_northd(site, version)
    add_gateway_port(site)
    add_load_balancer(site)
    join(fleet)
    assert connected(site) is not conflict
    assert len(conflicts(site)) == conflict


def test_load_balancers_of_a_group_count(fleet: ControlledFleet) -> None:
    """A load balancer is the router's, too, if its group is."""
    site = fleet.zones[0]
    add_gateway_port(site)
    balancer, group = NewRef(), NewRef()
    site.write(
        Insert(LoadBalancer, {"name": "web", "vips": VIPS}, balancer),
        Insert(LoadBalancerGroup, {"name": "all", "load_balancer": frozenset({balancer})}, group),
        Update(LogicalRouter, router(site), {"load_balancer_group": frozenset({group})}),
    )
    join(fleet)
    assert not connected(site)
    assert "load_balancer = 'web'" in the_conflict(site)


def test_an_empty_load_balancer_is_no_conflict_until_it_gets_an_address(
    fleet: ControlledFleet,
) -> None:
    """Only load balancers with an address count; the report follows the addresses."""
    site = fleet.zones[0]
    add_gateway_port(site)
    add_load_balancer(site)
    balancer = RowId(site.find(LoadBalancer)["_uuid"])
    site.write(Update(LoadBalancer, balancer, {"vips": {}}))
    join(fleet)
    assert connected(site)
    site.write(Update(LoadBalancer, balancer, {"vips": VIPS}))
    fleet.settle()
    assert "VPC ovn-cluster stays connected" in the_conflict(site)
    site.write(Delete(LoadBalancer, balancer))
    fleet.settle()
    assert site.problems() == []


def test_a_centralized_router_port_is_a_conflict(fleet: ControlledFleet) -> None:
    """OVN ignores reside-on-redirect-chassis next to a second gateway port."""
    site = fleet.zones[0]
    add_gateway_port(site)
    row = site.find(LogicalRouterPort, name="ovn-default")
    option = {"reside-on-redirect-chassis": "true"}
    site.write(set_keys(LogicalRouterPort, row["_uuid"], "options", option))
    join(fleet)
    assert not connected(site)
    assert "Logical_Router_Port ovn-default: options:reside" in the_conflict(site)


def test_a_gateway_router_cannot_be_connected(fleet: ControlledFleet) -> None:
    """OVN ignores gateway ports of a router that is bound to one chassis."""
    site = fleet.zones[0]
    add_nat(site, EIP)
    site.write(set_keys(LogicalRouter, router(site), "options", {"chassis": "gw-az1"}))
    join(fleet)
    assert not connected(site)
    assert "options:chassis = 'gw-az1': makes it a gateway router" in the_conflict(site)


def test_a_gateway_port_with_an_ha_chassis_group_is_one(fleet: ControlledFleet) -> None:
    """`ha_chassis_group` makes a gateway port as `gateway_chassis` does."""
    site = fleet.zones[0]
    group = RowId("00000000-0000-4000-8000-000000000001")
    port: dict[str, Value] = {
        "name": "external",
        "networks": frozenset({"172.16.0.1/24"}),
        "ha_chassis_group": Ref(group),
    }
    site.write(*insert_child(ROUTER_PORTS, router(site), port))
    add_nat(site, ROUTED_EIP)
    add_nat(site, EIP)
    join(fleet)
    assert not connected(site)
    assert "nat = 'dnat_and_snat 198.51.100.20 (10.1.0.5)'" in the_conflict(site)


def test_many_rules_are_one_short_problem(fleet: ControlledFleet) -> None:
    """A problem names three rules and the number of the others."""
    site = fleet.zones[0]
    add_gateway_port(site)
    for number in range(10, 20):
        add_nat(site, ("dnat_and_snat", f"198.51.100.{number}", f"10.1.0.{number}"))
    join(fleet)
    assert "198.51.100.12 (10.1.0.12) and 7 more'" in the_conflict(site)


# -- when, and with what else ------------------------------------------------------------------


def test_the_key_connects_all_the_same_and_undoing_it_disconnects_nothing(
    fleet: ControlledFleet,
) -> None:
    """`force-connect` connects at once, and turns the problem into a note."""
    site = fleet.zones[0]
    add_gateway_port(site)
    add_nat(site, ROUTED_EIP)
    join(fleet)
    apply(fleet, **ALLOWED)
    assert connected(site)
    (problem,) = site.problems()
    assert problem.reason is Reason.CONNECTED_ANYWAY
    assert problem.message.endswith("VPC ovn-cluster stays connected")
    assert "force-connect" not in problem.remedy
    apply(fleet)
    assert connected(site)
    (problem,) = site.problems()
    assert problem.reason is Reason.GATEWAY_CONFLICT
    assert problem.message.endswith("VPC ovn-cluster stays connected")


def test_nat_added_after_joining_is_reported_and_disconnects_nothing(
    fleet: ControlledFleet,
) -> None:
    """A joined VPC stays connected, also after a restart and over a new transit switch."""
    site = join(fleet)
    add_gateway_port(site)
    port = site.find(LogicalRouterPort, name="az1-ts")
    add_nat(site, ROUTED_EIP)
    fleet.settle()
    assert "VPC ovn-cluster stays connected" in the_conflict(site)
    site.start()
    fleet.settle()
    assert "VPC ovn-cluster stays connected" in the_conflict(site)
    assert site.find(LogicalRouterPort, name="az1-ts") == port
    fleet.add_ts("ts1", "169.254.101.0/24")
    fleet.settle()
    assert connected(site, "ts1")


def test_a_zone_that_takes_over_a_connected_router_keeps_it(fleet: ControlledFleet) -> None:
    """A standby that takes over, like Kube-OVN's successor, keeps what is connected."""
    site = fleet.zones[0]
    join(fleet)
    add_gateway_port(site)
    add_load_balancer(site)
    before = site.all(LogicalRouterPort)
    site.start()
    fleet.settle()
    assert site.all(LogicalRouterPort) == before
    assert "VPC ovn-cluster stays connected" in the_conflict(site)


def test_a_router_port_deleted_by_hand_comes_back(fleet: ControlledFleet) -> None:
    """The switch port that remains shows that the VPC was connected."""
    site = join(fleet)
    add_gateway_port(site)
    add_nat(site, ROUTED_EIP)
    port = RowId(site.find(LogicalRouterPort, name="az1-ts")["_uuid"])
    site.write(*remove_children(ROUTER_PORTS, router(site), [port]))
    fleet.settle()
    assert connected(site)
    assert "VPC ovn-cluster stays connected" in the_conflict(site)


def test_a_connection_of_an_old_kube_ovn_is_kept(fleet: ControlledFleet) -> None:
    """Before 1.12, router ports had no marks; such a port is not a conflict."""
    site = join(fleet)
    add_gateway_port(site)
    add_nat(site, ROUTED_EIP)
    port = site.find(LogicalRouterPort, name="az1-ts")
    site.update(LogicalRouterPort, RowId(port["_uuid"]), external_ids={})
    site.start()
    fleet.settle()
    assert site.find(LogicalRouterPort, name="az1-ts")["_uuid"] == port["_uuid"]
    assert "outside the networks of ovn-cluster-external" in the_conflict(site)


def test_a_custom_vpc_has_conflicts_of_its_own(fleet: ControlledFleet) -> None:
    """The conflict of one VPC does not keep another one from being connected."""
    site = fleet.zones[0]
    ids = {"subnet": "169.254.150.0/24", "vendor": "isthmus", "isthmus-network": "goods"}
    fleet.ic_nb.transact([Insert(TransitSwitch, {"name": "goods", "external_ids": ids})])
    site.write(Insert(LogicalRouter, {"name": "shop"}))
    add_gateway_port(site)
    add_nat(site, ROUTED_EIP)
    site.join(vpcs="shop=goods")
    fleet.settle()
    assert connected(site, "goods")
    assert not connected(site)
    assert "VPC ovn-cluster is not connected" in the_conflict(site)


def test_the_conflict_ends_with_its_cause(fleet: ControlledFleet) -> None:
    """When the rule is deleted, the VPC is connected."""
    site = fleet.zones[0]
    add_gateway_port(site)
    add_nat(site, ROUTED_EIP)
    join(fleet)
    assert not connected(site)
    site.write(*remove_children(ROUTER_NATS, router(site), [site.find(Nat)["_uuid"]]))
    fleet.settle()
    assert connected(site)
    assert site.problems() == []


def test_a_conflict_of_one_zone_leaves_the_other_alone(fleet: ControlledFleet) -> None:
    """Only the zone with the conflict is not connected."""
    add_gateway_port(fleet.zones[0])
    add_load_balancer(fleet.zones[0])
    join(fleet)
    assert [connected(site) for site in fleet.zones] == [False, True]
    assert fleet.zones[1].problems() == []


def test_a_conflict_and_a_missing_gateway_are_both_reported(fleet: ControlledFleet) -> None:
    """Two causes are both shown; when one is fixed, the other remains."""
    site = fleet.zones[0]
    add_gateway_port(site)
    add_load_balancer(site)
    join(fleet, gw_nodes="nothere")
    reasons = {problem.reason for problem in site.problems()}
    assert {Reason.GATEWAY_CONFLICT, Reason.NO_SUCH_NODE} <= reasons
    apply(fleet)
    assert not connected(site)
    assert [problem.reason for problem in site.problems()] == [Reason.GATEWAY_CONFLICT]


def test_endpoints_of_a_load_balancer_cost_nothing(fleet: ControlledFleet) -> None:
    """Kube-OVN changes endpoints all the time: no key is handled for them."""
    site = join(fleet)
    site.write(Insert(LoadBalancer, {"name": "web", "vips": VIPS}))
    fleet.settle()
    ports = next(r for r in site.engine.reconcilers if r.name == "router ports")
    before = ports.handled
    row = site.find(LoadBalancer)
    site.write(Update(LoadBalancer, row["_uuid"], {"vips": {"10.96.0.10:80": "10.1.0.6:8080"}}))
    fleet.settle()
    assert ports.handled == before
