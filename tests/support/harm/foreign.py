"""Rows that other zones, Kube-OVN and operators have left or made, and which clash with ours.

They mean to close no path either; the repair removes them (`remove`).
"""

from isthmus.model.operations import Delete, Insert, Mutate, NewRef, Operation, Ref, Update, Value
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Gateway,
    IcEncap,
    IcPortBinding,
    IcRoute,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    Nat,
    RowId,
    SbEncap,
)
from support.fakes.controlled_zone import ControlledZone
from support.harm.world import World

ZONE = "az9"


def foreign_gateway(world: World, zone: ControlledZone) -> None:
    """A zone that is gone has a gateway with the tunnel IP, chassis name or both of ours."""
    ours = world.random.choice(["gw", "gw2"])
    name = world.random.choice([f"{ours}-{zone.cluster}", "old"])
    number = int(zone.cluster[-1]) + (100 if ours == "gw2" else 0)
    ip = f"192.0.2.{number}" if name == "old" or world.random.random() < 0.5 else "192.0.2.90"
    encap = NewRef()
    row: dict[str, Value] = {"name": name, "hostname": ours, "encaps": (encap,)}
    _write(
        world,
        Insert(IcEncap, {"type": "geneve", "ip": ip, "gateway_name": name}, encap),
        Insert(Gateway, {**row, "availability_zone": _zone(world)}),
    )


def foreign_routes(world: World, zone: ControlledZone) -> None:
    """A zone that is gone still advertises, over a port that no one serves."""
    number = int(zone.cluster[-1])
    prefix = world.random.choice([f"10.{number}.0.0/16", f"10.{number}.7.0/24", "10.9.0.0/16"])
    port: dict[str, Value] = {
        "logical_port": f"ts-{ZONE}",
        "transit_switch": "ts",
        "tunnel_key": 99,
    }
    address = "02:00:00:00:00:09 169.254.100.9/24"
    route: dict[str, Value] = {
        "transit_switch": "ts",
        "ip_prefix": prefix,
        "nexthop": "169.254.100.9",
    }
    owner: dict[str, Value] = {"availability_zone": _zone(world)}
    _write(
        world,
        Insert(IcPortBinding, {**port, "address": address, **owner}),
        Insert(IcRoute, {**route, "origin": "connected", **owner}),
    )


def gateway_nat(world: World, zone: ControlledZone) -> None:
    """Rules on the router that OVN applies to the only gateway port."""
    network = world.random.choice([(), ("203.0.113.1/24",)])
    if network and not zone.all(LogicalRouterPort, name="foreign"):
        zone.add_router_port("foreign", *network)
    kind = world.random.choice(["snat", "dnat", "dnat_and_snat"])
    rule = {"external_ip": "198.51.100.9", "logical_ip": "10.1.0.0/16"}
    zone.adopt("nat", Nat, type=kind, **rule)


def router_twin(_: World, zone: ControlledZone) -> None:
    """Another router has the name of the default VPC's."""
    if len(zone.all(LogicalRouter, name="ovn-cluster")) == 1:
        zone.write(Insert(LogicalRouter, {"name": "ovn-cluster"}))


def switch_twin(_: World, zone: ControlledZone) -> None:
    """Another switch has the name of a transit switch's copy, with the mark or without."""
    if len(zone.all(LogicalSwitch, name="ts")) == 1:
        zone.write(Insert(LogicalSwitch, {"name": "ts"}))


def tunnel_ip(world: World, zone: ControlledZone) -> None:
    """A gateway's node gets another tunnel IP, which no other node has."""
    rows = [row for row in zone.all(Chassis) if "is-remote" not in row["other_config"]]
    row = world.random.choice(rows) if rows else None
    if row is not None and row["name"] not in zone.dead:
        encap = NewRef()
        used = {encap["ip"] for each in world.fleet.zones for encap in each.all(SbEncap)}
        free = sorted({f"192.0.2.{number}" for number in range(150, 200)} - used)
        ip = world.random.choice(free)
        tunnel: dict[str, Value] = {"type": "geneve", "ip": ip, "chassis_name": row["name"]}
        change = Update(Chassis, RowId(row["_uuid"]), {"encaps": (encap,)})
        zone.write(Insert(SbEncap, tunnel, encap), change)


def interconn_off(world: World, zone: ControlledZone) -> None:
    """A gateway's node takes part in interconnection no longer, as without its label."""
    rows = [row for row in zone.all(Chassis) if "is-remote" not in row["other_config"]]
    if rows:
        zone.update(Chassis, world.random.choice(rows)["_uuid"], other_config={})


FOREIGN = (
    foreign_gateway, foreign_gateway, foreign_routes, gateway_nat, router_twin, switch_twin,
    tunnel_ip, interconn_off,
)  # fmt: skip


def remove(world: World) -> None:
    """Remove what these edits have left."""
    ic_sb = world.fleet.ic_sb
    owner = next((r["_uuid"] for r in ic_sb.rows(AvailabilityZone) if r["name"] == ZONE), None)
    for kind in (IcRoute, IcPortBinding, Gateway):
        for row in ic_sb.rows(kind):
            if row["availability_zone"] == owner:
                ic_sb.transact([Delete(kind, row["_uuid"])])
    if owner is not None:
        ic_sb.transact([Delete(AvailabilityZone, owner)])
    for zone in world.fleet.zones:
        _remove_port(zone, f"ts-{ZONE}")
        _remove_twins(zone, LogicalRouter)
        _remove_twins(zone, LogicalSwitch)
        for router in zone.all(LogicalRouter):
            zone.write(Update(LogicalRouter, RowId(router["_uuid"]), {"nat": frozenset()}))


def _remove_port(zone: ControlledZone, name: str) -> None:
    """Delete a remote port, as `ovn-nbctl lsp-del` does: what IC-SB still has comes back."""
    for port in zone.all(LogicalSwitchPort, name=name):
        gone = frozenset({Ref(RowId(port["_uuid"]))})
        for switch in zone.all(LogicalSwitch):
            if port["_uuid"] in switch["ports"]:
                uuid = RowId(switch["_uuid"])
                zone.write(Mutate(LogicalSwitch, uuid, (("ports", "delete", gone),)))


def _remove_twins(zone: ControlledZone, kind: type[LogicalRouter] | type[LogicalSwitch]) -> None:
    """Delete the empty one of two rows of one name."""
    for row in zone.all(kind):
        twins = zone.all(kind, name=row["name"])
        if len(twins) > 1 and not row["ports"]:
            zone.write(Delete(kind, RowId(row["_uuid"])))
            return


def _zone(world: World) -> Ref:
    """The zone that is gone."""
    ic_sb = world.fleet.ic_sb
    if not any(row["name"] == ZONE for row in ic_sb.rows(AvailabilityZone)):
        ic_sb.transact([Insert(AvailabilityZone, {"name": ZONE})])
    return Ref(next(r["_uuid"] for r in ic_sb.rows(AvailabilityZone) if r["name"] == ZONE))


def _write(world: World, *operations: Operation) -> None:
    """Write to IC-SB; a clash with rows that exist is refused there."""
    world.fleet.ic_sb.transact(operations)
