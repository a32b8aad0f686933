"""Custom VPCs: each uses its own transit switches, separate from the default VPC's."""

from typing import Any

import pytest

from isthmus.model.operations import Delete, Insert, Mutate, NewRef, set_keys
from isthmus.model.rows import (
    GatewayChassis,
    IcRoute,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    RowId,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import manifest, node, subnet

BLACKLIST = "ic-route-blacklist"
DENY = ("ic-route-deny-adv", "ic-route-deny-learn")


def add_ts(fleet: ControlledFleet, name: str, subnets: str, network: str) -> None:
    """Create a transit switch of a network."""
    ids = {"subnet": subnets, "vendor": "isthmus", "isthmus-network": network}
    fleet.ic_nb.transact([Insert(TransitSwitch, {"name": name, "external_ids": ids})])


def add_vpc(site: ControlledZone, name: str, *networks: str) -> None:
    """Create a VPC's router with a port on a subnet."""
    port = NewRef()
    row: dict[str, Any] = {"name": f"{name}-apps", "mac": "0a:00:00:00:00:02"}
    row["networks"] = frozenset(networks)
    router: dict[str, Any] = {"name": name, "ports": frozenset({port})}
    site.write(Insert(LogicalRouterPort, row, port), Insert(LogicalRouter, router))


def vpc(name: str) -> Any:
    """A Vpc object."""
    return manifest("Vpc", name, spec={})


def routes(site: ControlledZone, router: str) -> set[str]:
    """The prefixes that a router has learned."""
    held = site.find(LogicalRouter, name=router)["static_routes"]
    return {r["ip_prefix"] for r in site.all(LogicalRouterStaticRoute) if r["_uuid"] in held}


def policies(site: ControlledZone, router: str) -> set[tuple[str, str]]:
    """The matches of a router's policies, with their vendors."""
    held = site.find(LogicalRouter, name=router)["policies"]
    rows = [row for row in site.all(LogicalRouterPolicy) if row["_uuid"] in held]
    return {(row["match"], row["external_ids"]["vendor"]) for row in rows}


def router_of(site: ControlledZone, port: str) -> str:
    """The router that has a port."""
    uuid = site.uuid(LogicalRouterPort, name=port)
    (name,) = [row["name"] for row in site.all(LogicalRouter) if uuid in row["ports"]]
    return str(name)


def options(site: ControlledZone, port: str) -> dict[str, str]:
    """A router port's options."""
    found: dict[str, str] = site.find(LogicalRouterPort, name=port)["options"]
    return found


def blacklist(site: ControlledZone) -> str:
    """The global list of private prefixes."""
    found: str = site.find(NbGlobal)["options"].get(BLACKLIST, "")
    return found


def told(site: ControlledZone) -> str:
    """The problems of a zone as text."""
    return "\n".join(map(str, site.problems()))


@pytest.fixture
def fleet() -> ControlledFleet:
    """Two zones with one VPC each, of different names, joined by the network blue.

    Both VPCs' subnets have the addresses of the default VPCs' subnets.
    """
    fleet = ControlledFleet("az1", "az2")
    add_ts(fleet, "b", "169.254.200.0/24", "blue")
    one, two = fleet.zones
    add_vpc(one, "shop", "10.1.0.1/16")
    add_vpc(two, "store", "10.2.0.1/16", "10.22.0.1/24")
    one.apply(vpc("shop"))
    two.apply(vpc("store"))
    one.join(vpcs="shop=blue")
    two.join(vpcs="store=blue")
    fleet.settle()
    return fleet


def test_a_network_joins_vpcs_of_different_names(fleet: ControlledFleet) -> None:
    """VPCs of one network learn each other's subnets, and not the equal ones of the default VPC."""
    one, two = fleet.zones
    assert told(one) + told(two) == ""
    assert routes(one, "shop") == {"10.2.0.0/16", "10.22.0.0/24"}
    assert routes(one, "ovn-cluster") == {"10.2.0.0/16"}
    assert routes(two, "store") == routes(two, "ovn-cluster") == {"10.1.0.0/16"}
    assert policies(one, "ovn-cluster") == {("ip4.dst == 10.2.0.0/16", "kube-ovn")}
    assert policies(one, "shop") == {
        ("ip4.dst == 10.2.0.0/16", "isthmus"),
        ("ip4.dst == 10.22.0.0/24", "isthmus"),
    }


def test_the_objects_of_a_custom_vpc(fleet: ControlledFleet) -> None:
    """Objects have names as in the default VPC, and a vendor that Kube-OVN ignores."""
    site = fleet.zones[0]
    assert router_of(site, "az1-b") == "shop"
    assert router_of(site, "az1-ts") == "ovn-cluster"
    port = site.find(LogicalRouterPort, name="az1-b")
    assert port["external_ids"]["vendor"] == "isthmus"
    assert port["options"] == {"gateway_mtu": "1400"}
    peer = site.find(LogicalSwitchPort, name="b-az1")
    assert peer["external_ids"] == {"ls": "b", "vendor": "isthmus"}
    (gateway,) = [row for row in site.all(GatewayChassis) if row["name"] == "az1-b-gw-az1"]
    assert gateway["priority"] == 100


def test_gateways_are_rotated_within_each_network(fleet: ControlledFleet) -> None:
    """Gateways are rotated over the transit switches of one network only."""
    site = fleet.zones[0]
    site.add_chassis("c2", "192.0.2.12", hostname="gw2")
    add_ts(fleet, "b1", "169.254.201.0/24", "blue")
    fleet.add_ts("ts1", "169.254.101.0/24")
    site.join(gw_nodes="gw,gw2", vpcs="shop=blue")
    fleet.settle()
    first = {
        ts: max(
            (row for row in site.all(GatewayChassis) if row["name"].startswith(f"az1-{ts}-")),
            key=lambda row: int(row["priority"]),
        )["chassis_name"]
        for ts in ("b", "b1", "ts", "ts1")
    }
    assert first == {"b": "gw-az1", "b1": "c2", "ts": "gw-az1", "ts1": "c2"}


def test_a_vpc_that_is_removed_from_the_list(fleet: ControlledFleet) -> None:
    """A VPC that is removed from the list leaves nothing behind; the default VPC is unchanged."""
    one, two = fleet.zones
    port = one.uuid(LogicalRouterPort, name="az1-ts")
    one.join()
    fleet.settle()
    assert routes(one, "shop") == set()
    assert policies(one, "shop") == set()
    assert routes(two, "store") == set()
    assert not one.all(LogicalRouterPort, name="az1-b")
    assert "az1" not in "".join(fleet.ts("b")["external_ids"].values())
    assert routes(one, "ovn-cluster") == {"10.2.0.0/16"}
    assert one.uuid(LogicalRouterPort, name="az1-ts") == port
    assert told(one) == ""


def test_a_vpc_that_moves_to_another_network(fleet: ControlledFleet) -> None:
    """A VPC can move to another network without an effect on other VPCs."""
    one, two = fleet.zones
    add_ts(fleet, "r", "169.254.201.0/24", "red")
    one.join(vpcs="shop=red")
    fleet.settle()
    assert routes(one, "shop") == routes(two, "store") == set()
    assert router_of(one, "az1-r") == "shop"
    two.join(vpcs="store=red")
    fleet.settle()
    assert routes(two, "store") == {"10.1.0.0/16"}
    assert not two.all(LogicalRouterPort, name="az2-b")


def test_another_vpc_of_the_same_network(fleet: ControlledFleet) -> None:
    """When another VPC takes over a network, the port moves with its address and MAC."""
    one, two = fleet.zones
    add_vpc(one, "mall", "10.50.0.1/16")
    before = one.find(LogicalRouterPort, name="az1-b")
    one.apply(subnet("s", "10.3.0.0/16", vpc="shop", disableInterConnection=True))
    fleet.settle()
    one.join(vpcs="mall=blue")
    fleet.settle()
    after = one.find(LogicalRouterPort, name="az1-b")
    assert router_of(one, "az1-b") == "mall"
    assert {after[c] == before[c] for c in ("mac", "networks")} == {True}
    assert after["options"] == {"gateway_mtu": "1400"}, "what shop kept private is shop's"
    assert routes(one, "shop") == set()
    assert policies(one, "shop") == set()
    assert routes(one, "mall") == {"10.2.0.0/16", "10.22.0.0/24"}
    assert routes(two, "store") == {"10.50.0.0/16"}


def test_a_transit_switch_that_changes_its_network(fleet: ControlledFleet) -> None:
    """A transit switch with another network serves that network's VPC."""
    one, _ = fleet.zones
    add_vpc(one, "mall", "10.50.0.1/16")
    one.join(vpcs="shop=blue, mall=red")
    fleet.settle()
    assert "shop" in router_of(one, "az1-b")
    uuid = RowId(fleet.ts("b")["_uuid"])
    key = {"isthmus-network": "red"}
    fleet.ic_nb.transact([set_keys(TransitSwitch, uuid, "external_ids", key)])
    fleet.settle()
    assert router_of(one, "az1-b") == "mall"
    assert routes(one, "shop") == set()
    assert "data.vpcs = 'shop=blue': no transit switch serves the network blue" in told(one)


def test_a_vpc_that_does_not_exist(fleet: ControlledFleet) -> None:
    """A VPC that does not exist is reported, and is connected once it exists."""
    one, _ = fleet.zones
    one.join(vpcs="shop=blue, mall=red")
    add_ts(fleet, "r", "169.254.201.0/24", "red")
    fleet.settle()
    assert "data.vpcs = 'mall': there is no Vpc and no logical router" in told(one)
    assert routes(one, "shop") == {"10.2.0.0/16", "10.22.0.0/24"}
    one.apply(vpc("mall"))
    fleet.settle()
    assert "Logical_Router mall: does not exist, so the VPC cannot be connected" in told(one)
    add_vpc(one, "mall", "10.50.0.1/16")
    fleet.settle()
    assert told(one) == ""
    assert router_of(one, "az1-r") == "mall"


def test_a_router_that_goes_away(fleet: ControlledFleet) -> None:
    """The deletion of a VPC ends its connection only."""
    one, two = fleet.zones
    one.write(Delete(LogicalRouter, one.uuid(LogicalRouter, name="shop")))
    one.delete(vpc("shop"))
    fleet.settle()
    assert not one.all(LogicalSwitchPort, name="b-az1")
    assert routes(two, "store") == set()
    assert routes(two, "ovn-cluster") == {"10.1.0.0/16"}
    assert "data.vpcs = 'shop': there is no Vpc" in told(one)


def test_a_network_without_a_transit_switch(fleet: ControlledFleet) -> None:
    """A network without a transit switch is reported with a remedy."""
    one, _ = fleet.zones
    one.join(vpcs="shop=bleu")
    fleet.settle()
    assert "data.vpcs = 'shop=bleu': no transit switch serves the network bleu" in told(one)
    assert "--transit-switch NAME=CIDR@bleu" in told(one)


def test_transit_switches_of_other_networks(fleet: ControlledFleet) -> None:
    """Transit switches of other networks get no port and no claim, and are not reported."""
    add_ts(fleet, "g", "169.254.202.0/24", "green")
    fleet.settle()
    for site in fleet.zones:
        assert not site.all(LogicalRouterPort, name=f"{site.name}-g")
        assert told(site) == ""
    assert len(fleet.ts("g")["external_ids"]) == 3


def test_leaving_leaves_no_vpc_behind(fleet: ControlledFleet) -> None:
    """Leaving removes the ports, routes and policies of all VPCs."""
    one, two = fleet.zones
    one.join(enable_ic="false")
    fleet.settle()
    left = [row["name"] for row in one.all(LogicalRouterPort)]
    assert sorted(left) == ["ovn-default", "shop-apps"]
    assert not one.all(LogicalRouterStaticRoute)
    assert not one.all(LogicalRouterPolicy)
    assert routes(two, "store") == set()
    assert not [r for r in two.all(IcRoute) if r["transit_switch"] == "b" and "10.1" in str(r)]


# -- what stays private ------------------------------------------------------------------------


def test_private_subnets_of_each_vpc(fleet: ControlledFleet) -> None:
    """Private prefixes are in the lists of the VPC's own ports, without an effect on other VPCs."""
    one, two = fleet.zones
    one.apply(subnet("closed", "10.1.0.0/16", disableInterConnection=True))
    fleet.settle()
    assert options(one, "az1-ts") == {"gateway_mtu": "1400"} | dict.fromkeys(DENY, "10.1.0.0/16")
    assert blacklist(one) == ""
    assert routes(two, "ovn-cluster") == set()
    assert routes(two, "store") == {"10.1.0.0/16"}
    one.apply(
        subnet("closed", "10.1.0.0/16"),
        subnet("apps", "10.1.0.0/16", vpc="shop", disableInterConnection=True),
    )
    fleet.settle()
    assert options(one, "az1-ts") == {"gateway_mtu": "1400"}
    assert options(one, "az1-b")["ic-route-deny-adv"] == "10.1.0.0/16"
    assert routes(two, "ovn-cluster") == {"10.1.0.0/16"}
    assert routes(two, "store") == set()


def test_without_port_lists_the_global_list_has_all_private_prefixes(
    fleet: ControlledFleet,
) -> None:
    """An `ovn-ic` without lists of ports finds all private prefixes in the global list."""
    one, two = fleet.zones
    one.inputs.port_lists = False
    one.apply(
        subnet("closed", "10.1.0.0/16", disableInterConnection=True),
        subnet("apps", "10.7.0.0/16", vpc="shop", disableInterConnection=True),
    )
    fleet.settle()
    assert set(blacklist(one).split(",")) >= {"10.1.0.0/16", "10.7.0.0/16"}
    assert routes(two, "ovn-cluster") == routes(two, "store") == set()


def test_node_addresses_stay_in_the_global_list(fleet: ControlledFleet) -> None:
    """Node addresses stay in the global list; the join network moves to the ports."""
    one, _ = fleet.zones
    one.apply(node("gw", "192.0.2.1"), subnet("join", "100.64.0.0/16"))
    fleet.settle()
    assert blacklist(one) == "192.0.2.1/32"
    assert options(one, "az1-ts")["ic-route-deny-adv"] == "100.64.0.0/16"


def test_private_prefixes_are_always_in_a_list(fleet: ControlledFleet) -> None:
    """When private prefixes move between lists, they are in both meanwhile."""
    one, _ = fleet.zones
    private = subnet("closed", "10.1.0.0/16", disableInterConnection=True)
    one.join(vpcs=None)
    one.apply(private)
    fleet.settle()
    assert blacklist(one) == "10.1.0.0/16"
    assert "ic-route-deny-adv" not in options(one, "az1-ts")
    for vpcs, everywhere in (("shop=blue", ""), (None, "10.1.0.0/16")):
        one.join(vpcs=vpcs)
        while one.step():
            on_port = options(one, "az1-ts").get("ic-route-deny-adv", "")
            assert "10.1.0.0/16" in {blacklist(one), on_port}
        fleet.settle()
        assert blacklist(one) == everywhere
        assert options(one, "az1-ts").get("ic-route-deny-adv", "") != everywhere


def test_a_new_port_is_private_from_the_start(fleet: ControlledFleet) -> None:
    """A new port has its deny lists from the start."""
    one, _ = fleet.zones
    one.apply(subnet("closed", "10.1.0.0/16", disableInterConnection=True))
    fleet.settle()
    fleet.add_ts("ts1", "169.254.101.0/24")
    while one.step():
        for row in one.all(LogicalRouterPort, name="az1-ts1"):
            assert row["options"]["ic-route-deny-adv"] == "10.1.0.0/16"
    assert one.all(LogicalRouterPort, name="az1-ts1")


def test_entries_of_others_stay(fleet: ControlledFleet) -> None:
    """Manual entries of deny lists stay."""
    one, _ = fleet.zones
    uuid = one.uuid(LogicalRouterPort, name="az1-b")
    by_hand = {"ic-route-deny-learn": "10.9.0.0/16, 10.8.0.0/16"}
    one.write(set_keys(LogicalRouterPort, uuid, "options", by_hand))
    closed = subnet("apps", "10.1.0.0/16", vpc="shop", disableInterConnection=True)
    one.apply(closed)
    fleet.settle()
    assert options(one, "az1-b")["ic-route-deny-learn"] == "10.1.0.0/16,10.9.0.0/16,10.8.0.0/16"
    assert options(one, "az1-b")["ic-route-deny-adv"] == "10.1.0.0/16"
    one.delete(closed)
    fleet.settle()
    assert options(one, "az1-b")["ic-route-deny-learn"] == "10.9.0.0/16,10.8.0.0/16"
    assert "ic-route-deny-adv" not in options(one, "az1-b")


def test_entries_only_grow_while_a_manifest_was_never_read(fleet: ControlledFleet) -> None:
    """Entries are only added while a Subnet file has not been readable since the start."""
    one, _ = fleet.zones
    closed = subnet("apps", "10.1.0.0/16", vpc="shop", disableInterConnection=True)
    one.apply(closed)
    fleet.settle()
    del one.manifests[closed.key]
    one.start()
    one.apply(complete=False)
    fleet.settle()
    assert options(one, "az1-b")["ic-route-deny-adv"] == "10.1.0.0/16"
    one.apply()
    fleet.settle()
    assert "ic-route-deny-adv" not in options(one, "az1-b")


# -- the MTU -----------------------------------------------------------------------------------


def test_the_mtu_is_changed_live(fleet: ControlledFleet) -> None:
    """The MTU changes on the same ports, and is removed with `off`."""
    one, _ = fleet.zones
    port = one.uuid(LogicalRouterPort, name="az1-ts")
    one.join(mtu="8900", vpcs="shop=blue")
    fleet.settle()
    assert {options(one, name)["gateway_mtu"] for name in ("az1-ts", "az1-b")} == {"8900"}
    one.join(mtu="off", vpcs="shop=blue")
    fleet.settle()
    assert options(one, "az1-ts") == options(one, "az1-b") == {}
    assert one.uuid(LogicalRouterPort, name="az1-ts") == port


def test_a_manual_mtu(fleet: ControlledFleet) -> None:
    """A manual MTU is overwritten, and with `off` stays."""
    one, _ = fleet.zones
    uuid = one.uuid(LogicalRouterPort, name="az1-ts")
    by_hand = set_keys(LogicalRouterPort, uuid, "options", {"gateway_mtu": "1200"})
    one.write(by_hand)
    fleet.settle()
    assert options(one, "az1-ts")["gateway_mtu"] == "1400"
    one.join(mtu="off")
    fleet.settle()
    one.write(by_hand)
    one.start()
    fleet.settle()
    assert options(one, "az1-ts") == {"gateway_mtu": "1200"}


@pytest.mark.parametrize(
    ("kind", "name", "changes"),
    [
        (LogicalRouterPort, "az1-b", {"external_ids": {"vendor": "kube-ovn"}}),
        (LogicalRouterPort, "az1-b", {"options": {}}),
        (LogicalSwitchPort, "b-az1", {"options": {"router-port": "az1-ts"}}),
        (LogicalSwitchPort, "b-az1", {"options": {"router-port": "shop-apps"}}),
    ],
)
def test_drift_is_corrected(
    fleet: ControlledFleet, kind: Any, name: str, changes: dict[str, Any]
) -> None:
    """Manual changes of a VPC's connection are reverted."""
    one, _ = fleet.zones
    others = {row["name"]: row for row in one.all(LogicalRouterPort) if row["name"] != "az1-b"}
    before = one.find(kind, name=name)
    one.update(kind, RowId(before["_uuid"]), **changes)
    fleet.settle()
    after = one.find(kind, name=name)
    assert {key: after[key] for key in changes} == {key: before[key] for key in changes}
    for row in others.values():
        assert one.find(LogicalRouterPort, name=row["name"]) == row


def test_ports_of_other_routers_stay(fleet: ControlledFleet) -> None:
    """Manual ports of other routers on a transit switch stay."""
    one, _ = fleet.zones
    port, peer = NewRef(), NewRef()
    row: dict[str, Any] = {"name": "by-hand", "networks": frozenset({"169.254.100.9/24"})}
    switch_port: dict[str, Any] = {"name": "ts-by-hand", "type": "router"}
    switch_port["options"] = {"router-port": "by-hand"}
    switch_port["external_ids"] = {"vendor": "kube-ovn"}
    shop = one.uuid(LogicalRouter, name="shop")
    switch = one.uuid(LogicalSwitch, name="ts")
    one.write(
        Insert(LogicalRouterPort, row, port),
        Mutate(LogicalRouter, shop, (("ports", "insert", frozenset({port})),)),
        Insert(LogicalSwitchPort, switch_port, peer),
        Mutate(LogicalSwitch, switch, (("ports", "insert", frozenset({peer})),)),
    )
    fleet.settle()
    assert router_of(one, "by-hand") == "shop"
    assert one.all(LogicalSwitchPort, name="ts-by-hand")
