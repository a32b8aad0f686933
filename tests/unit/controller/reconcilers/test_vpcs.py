"""Custom VPCs: each over transit switches of its own, never confused with the default one."""

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


def add_ts(region: ControlledFleet, name: str, subnets: str, network: str) -> None:
    """Create a transit switch of a network."""
    ids = {"subnet": subnets, "vendor": "isthmus", "isthmus-network": network}
    region.ic_nb.transact([Insert(TransitSwitch, {"name": name, "external_ids": ids})])


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
    """The matches of a router's policies, and who made them."""
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
    """What a site reports."""
    return "\n".join(map(str, site.problems()))


@pytest.fixture
def region() -> ControlledFleet:
    """Two sites with a VPC each, of different names, joined by the network blue.

    Both VPCs' subnets have the addresses of the default VPCs' subnets.
    """
    region = ControlledFleet("az1", "az2")
    add_ts(region, "b", "169.254.200.0/24", "blue")
    one, two = region.zones
    add_vpc(one, "shop", "10.1.0.1/16")
    add_vpc(two, "store", "10.2.0.1/16", "10.22.0.1/24")
    one.apply(vpc("shop"))
    two.apply(vpc("store"))
    one.join(vpcs="shop=blue")
    two.join(vpcs="store=blue")
    region.settle()
    return region


def test_a_network_joins_vpcs_of_different_names(region: ControlledFleet) -> None:
    """Each VPC learns the other's subnets, and none the default VPC's, though they are equal."""
    one, two = region.zones
    assert told(one) + told(two) == ""
    assert routes(one, "shop") == {"10.2.0.0/16", "10.22.0.0/24"}
    assert routes(one, "ovn-cluster") == {"10.2.0.0/16"}
    assert routes(two, "store") == routes(two, "ovn-cluster") == {"10.1.0.0/16"}
    assert policies(one, "ovn-cluster") == {("ip4.dst == 10.2.0.0/16", "kube-ovn")}
    assert policies(one, "shop") == {
        ("ip4.dst == 10.2.0.0/16", "isthmus"),
        ("ip4.dst == 10.22.0.0/24", "isthmus"),
    }


def test_the_objects_of_a_custom_vpc(region: ControlledFleet) -> None:
    """Names as for the default VPC; Kube-OVN's controllers take them for somebody else's."""
    site = region.zones[0]
    assert router_of(site, "az1-b") == "shop"
    assert router_of(site, "az1-ts") == "ovn-cluster"
    port = site.find(LogicalRouterPort, name="az1-b")
    assert port["external_ids"]["vendor"] == "isthmus"
    assert port["options"] == {"gateway_mtu": "1400"}
    peer = site.find(LogicalSwitchPort, name="b-az1")
    assert peer["external_ids"] == {"ls": "b", "vendor": "isthmus"}
    (gateway,) = [row for row in site.all(GatewayChassis) if row["name"] == "az1-b-gw-az1"]
    assert gateway["priority"] == 100


def test_gateways_are_rotated_within_each_network(region: ControlledFleet) -> None:
    """The default VPC's transit switches do not count for a custom VPC's, and vice versa."""
    site = region.zones[0]
    site.add_chassis("c2", "192.0.2.12", hostname="gw2")
    add_ts(region, "b1", "169.254.201.0/24", "blue")
    region.add_ts("ts1", "169.254.101.0/24")
    site.join(gw_nodes="gw,gw2", vpcs="shop=blue")
    region.settle()
    first = {
        ts: max(
            (row for row in site.all(GatewayChassis) if row["name"].startswith(f"az1-{ts}-")),
            key=lambda row: int(row["priority"]),
        )["chassis_name"]
        for ts in ("b", "b1", "ts", "ts1")
    }
    assert first == {"b": "gw-az1", "b1": "c2", "ts": "gw-az1", "ts1": "c2"}


def test_a_vpc_that_is_taken_off_the_list(region: ControlledFleet) -> None:
    """Nothing of it stays here or there; the default VPC is not touched."""
    one, two = region.zones
    port = one.uuid(LogicalRouterPort, name="az1-ts")
    one.join()
    region.settle()
    assert routes(one, "shop") == set()
    assert policies(one, "shop") == set()
    assert routes(two, "store") == set()
    assert not one.all(LogicalRouterPort, name="az1-b")
    assert "az1" not in "".join(region.ts("b")["external_ids"].values())
    assert routes(one, "ovn-cluster") == {"10.2.0.0/16"}
    assert one.uuid(LogicalRouterPort, name="az1-ts") == port
    assert told(one) == ""


def test_a_vpc_that_moves_to_another_network(region: ControlledFleet) -> None:
    """It leaves the one and joins the other; who else is in either keeps what he has."""
    one, two = region.zones
    add_ts(region, "r", "169.254.201.0/24", "red")
    one.join(vpcs="shop=red")
    region.settle()
    assert routes(one, "shop") == routes(two, "store") == set()
    assert router_of(one, "az1-r") == "shop"
    two.join(vpcs="store=red")
    region.settle()
    assert routes(two, "store") == {"10.1.0.0/16"}
    assert not two.all(LogicalRouterPort, name="az2-b")


def test_another_vpc_of_the_same_network(region: ControlledFleet) -> None:
    """The port goes over to the other router, with its address and MAC; no route stays behind."""
    one, two = region.zones
    add_vpc(one, "mall", "10.50.0.1/16")
    before = one.find(LogicalRouterPort, name="az1-b")
    one.apply(subnet("s", "10.3.0.0/16", vpc="shop", disableInterConnection=True))
    region.settle()
    one.join(vpcs="mall=blue")
    region.settle()
    after = one.find(LogicalRouterPort, name="az1-b")
    assert router_of(one, "az1-b") == "mall"
    assert {after[c] == before[c] for c in ("mac", "networks")} == {True}
    assert after["options"] == {"gateway_mtu": "1400"}, "what shop kept private is shop's"
    assert routes(one, "shop") == set()
    assert policies(one, "shop") == set()
    assert routes(one, "mall") == {"10.2.0.0/16", "10.22.0.0/24"}
    assert routes(two, "store") == {"10.50.0.0/16"}


def test_a_transit_switch_that_changes_its_network(region: ControlledFleet) -> None:
    """It serves another VPC from then on."""
    one, _ = region.zones
    add_vpc(one, "mall", "10.50.0.1/16")
    one.join(vpcs="shop=blue, mall=red")
    region.settle()
    assert "shop" in router_of(one, "az1-b")
    uuid = RowId(region.ts("b")["_uuid"])
    key = {"isthmus-network": "red"}
    region.ic_nb.transact([set_keys(TransitSwitch, uuid, "external_ids", key)])
    region.settle()
    assert router_of(one, "az1-b") == "mall"
    assert routes(one, "shop") == set()
    assert "data.vpcs = 'shop=blue': no transit switch serves the network blue" in told(one)


def test_a_vpc_that_does_not_exist(region: ControlledFleet) -> None:
    """It is named, the others go on, and it is connected as soon as it is there."""
    one, _ = region.zones
    one.join(vpcs="shop=blue, mall=red")
    add_ts(region, "r", "169.254.201.0/24", "red")
    region.settle()
    assert "data.vpcs = 'mall': there is no Vpc and no logical router" in told(one)
    assert routes(one, "shop") == {"10.2.0.0/16", "10.22.0.0/24"}
    one.apply(vpc("mall"))
    region.settle()
    assert "Logical_Router mall: does not exist, so the VPC cannot be connected" in told(one)
    add_vpc(one, "mall", "10.50.0.1/16")
    region.settle()
    assert told(one) == ""
    assert router_of(one, "az1-r") == "mall"


def test_a_router_that_goes_away(region: ControlledFleet) -> None:
    """The VPC's deletion ends its connection, and nothing else."""
    one, two = region.zones
    one.write(Delete(LogicalRouter, one.uuid(LogicalRouter, name="shop")))
    one.delete(vpc("shop"))
    region.settle()
    assert not one.all(LogicalSwitchPort, name="b-az1")
    assert routes(two, "store") == set()
    assert routes(two, "ovn-cluster") == {"10.1.0.0/16"}
    assert "data.vpcs = 'shop': there is no Vpc" in told(one)


def test_a_network_that_nobody_serves(region: ControlledFleet) -> None:
    """A misspelt network is named with what to do."""
    one, _ = region.zones
    one.join(vpcs="shop=bleu")
    region.settle()
    assert "data.vpcs = 'shop=bleu': no transit switch serves the network bleu" in told(one)
    assert "--transit-switch NAME=CIDR@bleu" in told(one)


def test_transit_switches_of_networks_that_are_none_of_ours(region: ControlledFleet) -> None:
    """No port, no claim, no word."""
    add_ts(region, "g", "169.254.202.0/24", "green")
    region.settle()
    for site in region.zones:
        assert not site.all(LogicalRouterPort, name=f"{site.name}-g")
        assert told(site) == ""
    assert len(region.ts("g")["external_ids"]) == 3


def test_leaving_leaves_no_vpc_behind(region: ControlledFleet) -> None:
    """Ports, routes and policies of all VPCs go."""
    one, two = region.zones
    one.join(enable_ic="false")
    region.settle()
    left = [row["name"] for row in one.all(LogicalRouterPort)]
    assert sorted(left) == ["ovn-default", "shop-apps"]
    assert not one.all(LogicalRouterStaticRoute)
    assert not one.all(LogicalRouterPolicy)
    assert routes(two, "store") == set()
    assert not [r for r in two.all(IcRoute) if r["transit_switch"] == "b" and "10.1" in str(r)]


# -- what stays private ------------------------------------------------------------------------


def test_private_subnets_of_each_vpc(region: ControlledFleet) -> None:
    """Each VPC's own are kept on its own ports; of the same addresses elsewhere nothing is lost."""
    one, two = region.zones
    one.apply(subnet("closed", "10.1.0.0/16", disableInterConnection=True))
    region.settle()
    assert options(one, "az1-ts") == {"gateway_mtu": "1400"} | dict.fromkeys(DENY, "10.1.0.0/16")
    assert blacklist(one) == ""
    assert routes(two, "ovn-cluster") == set()
    assert routes(two, "store") == {"10.1.0.0/16"}
    one.apply(
        subnet("closed", "10.1.0.0/16"),
        subnet("apps", "10.1.0.0/16", vpc="shop", disableInterConnection=True),
    )
    region.settle()
    assert options(one, "az1-ts") == {"gateway_mtu": "1400"}
    assert options(one, "az1-b")["ic-route-deny-adv"] == "10.1.0.0/16"
    assert routes(two, "ovn-cluster") == {"10.1.0.0/16"}
    assert routes(two, "store") == set()


def test_an_engine_without_port_lists_finds_all_that_is_private_in_the_global_one(
    region: ControlledFleet,
) -> None:
    """Beside an `ovn-ic` that does not read ports' lists, nothing private is shown."""
    one, two = region.zones
    one.inputs.port_lists = False
    one.apply(
        subnet("closed", "10.1.0.0/16", disableInterConnection=True),
        subnet("apps", "10.7.0.0/16", vpc="shop", disableInterConnection=True),
    )
    region.settle()
    assert set(blacklist(one).split(",")) >= {"10.1.0.0/16", "10.7.0.0/16"}
    assert routes(two, "ovn-cluster") == routes(two, "store") == set()


def test_node_addresses_stay_in_the_global_list(region: ControlledFleet) -> None:
    """They hide no subnet of anybody; the join network might, and goes to the ports."""
    one, _ = region.zones
    one.apply(node("gw", "192.0.2.1"), subnet("join", "100.64.0.0/16"))
    region.settle()
    assert blacklist(one) == "192.0.2.1/32"
    assert options(one, "az1-ts")["ic-route-deny-adv"] == "100.64.0.0/16"


def test_private_prefixes_are_never_on_no_list(region: ControlledFleet) -> None:
    """When the first VPC comes or the last goes, they move, and are on both lists meanwhile."""
    one, _ = region.zones
    private = subnet("closed", "10.1.0.0/16", disableInterConnection=True)
    one.join(vpcs=None)
    one.apply(private)
    region.settle()
    assert blacklist(one) == "10.1.0.0/16"
    assert "ic-route-deny-adv" not in options(one, "az1-ts")
    for vpcs, everywhere in (("shop=blue", ""), (None, "10.1.0.0/16")):
        one.join(vpcs=vpcs)
        while one.step():
            on_port = options(one, "az1-ts").get("ic-route-deny-adv", "")
            assert "10.1.0.0/16" in {blacklist(one), on_port}
        region.settle()
        assert blacklist(one) == everywhere
        assert options(one, "az1-ts").get("ic-route-deny-adv", "") != everywhere


def test_a_new_port_is_private_from_the_start(region: ControlledFleet) -> None:
    """A transit switch that is added later shows nothing for a moment, either."""
    one, _ = region.zones
    one.apply(subnet("closed", "10.1.0.0/16", disableInterConnection=True))
    region.settle()
    region.add_ts("ts1", "169.254.101.0/24")
    while one.step():
        for row in one.all(LogicalRouterPort, name="az1-ts1"):
            assert row["options"]["ic-route-deny-adv"] == "10.1.0.0/16"
    assert one.all(LogicalRouterPort, name="az1-ts1")


def test_entries_of_others_stay(region: ControlledFleet) -> None:
    """What somebody denies by hand is denied beside ours."""
    one, _ = region.zones
    uuid = one.uuid(LogicalRouterPort, name="az1-b")
    by_hand = {"ic-route-deny-learn": "10.9.0.0/16, 10.8.0.0/16"}
    one.write(set_keys(LogicalRouterPort, uuid, "options", by_hand))
    closed = subnet("apps", "10.1.0.0/16", vpc="shop", disableInterConnection=True)
    one.apply(closed)
    region.settle()
    assert options(one, "az1-b")["ic-route-deny-learn"] == "10.1.0.0/16,10.9.0.0/16,10.8.0.0/16"
    assert options(one, "az1-b")["ic-route-deny-adv"] == "10.1.0.0/16"
    one.delete(closed)
    region.settle()
    assert options(one, "az1-b")["ic-route-deny-learn"] == "10.9.0.0/16,10.8.0.0/16"
    assert "ic-route-deny-adv" not in options(one, "az1-b")


def test_entries_only_grow_while_a_manifest_was_never_read(region: ControlledFleet) -> None:
    """A restart with a broken Subnet file must not show a VPC's private network."""
    one, _ = region.zones
    closed = subnet("apps", "10.1.0.0/16", vpc="shop", disableInterConnection=True)
    one.apply(closed)
    region.settle()
    del one.manifests[closed.key]
    one.start()
    one.apply(complete=False)
    region.settle()
    assert options(one, "az1-b")["ic-route-deny-adv"] == "10.1.0.0/16"
    one.apply()
    region.settle()
    assert "ic-route-deny-adv" not in options(one, "az1-b")


# -- the MTU -----------------------------------------------------------------------------------


def test_the_mtu_is_changed_live(region: ControlledFleet) -> None:
    """On the same ports; taken back when it is switched off."""
    one, _ = region.zones
    port = one.uuid(LogicalRouterPort, name="az1-ts")
    one.join(mtu="8900", vpcs="shop=blue")
    region.settle()
    assert {options(one, name)["gateway_mtu"] for name in ("az1-ts", "az1-b")} == {"8900"}
    one.join(mtu="off", vpcs="shop=blue")
    region.settle()
    assert options(one, "az1-ts") == options(one, "az1-b") == {}
    assert one.uuid(LogicalRouterPort, name="az1-ts") == port


def test_an_mtu_set_by_hand(region: ControlledFleet) -> None:
    """It is put right, unless ours is switched off: then it is left alone."""
    one, _ = region.zones
    uuid = one.uuid(LogicalRouterPort, name="az1-ts")
    by_hand = set_keys(LogicalRouterPort, uuid, "options", {"gateway_mtu": "1200"})
    one.write(by_hand)
    region.settle()
    assert options(one, "az1-ts")["gateway_mtu"] == "1400"
    one.join(mtu="off")
    region.settle()
    one.write(by_hand)
    one.start()
    region.settle()
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
def test_drift_is_mended(
    region: ControlledFleet, kind: Any, name: str, changes: dict[str, Any]
) -> None:
    """What somebody changed by hand goes back, on this connection and on no other."""
    one, _ = region.zones
    others = {row["name"]: row for row in one.all(LogicalRouterPort) if row["name"] != "az1-b"}
    before = one.find(kind, name=name)
    one.update(kind, RowId(before["_uuid"]), **changes)
    region.settle()
    after = one.find(kind, name=name)
    assert {key: after[key] for key in changes} == {key: before[key] for key in changes}
    for row in others.values():
        assert one.find(LogicalRouterPort, name=row["name"]) == row


def test_ports_of_other_routers_are_left_alone(region: ControlledFleet) -> None:
    """A router port that somebody connected to a transit switch by hand is his."""
    one, _ = region.zones
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
    region.settle()
    assert router_of(one, "by-hand") == "shop"
    assert one.all(LogicalSwitchPort, name="ts-by-hand")
