"""What is missing closes no path: cases from random histories, and what is meant to close one."""

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.model.operations import Delete, Insert, Mutate, NewRef, Ref, Update, Value
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    Gateway,
    GatewayChassis,
    IcDatapathBinding,
    IcEncap,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.manifests import config_map, subnet
from support.harm.edits import shared_database_emptied
from support.harm.world import World, configured


@pytest.fixture
def world() -> World:
    """Two zones, joined over `ts`, and over `blue` for VPC `v`."""
    return World(seed=1)


@pytest.fixture
def zone(world: World) -> ControlledZone:
    """The first of them."""
    return world.fleet.zones[0]


def reasons(zone: ControlledZone) -> set[Reason]:
    """The reasons of a zone's problems."""
    return {problem.reason for problem in zone.problems()}


def rows(zone: ControlledZone, *kinds: type[Row]) -> list[dict[str, Any]]:
    """All rows of some tables, with their UUIDs."""
    return [row for kind in kinds for row in zone.all(kind)]


def local(zone: ControlledZone) -> list[dict[str, Any]]:
    """The rows in NB and SB that packets depend on; no packets depend on the nodes `gw2`."""
    ports = rows(zone, LogicalRouterPort, LogicalSwitchPort, GatewayChassis)
    ports += zone.all(Chassis, hostname="gw")
    routes = [
        {column: row[column] for column in ("_uuid", "ip_prefix", "nexthop")}
        for row in zone.all(LogicalRouterStaticRoute)
    ]
    return ports + routes


def delete_ts(world: World, name: str) -> None:
    """Delete a transit switch."""
    world.fleet.drop_ts(name)
    world.settle()


def mark_ts(world: World, name: str, **ids: str) -> None:
    """Replace the marks of a transit switch."""
    uuid = RowId(world.fleet.ts(name)["_uuid"])
    world.fleet.ic_nb.transact([Update(TransitSwitch, uuid, {"external_ids": ids})])
    world.settle()


# -- IC databases ------------------------------------------------------------------------------


@pytest.mark.parametrize("with_new_uuids", [False, True])
def test_a_backup_of_ic_sb_lacks_the_routes_of_a_zone_that_cannot_publish_them(
    world: World, zone: ControlledZone, *, with_new_uuids: bool
) -> None:
    """What a backup lacks was not withdrawn: its zone may not know its configuration yet."""
    two = world.fleet.zones[1]
    row = world.fleet.ts("blue")
    world.fleet.ic_nb.transact([Update(TransitSwitch, row["_uuid"], {"name": "green"})])
    world.settle()
    configured(two, az_name="")
    world.settle()
    (world.fleet.ic_sb.load if with_new_uuids else world.fleet.ic_sb.restore)(world.snapshot)
    world.start(two)
    world.settle()
    assert zone.all(LogicalRouterStaticRoute, ip_prefix="10.102.0.0/16")
    assert world.lost() == set()
    configured(two)
    world.settle()
    assert zone.find(NbGlobal)["external_ids"]["isthmus-zone-row"] in {
        row["_uuid"] for row in zone.all(AvailabilityZone, name="az1")
    }
    assert Reason.PATH_KEPT not in reasons(zone)


def test_an_emptied_ic_sb_keeps_the_path_to_a_zone_that_is_down(world: World) -> None:
    """Its rows stay in NB and SB until it is back, and the tunnel keys do not change."""
    zone, other = world.fleet.zones
    before = local(zone)
    keys = {row["transit_switch"]: row["tunnel_key"] for row in zone.all(IcDatapathBinding)}
    world.down.add(other.cluster)
    shared_database_emptied(world, zone)
    world.settle()
    assert (local(zone), reasons(zone)) == (before, {Reason.PATH_KEPT})
    zone.start()
    world.settle()
    assert (local(zone), reasons(zone)) == (before, {Reason.PATH_KEPT})
    world.start(other)
    world.settle()
    assert (local(zone), world.problems(), world.lost()) == (before, [], set())
    after = {row["transit_switch"]: row["tunnel_key"] for row in zone.all(IcDatapathBinding)}
    assert after == keys


def test_a_zone_that_never_comes_back_is_given_up_by_hand(world: World) -> None:
    """The remedy of the problem, deleting its remote ports, closes its paths."""
    zone, other = world.fleet.zones
    world.down.add(other.cluster)
    shared_database_emptied(world, zone)
    world.settle()
    (remedy, *_) = [p.remedy for p in zone.problems() if p.reason is Reason.PATH_KEPT]
    assert "ovn-nbctl lsp-del blue-az2" in remedy
    for name in ("ts", "blue"):
        delete_port(zone, name, zone.find(LogicalSwitchPort, name=f"{name}-az2"))
    world.settle()
    assert zone.all(LogicalRouterStaticRoute) == []
    assert reasons(zone) == set()


def test_a_subnet_becomes_private_while_ic_sb_is_emptied(world: World) -> None:
    """The zone publishes its port again, but no route: the problem says so, with a remedy."""
    one, two = world.fleet.zones
    shared_database_emptied(world, one)
    two.apply(subnet("apps", "10.2.0.0/16", disableInterConnection=True))
    world.settle()
    (problem,) = one.problems()
    assert (problem.object, problem.reason) == ("remote port ts-az2", Reason.PATH_KEPT)
    assert "zone az2 has advertised no route over it" in problem.message
    assert "ovn-nbctl lsp-del ts-az2" in problem.remedy
    delete_port(one, "ts", one.find(LogicalSwitchPort, name="ts-az2"))
    world.settle()
    assert one.find(LogicalSwitchPort, name="ts-az2")
    assert one.learned() == {}
    assert one.problems() == []


def test_a_third_zone_takes_the_name_of_a_gateway_while_ic_sb_is_emptied(world: World) -> None:
    """The remote chassis keeps its tunnel IP: the ports on it are another zone's."""
    one, two = world.fleet.zones
    shared_database_emptied(world, one)
    ic_sb, encap, zone = world.fleet.ic_sb, NewRef(), NewRef()
    gateway: dict[str, Value] = {
        "name": "gw-az1",
        "hostname": "gw",
        "encaps": (encap,),
        "availability_zone": zone,
    }
    ic_sb.transact(
        [
            Insert(AvailabilityZone, {"name": "az9"}, zone),
            Insert(
                IcEncap, {"type": "geneve", "ip": "192.0.2.90", "gateway_name": "gw-az1"}, encap
            ),
            Insert(Gateway, gateway),
        ]
    )
    world.settle()
    assert world.lost() == set()
    assert two.find(Chassis, name="gw-az1")
    assert Reason.CHASSIS_NAME_TAKEN in reasons(one)
    assert reasons(two) == {Reason.GATEWAY_NOT_PUBLISHED}
    ic_sb.transact([Delete(Gateway, two.uuid(Gateway, name="gw-az1"))])
    world.settle()
    assert (world.problems(), world.lost()) == ([], set())


def delete_port(zone: ControlledZone, switch: str, port: dict[str, Any]) -> None:
    """Remove a port from a switch, as `ovn-nbctl lsp-del` does."""
    gone = frozenset({Ref(RowId(port["_uuid"]))})
    uuid = zone.uuid(LogicalSwitch, name=switch)
    zone.write(Mutate(LogicalSwitch, uuid, (("ports", "delete", gone),)))


def test_a_zone_that_leaves_is_let_go(world: World) -> None:
    """Its rows vanish from an IC-SB that is known, so its path is meant to close."""
    zone, other = world.fleet.zones
    other.delete(config_map())
    world.settle()
    assert zone.all(LogicalRouterStaticRoute) == []
    assert zone.all(LogicalSwitchPort, type="remote") == []
    assert reasons(zone) == set()


@pytest.mark.parametrize("kind", [Gateway, IcPortBinding])
def test_a_row_of_a_zone_that_is_down_is_deleted_from_ic_sb(
    world: World, zone: ControlledZone, kind: type[Row]
) -> None:
    """Its routes say that it has not left, so its port and its chassis stay."""
    other = world.fleet.zones[1]
    world.down.add(other.cluster)
    before = local(zone)
    az2 = zone.uuid(AvailabilityZone, name="az2")
    for row in zone.all(kind, availability_zone=az2):
        zone.write(Delete(kind, RowId(row["_uuid"])))
    world.settle()
    assert local(zone) == before
    world.start(other)
    world.settle()
    assert (local(zone), world.problems()) == (before, [])


def test_our_rows_are_deleted_from_ic_sb(world: World, zone: ControlledZone) -> None:
    """Our port comes back; routes over it, learned and published ones, are not replaced."""
    before = [*local(zone), *zone.all(IcRoute)]
    zone.write(Delete(IcPortBinding, zone.uuid(IcPortBinding, logical_port="ts-az1")))
    world.settle()
    assert [*local(zone), *zone.all(IcRoute)] == before
    assert zone.all(IcPortBinding, logical_port="ts-az1")


# -- transit switches --------------------------------------------------------------------------


def test_the_last_transit_switch_is_deleted(world: World, zone: ControlledZone) -> None:
    """Its copy, ports and keys stay and are reported until it is created again."""
    before = [*local(zone), *rows(zone, IcPortBinding, IcDatapathBinding, IcRoute)]
    delete_ts(world, "ts")
    assert [*local(zone), *rows(zone, IcPortBinding, IcDatapathBinding, IcRoute)] == before
    (problem,) = zone.problems()
    assert (problem.object, problem.reason) == ("Transit_Switch ts", Reason.PATH_KEPT)
    world.fleet.add_ts("ts", "169.254.100.0/24")
    world.settle()
    assert (local(zone), world.problems(), world.lost()) == (before[: len(local(zone))], [], set())


def test_a_gateway_moves_while_its_transit_switch_is_missing(
    world: World, zone: ControlledZone
) -> None:
    """Other zones follow the gateway of a port that is kept."""
    delete_ts(world, "ts")
    zone.dead.add("gw-az1")
    zone.apply(config_map(az_name="az1", vpcs="v=blue", gw_nodes="gw2"))
    world.edited()
    world.settle()
    assert zone.find(IcPortBinding, logical_port="ts-az1")["gateway"] == "gw2-az1"
    assert world.lost() == set()


def test_a_subnet_becomes_private_while_its_transit_switch_is_missing(
    world: World, zone: ControlledZone
) -> None:
    """It is withdrawn at once, and the path in the other direction stays."""
    delete_ts(world, "ts")
    zone.apply(subnet("secret", "10.1.0.0/16", disableInterConnection=True))
    world.settle()
    assert not zone.all(IcRoute, ip_prefix="10.1.0.0/16")
    assert zone.learned() == {"10.2.0.0/16": {"169.254.100.36"}}
    assert {path.prefix for path in world.lost()} == {"10.1.0.0/16"}


def test_a_renamed_transit_switch_is_deleted_after_a_subnet_has_become_private(
    world: World, zone: ControlledZone
) -> None:
    """The old copy goes with the route that was published over it, and the new one stays."""
    zone.apply(subnet("secret", "10.1.0.0/16", disableInterConnection=True))
    row = world.fleet.ts("ts")
    world.fleet.ic_nb.transact([Update(TransitSwitch, row["_uuid"], {"name": "ts-new"})])
    world.settle()
    assert not zone.all(LogicalSwitch, name="ts")
    delete_ts(world, "ts-new")
    assert zone.learned() == {"10.2.0.0/16": {"169.254.100.36"}}
    assert zone.all(LogicalRouterPort, name="az1-ts-new")


def test_one_of_two_transit_switches_is_deleted(world: World, zone: ControlledZone) -> None:
    """The other one has all paths, so this one goes."""
    world.fleet.add_ts("ts1", "169.254.101.0/24")
    world.settle()
    delete_ts(world, "ts")
    names = {row["name"] for row in zone.all(LogicalRouterPort)}
    assert ("az1-ts" in names, "az1-ts1" in names) == (False, True)
    assert (world.lost(), reasons(zone)) == (set(), set())


def test_both_transit_switches_are_deleted(world: World, zone: ControlledZone) -> None:
    """Neither is an alternative to the other."""
    world.fleet.add_ts("ts1", "169.254.101.0/24")
    world.settle()
    before = local(zone)
    world.fleet.drop_ts("ts")
    world.fleet.drop_ts("ts1")
    world.settle()
    assert local(zone) == before


def test_a_renamed_transit_switch_stays_for_a_zone_that_is_down(
    world: World, zone: ControlledZone
) -> None:
    """The other zone has no port on the new one yet, even if our route to it is deleted by hand."""
    world.down.add("az2")
    row = world.fleet.ts("ts")
    world.fleet.ic_nb.transact([Update(TransitSwitch, row["_uuid"], {"name": "ts-new"})])
    world.settle()
    zone.drop_route("10.2.0.0/16")
    world.settle()
    assert zone.all(LogicalRouterPort, name="az1-ts")
    assert world.lost() == set()
    world.start(world.fleet.zones[1])
    world.settle()
    assert not zone.all(LogicalRouterPort, name="az1-ts")
    assert (world.lost(), world.problems()) == (set(), [])


@pytest.mark.parametrize(
    "ids",
    [{"vendor": "isthmus", "subnet": "169.254.200.0/24"}, {"subnet": "169.254.200.0/24"}, {}],
    ids=["network", "network and vendor", "all marks"],
)
def test_the_transit_switch_of_a_vpc_loses_marks(
    world: World, zone: ControlledZone, ids: dict[str, str]
) -> None:
    """Without the name of its network it looks like another one's, and the VPC keeps its path."""
    before = local(zone)
    mark_ts(world, "blue", **ids)
    assert local(zone) == before
    assert Reason.NO_TRANSIT_SWITCH in reasons(zone)


def test_a_transit_switch_without_marks_stays_with_its_vpc(
    world: World, zone: ControlledZone
) -> None:
    """Not even without a path to lose does it go to the default VPC, whose marks are none."""
    mark_ts(world, "blue", subnet="169.254.200.0/24")
    world.down.add("az2")
    shared_database_emptied(world, zone)
    zone.apply(subnet("local", "10.102.0.0/16", vpc="v"))
    world.settle()
    port = RowId(zone.find(LogicalRouterPort, name="az1-blue")["_uuid"])
    assert port in zone.find(LogicalRouter, name="v")["ports"]
    assert "isthmus-network" in {problem.key.partition(":")[2] for problem in zone.problems()}


def test_a_port_is_deleted_that_shows_the_subnet_of_a_transit_switch(
    world: World, zone: ControlledZone
) -> None:
    """What is reported of a VPC follows its ports; a recompute finds nothing else."""
    mark_ts(world, "blue", vendor="isthmus", **{"isthmus-network": "blue"})
    lrp = Ref(RowId(zone.find(LogicalRouterPort, name="az1-blue")["_uuid"]))
    router = zone.uuid(LogicalRouter, name="v")
    zone.write(Mutate(LogicalRouter, router, (("ports", "delete", frozenset({lrp})),)))
    world.edited()
    world.settle()
    assert Reason.NO_TRANSIT_SWITCH in reasons(zone)
    before = zone.problems()
    zone.engine.recompute("check")
    world.settle()
    assert set(zone.problems()) == set(before)


# -- the configuration -------------------------------------------------------------------------


@pytest.mark.parametrize("vpcs", ["vv=blue", "v=bleu", "vv=bleu"])
def test_a_misspelt_vpc_or_network(world: World, zone: ControlledZone, vpcs: str) -> None:
    """A name that does not exist takes no VPC's path away."""
    before = local(zone)
    configured(zone, vpcs=vpcs)
    world.settle()
    assert local(zone) == before
    assert reasons(zone) & {Reason.NO_VPC, Reason.NO_TRANSIT_SWITCH}


def test_a_vpc_that_is_taken_out_is_disconnected(world: World, zone: ControlledZone) -> None:
    """All names in the configuration exist, so it is meant as written."""
    configured(zone, vpcs=None)
    world.settle()
    assert not zone.all(LogicalRouterPort, name="az1-blue")
    assert not zone.all(LogicalRouterStaticRoute, ip_prefix="10.102.0.0/16")
    assert reasons(zone) == set()


def test_a_new_gateway_takes_over_before_the_old_one_goes(
    world: World, zone: ControlledZone
) -> None:
    """On the new node no ovn-controller runs: the old one stays, and serves, until it does."""
    zone.dead.add("gw2-az1")
    configured(zone, gw_nodes="gw2")
    world.settle()
    assert world.lost() == set()
    serving = {row["chassis_name"]: row["priority"] for row in zone.all(GatewayChassis)}
    assert serving == {"gw2-az1": 100, "gw-az1": 99}
    assert reasons(zone) == {Reason.PATH_KEPT}
    zone.dead.clear()
    world.settle()
    assert {row["chassis_name"] for row in zone.all(GatewayChassis)} == {"gw2-az1"}
    assert (world.lost(), reasons(zone)) == (set(), set())


# -- rows in NB and SB -------------------------------------------------------------------------


def empty_name(zone: ControlledZone) -> None:
    """The zone's name is emptied."""
    zone.update(NbGlobal, zone.uuid(NbGlobal), name="")


def empty_options(zone: ControlledZone) -> None:
    """The route options are removed."""
    zone.update(NbGlobal, zone.uuid(NbGlobal), options={})


def empty_ids(zone: ControlledZone) -> None:
    """The record of the joined zone is removed."""
    zone.update(NbGlobal, zone.uuid(NbGlobal), external_ids={})


@pytest.mark.parametrize("edit", [empty_name, empty_options, empty_ids])
def test_nb_global_is_emptied(
    world: World, zone: ControlledZone, edit: Callable[[ControlledZone], None]
) -> None:
    """It is filled again, and nothing is withdrawn meanwhile."""
    kinds = AvailabilityZone, Gateway, IcPortBinding, IcRoute
    before = [*local(zone), *rows(zone, *kinds)]
    edit(zone)
    world.settle()
    assert [*local(zone), *rows(zone, *kinds)] == before
    assert (zone.find(NbGlobal)["name"], reasons(zone)) == ("az1", set())


def test_nb_global_is_emptied_while_the_config_map_is_invalid_at_the_start(
    world: World, zone: ControlledZone
) -> None:
    """After a restart with a bad ConfigMap, no one knows whether routes should be exchanged."""
    kinds = AvailabilityZone, Gateway, IcPortBinding, IcRoute
    before = [*local(zone), *rows(zone, *kinds)]
    configured(zone, vpcs=7)
    world.start(zone)
    empty_options(zone)
    world.settle()
    assert [*local(zone), *rows(zone, *kinds)] == before
    assert world.lost() == set()
    configured(zone)
    world.settle()
    assert [*local(zone), *rows(zone, *kinds)] == before
    assert world.problems() == []


def test_claims_are_removed_while_the_zone_has_another_name(
    world: World, zone: ControlledZone
) -> None:
    """By the record of our zone's row the old name is ours, so it is taken back."""
    shared = zone.uuid(IcSbGlobal)
    zone.update(IcSbGlobal, shared, external_ids={})
    zone.update(NbGlobal, zone.uuid(NbGlobal), name="foo")
    world.settle()
    assert {row["name"] for row in zone.all(AvailabilityZone)} == {"az1", "az2"}
    assert world.problems() == []


def test_a_gateways_chassis_is_deleted_and_inserted_again(
    world: World, zone: ControlledZone
) -> None:
    """Our gateway in IC-SB, and with it the chassis in other zones, is not replaced."""
    before = zone.find(Gateway, name="gw-az1")
    zone.write(Delete(Chassis, zone.uuid(Chassis, name="gw-az1")))
    world.settle()
    assert zone.find(Gateway, name="gw-az1") == before
    zone.add_chassis("gw-az1", "192.0.2.1", hostname="gw")
    world.settle()
    assert (world.lost(), world.problems()) == (set(), [])


@pytest.mark.parametrize("kind", [LogicalRouterPort, LogicalSwitchPort])
@pytest.mark.parametrize("ts", ["ts", "blue"])
def test_a_port_without_marks_is_adopted(
    world: World, zone: ControlledZone, kind: type[Row], ts: str
) -> None:
    """Its other half, or both names, show whose it is."""
    name = f"az1-{ts}" if kind is LogicalRouterPort else f"{ts}-az1"
    before = zone.find(kind, name=name)
    zone.update(kind, RowId(before["_uuid"]), external_ids={})
    world.settle()
    assert zone.find(kind, name=name) == before
    assert reasons(zone) == set()


def test_a_copy_without_its_mark_is_recognized(world: World, zone: ControlledZone) -> None:
    """Its VXLAN mode shows that it is one; it gets the mark back, and nothing else is written."""
    copy = zone.find(LogicalSwitch, name="ts")
    gone = frozenset({"interconn-ts"})
    before = {name: len(database.committed) for name, database in zone.databases.items()}
    zone.write(Mutate(LogicalSwitch, RowId(copy["_uuid"]), (("other_config", "delete", gone),)))
    world.edited()
    world.settle()
    assert zone.find(LogicalSwitch, name="ts") == copy
    written = {n: len(d.committed) - before[n] for n, d in zone.databases.items()}
    assert written == {**dict.fromkeys(written, 0), Database.NB: 2}
    assert (world.lost(), world.interruptions) == (set(), [])


def test_a_port_without_marks_or_router_port_is_ours(world: World, zone: ControlledZone) -> None:
    """Its name and that of the router port that is gone show whose it is."""
    lsp = zone.uuid(LogicalSwitchPort, name="ts-az1")
    zone.update(LogicalSwitchPort, lsp, external_ids={})
    lrp = Ref(zone.uuid(LogicalRouterPort, name="az1-ts"))
    router = zone.uuid(LogicalRouter, name="ovn-cluster")
    zone.write(Mutate(LogicalRouter, router, (("ports", "delete", frozenset({lrp})),)))
    world.edited()
    world.settle()
    assert zone.uuid(LogicalSwitchPort, name="ts-az1") == lsp
    assert (world.lost(), world.problems()) == (set(), [])


def test_a_port_that_was_deleted_keeps_its_tunnel_key(world: World, zone: ControlledZone) -> None:
    """It is still published, so other zones need not change anything."""
    before = zone.find(LogicalSwitchPort, name="ts-az1")
    published = zone.find(IcPortBinding, logical_port="ts-az1")
    delete_port(zone, "ts", before)
    world.settle()
    assert zone.find(LogicalSwitchPort, name="ts-az1")["options"] == before["options"]
    after = zone.find(IcPortBinding, logical_port="ts-az1")
    assert after["tunnel_key"] == published["tunnel_key"]
    assert world.lost() == set()


def test_a_route_is_deleted_while_the_transit_switch_lacks_its_marks(
    world: World, zone: ControlledZone
) -> None:
    """Other zones still reach us over the port, so it stays, and the route comes back."""
    mark_ts(world, "ts")
    zone.drop_route("10.2.0.0/16")
    world.settle()
    assert zone.all(LogicalRouterPort, name="az1-ts")
    assert world.lost() == set()


def test_a_local_subnet_ends_a_learned_route_while_ic_sb_lacks_its_zone(
    world: World, zone: ControlledZone
) -> None:
    """A route that overlaps a Subnet of the same VPC is refused, whatever else is missing."""
    world.down.add("az2")
    shared_database_emptied(world, zone)
    world.settle()
    assert zone.all(LogicalRouterStaticRoute, ip_prefix="10.2.0.0/16")
    zone.apply(subnet("local", "10.2.3.0/24"))
    world.settle()
    assert not zone.all(LogicalRouterStaticRoute, ip_prefix="10.2.0.0/16")
