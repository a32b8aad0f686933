"""Bad edits and leftovers, as operators, crashes and old releases make them.

Each is a function of a world and a zone, and changes what one of them would change. None of them
means to close a path.
"""

from collections.abc import Callable
from typing import Any

from isthmus.controller.inputs.snapshot import Snapshot
from isthmus.model.operations import Delete, Insert, Mutate, Operation, Ref, Update, Value
from isthmus.model.rows import (
    Chassis,
    Gateway,
    GatewayChassis,
    IcDatapathBinding,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    SbEncap,
    SbPortBinding,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.manifests import config_map, manifest, node, subnet
from support.harm.paths import working
from support.harm.world import SUBNET_PORTS, TRANSIT_SWITCHES, World, configured

Edit = Callable[[World, ControlledZone], None]

BAD_VALUES: tuple[dict[str, Any], ...] = (
    {"enable_ic": "True"}, {"enable_ic": ""}, {"enable_ic": "yess"}, {"enable_ic": True},
    {"az_name": ""}, {"az_name": None}, {"az_name": 5}, {"az_name": "az1,az2"},
    {"ic_db_host": ""}, {"ic_db_host": None}, {"ic_db_host": "no such host"},
    {"ic_db_host": "192.0.2.300"}, {"ic_db_host": "192.168.65.4"},
    {"ic_nb_port": "x"}, {"ic_sb_port": "0"}, {"ic_sb_port": "6647"},
    {"gw_nodes": ""}, {"gw_nodes": None}, {"gw_nodes": "gww"}, {"gw_nodes": "192.0.2.1"},
    {"gw_nodes": "gww,gxx"}, {"gw_nodes": "gw2"}, {"gw_nodes": "gw2,gww"}, {"gw_nodes": ["gw"]},
    {"auto_route": "yes"}, {"auto_route": ""}, {"mtu": "x"}, {"mtu": "1"}, {"mtu": "off"},
    {"vpcs": "v=bleu"}, {"vpcs": "vv=blue"}, {"vpcs": "vv=bleu"}, {"vpcs": "v"}, {"vpcs": 7},
    {"az_name": "az1"}, {"az_name": "az2"}, {"gw_nodes": "gw2,,\n gw,"}, {"gw_nodes": "gw,gw"},
    {"accept": "{"}, {"accept": "[az2]"}, {"accept": "az2: [10.2.0.0/16"}, {"accept": "az2: {}"},
    {"accept": "az2: [10.2.0.1/16]"}, {"accept": "az9: [10.9.0.0/16]"}, {"accept": "*: []"},
    {"accept": "az2: {prefix: []}"}, {"accept": "az2: {max: -1}"}, {"accept": ["az2"]},
    {"force_connect": "yes"}, {"gateways": "gw"}, {"routes": "[{prefix: 10.9.0.0/16, zone: az9}]"},
    {"advertise": "10.1.0.0"}, {"routes": "{prefix: x}"},
)  # fmt: skip


def bad_value(world: World, zone: ControlledZone) -> None:
    """A wrong value of one key of the ConfigMap, some of them misspelt names."""
    configured(zone, **world.random.choice(BAD_VALUES))


def broken_config_map(world: World, zone: ControlledZone) -> None:
    """A ConfigMap without data, or with data of another type."""
    bodies: list[dict[str, Any]] = [{}, {"data": None}, {"data": []}, {"data": {}}, {"data": "x"}]
    zone.apply(manifest("ConfigMap", "ovn-ic-config", **world.random.choice(bodies)))


def unreadable_manifests(_: World, zone: ControlledZone) -> None:
    """Not everything can be read, the ConfigMap included."""
    others = {k: v for k, v in zone.manifests.items() if k != config_map().key}
    zone.hand_over(Snapshot(others, (), complete=False))


def objects_lost(world: World, zone: ControlledZone) -> None:
    """The daemon starts with an empty directory, or an API server that has lost its objects."""
    kept, zone.manifests = zone.manifests, {}
    world.start(zone)
    zone.manifests = kept
    zone.hand_over(Snapshot({}, ()))


def nodes_vanish(world: World, zone: ControlledZone) -> None:
    """Nodes appear and vanish in Kubernetes."""
    zone.apply(node("gw", "198.51.100.1"), node("other", "198.51.100.2"))
    if world.random.random() < 0.5:
        zone.delete(node("gw"))


def odd_subnet(world: World, zone: ControlledZone) -> None:
    """A Subnet that is broken, without a CIDR, or overlaps one of this cluster."""
    own = f"10.{zone.cluster[-1]}.0.0/17"
    zone.apply(subnet("odd", world.random.choice([None, "", "10.300.0.0/16", 5, own])))


# -- IC-NB -------------------------------------------------------------------------------------


def transit_switch_marks(world: World, _: ControlledZone) -> None:
    """Marks of a transit switch are removed or broken."""
    row = _transit_switch(world)
    keys = world.random.choice([
        ("vendor",), ("subnet",), ("vendor", "subnet"), ("isthmus-network",),
        ("vendor", "isthmus-network"), ("vendor", "subnet", "isthmus-network"),
    ])  # fmt: skip
    if row is not None:
        value = world.random.choice([None, "", "x"] if keys == ("subnet",) else [None])
        ids = {k: v for k, v in row["external_ids"].items() if k not in keys}
        ids |= {} if value is None else {"subnet": value}
        _write(world, Update(TransitSwitch, row["_uuid"], {"external_ids": ids}))


def claims_removed(world: World, _: ControlledZone) -> None:
    """The claims of addresses are removed from a transit switch."""
    if (row := _transit_switch(world)) is not None:
        ids = {k: v for k, v in row["external_ids"].items() if "address" not in k}
        _write(world, Update(TransitSwitch, row["_uuid"], {"external_ids": ids}))


def transit_switch_deleted(world: World, _: ControlledZone) -> None:
    """One transit switch is gone from IC-NB, or all."""
    rows = world.fleet.ic_nb.rows(TransitSwitch)
    for row in rows if world.random.random() < 0.5 else rows[:1]:
        _write(world, Delete(TransitSwitch, row["_uuid"]))


def transit_switch_renamed(world: World, _: ControlledZone) -> None:
    """A transit switch has another name."""
    if (row := _transit_switch(world)) is not None:
        _write(world, Update(TransitSwitch, row["_uuid"], {"name": f"{row['name']}-new"}))


def second_transit_switch(world: World, _: ControlledZone) -> None:
    """Another transit switch with the same subnet, which sorts before or after."""
    name = world.random.choice(["a", "ts0", "z"])
    if not any(row["name"] == name for row in world.fleet.ic_nb.rows(TransitSwitch)):
        ids = dict(TRANSIT_SWITCHES["ts"])
        ids = ids if world.random.random() < 0.5 else {"subnet": ids["subnet"]}
        _write(world, Insert(TransitSwitch, {"name": name, "external_ids": ids}))


# -- IC-SB -------------------------------------------------------------------------------------


def shared_row_deleted(world: World, _: ControlledZone) -> None:
    """A row of any zone is deleted from IC-SB by hand."""
    kind: type[Row] = world.random.choice([
        Gateway, IcPortBinding, IcRoute, IcDatapathBinding, IcSbGlobal,
    ])  # fmt: skip
    if rows := world.fleet.ic_sb.rows(kind):
        row = world.random.choice(rows)
        if kind is IcRoute:
            # It looks as if its zone had withdrawn it, until that zone notices.
            world.withdrawn.add(row["ip_prefix"])
        _write(world, Delete(kind, row["_uuid"]))


def shared_claims_removed(world: World, _: ControlledZone) -> None:
    """The claims of zone names are removed."""
    for row in world.fleet.ic_sb.rows(IcSbGlobal):
        _write(world, Update(IcSbGlobal, row["_uuid"], {"external_ids": {}}))


def shared_database_emptied(world: World, _: ControlledZone) -> None:
    """IC-SB is empty: its file was lost, or another database has its address."""
    operations = [
        Delete(kind, uuid) for kind, rows in world.fleet.ic_sb.tables.items() for uuid in rows
    ]
    if operations:
        _write(world, *operations)


def shared_database_restored(world: World, _: ControlledZone) -> None:
    """IC-SB is as it was when both zones had joined; with `ovsdb-client`, UUIDs are new.

    What `strangers` added later counts as withdrawn.
    """
    ic_sb = world.fleet.ic_sb
    world.withdrawn |= {path.prefix for path in working(world.fleet) - world.baseline}
    if TRANSIT_SWITCHES.keys() != {r["name"] for r in world.fleet.ic_nb.rows(TransitSwitch)}:
        # The backup lacks the routes over a renamed transit switch, as if they were withdrawn.
        world.withdrawn |= {path.prefix for path in world.baseline}
    world.restored = True
    world.random.choice([ic_sb.restore, ic_sb.load])(world.snapshot)


# -- NB and SB ---------------------------------------------------------------------------------


def local_marks(world: World, zone: ControlledZone) -> None:
    """A row of the interconnection loses its marks."""
    kind: type[Row] = world.random.choice([
        LogicalRouterPort, LogicalSwitchPort, LogicalRouterPolicy, NbGlobal,
    ])  # fmt: skip
    if (row := _own(world, zone, kind)) is not None:
        zone.update(kind, RowId(row["_uuid"]), external_ids={})


def global_options(world: World, zone: ControlledZone) -> None:
    """The zone's name or its options are emptied."""
    uuid = zone.uuid(NbGlobal)
    if world.random.random() < 0.5:
        zone.update(NbGlobal, uuid, name=world.random.choice(["", "foo"]))
    else:
        zone.update(NbGlobal, uuid, options={})


def local_row_deleted(world: World, zone: ControlledZone) -> None:
    """A row of the interconnection is deleted from NB by hand; it must come back."""
    kind, column, child = world.random.choice([
        (LogicalRouter, "ports", LogicalRouterPort),
        (LogicalRouter, "static_routes", LogicalRouterStaticRoute),
        (LogicalRouter, "policies", LogicalRouterPolicy),
        (LogicalSwitch, "ports", LogicalSwitchPort),
        (LogicalRouterPort, "gateway_chassis", GatewayChassis),
    ])  # fmt: skip
    row = _own(world, zone, child)
    for parent in zone.all(kind) if row is not None else ():
        if row is not None and row["_uuid"] in parent[column]:
            gone = frozenset({Ref(RowId(row["_uuid"]))})
            zone.write(Mutate(kind, RowId(parent["_uuid"]), ((column, "delete", gone),)))


def copy_deleted(world: World, zone: ControlledZone) -> None:
    """The copy of a transit switch is deleted from NB by hand, with its ports."""
    if (row := _own(world, zone, LogicalSwitch)) is not None:
        zone.write(Delete(LogicalSwitch, RowId(row["_uuid"])))


def stale_chassis(world: World, zone: ControlledZone) -> None:
    """The row of a gateway's chassis before its node was reinstalled; nothing runs there."""
    name = world.random.choice(["a-stale", "z-stale"])
    if not zone.all(Chassis, name=name):
        zone.dead.add(name)
        host = world.random.choice(["gw", "gw", "gw2"])
        zone.add_chassis(name, f"192.0.2.{ord(name[0])}", hostname=host)


def chassis_again(world: World, zone: ControlledZone) -> None:
    """A gateway's chassis is deleted by hand, and its ovn-controller inserts it again."""
    row = _gateway(world, zone)
    ip = next((e["ip"] for e in zone.all(SbEncap) if row and e["_uuid"] in row["encaps"]), None)
    if row is None or ip is None or row["name"] in zone.dead:
        return
    zone.write(Delete(Chassis, RowId(row["_uuid"])))
    if world.random.random() < 0.5:
        world.edited()
        world.settle()
    renamed = world.random.random() < 0.5 and not row["name"].endswith("-b")
    zone.add_chassis(row["name"] + "-b" * renamed, ip, hostname=row["hostname"])


def chassis_hostname(world: World, zone: ControlledZone) -> None:
    """The hostname of a gateway's chassis changes, e.g. to a full domain name."""
    if (row := _gateway(world, zone)) is not None:
        zone.update(Chassis, RowId(row["_uuid"]), hostname=f"{row['hostname']}.example")


def remote_chassis(world: World, zone: ControlledZone) -> None:
    """A remote chassis is deleted or a remote port is unbound by hand; both must come back."""
    remote = [row for row in zone.all(Chassis) if "is-remote" in row["other_config"]]
    bindings = zone.all(SbPortBinding, type="remote")
    if remote and world.random.random() < 0.5:
        zone.write(Delete(Chassis, RowId(world.random.choice(remote)["_uuid"])))
    elif bindings:
        zone.update(SbPortBinding, world.random.choice(bindings)["_uuid"], chassis=frozenset())


def strangers(world: World, zone: ControlledZone) -> None:
    """Foreign routes, policies and ports next to ours."""
    which = world.random.randrange(3)
    if which == 0:
        # A router's own route takes the place of one that it has learned.
        world.withdrawn.add("10.77.0.0/24")
        zone.add_route("10.77.0.0/24", "192.0.2.254")
    elif which == 1:
        row: dict[str, Value] = {"priority": 29500, "match": "ip4.dst == 10.77.0.0/24"}
        zone.adopt("policies", LogicalRouterPolicy, action="allow", **row)
    elif not zone.all(LogicalRouterPort, name="foreign"):
        zone.add_router_port("foreign", "192.168.77.1/24")


# -- the daemons -------------------------------------------------------------------------------


def restart(world: World, zone: ControlledZone) -> None:
    """The daemon restarts, or another one takes over."""
    world.start(zone)


def stop(world: World, zone: ControlledZone) -> None:
    """The daemon stops; it starts again with a later edit."""
    world.down.add(zone.cluster)


EDITS: tuple[Edit, ...] = (
    bad_value, bad_value, bad_value, broken_config_map, unreadable_manifests, objects_lost,
    nodes_vanish,
    odd_subnet, transit_switch_marks, transit_switch_marks, claims_removed,
    transit_switch_deleted, transit_switch_renamed, second_transit_switch, shared_row_deleted,
    shared_claims_removed, shared_database_emptied, shared_database_restored, local_marks,
    local_marks, global_options, local_row_deleted, local_row_deleted, copy_deleted,
    stale_chassis, chassis_again, chassis_hostname, remote_chassis, strangers, restart, stop,
)  # fmt: skip


def _transit_switch(world: World) -> dict[str, Any] | None:
    rows = [r for r in world.fleet.ic_nb.rows(TransitSwitch) if r["name"] in TRANSIT_SWITCHES]
    return world.random.choice(rows) if rows else None


def _gateway(world: World, zone: ControlledZone) -> dict[str, Any] | None:
    rows = [row for row in zone.all(Chassis) if "is-remote" not in row["other_config"]]
    return world.random.choice(rows) if rows else None


def _own(world: World, zone: ControlledZone, kind: type[Row]) -> dict[str, Any] | None:
    rows = [row for row in zone.all(kind) if row.get("name") not in (*SUBNET_PORTS, "foreign")]
    return world.random.choice(rows) if rows else None


def _write(world: World, *operations: Operation) -> None:
    databases = {d.database: d for d in (world.fleet.ic_nb, world.fleet.ic_sb)}
    databases[operations[0].table.DATABASE].transact(operations)
