"""The controller on fake databases: joining, and every change while joined."""

from typing import Any

import pytest

from isthmus.controller.zones import JoinedZone, joined_zone
from isthmus.model.external_ids import zone_claim
from isthmus.model.operations import (
    Delete,
    Insert,
    Mutate,
    NewRef,
    Ref,
    Update,
    Value,
    drop_keys,
    set_keys,
)
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    GatewayChassis,
    IcPortBinding,
    IcSbGlobal,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    RowId,
    SbEncap,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map, manifest, node, subnet

DUAL = "169.254.100.0/24,fe80:a9fe:64::/112"


@pytest.fixture
def fleet() -> ControlledFleet:
    """Two zones that have joined."""
    return joined(ControlledFleet("az1", "az2"))


def joined(fleet: ControlledFleet, **changes: Any) -> ControlledFleet:
    """Join all zones of a fleet."""
    for site in fleet.zones:
        site.join(**changes)
    fleet.settle()
    return fleet


def options(site: ControlledZone) -> dict[str, str]:
    """The `ic-route-*` options of a zone."""
    found = site.find(NbGlobal)["options"]
    return {key: value for key, value in found.items() if key.startswith("ic-")}


def networks(site: ControlledZone, ts: str = "ts") -> set[str]:
    """The networks of a zone's port on a transit switch."""
    return set(site.find(LogicalRouterPort, name=f"{site.name}-{ts}")["networks"])


def gateways(site: ControlledZone, ts: str = "ts") -> dict[str, int]:
    """The gateway candidates of a zone's port and their priorities."""
    held = site.find(LogicalRouterPort, name=f"{site.name}-{ts}")["gateway_chassis"]
    rows = [row for row in site.all(GatewayChassis) if row["_uuid"] in held]
    assert all(row["name"] == f"{site.name}-{ts}-{row['chassis_name']}" for row in rows)
    return {row["chassis_name"]: row["priority"] for row in rows}


def matches(site: ControlledZone) -> set[str]:
    """The matches of a zone's policies."""
    return {row["match"] for row in site.all(LogicalRouterPolicy)}


def told(site: ControlledZone) -> str:
    """The problems of a zone as text."""
    return "\n".join(map(str, site.problems()))


def claims(fleet: ControlledFleet, ts: str = "ts") -> dict[str, str]:
    """Claimed addresses and the zones that hold them."""
    prefix = "isthmus-address-"
    return {
        key.removeprefix(prefix): value.partition("/")[0]
        for key, value in fleet.ts(ts)["external_ids"].items()
        if key.startswith(prefix)
    }


def writes(site: ControlledZone) -> int:
    """The number of transactions in the zone's own databases."""
    return len(site.nb.committed) + len(site.sb.committed)


# -- what joining makes ------------------------------------------------------------------------


def test_joining_makes_the_contracts_objects(fleet: ControlledFleet) -> None:
    """Joining creates objects with Kube-OVN's names, types, external_ids, gateways and policies."""
    site = fleet.zones[0]
    port = site.find(LogicalSwitchPort, name="ts-az1")
    assert port["type"] == "router"
    assert port["addresses"] == {"router"}
    assert port["options"]["router-port"] == "az1-ts"
    assert port["external_ids"] == {"ls": "ts", "vendor": "kube-ovn"}
    peer = site.find(LogicalRouterPort, name="az1-ts")
    assert peer["external_ids"]["vendor"] == "kube-ovn"
    assert int(peer["mac"][:2], 16) & 3 == 2, "locally administered, unicast"
    assert gateways(site) == {"gw-az1": 100}
    assert options(site) == {"ic-route-adv": "true", "ic-route-learn": "true"}
    policy = site.find(LogicalRouterPolicy)
    assert (policy["priority"], policy["match"], policy["action"]) == (
        29500,
        "ip4.dst == 10.2.0.0/16",
        "allow",
    )
    assert policy["external_ids"] == {"origin": "connected", "vendor": "kube-ovn"}
    assert told(site) == ""


def test_other_keys_of_nb_global_stay(fleet: ControlledFleet) -> None:
    """Keys of others in NB_Global stay."""
    assert fleet.zones[0].find(NbGlobal)["options"]["northd_probe_interval"] == "5000"


@pytest.mark.parametrize(
    ("subnets", "families"), [("169.254.100.0/24", 1), ("fe80:a9fe:64::/112", 1), (DUAL, 2)]
)
def test_addresses_are_claimed_before_use(subnets: str, families: int) -> None:
    """Each zone claims an address per family of the subnet, and all addresses differ."""
    fleet = joined(ControlledFleet("az1", "az2", "az3", subnets=subnets))
    held = claims(fleet)
    assert len(held) == 3 * families
    for site in fleet.zones:
        mine = {address for address, zone in held.items() if zone == site.name}
        assert {network.partition("/")[0] for network in networks(site)} == mine


def test_nothing_happens_before_the_inputs_are_known() -> None:
    """Without a valid ConfigMap, no row is written."""
    fleet = ControlledFleet("az1")
    site = fleet.zones[0]
    fleet.settle()
    before = writes(site)
    site.join(enable_ic="True")
    fleet.settle()
    assert writes(site) == before
    assert not site.find(NbGlobal)["name"]
    assert "must be exactly" in told(site)
    site.join()
    fleet.settle()
    assert networks(site)


def test_a_settled_site_writes_nothing_after_a_restart(fleet: ControlledFleet) -> None:
    """A restarted daemon has nothing to write."""
    before = [writes(site) for site in fleet.zones], claims(fleet)
    for site in fleet.zones:
        site.start()
    fleet.settle()
    assert ([writes(site) for site in fleet.zones], claims(fleet)) == before


def test_fault_15_transit_switches_of_others_are_not_connected(fleet: ControlledFleet) -> None:
    """Other vendors' transit switches get no port and no claim."""
    fleet.add_ts("theirs", "169.254.200.0/24", vendor="other")
    fleet.settle()
    site = fleet.zones[0]
    assert not claims(fleet, "theirs")
    assert not site.all(LogicalRouterPort, name="az1-theirs")


# -- options and private prefixes --------------------------------------------------------------


def test_private_prefixes_come_and_go(fleet: ControlledFleet) -> None:
    """An entry of the blacklist is removed with its reason (fault 2)."""
    one, two = fleet.zones
    learned = "ip4.dst == 10.1.0.0/16"
    assert learned in matches(two)
    one.apply(
        subnet("ovn-default", "10.1.0.0/16", disableInterConnection=True),
        subnet("join", "100.64.0.0/16"),
        node("gw", "192.0.2.1", "fd00::1"),
    )
    fleet.settle()
    expected = "10.1.0.0/16,100.64.0.0/16,192.0.2.1/32,fd00::1/128"
    assert options(one)["ic-route-blacklist"] == expected
    assert learned not in matches(two)
    one.apply(subnet("ovn-default", "10.1.0.0/16"))
    fleet.settle()
    assert options(one)["ic-route-blacklist"] == "100.64.0.0/16,192.0.2.1/32,fd00::1/128"
    assert learned in matches(two)
    one.delete(subnet("join", ""), node("gw"))
    fleet.settle()
    assert "ic-route-blacklist" not in options(one)


def test_the_blacklist_only_grows_while_a_file_was_never_read(fleet: ControlledFleet) -> None:
    """Entries are only added while a Subnet has not been readable since the start."""
    site = fleet.zones[0]
    closed = {"disableInterConnection": True}
    site.apply(subnet("a", "10.5.0.0/16", **closed))
    fleet.settle()
    del site.manifests[subnet("a", "").key]
    site.start()
    site.apply(subnet("b", "10.6.0.0/16", **closed), complete=False)
    fleet.settle()
    assert set(options(site)["ic-route-blacklist"].split(",")) == {"10.5.0.0/16", "10.6.0.0/16"}
    site.apply()
    fleet.settle()
    assert options(site)["ic-route-blacklist"] == "10.6.0.0/16"


def test_auto_route_is_switched_without_a_teardown(fleet: ControlledFleet) -> None:
    """Switching auto-route removes and restores options and routes; the port stays (fault 8)."""
    site = fleet.zones[0]
    port = site.uuid(LogicalRouterPort, name="az1-ts")
    site.join(auto_route="false")
    fleet.settle()
    assert options(site) == {}
    assert matches(site) == set()
    site.join(auto_route="true")
    fleet.settle()
    assert matches(site) == {"ip4.dst == 10.2.0.0/16"}
    assert site.uuid(LogicalRouterPort, name="az1-ts") == port


def test_a_denylist_that_overrides_the_blacklist_is_reported(fleet: ControlledFleet) -> None:
    """A denylist that makes OVN ignore the blacklist is reported."""
    site = fleet.zones[0]
    key = {"ic-route-denylist": "10.0.0.0/8"}
    site.write(set_keys(NbGlobal, site.uuid(NbGlobal), "options", key))
    fleet.settle()
    assert "NB_Global: options:ic-route-denylist = '10.0.0.0/8': overrides ic-route" in told(site)
    site.write(drop_keys(NbGlobal, site.uuid(NbGlobal), "options", frozenset(key)))
    fleet.settle()
    assert told(site) == ""


# -- zone names --------------------------------------------------------------------------------


def test_a_new_zone_name_keeps_address_and_mac(fleet: ControlledFleet) -> None:
    """A new zone name replaces ports in one transaction and keeps address and MAC (fault 5)."""
    one, two = fleet.zones
    before = one.find(LogicalRouterPort, name="az1-ts")
    options_before = {"gateway_mtu": "1400"}
    one.write(set_keys(LogicalRouterPort, RowId(before["_uuid"]), "options", options_before))
    one.name = "az-new"
    one.join()
    fleet.settle()
    after = one.find(LogicalRouterPort, name="az-new-ts")
    for column in ("mac", "networks"):
        assert after[column] == before[column]
    assert after["options"] == options_before
    assert gateways(one) == {"gw-az1": 100}
    assert not one.all(LogicalSwitchPort, name="ts-az1")
    assert not one.all(LogicalRouterPort, name="az1-ts")
    assert {row["name"] for row in one.all(AvailabilityZone)} == {"az-new", "az2"}
    assert set(claims(fleet).values()) == {"az-new", "az2"}
    assert not two.all(LogicalSwitchPort, name="ts-az1")
    assert matches(two) == {"ip4.dst == 10.1.0.0/16"}


def test_a_new_zone_name_while_the_daemon_was_down(fleet: ControlledFleet) -> None:
    """A zone that was renamed while the daemon was down leaves nothing behind (fault 5)."""
    one = fleet.zones[0]
    one.name = "az9"
    one.manifests[config_map().key] = config_map(az_name="az9")
    one.start()
    fleet.settle()
    assert {row["name"] for row in one.all(AvailabilityZone)} == {"az9", "az2"}
    assert [row["name"] for row in one.all(LogicalSwitchPort, type="router")] == ["ts-az9"]


def test_a_name_that_another_cluster_holds_is_not_taken(fleet: ControlledFleet) -> None:
    """A second cluster with the same name changes nothing and reports it (fault 11)."""
    one, two = fleet.zones
    before = writes(one), writes(two), claims(fleet)
    two.join(az_name="az1")
    fleet.settle()
    assert (writes(one), writes(two), claims(fleet)) == before
    assert "data.az-name = 'az1': is in use by another cluster" in told(two)
    two.join(az_name="az3")
    two.name = "az3"
    fleet.settle()
    assert told(two) == ""
    assert set(claims(fleet).values()) == {"az1", "az3"}


def test_a_cluster_that_starts_with_a_taken_name_does_nothing(fleet: ControlledFleet) -> None:
    """A new cluster with a taken name claims nothing, connects nothing and writes no name."""
    three = ControlledZone("az3", 3, fleet.ic_nb, fleet.ic_sb)
    fleet.zones.append(three)
    three.join(az_name="az1")
    fleet.settle()
    assert three.find(NbGlobal)["name"] == ""
    assert not three.all(LogicalSwitchPort)
    assert set(claims(fleet).values()) == {"az1", "az2"}
    assert "is in use by another cluster" in told(three)


def test_a_zone_of_ovn_ic_is_not_renamed_onto(fleet: ControlledFleet) -> None:
    """A registered name without a claim counts as taken."""
    one = fleet.zones[0]
    one.write(Insert(AvailabilityZone, {"name": "plain"}))
    one.join(az_name="plain")
    fleet.settle()
    assert one.find(NbGlobal)["name"] == "az1"
    assert "is in use by another cluster" in told(one)


# -- gateways ----------------------------------------------------------------------------------


def test_gateways_are_rotated_over_transit_switches(fleet: ControlledFleet) -> None:
    """Each transit switch prefers another gateway node."""
    site = fleet.zones[0]
    for number in (2, 3):
        site.add_chassis(f"c{number}", f"192.0.2.1{number}", hostname=f"gw{number}")
    fleet.add_ts("ts10", "169.254.110.0/24")
    fleet.add_ts("ts2", "169.254.102.0/24")
    site.join(gw_nodes="gw, gw2, gw3")
    fleet.settle()
    assert gateways(site, "ts") == {"gw-az1": 100, "c2": 99, "c3": 98}
    assert gateways(site, "ts2") == {"c2": 100, "c3": 99, "gw-az1": 98}
    assert gateways(site, "ts10") == {"c3": 100, "gw-az1": 99, "c2": 98}


def test_gateways_change_in_place(fleet: ControlledFleet) -> None:
    """Editing `gw-nodes` changes candidates and priorities of the same port (fault 4)."""
    site = fleet.zones[0]
    site.add_chassis("c2", "192.0.2.12", hostname="gw2")
    port = site.uuid(LogicalRouterPort, name="az1-ts")
    site.join(gw_nodes="gw2,gw")
    fleet.settle()
    assert gateways(site) == {"c2": 100, "gw-az1": 99}
    site.join(gw_nodes="gw2")
    fleet.settle()
    assert gateways(site) == {"c2": 100}
    assert site.uuid(LogicalRouterPort, name="az1-ts") == port


def test_nodes_that_cannot_serve_are_reported_and_the_others_serve(fleet: ControlledFleet) -> None:
    """Nodes that cannot serve are reported with remedies, and the others serve."""
    site = fleet.zones[0]
    site.apply(*(node(name) for name in ("bare", "idle", "gw")))
    site.add_chassis("c3", "192.0.2.13", hostname="idle", interconn=False)
    site.join(gw_nodes="nowhere,bare,idle,gw")
    fleet.settle()
    assert gateways(site) == {"gw-az1": 97}
    assert "data.gw-nodes = 'nowhere': there is no Node" in told(site)
    assert "data.gw-nodes = 'bare': the node has no chassis" in told(site)
    assert "data.gw-nodes = 'idle': the node's chassis does not take part" in told(site)
    idle = site.uuid(Chassis, name="c3")
    site.update(Chassis, idle, other_config={"is-interconn": "true"})
    site.add_chassis("c2", "192.0.2.12", hostname="bare")
    fleet.settle()
    assert gateways(site) == {"c2": 99, "c3": 98, "gw-az1": 97}
    site.join(gw_nodes="gw")
    fleet.settle()
    assert told(site) == ""


def test_a_gateway_that_is_not_ready_is_reported_and_stays(fleet: ControlledFleet) -> None:
    """A gateway node that is not Ready is reported and stays a gateway; BFD decides on failover."""
    site = fleet.zones[0]
    site.apply(
        manifest("Node", "gw", status={"conditions": [{"type": "Ready", "status": "Unknown"}]})
    )
    fleet.settle()
    assert gateways(site) == {"gw-az1": 100}
    assert "data.gw-nodes = 'gw': the node is not Ready" in told(site)
    site.apply(manifest("Node", "gw", status={"conditions": [{"type": "Ready", "status": "True"}]}))
    fleet.settle()
    assert told(site) == ""


def test_without_any_usable_gateway_nothing_changes(fleet: ControlledFleet) -> None:
    """If no listed node can serve, existing gateways stay, and a new zone creates no port."""
    one, two = fleet.zones
    one.join(gw_nodes="stranger")
    fleet.settle()
    assert gateways(one) == {"gw-az1": 100}
    assert "none of these nodes can serve as a gateway" in told(one)
    one.name = "az7"
    one.join(gw_nodes="stranger")
    fleet.settle()
    assert gateways(one) == {"gw-az1": 100}
    three = ControlledZone("az3", 3, fleet.ic_nb, fleet.ic_sb)
    fleet.zones.append(three)
    three.join(gw_nodes="stranger")
    fleet.settle()
    assert not three.all(LogicalRouterPort, name="az3-ts")
    assert not two.all(LogicalSwitchPort, name="ts-az3")


def test_fault_12_a_node_of_the_same_name_in_another_cluster(fleet: ControlledFleet) -> None:
    """A remote chassis with the hostname of a gateway node is not used (fault 12)."""
    site = fleet.zones[0]
    assert len(site.all(Chassis, hostname="gw")) == 2
    assert gateways(site) == {"gw-az1": 100}


# -- transit switches --------------------------------------------------------------------------


def test_transit_switches_come_and_go_without_touching_others(fleet: ControlledFleet) -> None:
    """Adding or removing a transit switch does not change the ports on others (fault 8)."""
    site = fleet.zones[0]
    port = site.uuid(LogicalRouterPort, name="az1-ts")
    fleet.add_ts("ts1", "169.254.101.0/24")
    fleet.settle()
    assert len(networks(site, "ts1")) == 1
    fleet.ic_nb.transact([Delete(TransitSwitch, RowId(fleet.ts("ts1")["_uuid"]))])
    fleet.settle()
    assert {row["name"] for row in site.all(LogicalRouterPort)} == {"ovn-default", "az1-ts"}
    assert {row["name"] for row in site.all(LogicalSwitch)} == {"ts"}
    assert site.uuid(LogicalRouterPort, name="az1-ts") == port


def test_a_new_subnet_of_a_transit_switch(fleet: ControlledFleet) -> None:
    """With a new subnet, new addresses are claimed, the old ones released, and the port stays."""
    site = fleet.zones[0]
    port = site.uuid(LogicalRouterPort, name="az1-ts")
    uuid = RowId(fleet.ts()["_uuid"])
    key = {"subnet": "169.254.7.0/24,fe80:a9fe:7::/112"}
    fleet.ic_nb.transact([set_keys(TransitSwitch, uuid, "external_ids", key)])
    fleet.settle()
    assert len(networks(site)) == 2
    assert all(network.startswith(("169.254.7.", "fe80:a9fe:7::")) for network in networks(site))
    assert len(claims(fleet)) == 4
    assert site.uuid(LogicalRouterPort, name="az1-ts") == port


@pytest.mark.parametrize("text", ["169.254.7.0/33", "x", "10.0.0.0/24,10.1.0.0/24"])
def test_a_bad_subnet_of_a_transit_switch(fleet: ControlledFleet, text: str) -> None:
    """An invalid subnet is reported, and existing connections stay."""
    site = fleet.zones[0]
    before = networks(site), claims(fleet)
    uuid = RowId(fleet.ts()["_uuid"])
    fleet.ic_nb.transact([set_keys(TransitSwitch, uuid, "external_ids", {"subnet": text})])
    fleet.settle()
    assert (networks(site), claims(fleet)) == before
    assert f"Transit_Switch ts: external_ids:subnet = '{text}': is not a valid subnet" in told(site)


def test_a_full_transit_switch() -> None:
    """A full subnet is reported, and the port is created when an address is released."""
    fleet = joined(ControlledFleet("az1", "az2", "az3", subnets="169.254.100.0/30"))
    late = next(site for site in fleet.zones if "no free address" in told(site))
    assert len(claims(fleet)) == 2
    assert not late.all(LogicalRouterPort, name=f"{late.name}-ts")
    gone = next(site for site in fleet.zones if site is not late)
    gone.delete(config_map())
    fleet.settle()
    assert told(late) == ""
    assert networks(late)


def test_a_family_that_is_full_makes_no_half_port() -> None:
    """If one family of the subnet is full, nothing is claimed and no port is created."""
    fleet = joined(ControlledFleet("az1", "az2", "az3", subnets="169.254.100.0/24,fd00::/127"))
    late = next(site for site in fleet.zones if "no free address" in told(site))
    assert late.name not in claims(fleet).values()
    assert not late.all(LogicalRouterPort, name=f"{late.name}-ts")


# -- addresses of others -----------------------------------------------------------------------


def publish(fleet: ControlledFleet, address: str) -> None:
    """Publish a port of a zone without claims, as ovn-ic does."""
    zone = NewRef()
    row: dict[str, Value] = {
        "transit_switch": "ts",
        "logical_port": "ts-plain",
        "tunnel_key": 77,
        "address": f"02:00:00:00:00:09 {address}",
        "availability_zone": zone,
    }
    operations = [Insert(AvailabilityZone, {"name": "plain"}, zone), Insert(IcPortBinding, row)]
    assert type(fleet.ic_sb.transact(operations)).__name__ == "Committed"


def test_published_addresses_are_respected() -> None:
    """An address that another zone publishes without a claim is not chosen."""
    fleet = ControlledFleet("az1", subnets="169.254.100.0/30")
    publish(fleet, "169.254.100.1/30")
    joined(fleet)
    assert networks(fleet.zones[0]) == {"169.254.100.2/30"}


def test_an_address_that_a_zone_without_claims_uses_is_released(fleet: ControlledFleet) -> None:
    """An address that a zone without claims publishes is released (fault 10)."""
    site = fleet.zones[0]
    (before,) = networks(site)
    publish(fleet, before)
    fleet.settle()
    (after,) = networks(site)
    assert after != before
    assert site.name in claims(fleet).values()
    assert len(claims(fleet)) == 2


def test_a_port_made_by_kube_ovn_is_taken_over() -> None:
    """A port of Kube-OVN keeps its address, MAC and rows; only marks and the MTU are added."""
    fleet = ControlledFleet("az1", "az2", subnets=DUAL)
    site = fleet.zones[0]
    lsp, lrp, gateway, switch = NewRef(), NewRef(), NewRef(), NewRef()
    vendor = {"vendor": "kube-ovn"}
    port: dict[str, Value] = {
        "name": "az1-ts",
        "mac": "00:00:00:50:AC:8C",
        "networks": frozenset({"169.254.100.45/24", "fe80:a9fe:64:0::2d/112"}),
        "external_ids": vendor,
        "gateway_chassis": frozenset({gateway}),
    }
    candidate: dict[str, Value] = {"name": "az1-ts-gw-az1", "chassis_name": "gw-az1"}
    candidate["priority"] = 100
    switch_port: dict[str, Value] = {
        "name": "ts-az1",
        "type": "router",
        "addresses": frozenset({"router"}),
        "options": {"router-port": "az1-ts"},
        "external_ids": {"ls": "ts", **vendor},
    }
    copy: dict[str, Value] = {"name": "ts", "other_config": {"interconn-ts": "ts"}}
    copy["ports"] = frozenset({lsp})
    site.write(
        Insert(GatewayChassis, candidate, gateway),
        Insert(LogicalRouterPort, port, lrp),
        Mutate(LogicalRouter, site.router, (("ports", "insert", frozenset({lrp})),)),
        Insert(LogicalSwitchPort, switch_port, lsp),
        Insert(LogicalSwitch, copy, switch),
    )
    before = site.find(LogicalRouterPort, name="az1-ts")
    joined(fleet)
    after = site.find(LogicalRouterPort, name="az1-ts")
    marks = {"isthmus-transit-switch": "ts", "isthmus-gateway-mtu": "1400"}
    assert after.pop("external_ids") == {**marks, **vendor}
    assert after.pop("options") == {"gateway_mtu": "1400"}
    assert after == {key: value for key, value in before.items() if key in after}
    assert {"169.254.100.45", "fe80:a9fe:64::2d"} < claims(fleet).keys()


def test_port_names_that_are_taken_are_reported(fleet: ControlledFleet) -> None:
    """A foreign port with the name of ours is reported and not changed."""
    three = ControlledZone("az3", 3, fleet.ic_nb, fleet.ic_sb)
    fleet.zones.append(three)
    three.add_router_port("az3-ts", "10.99.0.1/24")
    three.join()
    fleet.settle()
    assert (
        "Logical_Router_Port az3-ts: name = 'az3-ts': has the name of the port to create"
        in told(three)
    )
    assert three.find(LogicalRouterPort, name="az3-ts")["networks"] == {"10.99.0.1/24"}


@pytest.mark.parametrize(
    ("kind", "name", "changes"),
    [
        (LogicalRouterPort, "az1-ts", {"networks": frozenset({"169.254.100.99/24"})}),
        (LogicalRouterPort, "az1-ts", {"mac": "01:00:00:00:00:00"}),
        (LogicalRouterPort, "az1-ts", {"external_ids": {"vendor": "kube-ovn"}}),
        (LogicalSwitchPort, "ts-az1", {"addresses": frozenset()}),
        (LogicalSwitchPort, "ts-az1", {"options": {"router-port": "x"}}),
        (LogicalSwitchPort, "ts-az1", {"external_ids": {"vendor": "kube-ovn"}}),
        (GatewayChassis, "az1-ts-gw-az1", {"priority": 5}),
        (GatewayChassis, "az1-ts-gw-az1", {"chassis_name": "other"}),
        (NbGlobal, "az1", {"name": "else"}),
        (NbGlobal, "az1", {"options": {"northd_probe_interval": "5000"}}),
    ],
)
def test_drift_is_corrected(
    fleet: ControlledFleet, kind: Any, name: str, changes: dict[str, Any]
) -> None:
    """Manual changes of our objects are reverted."""
    site = fleet.zones[0]
    before = site.find(kind, name=name)
    site.update(kind, RowId(before["_uuid"]), **changes)
    fleet.settle()
    after = site.find(kind, name=name)
    assert {key: after[key] for key in changes} == {key: before[key] for key in changes}


def test_keys_of_others_stay(fleet: ControlledFleet) -> None:
    """Options of others stay, also when a port is corrected."""
    site = fleet.zones[0]
    lsp = site.uuid(LogicalSwitchPort, name="ts-az1")
    key = site.find(LogicalSwitchPort, name="ts-az1")["options"]["requested-tnl-key"]
    site.write(set_keys(LogicalSwitchPort, lsp, "options", {"router-port": "x", "mine": "1"}))
    fleet.settle()
    port = site.find(LogicalSwitchPort, name="ts-az1")
    assert port["options"] == {"router-port": "az1-ts", "mine": "1", "requested-tnl-key": key}


def test_a_router_that_does_not_exist_yet(fleet: ControlledFleet) -> None:
    """A missing router is reported, and the port is created when the router appears."""
    three = ControlledZone("az3", 3, fleet.ic_nb, fleet.ic_sb)
    fleet.zones.append(three)
    three.update(LogicalRouter, three.router, name="tenant")
    three.join()
    fleet.settle()
    assert "Logical_Router ovn-cluster: does not exist" in told(three)
    three.update(LogicalRouter, three.uuid(LogicalRouter), name="ovn-cluster")
    fleet.settle()
    assert networks(three)


# -- policies ----------------------------------------------------------------------------------


def test_policies_follow_learned_routes(fleet: ControlledFleet) -> None:
    """Each learned prefix has one policy, which is removed with the route."""
    one, two = fleet.zones
    one.adopt("policies", LogicalRouterPolicy, priority=29000, match="ip4.src == 10.1.0.0/16")
    two.add_router_port("more", "10.7.0.1/24", "fd00:7::1/64")
    fleet.settle()
    assert matches(one) == {
        "ip4.src == 10.1.0.0/16",
        "ip4.dst == 10.2.0.0/16",
        "ip4.dst == 10.7.0.0/24",
    }
    gone = frozenset({Ref(two.uuid(LogicalRouterPort, name="more"))})
    two.write(Mutate(LogicalRouter, two.router, (("ports", "delete", gone),)))
    fleet.settle()
    assert matches(one) == {"ip4.src == 10.1.0.0/16", "ip4.dst == 10.2.0.0/16"}


def test_policies_for_manual_routes(fleet: ControlledFleet) -> None:
    """A manual route over a transit switch gets a policy in canonical form; others do not."""
    site = fleet.zones[0]
    site.join(auto_route="false")
    site.add_route("10.17.0.5/24", "169.254.100.31")
    site.add_route("10.18.0.0/24", "100.64.0.2")
    site.add_route("10.19.0.0/24", "169.254.100.31", policy="src-ip")
    fleet.settle()
    assert matches(site) == {"ip4.dst == 10.17.0.0/24"}
    assert site.find(LogicalRouterPolicy)["external_ids"]["origin"] == "static"
    site.drop_route("10.17.0.5/24")
    fleet.settle()
    assert matches(site) == set()


def test_surplus_and_damaged_policies(fleet: ControlledFleet) -> None:
    """A second policy for a prefix is removed, and a wrong action is corrected."""
    site = fleet.zones[0]
    ids = {"vendor": "kube-ovn", "origin": "static"}
    row = {"priority": 29500, "match": "ip4.dst == 10.2.0.0/16", "action": "drop"}
    site.adopt("policies", LogicalRouterPolicy, external_ids=ids, **row)
    site.update(LogicalRouterPolicy, site.uuid(LogicalRouterPolicy, action="allow"), action="drop")
    fleet.settle()
    policy = site.find(LogicalRouterPolicy)
    assert (policy["action"], policy["external_ids"]["origin"]) == ("allow", "connected")


def test_one_route_more_is_one_policy_more(fleet: ControlledFleet) -> None:
    """The work for one route does not depend on the number of routes."""
    one, two = fleet.zones
    for number in range(50):
        two.add_route(f"10.100.{number}.0/24", "10.2.0.9")
    fleet.settle()
    policies = next(r for r in one.intents if r.name == "route policies")
    ports = next(r for r in one.intents if r.name == "router ports")
    before = policies.handled, ports.handled
    two.add_route("10.101.0.0/24", "10.2.0.9")
    fleet.settle()
    assert "ip4.dst == 10.101.0.0/24" in matches(one)
    assert policies.handled - before[0] <= 4
    assert ports.handled == before[1]


# -- leaving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("how", ["deleted", "disabled"])
def test_leaving_leaves_nothing(fleet: ControlledFleet, how: str, seed: int) -> None:
    """Leaving leaves nothing in any database or zone, in any order of transactions."""
    one, two = fleet.zones
    one.random.seed(seed)
    if how == "deleted":
        one.delete(config_map())
    else:
        one.join(enable_ic="false")
    fleet.settle()
    assert one.traces() == []
    assert [row["name"] for row in two.all(AvailabilityZone)] == ["az2"]
    assert set(claims(fleet).values()) == {"az2"}
    assert two.find(IcSbGlobal)["external_ids"].keys() == {zone_claim("az2")}
    assert not two.all(LogicalSwitchPort, name="ts-az1")
    assert matches(two) == set()
    one.join(az_name="az1")
    fleet.settle()
    assert matches(two) == {"ip4.dst == 10.1.0.0/16"}


@pytest.mark.parametrize("restarted", [False, True])
def test_leaving_without_the_record_of_the_zone(fleet: ControlledFleet, restarted: bool) -> None:
    """A marked router port shows that Isthmus has joined, if NB_Global has lost its keys."""
    one, two = fleet.zones
    one.update(NbGlobal, one.uuid(NbGlobal), external_ids={})
    if restarted:
        one.manifests[config_map().key] = config_map(enable_ic="false")
        one.start()
    else:
        one.join(enable_ic="false")
    one.reachable = {Database.NB, Database.SB}
    fleet.settle()
    assert joined_zone(NbGlobal(uuid=RowId(""), external_ids=ids(one))) == JoinedZone(
        "az1", "tcp:192.168.65.3:6645", "tcp:192.168.65.3:6646"
    )
    one.reachable = set(Database)
    one.engine.recompute("reachable again")
    fleet.settle()
    assert one.traces() == []
    assert [row["name"] for row in two.all(AvailabilityZone)] == ["az2"]
    assert set(claims(fleet).values()) == {"az2"}


def ids(zone: ControlledZone) -> dict[str, str]:
    """What NB_Global has in `external_ids`."""
    found: dict[str, str] = zone.find(NbGlobal)["external_ids"]
    return found


def test_leaving_while_the_ic_databases_are_unreachable(fleet: ControlledFleet) -> None:
    """Without the IC databases, NB and SB are cleaned at once, and the rest later (fault 9)."""
    one, two = fleet.zones
    one.reachable = {Database.NB, Database.SB}
    one.delete(config_map())
    fleet.settle()
    remembered = [
        f"external_ids:isthmus-{key}" for key in ("zone", "zone-row", "ic-nb-db", "ic-sb-db")
    ]
    assert sorted(one.traces()) == sorted(remembered)
    one.start()
    one.apply()
    fleet.settle()
    assert {row["name"] for row in two.all(AvailabilityZone)} == {"az1", "az2"}
    one.reachable = set(Database)
    one.engine.recompute("reachable again")
    fleet.settle()
    assert one.traces() == []
    assert {row["name"] for row in two.all(AvailabilityZone)} == {"az2"}
    assert set(claims(fleet).values()) == {"az2"}


def test_northbound_is_cleaned_in_one_transaction(fleet: ControlledFleet) -> None:
    """The northbound database is cleaned in one transaction."""
    one = fleet.zones[0]
    before = len(one.nb.committed)
    one.reachable = {Database.NB, Database.SB}
    one.delete(config_map())
    fleet.settle()
    assert len(one.nb.committed) == before + 1


def test_a_cluster_that_never_joined_is_not_cleaned() -> None:
    """Objects of Kube-OVN's own controller are not removed by a cluster that never joined."""
    fleet = ControlledFleet("az1")
    site = fleet.zones[0]
    site.write(Update(NbGlobal, site.uuid(NbGlobal), {"name": "az1"}))
    site.write(Insert(LogicalSwitch, {"name": "ts", "other_config": {"interconn-ts": "ts"}}))
    site.apply()
    site.settle()
    assert site.find(NbGlobal)["name"] == "az1"
    assert site.all(LogicalSwitch, name="ts")


def test_a_cluster_that_has_joined_by_other_means_since_is_not_cleaned(
    fleet: ControlledFleet,
) -> None:
    """Nothing is removed if NB has another zone name by now."""
    site = fleet.zones[0]
    site.reachable = {Database.NB, Database.SB}
    site.delete(config_map())
    fleet.settle()
    site.write(Update(NbGlobal, site.uuid(NbGlobal), {"name": "other"}))
    site.write(Insert(LogicalSwitch, {"name": "ts", "other_config": {"interconn-ts": "ts"}}))
    fleet.settle()
    assert site.all(LogicalSwitch, name="ts")
    (problem,) = site.problems()
    assert (problem.reason, problem.value) == (Reason.INEFFECTIVE, "other")
    site.write(
        drop_keys(NbGlobal, site.uuid(NbGlobal), "external_ids", frozenset({"isthmus-zone"}))
    )
    fleet.settle()
    assert site.problems() == []


def test_leaving_keeps_ports_of_others_on_a_transit_switch(fleet: ControlledFleet) -> None:
    """When leaving, manual ports stay with their switch; remote ports are removed."""
    one = fleet.zones[0]
    ref = NewRef()
    switch = one.uuid(LogicalSwitch, name="ts")
    one.write(
        Insert(LogicalSwitchPort, {"name": "by-hand", "type": "router"}, ref),
        Mutate(LogicalSwitch, switch, (("ports", "insert", frozenset({ref})),)),
    )
    one.delete(config_map())
    fleet.settle()
    assert [row["name"] for row in one.all(LogicalSwitchPort)] == ["by-hand"]
    assert not one.all(LogicalRouterPort, name="az1-ts")


def test_an_invalid_config_map_never_leaves(fleet: ControlledFleet) -> None:
    """An invalid ConfigMap never makes a cluster leave."""
    one = fleet.zones[0]
    before = writes(one)
    for bad in ({"enable_ic": "False"}, {"enable_ic": None}, {"gw_nodes": ""}, {"az_name": None}):
        one.apply(config_map(**bad))
        fleet.settle()
    assert writes(one) == before


def test_a_port_requests_its_tunnel_key_at_once(fleet: ControlledFleet) -> None:
    """A new port requests its tunnel key at once, and the key never changes."""
    for site in fleet.zones:
        port = site.find(LogicalSwitchPort, name=f"ts-{site.name}")
        published = site.find(IcPortBinding, logical_port=f"ts-{site.name}")
        assert port["options"]["requested-tnl-key"] == str(published["tunnel_key"])
        changed = [
            operation
            for operations in site.databases[Database.NB].committed
            for operation in operations
            if isinstance(operation, Mutate) and operation.uuid == port["_uuid"]
        ]
        assert changed == []


def test_a_gateway_that_is_not_ready_or_deleted_is_reported_and_stays(
    fleet: ControlledFleet,
) -> None:
    """A gateway node that is not Ready or deleted is reported and stays a gateway."""
    site = fleet.zones[0]
    site.add_chassis("c2", "192.0.2.12", hostname="gw2")
    site.join(gw_nodes="gw,gw2")
    bad = node("gw", "192.0.2.1")
    lost = [{"type": "Ready", "status": "Unknown"}]
    bad.body["status"]["conditions"] = lost
    site.apply(bad)
    fleet.settle()
    assert gateways(site) == {"gw-az1": 100, "c2": 99}
    assert "data.gw-nodes = 'gw': the node is not Ready" in told(site)
    assert "data.gw-nodes = 'gw2': the node does not exist any more" in told(site)
    site.apply(node("gw", "192.0.2.1"), node("gw2", "192.0.2.12"))
    fleet.settle()
    assert told(site) == ""


def test_overlapping_subnets_are_reported(fleet: ControlledFleet) -> None:
    """Overlapping Subnets of a VPC are reported; other VPCs and VLANs may use the same CIDR."""
    one, two = fleet.zones
    one.apply(
        subnet("a", "10.1.0.0/16"),
        subnet("b", "10.1.0.0/16"),
        subnet("c", "10.1.7.0/24,fd00::/64"),
        subnet("d", "10.1.0.0/16", vpc="tenant"),
        subnet("e", "10.1.0.0/16", vlan="vlan1"),
        subnet("f", "10.2.0.0/16,fd00:1::/64"),
        subnet("g", "10.199.0.0/16", disableInterConnection=True),
    )
    fleet.settle()
    overlaps = [str(p) for p in one.inputs.problems]
    assert [text.partition(" in the same")[0] for text in overlaps] == [
        "Subnet b: spec.cidrBlock = '10.1.0.0/16': overlaps 10.1.0.0/16 of Subnet a",
        "Subnet c: spec.cidrBlock = '10.1.7.0/24': overlaps 10.1.0.0/16 of Subnet b",
    ]
    assert options(one)["ic-route-blacklist"] == "10.199.0.0/16"
    assert "ip4.dst == 10.1.0.0/16" in matches(two)


def committed(site: ControlledZone, since: int) -> list[Any]:
    """The operations in a zone's northbound database after a number of transactions."""
    return [operation for batch in site.nb.committed[since:] for operation in batch]


def test_a_reorder_of_gateways_changes_priorities_only(fleet: ControlledFleet) -> None:
    """Reordering gateways updates the priorities of existing rows."""
    site = fleet.zones[0]
    site.add_chassis("c2", "192.0.2.12", hostname="gw2")
    site.join(gw_nodes="gw,gw2")
    fleet.settle()
    rows = {row["chassis_name"]: row["_uuid"] for row in site.all(GatewayChassis)}
    before = len(site.nb.committed)
    site.join(gw_nodes="gw2,gw")
    fleet.settle()
    assert gateways(site) == {"c2": 100, "gw-az1": 99}
    changed = committed(site, before)
    assert [type(operation) for operation in changed] == [Update, Update]
    assert {operation.table for operation in changed} == {GatewayChassis}
    assert {row["chassis_name"]: row["_uuid"] for row in site.all(GatewayChassis)} == rows


@pytest.mark.parametrize(
    ("changes", "tables"),
    [
        ({"auto_route": "false"}, {"NB_Global"}),
        ({"mtu": "1300"}, {"Logical_Router_Port"}),
        ({"ic_db_host": "192.168.65.4"}, {"NB_Global"}),
        ({"gw_nodes": "gw,gw2"}, {"Gateway_Chassis", "Logical_Router_Port"}),
        ({"accept": "az2: []"}, set()),
        ({"routes": "[]"}, set()),
        ({"vpcs": "shop=blue"}, set()),
    ],
)
def test_each_edit_writes_only_what_depends_on_it(
    fleet: ControlledFleet, changes: dict[str, str], tables: set[str]
) -> None:
    """Each edit writes only to the rows that depend on it."""
    site = fleet.zones[0]
    site.add_chassis("c2", "192.0.2.12", hostname="gw2")
    fleet.settle()
    before = len(site.nb.committed)
    site.join(**changes)
    fleet.settle()
    engines = {"Logical_Router_Static_Route", "Logical_Router_Policy", "Logical_Router"}
    written = {operation.table.TABLE for operation in committed(site, before)}
    assert written - engines == tables


@pytest.mark.parametrize("before", ["true", "false"])
def test_a_missing_auto_route_leaves_routes_as_they_are(
    fleet: ControlledFleet, before: str
) -> None:
    """Removing the line is not known to be meant, also not by a daemon that starts."""
    site = fleet.zones[0]
    site.join(auto_route=before)
    fleet.settle()
    found = options(site), matches(site)
    site.join(auto_route=None)
    site.start()
    fleet.settle()
    assert (options(site), matches(site)) == found
    assert bool(found[1]) is (before == "true")


@pytest.mark.parametrize("address", ["192.0.2.1", "192.0.2.2"])
def test_a_gateway_node_that_cannot_register_because_its_tunnel_ip_is_taken(
    fleet: ControlledFleet, address: str
) -> None:
    """A node with the tunnel IP of another node, or of another zone's gateway, has no chassis."""
    site = fleet.zones[0]
    site.apply(config_map(az_name="az1", gw_nodes="gw,new"), node("gw", "192.0.2.9"),
               node("new", address))  # fmt: skip
    fleet.settle()
    (problem,) = (one for one in site.problems() if one.value == "new")
    assert problem.reason is Reason.TUNNEL_IP_TAKEN
    assert f"{address} as the tunnel IP of chassis gw-az{address[-1]}" in problem.message
    holder = fleet.zones[int(address[-1]) - 1]
    holder.update(SbEncap, holder.uuid(SbEncap, ip=address), ip="192.0.2.77")
    fleet.settle()
    (problem,) = (one for one in site.problems() if one.value == "new")
    assert problem.reason is Reason.NO_CHASSIS
