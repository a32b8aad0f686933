"""The interconnection engine on fake databases: two or three zones, one behaviour each."""

from math import inf

import pytest

from isthmus.exchange.zones.registration import LINGER
from isthmus.model.operations import Delete, Insert, Mutate, NewRef, Ref, Update, Value
from isthmus.model.ovn_keys import GLOBAL_KEYS, VXLAN_KEYS
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    Gateway,
    IcDatapathBinding,
    IcNbGlobal,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    LoadBalancer,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    RowId,
    SbDatapathBinding,
    SbEncap,
    SbLearnedRoute,
    SbPortBinding,
    TransitRouter,
    TransitSwitch,
)
from support.fakes.fleet import Fleet
from support.fakes.schemas import INDEXES
from support.fakes.zone import Zone


@pytest.fixture
def fleet() -> Fleet:
    """Two joined zones with a subnet each."""
    fleet = Fleet("az1", "az2")
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach("ts", f"169.254.100.{number}/24")
    fleet.settle()
    return fleet


def test_a_zone_registers_its_name_and_its_claim(fleet: Fleet) -> None:
    """Both zones have a row, and a claim that names their cluster."""
    one, two = fleet.zones
    assert {row["name"] for row in one.all(AvailabilityZone)} == {"az1", "az2"}
    assert one.find(IcSbGlobal)["external_ids"] == {
        "isthmus-zone-az1": one.uuid(NbGlobal),
        "isthmus-zone-az2": two.uuid(NbGlobal),
    }


def test_gateways_become_the_others_remote_chassis(fleet: Fleet) -> None:
    """A local interconnection chassis is a gateway in IC-SB and a remote chassis elsewhere."""
    one, two = fleet.zones
    assert {row["name"] for row in one.all(Gateway)} == {"az1-gw", "az2-gw"}
    remote = two.find(Chassis, name="az1-gw")
    assert remote["other_config"] == {"is-remote": "true"}
    one.write(Update(Chassis, one.uuid(Chassis, name="az1-gw"), {"other_config": {}}))
    fleet.settle()
    assert not two.all(Chassis, name="az1-gw")


def test_ports_are_published_copied_and_bound(fleet: Fleet) -> None:
    """A router port is in IC-SB with its address and gateway, and elsewhere a bound remote port."""
    one, two = fleet.zones
    port = one.find(IcPortBinding, logical_port="ts-az1")
    assert port["address"] == "0a:00:00:00:01:01 169.254.100.1/24"
    assert port["gateway"] == "az1-gw"
    assert port["external_ids"] == {"router-id": one.router}
    copy = two.find(LogicalSwitchPort, name="ts-az1")
    assert (copy["type"], copy["up"]) == ("remote", True)
    assert copy["addresses"] == {port["address"]}
    assert copy["options"] == {"requested-tnl-key": str(port["tunnel_key"])}
    binding = two.find(SbPortBinding, logical_port="ts-az1")
    assert binding["chassis"] == two.uuid(Chassis, name="az1-gw")
    own = one.find(LogicalSwitchPort, name="ts-az1")
    assert own["options"]["requested-tnl-key"] == str(port["tunnel_key"])


def test_connected_networks_are_exchanged(fleet: Fleet) -> None:
    """Each zone learns the other's subnet, and not its own nor the transit network."""
    one, two = fleet.zones
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2"}}
    assert two.learned() == {"10.1.0.0/16": {"169.254.100.1"}}


def test_static_routes_are_exchanged_and_withdrawn(fleet: Fleet) -> None:
    """A static route goes to the other zone, and goes away with its source."""
    one, two = fleet.zones
    one.add_route("172.16.0.0/12", "10.1.0.9")
    fleet.settle()
    assert two.learned()["172.16.0.0/12"] == {"169.254.100.1"}
    assert one.find(IcRoute, ip_prefix="172.16.0.0/12")["origin"] == "static"
    one.drop_route("172.16.0.0/12", external_ids={})
    fleet.settle()
    assert "172.16.0.0/12" not in two.learned()


@pytest.mark.parametrize(
    ("prefix", "nexthop", "columns"),
    [
        ("172.16.0.0/12", "10.1.0.9", {"policy": "src-ip"}),
        ("172.16.0.0/12", "10.1.0.9", {"route_table": "other"}),
        ("169.254.7.0/24", "10.1.0.9", {}),
        ("0.0.0.0/0", "10.1.0.9", {}),
        ("nonsense", "10.1.0.9", {}),
        ("fd00:7::/64", "fd00::1", {}),  # the port has no IPv6 address, but its link-local one
    ],
)
def test_what_is_not_advertised(
    fleet: Fleet, prefix: str, nexthop: str, columns: dict[str, str]
) -> None:
    """Routes by source, of other tables, link-local, default or invalid ones are not advertised."""
    one, two = fleet.zones
    one.add_route(prefix, nexthop, **columns)
    fleet.settle()
    assert two.learned() == {"10.1.0.0/16": {"169.254.100.1"}}


def test_default_routes_need_their_own_switches(fleet: Fleet) -> None:
    """A default route is exchanged only with the -default options on both sides."""
    one, two = fleet.zones
    one.add_route("0.0.0.0/0", "10.1.0.9")
    one.set_options(ic_route_adv_default="true")
    fleet.settle()
    assert one.find(IcRoute, ip_prefix="0.0.0.0/0")
    assert "0.0.0.0/0" not in two.learned()
    two.set_options(ic_route_learn_default="true")
    fleet.settle()
    assert two.learned()["0.0.0.0/0"] == {"169.254.100.1"}


def test_advertising_and_learning_have_separate_options(fleet: Fleet) -> None:
    """ic-route-adv and ic-route-learn act alone, live, in both directions."""
    one, two = fleet.zones
    one.set_options(ic_route_adv="false")
    fleet.settle()
    assert two.learned() == {}
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2"}}
    one.set_options(ic_route_adv="true", ic_route_learn="false")
    fleet.settle()
    assert two.learned() == {"10.1.0.0/16": {"169.254.100.1"}}
    assert one.learned() == {}


@pytest.mark.parametrize("option", ["ic_route_denylist", "ic_route_blacklist"])
def test_the_denylist_acts_in_both_directions(fleet: Fleet, option: str) -> None:
    """Prefixes inside an entry are neither advertised nor learned; all others are."""
    one, two = fleet.zones
    one.add_router_port("more", "10.77.1.1/24")
    two.add_router_port("more", "10.88.1.1/24")
    one.set_options(**{option: "10.77.0.0/16,bad,10.88.0.0/16"})
    fleet.settle()
    assert "10.77.1.0/24" not in two.learned()
    assert "10.88.1.0/24" not in one.learned()
    assert "10.1.0.0/16" in two.learned()
    assert [problem.value for problem in one.engine.problems()] == ["bad"]
    one.set_options(**{option: ""})
    fleet.settle()
    assert "10.77.1.0/24" in two.learned()
    assert "10.88.1.0/24" in one.learned()


def test_a_routers_own_route_wins(fleet: Fleet) -> None:
    """A prefix for which the router has a route of its own is not learned, until that goes."""
    one, _ = fleet.zones
    one.add_route("10.2.0.0/16", "10.1.0.9")
    fleet.settle()
    assert one.learned() == {}
    one.drop_route("10.2.0.0/16", external_ids={})
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2"}}


def test_a_learned_route_is_not_advertised_again() -> None:
    """With three zones, every IC-SB route has the zone that owns the subnet."""
    fleet = Fleet("az1", "az2", "az3")
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach("ts", f"169.254.100.{number}/24")
    fleet.settle()
    assert len(fleet.ic_sb.rows(IcRoute)) == 3


def test_two_transit_switches_give_two_next_hops(fleet: Fleet) -> None:
    """The same prefix through two switches is kept twice, for ECMP, and settles."""
    one, two = fleet.zones
    fleet.add_ts("ts1")
    fleet.settle()
    one.attach("ts1", "169.254.101.1/24")
    two.attach("ts1", "169.254.101.2/24")
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2", "169.254.101.2"}}


def test_everything_of_a_deleted_transit_switch_is_removed(fleet: Fleet) -> None:
    """Copies, ports, routes and learned routes go with their transit switch."""
    one, two = fleet.zones
    fleet.ic_nb.transact([Delete(TransitSwitch, one.uuid(TransitSwitch, name="ts"))])
    fleet.settle()
    for zone in (one, two):
        assert not zone.all(LogicalSwitch)
        assert not zone.all(IcPortBinding)
        assert not zone.all(IcRoute)
        assert zone.learned() == {}


def test_a_renamed_zone_keeps_its_row(fleet: Fleet) -> None:
    """A rename updates the row, also when the daemon was down meanwhile."""
    one, _ = fleet.zones
    before = one.uuid(AvailabilityZone, name="az1")
    one.rename("east")
    fleet.settle()
    assert one.uuid(AvailabilityZone, name="east") == before
    one.rename("west")
    one.start()
    fleet.settle()
    assert one.uuid(AvailabilityZone, name="west") == before
    assert len(one.all(AvailabilityZone)) == 2
    assert "isthmus-zone-az1" not in one.find(IcSbGlobal)["external_ids"]


def test_an_emptied_name_removes_all_rows_of_the_zone(fleet: Fleet) -> None:
    """Without a name the zone, its gateways, ports, routes and claim leave IC-SB."""
    one, two = fleet.zones
    one.rename("")
    fleet.settle()
    assert {row["name"] for row in one.all(AvailabilityZone)} == {"az2"}
    assert [row["name"] for row in one.all(Gateway)] == ["az2-gw"]
    assert [row["logical_port"] for row in one.all(IcPortBinding)] == ["ts-az2"]
    assert two.learned() == {}
    assert "isthmus-zone-az1" not in one.find(IcSbGlobal)["external_ids"]


def test_a_left_zone_that_ovn_ic_registers_once_more_goes_again(fleet: Fleet) -> None:
    """ovn-ic next to us may see the removal before it sees that the name is empty."""
    one, _ = fleet.zones
    one.observe()
    one.rename("")
    fleet.settle()
    assert not one.all(AvailabilityZone, name="az1")
    registration = one.exchange.registration
    assert registration.tick(100.0) == 100.0 + LINGER
    again = NewRef()
    gateway = Insert(Gateway, {"name": "az1-gw", "availability_zone": again})
    one.write(Insert(AvailabilityZone, {"name": "az1"}, again), gateway)
    fleet.settle()
    assert not one.all(AvailabilityZone, name="az1")
    # What counts is how long they have been away this time.
    assert registration.tick(100.0 + LINGER) == 100.0 + 2 * LINGER
    fleet.settle()
    assert "isthmus-zone-az1" in one.find(IcSbGlobal)["external_ids"]
    registration.tick(100.0 + 2 * LINGER)
    fleet.settle()
    assert "isthmus-zone-az1" not in one.find(IcSbGlobal)["external_ids"]
    assert registration.tick(200.0) == inf


def test_a_zone_that_comes_back_before_its_claim_has_gone_keeps_it(fleet: Fleet) -> None:
    """After leaving and joining again at once, no delayed removal takes the claim away."""
    one, _ = fleet.zones
    one.observe()
    one.rename("")
    fleet.settle()
    one.exchange.registration.tick(100.0)
    one.rename("az1")
    fleet.settle()
    assert one.exchange.registration.tick(101.0) == inf
    one.exchange.registration.tick(100.0 + LINGER)
    fleet.settle()
    assert "isthmus-zone-az1" in one.find(IcSbGlobal)["external_ids"]


def test_a_second_cluster_of_the_same_name_changes_nothing(fleet: Fleet) -> None:
    """The second is refused with the name and the remedy; the first is not affected."""
    stranger = Zone("az1", fleet.ic_nb, fleet.ic_sb)
    before = len(fleet.ic_sb.committed)
    stranger.add_chassis("stranger-gw", "192.0.2.99")
    fleet.zones.append(stranger)
    fleet.settle()
    assert len(fleet.ic_sb.committed) == before
    problem = next(iter(stranger.engine.problems()))
    assert (problem.key, problem.value) == ("name", "az1")
    assert "az-name" in problem.remedy


def test_remote_rows_changed_by_hand_are_restored(fleet: Fleet) -> None:
    """A learned route deleted by hand and a remote port's wrong address are restored at once."""
    one, _ = fleet.zones
    held = one.find(LogicalRouter, name="ovn-cluster")["static_routes"]
    gone = frozenset(Ref(RowId(str(uuid))) for uuid in held)
    one.write(Mutate(LogicalRouter, one.router, (("static_routes", "delete", gone),)))
    copy = one.uuid(LogicalSwitchPort, name="ts-az2")
    one.write(Update(LogicalSwitchPort, copy, {"addresses": frozenset({"x"})}))
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2"}}
    assert one.find(LogicalSwitchPort, name="ts-az2")["addresses"] != {"x"}


def test_a_restart_changes_nothing(fleet: Fleet) -> None:
    """A daemon that restarts on settled databases writes nothing."""
    before = [len(zone.databases[d].committed) for zone in fleet.zones for d in Database]
    for zone in fleet.zones:
        zone.start()
    fleet.settle()
    assert [len(z.databases[d].committed) for z in fleet.zones for d in Database] == before


def test_a_start_derives_each_route_once() -> None:
    """A daemon that starts on settled databases waits for all of them before it derives routes."""
    fleet = Fleet("az1", "az2")
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.attach("ts", f"169.254.100.{number}/24")
    for n in range(20):
        fleet.zones[1].add_router_port(f"n{n}", f"10.2.{n}.1/24")
    fleet.settle()
    one = fleet.zones[0]
    one.start()
    fleet.settle()
    (learned,) = (r for r in one.engine.reconcilers if r.name == "learned sources")
    assert learned.handled == len(fleet.ic_sb.rows(IcRoute))


def test_one_more_route_is_little_work() -> None:
    """Work per learned route does not grow with the number of routes."""
    handled = []
    for others in (10, 200):
        fleet = Fleet("az1", "az2")
        fleet.add_ts("ts")
        fleet.settle()
        for number, zone in enumerate(fleet.zones, start=1):
            zone.attach("ts", f"169.254.100.{number}/24")
        for n in range(others):
            fleet.zones[1].add_router_port(f"n{n}", f"10.2.{n}.1/24")
        fleet.settle()
        one = fleet.zones[0]
        before = sum(reconciler.handled for reconciler in one.engine.reconcilers)
        fleet.zones[1].add_router_port("last", "10.3.0.1/24")
        fleet.settle()
        assert "10.3.0.0/24" in one.learned()
        handled.append(sum(r.handled for r in one.engine.reconcilers) - before)
    assert handled[0] == handled[1]


def test_a_port_keeps_its_tunnel_key_when_ic_sb_has_lost_it(fleet: Fleet) -> None:
    """A port that is published again keeps its key: ovn-controller may not follow another."""
    two = fleet.zones[1]
    before = two.find(IcPortBinding, logical_port="ts-az2")["tunnel_key"]
    assert before != 1
    fleet.ic_sb.transact(
        [Delete(IcPortBinding, RowId(row["_uuid"])) for row in two.all(IcPortBinding)]
    )
    two.settle()
    assert two.find(IcPortBinding, logical_port="ts-az2")["tunnel_key"] == before
    fleet.settle()


def test_a_new_transit_switch_never_gets_the_key_of_a_copy(fleet: Fleet) -> None:
    """A new switch does not take the key of a copy whose row IC-SB has lost."""
    one = fleet.zones[0]
    carried = one.find(IcDatapathBinding, transit_switch="ts")["tunnel_key"]
    fleet.add_ts("aa")
    fleet.ic_sb.transact(
        [Delete(IcDatapathBinding, RowId(row["_uuid"])) for row in one.all(IcDatapathBinding)]
    )
    fleet.settle()
    keys = {row["transit_switch"]: row["tunnel_key"] for row in one.all(IcDatapathBinding)}
    assert keys == {"ts": carried, "aa": carried + 1}


def test_a_switch_with_a_tunnel_key_of_interconnection_is_not_a_copy(fleet: Fleet) -> None:
    """Other programs choose tunnel keys, too; their switches are never touched."""
    one = fleet.zones[0]
    config = {"requested-tnl-key": str(GLOBAL_KEYS[100])}
    one.write(Insert(LogicalSwitch, {"name": "theirs", "other_config": config}))
    fleet.settle()
    assert one.find(LogicalSwitch, name="theirs")["other_config"] == config


def test_a_transit_router_keeps_its_tunnel_key_when_ic_sb_has_lost_it(fleet: Fleet) -> None:
    """The copies of a transit router in NB show which key packets carry."""
    one = fleet.zones[0]
    fleet.ic_nb.transact([Insert(TransitRouter, {"name": "tr"})])
    fleet.settle()
    before = one.find(IcDatapathBinding, type="transit-router")["tunnel_key"]
    fleet.ic_sb.transact(
        [Delete(IcDatapathBinding, RowId(row["_uuid"])) for row in one.all(IcDatapathBinding)]
    )
    fleet.settle()
    assert one.find(IcDatapathBinding, type="transit-router")["tunnel_key"] == before


@pytest.mark.parametrize("key", ["", "x", "٣", "9" * 5000, "-1", "1 "])
def test_an_invalid_requested_key_counts_as_none(fleet: Fleet, key: str) -> None:
    """A port gets a valid key if someone has written another by hand."""
    two = fleet.zones[1]
    lsp = RowId(two.find(LogicalSwitchPort, name="ts-az2")["_uuid"])
    two.update(LogicalSwitchPort, lsp, options={"router-port": "az2-ts", "requested-tnl-key": key})
    fleet.ic_sb.transact(
        [Delete(IcPortBinding, RowId(row["_uuid"])) for row in two.all(IcPortBinding)]
    )
    fleet.settle()
    assert two.find(IcPortBinding, logical_port="ts-az2")["tunnel_key"] in range(1, 1 << 15)


def test_a_switch_copy_is_made_with_its_tunnel_key(fleet: Fleet) -> None:
    """northd never gets to choose a key of its own for a transit switch."""
    for zone in fleet.zones:
        inserted = [
            operation.row["other_config"]
            for operations in zone.nb.committed
            for operation in operations
            if isinstance(operation, Insert) and operation.table is LogicalSwitch
        ]
        assert inserted
        assert all("requested-tnl-key" in config for config in inserted)  # type: ignore[operator]


def add_load_balancer(zone: Zone, *vips: str, group: bool = False) -> RowId:
    """Give router `r` a load balancer, of its own or through a group."""
    ref, group_ref = NewRef(), NewRef()
    held = ("load_balancer_group", "insert", frozenset({group_ref}))
    if not group:
        held = ("load_balancer", "insert", frozenset({ref}))
    zone.write(
        Insert(LoadBalancer, {"name": "lb", "vips": dict.fromkeys(vips, "10.1.0.7:80")}, ref),
        Insert(LoadBalancerGroup, {"name": "g", "load_balancer": frozenset({ref})}, group_ref),
        Mutate(LogicalRouter, zone.router, (held,)),  # type: ignore[arg-type]
    )
    return zone.uuid(LoadBalancer, name="lb")


@pytest.mark.parametrize("group", [False, True])
def test_vips_are_exchanged_as_host_routes(fleet: Fleet, group: bool) -> None:
    """A router's VIPs go to zones that learn them, each address once, and follow the balancer."""
    one, two = fleet.zones
    lb = add_load_balancer(one, "10.50.0.1:80", "10.50.0.1:443", "10.50.0.2", group=group)
    one.set_options(ic_route_adv_lb="true")
    fleet.settle()
    route = one.find(IcRoute, ip_prefix="10.50.0.1/32")
    assert route["origin"] == "loadbalancer"
    assert route["external_ids"]["nb-id"] == lb
    assert "10.50.0.1/32" not in two.learned()
    two.set_options(ic_route_learn_lb="true")
    fleet.settle()
    assert {"10.50.0.1/32", "10.50.0.2/32"} <= two.learned().keys()
    one.write(Update(LoadBalancer, lb, {"vips": {"10.50.0.2:80": ""}}))
    fleet.settle()
    assert "10.50.0.1/32" not in two.learned()
    assert "10.50.0.2/32" in two.learned()


def test_a_prefix_around_a_local_vip_is_not_learned(fleet: Fleet) -> None:
    """A remote prefix with one of our router's VIPs inside is not learned until the VIP is gone."""
    one, _ = fleet.zones
    lb = add_load_balancer(one, "10.2.5.5:80")
    fleet.settle()
    assert "10.2.0.0/16" not in one.learned()
    one.write(Update(LoadBalancer, lb, {"vips": {"[fd00::1]:80": ""}}))
    fleet.settle()
    assert "10.2.0.0/16" in one.learned()


def test_discard_routes_are_advertised(fleet: Fleet) -> None:
    """A route that drops packets here is advertised to other zones."""
    one, two = fleet.zones
    one.add_route("172.20.0.0/16", "discard")
    fleet.settle()
    assert two.learned()["172.20.0.0/16"] == {"169.254.100.1"}


def test_sequence_numbers_come_back_when_all_zones_have_followed(fleet: Fleet) -> None:
    """A raised number reaches both global rows, once no zone has anything left to write."""
    one, two = fleet.zones
    one.write(Update(IcNbGlobal, one.uuid(IcNbGlobal), {"nb_ic_cfg": 7}))
    one.add_router_port("more", "10.77.0.1/24")
    one.work()
    assert one.find(IcNbGlobal)["sb_ic_cfg"] == 0
    fleet.settle()
    assert one.find(IcNbGlobal)["sb_ic_cfg"] == 7
    assert one.find(IcSbGlobal)["nb_ic_cfg"] == 7
    assert {row["nb_ic_cfg"] for row in two.all(AvailabilityZone)} == {7}
    history = [op for operations in fleet.ic_sb.committed for op in operations]
    numbered = next(
        place
        for place, op in enumerate(history)
        if isinstance(op, Update) and op.row.get("nb_ic_cfg") == 7
    )
    advertised = next(
        place
        for place, op in enumerate(history)
        if isinstance(op, Insert) and op.row.get("ip_prefix") == "10.77.0.1/24"
    )
    assert advertised < numbered


def test_vxlan_mode_moves_keys_into_twelve_bits(fleet: Fleet) -> None:
    """With the option and a VXLAN encap, keys are allocated again, also in NB, and vice versa."""
    one, _ = fleet.zones
    row = one.uuid(IcNbGlobal)
    one.write(Update(IcNbGlobal, row, {"options": {"vxlan_mode": "true"}}))
    fleet.settle()
    assert one.find(IcDatapathBinding)["tunnel_key"] in GLOBAL_KEYS
    encap = one.uuid(SbEncap, chassis_name="az1-gw")
    one.write(Update(SbEncap, encap, {"type": "vxlan"}))
    fleet.settle()
    key = one.find(IcDatapathBinding)["tunnel_key"]
    assert key in VXLAN_KEYS
    config = one.find(LogicalSwitch)["other_config"]
    assert (config["requested-tnl-key"], config["ic-vxlan_mode"]) == (str(key), "true")
    one.write(Update(IcNbGlobal, row, {"options": {}}))
    fleet.settle()
    assert one.find(IcDatapathBinding)["tunnel_key"] in GLOBAL_KEYS


def test_two_switches_never_keep_one_key(fleet: Fleet) -> None:
    """Where a newer schema lets two switches have the same key, one of them moves."""
    one, _ = fleet.zones
    fleet.add_ts("ts1")
    fleet.settle()
    rows = sorted(one.all(IcDatapathBinding), key=lambda row: str(row["_uuid"]))
    index = ("nb_ic_uuid", "tunnel_key")
    with_index = {(Database.IC_SB, "Datapath_Binding"): (index,)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("support.fakes.ovsdb.INDEXES", {**INDEXES, **with_index})
        same = {"tunnel_key": rows[0]["tunnel_key"]}
        fleet.ic_sb.transact([Update(IcDatapathBinding, RowId(str(rows[1]["_uuid"])), same)])
        fleet.settle()
    keys = [row["tunnel_key"] for row in one.all(IcDatapathBinding)]
    assert len(set(keys)) == 2


def test_routes_of_a_routing_daemon_are_advertised_and_not_learned_twice(fleet: Fleet) -> None:
    """Routes in SB's Learned_Route are advertised, and not learned from other zones."""
    one, two = fleet.zones
    ids = {"logical-router": str(one.router)}
    one.write(Insert(SbDatapathBinding, {"external_ids": ids}))
    datapath = Ref(one.uuid(SbDatapathBinding, external_ids=ids))
    for prefix in ("55.0.0.0/8", "10.2.0.0/16"):
        route = {"datapath": datapath, "ip_prefix": prefix, "nexthop": "10.1.0.77"}
        one.write(Insert(SbLearnedRoute, route))
    fleet.settle()
    assert one.learned() == {}
    assert two.learned()["55.0.0.0/8"] == {"169.254.100.1"}
    assert one.find(IcRoute, ip_prefix="55.0.0.0/8")["external_ids"] == {
        "nb-id": one.router,
        "lr-id": one.router,
    }
    for row in one.all(SbLearnedRoute):
        one.write(Delete(SbLearnedRoute, RowId(row["_uuid"])))
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {"169.254.100.2"}}
    assert two.learned() == {"10.1.0.0/16": {"169.254.100.1"}}


def test_a_port_to_another_switch_is_published(fleet: Fleet) -> None:
    """A port of type switch goes to the other zones, with unknown addresses, where it is bound."""
    one, two = fleet.zones
    here, there = NewRef(), NewRef()
    ts = one.uuid(LogicalSwitch, name="ts")
    one.write(
        Insert(LogicalSwitchPort, {"name": "ts-sw", "type": "switch", "peer": "sw-ts"}, here),
        Insert(LogicalSwitchPort, {"name": "sw-ts", "type": "switch", "peer": "ts-sw"}, there),
        Mutate(LogicalSwitch, ts, (("ports", "insert", frozenset({here})),)),
        Insert(LogicalSwitch, {"name": "sw", "ports": (there,)}),
    )
    fleet.settle()
    port = one.find(IcPortBinding, logical_port="ts-sw")
    assert port["address"] == "unknown"
    assert port["external_ids"] == {"router-id": one.uuid(LogicalSwitch, name="sw")}
    assert two.find(LogicalSwitchPort, name="ts-sw")["addresses"] == {"unknown"}


def test_a_link_local_next_hop_follows_the_mac(fleet: Fleet) -> None:
    """A port without an IPv6 address has the next hop of its MAC, also when the MAC changes."""
    _, two = fleet.zones
    two.add_router_port("six", "fd00:2::1/64")
    fleet.settle()
    assert two.find(IcRoute, ip_prefix="fd00:2::1/64")["nexthop"] == "fe80::800:ff:fe00:101"
    port = two.uuid(LogicalRouterPort, name="az2-ts")
    two.write(Update(LogicalRouterPort, port, {"mac": "0a:00:00:00:02:02"}))
    fleet.settle()
    assert two.find(IcRoute, ip_prefix="fd00:2::1/64")["nexthop"] == "fe80::800:ff:fe00:202"


def test_ipv4_goes_by_ipv6_next_hops_on_request() -> None:
    """On a transit switch without IPv4, an option of port or router lets IPv4 prefixes through."""
    fleet = Fleet("az1", "az2")
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.add_chassis(f"{zone.name}-gw", f"192.0.2.{number}")
        zone.attach_router("ts", f"fd00:100::{number}/64", chassis=f"{zone.name}-gw")
    fleet.settle()
    one, two = fleet.zones
    assert one.learned() == two.learned() == {}
    option = {"ic-route-ipv4-next-hop-ipv6": "true"}
    port = one.uuid(LogicalRouterPort, name="az1-ts")
    one.write(Update(LogicalRouterPort, port, {"options": option}))
    fleet.settle()
    assert one.find(IcRoute, ip_prefix="10.1.0.1/16")["nexthop"] == "fd00:100::1"
    assert two.learned() == {}
    two.write(Update(LogicalRouter, two.router, {"options": option}))
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {"fd00:100::2"}}
    assert two.learned() == {"10.1.0.0/16": {"fd00:100::1"}}


def test_prefixes_are_published_with_host_bits(fleet: Fleet) -> None:
    """They are written as `ovn-ic` writes them: as their ports and static routes have them."""
    one, two = fleet.zones
    one.add_route("10.9.1.1/24", "10.1.0.9")
    one.add_route("10.9.2.1", "10.1.0.9")
    one.add_route("fd00:A::1/64", "fd00:1::9")
    fleet.settle()
    published = {row["ip_prefix"] for row in one.all(IcRoute, nexthop="169.254.100.1")}
    assert published == {"10.1.0.1/16", "10.9.1.1/24", "10.9.2.1/32"}
    assert published <= {row["ip_prefix"] for row in two.all(LogicalRouterStaticRoute)}


def test_a_static_route_to_a_connected_network_is_another_route(fleet: Fleet) -> None:
    """Both are published and learned, as by `ovn-ic`, since they are written differently."""
    one, two = fleet.zones
    one.add_route("10.1.0.0/16", "10.1.0.9")
    fleet.settle()
    routes = {
        (row["ip_prefix"], row["origin"]) for row in one.all(IcRoute, nexthop="169.254.100.1")
    }
    assert routes == {("10.1.0.0/16", "static"), ("10.1.0.1/16", "connected")}
    learned = [row["ip_prefix"] for row in two.all(LogicalRouterStaticRoute)]
    assert sorted(learned) == ["10.1.0.0/16", "10.1.0.1/16"]


def test_prefixes_are_published_without_host_bits_on_request(fleet: Fleet) -> None:
    """The option applies to new rows; those that exist stay, so no zone learns a route again."""
    one, two = fleet.zones
    before, written = one.uuid(IcRoute, ip_prefix="10.1.0.1/16"), len(two.nb.committed)
    one.set_options(isthmus_route_host_bits="false")
    fleet.settle()
    assert one.uuid(IcRoute, ip_prefix="10.1.0.1/16") == before
    assert len(two.nb.committed) == written
    one.add_router_port("other", "10.8.0.1/16")
    fleet.settle()
    new = one.uuid(IcRoute, ip_prefix="10.8.0.0/16")
    one.set_options(isthmus_route_host_bits="true")
    fleet.settle()
    assert one.uuid(IcRoute, ip_prefix="10.8.0.1/16") == new
    assert two.learned()["10.8.0.0/16"] == {"169.254.100.1"}


def test_equal_routes_of_two_zones_are_learned_twice() -> None:
    """Each is marked with its IC-SB route, and goes with it."""
    fleet = Fleet("az1", "az2", "az3")
    one, two, three = fleet.zones
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.attach("ts", f"169.254.100.{number}/24")
    one.add_router_port("net", "10.1.0.1/16")
    fleet.settle()
    (first,) = one.all(IcRoute, ip_prefix="10.1.0.1/16")
    other = three.uuid(AvailabilityZone, name="az3")
    columns: dict[str, Value] = {k: first[k] for k in ("transit_switch", "ip_prefix", "nexthop")}
    columns |= {"origin": "connected", "external_ids": {"lr-id": "x"}}

    def marks() -> set[str]:
        rows = two.all(LogicalRouterStaticRoute, ip_prefix="10.1.0.1/16")
        return {row["external_ids"]["ic-learned-route"] for row in rows}

    fleet.ic_sb.transact([Insert(IcRoute, {**columns, "availability_zone": Ref(other)})])
    two.settle()
    second = one.uuid(IcRoute, ip_prefix="10.1.0.1/16", availability_zone=other)
    assert marks() == {first["_uuid"], second}
    fleet.ic_sb.transact([Delete(IcRoute, RowId(first["_uuid"]))])
    two.settle()
    assert marks() == {second}
