"""The possible steps of a history, and how each is written to the databases.

A step is a value: its kind, its zone, and arguments. Any step can be omitted without invalidating
the others: a step whose object does not exist does nothing. The model in this module decides
whether an object exists, never a database, so that both sides do the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from differential.operations import (
    Json,
    delete,
    insert,
    mapping,
    mutate,
    named,
    new,
    strings,
    update,
)
from differential.world import VERSION, World
from isthmus.model.rows import Database

RENAMES = (25, 3)
"""The first version of `ovn-ic` in which a zone can be renamed and can leave."""
SEQUENCE_NUMBERS = (25, 3)
"""The first version of OVN in which zones report the IC-NB state that they have applied."""
DUPLICATES = (25, 3)
"""The first version of `ovn-ic` that allows a router to have two routes to one prefix, or two ports
in one network; before, it exits with an assertion."""
ROUTER_PORT = "Logical_Router_Port"
SWITCH_PORT = "Logical_Switch_Port"


@dataclass(frozen=True, slots=True)
class Step:
    """A step.

    Args:
        kind: a key of `KINDS`.
        zone: the number of the zone; 0 for steps in IC-NB.
        arguments: strings, booleans and tuples of them, as required by the kind.
    """

    kind: str
    zone: int
    arguments: tuple[Any, ...] = ()


@dataclass(slots=True)
class Zone:
    """The state of a zone after the steps so far.

    Attributes:
        copies: transit switches that certainly have a copy in NB.
        switch_ports: our ports on them, with the transit switch.
        router_ports: all router ports, with the router.
    """

    name: str = ""
    active: bool = True
    stopped: bool = False
    copies: set[str] = field(default_factory=set)
    chassis: set[str] = field(default_factory=set)
    routers: set[str] = field(default_factory=set)
    router_ports: dict[str, str] = field(default_factory=dict)
    switch_ports: dict[str, str] = field(default_factory=dict)
    balancers: set[str] = field(default_factory=set)
    networks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    routes: list[tuple[str, str, str]] = field(default_factory=list)

    def is_second(self, port: str, router: str, networks: tuple[str, ...]) -> bool:
        """Whether another port of a router has one of these networks."""
        return any(
            set(networks) & set(self.networks.get(other, ()))
            for other, its_router in self.router_ports.items()
            if other != port and its_router == router
        )


class Play:
    """A history in progress."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.zones = [Zone() for _ in range(world.size)]
        self.switches: set[str] = set()

    def do(self, step: Step) -> None:
        """Run one step."""
        KINDS[step.kind](self, step.zone, *step.arguments)

    def nb(self, zone: int, *operations: Json) -> None:
        """Write to the NB of the zone, on both sides."""
        self.world.write(zone, Database.NB, *operations)

    def sb(self, zone: int, *operations: Json) -> None:
        """Write to the SB of the zone, on both sides."""
        self.world.write(zone, Database.SB, *operations)

    @property
    def comparable(self) -> bool:
        """Whether all daemons work, so that both sides must be equal."""
        return all(zone.active for zone in self.zones)

    def follow(self) -> None:
        """Wait until the daemons have processed everything, then update the model."""
        self.world.wait()
        for zone in self.zones:
            if zone.active and zone.name:
                zone.copies &= self.switches
                ports = zone.switch_ports
                zone.switch_ports = {p: ts for p, ts in ports.items() if ts in zone.copies}

    def differences(self) -> list[str]:
        """Wait until both sides are idle; return their differences."""
        # After a restart, `ovn-ic` does not reply to requests made while it was down, only to later
        # ones.
        if VERSION >= SEQUENCE_NUMBERS:
            _ask(self, 0)
        return self.world.settle()

    def activate_all(self) -> None:
        """Finish the history: all daemons work again."""
        for number, zone in enumerate(self.zones):
            if zone.stopped:
                _start(self, number)
            elif not zone.active:
                _resume(self, number)


Kind: TypeAlias = Callable[..., None]


def _settle(play: Play, zone: int) -> None:
    play.follow()


# --- Transit switches, zones, daemons -----------------------------------------------------------


def _ts_add(play: Play, zone: int, name: str) -> None:
    if name not in play.switches:
        play.switches.add(name)
        play.world.write_ic(Database.IC_NB, insert("Transit_Switch", "ts", name=name))


def _ts_del(play: Play, zone: int, name: str) -> None:
    if name in play.switches:
        play.switches.remove(name)
        play.world.write_ic(Database.IC_NB, delete("Transit_Switch", named(name)))
        play.follow()  # if added again at once, copies might survive or not


def _rename(play: Play, zone: int, name: str) -> None:
    taken = {other.name for other in play.zones}
    if play.zones[zone].active and play.comparable and (not name or name not in taken):
        play.follow()
        if play.zones[zone].name and (not name or VERSION < RENAMES):
            _leave(play, zone)
        play.zones[zone].name = name
        play.nb(zone, update("NB_Global", [], name=name))
        play.follow()


def _leave(play: Play, zone: int) -> None:
    """Leave manually, as users of an old `ovn-ic` must: it can neither rename nor delete a zone
    that has published anything, and retries endlessly."""
    play.nb(zone, update("NB_Global", [], name=""))
    play.follow()
    for fleet in play.world.fleets:
        zones = {
            "op": "select",
            "table": "Availability_Zone",
            "where": named(play.zones[zone].name),
        }
        for row in fleet.ic.transact(Database.IC_SB, zones)[0]["rows"]:
            ours = [["availability_zone", "==", row["_uuid"]]]
            tables = ("Route", "Port_Binding", "Gateway")
            last = delete("Availability_Zone", named(row["name"]))
            fleet.ic.transact(Database.IC_SB, *(delete(t, ours) for t in tables), last)
    play.follow()


def _option(play: Play, zone: int, key: str, value: str) -> None:
    play.world.options(zone, {key: value})


def _stop(play: Play, zone: int) -> None:
    state = play.zones[zone]
    if state.active:
        state.active, state.stopped = False, True
        for site in play.world.sites(zone):
            site.daemon.stop()
            site.active = False


def _start(play: Play, zone: int) -> None:
    state = play.zones[zone]
    if state.stopped:
        state.active, state.stopped = True, False
        for site in play.world.sites(zone):
            site.daemon.start()
            site.active = True
        play.follow()


def _restart(play: Play, zone: int) -> None:
    _stop(play, zone)
    _start(play, zone)


def _pause(play: Play, zone: int) -> None:
    state = play.zones[zone]
    if state.active:
        state.active = False
        for site in play.world.sites(zone):
            site.daemon.pause()
            site.active = False


def _resume(play: Play, zone: int) -> None:
    state = play.zones[zone]
    if not state.active and not state.stopped:
        state.active = True
        for site in play.world.sites(zone):
            site.daemon.resume()
            site.active = True
        play.follow()


# --- Chassis --------------------------------------------------------------------------------


Encaps: TypeAlias = tuple[tuple[str, str, str], ...]
"""Type, IP and `options:csum` of each."""


def _encaps(chassis: str, encaps: Encaps) -> tuple[list[Json], Json]:
    """The rows to insert, and references to them."""
    rows = [
        insert(
            "Encap",
            f"encap{i}",
            type=kind,
            ip=ip,
            chassis_name=chassis,
            options=mapping({"csum": csum}),
        )
        for i, (kind, ip, csum) in enumerate(encaps)
    ]
    return rows, ["set", [["named-uuid", f"encap{i}"] for i in range(len(rows))]]


def _config(*, interconn: bool) -> Json:
    return mapping({"is-interconn": "true"} if interconn else {})


def _chassis_add(
    play: Play, zone: int, name: str, hostname: str, encaps: Encaps, interconn: bool
) -> None:
    state = play.zones[zone]
    if name not in state.chassis:
        state.chassis.add(name)
        rows, refs = _encaps(name, encaps)
        config = _config(interconn=interconn)
        row = insert(
            "Chassis", "chassis", name=name, hostname=hostname, encaps=refs, other_config=config
        )
        play.sb(zone, *rows, row)


def _chassis_del(play: Play, zone: int, name: str) -> None:
    state = play.zones[zone]
    if name in state.chassis:
        state.chassis.remove(name)
        play.sb(zone, delete("Chassis", named(name)))


def _chassis_set(play: Play, zone: int, name: str, hostname: str, interconn: bool) -> None:
    if name in play.zones[zone].chassis:
        config = _config(interconn=interconn)
        play.sb(zone, update("Chassis", named(name), hostname=hostname, other_config=config))


def _chassis_encaps(play: Play, zone: int, name: str, encaps: Encaps) -> None:
    if name in play.zones[zone].chassis:
        rows, refs = _encaps(name, encaps)
        play.sb(zone, *rows, update("Chassis", named(name), encaps=refs))


# --- Routers and their ports ----------------------------------------------------------------


def _router_add(play: Play, zone: int, name: str) -> None:
    state = play.zones[zone]
    if name not in state.routers:
        state.routers.add(name)
        play.nb(zone, insert("Logical_Router", "router", name=name))


def _router_del(play: Play, zone: int, name: str) -> None:
    state = play.zones[zone]
    if name in state.routers:
        state.routers.remove(name)
        state.router_ports = {p: r for p, r in state.router_ports.items() if r != name}
        state.routes = [known for known in state.routes if known[0] != name]
        play.nb(zone, delete("Logical_Router", named(name)))


def _router_enabled(play: Play, zone: int, name: str, enabled: bool) -> None:
    if name in play.zones[zone].routers:
        play.nb(zone, update("Logical_Router", named(name), enabled=enabled))


def _router_option(play: Play, zone: int, name: str, key: str, value: str) -> None:
    if name in play.zones[zone].routers:
        play.nb(zone, _set_option("Logical_Router", name, key, value))


def _set_option(table: str, name: str, key: str, value: str) -> Json:
    remove = ["options", "delete", ["set", [key]]]
    add = ["options", "insert", mapping({key: value} if value else {})]
    return mutate(table, named(name), remove, add)


def _port_add(
    play: Play, zone: int, router: str, name: str, mac: str, networks: tuple[str, ...]
) -> None:
    state = play.zones[zone]
    if VERSION < DUPLICATES and state.is_second(name, router, networks):
        return
    if router in state.routers and name not in state.router_ports:
        state.router_ports[name] = router
        state.networks[name] = networks
        port = insert(ROUTER_PORT, "port", name=name, mac=mac, networks=strings(networks))
        join = mutate("Logical_Router", named(router), ["ports", "insert", new("port")])
        play.nb(zone, port, join)


def _port_del(play: Play, zone: int, name: str) -> None:
    router = play.zones[zone].router_ports.pop(name, None)
    if router is not None:
        _remove_port(play, zone, "Logical_Router", named(router), ROUTER_PORT, name)


def _remove_port(play: Play, zone: int, parent: str, where: Json, table: str, name: str) -> None:
    """Remove a row from the `ports` of its parent; its UUID differs between the sides."""
    for site in play.world.sites(zone):
        select = {"op": "select", "table": table, "where": named(name), "columns": ["_uuid"]}
        for row in site.transact(Database.NB, select)[0]["rows"]:
            gone = ["ports", "delete", ["set", [row["_uuid"]]]]
            site.transact(Database.NB, mutate(parent, where, gone))


def _port_networks(play: Play, zone: int, name: str, networks: tuple[str, ...]) -> None:
    state = play.zones[zone]
    router = state.router_ports.get(name)
    if router and not (VERSION < DUPLICATES and state.is_second(name, router, networks)):
        state.networks[name] = networks
        play.nb(zone, update(ROUTER_PORT, named(name), networks=strings(networks)))


def _port_mac(play: Play, zone: int, name: str, mac: str) -> None:
    if name in play.zones[zone].router_ports:
        play.nb(zone, update(ROUTER_PORT, named(name), mac=mac))


def _port_option(play: Play, zone: int, name: str, key: str, value: str) -> None:
    if name in play.zones[zone].router_ports:
        play.nb(zone, _set_option(ROUTER_PORT, name, key, value))


def _bind(play: Play, zone: int, name: str, chassis: str) -> None:
    """Set the chassis of a router port, as ovn-controller does for the active gateway."""
    if name in play.zones[zone].router_ports:
        gateway = insert(
            "Gateway_Chassis", "gw", name=f"{name}-{chassis}", chassis_name=chassis, priority=1
        )
        play.nb(zone, gateway, update(ROUTER_PORT, named(name), gateway_chassis=new("gw")))
        for site in play.world.sites(zone):
            site.bound[f"cr-{name}"] = chassis


def _unbind(play: Play, zone: int, name: str) -> None:
    if name in play.zones[zone].router_ports:
        for site in play.world.sites(zone):
            site.bound.pop(f"cr-{name}", None)


def _join(play: Play, zone: int, ts: str, name: str, kind: str, peer: str) -> None:
    """Add a port to the copy of a transit switch, once the copy exists."""
    state = play.zones[zone]
    if ts in play.switches and state.active and state.name:
        play.world.wait_for_copy(zone, ts)
        state.copies.add(ts)
    if ts in state.copies and name not in state.switch_ports:
        state.switch_ports[name] = ts
        options = mapping({"router-port": peer} if peer else {})
        addresses = strings(["router"] if kind == "router" else ["unknown"])
        port = insert(
            SWITCH_PORT, "port", name=name, type=kind, options=options, addresses=addresses
        )
        play.nb(zone, port, mutate("Logical_Switch", named(ts), ["ports", "insert", new("port")]))


def _part(play: Play, zone: int, name: str) -> None:
    ts = play.zones[zone].switch_ports.pop(name, None)
    if ts is not None:
        _remove_port(play, zone, "Logical_Switch", named(ts), SWITCH_PORT, name)


# --- Routes ---------------------------------------------------------------------------------


def _route_add(
    play: Play, zone: int, router: str, prefix: str, nexthop: str, table: str, policy: str
) -> None:
    state = play.zones[zone]
    known = (router, prefix, table)
    if router in state.routers and not (VERSION < DUPLICATES and known in state.routes):
        state.routes.append(known)
        row: dict[str, Json] = {"ip_prefix": prefix, "nexthop": nexthop, "route_table": table}
        if policy:
            row["policy"] = policy
        route = insert("Logical_Router_Static_Route", "route", **row)
        join = ["static_routes", "insert", new("route")]
        play.nb(zone, route, mutate("Logical_Router", named(router), join))


def _route_del(play: Play, zone: int, prefix: str) -> None:
    """Delete the zone's own static routes with a prefix."""
    state = play.zones[zone]
    state.routes = [known for known in state.routes if known[1] != prefix]
    for site in play.world.sites(zone):
        where = named(prefix, "ip_prefix")
        select = {"op": "select", "table": "Logical_Router_Static_Route", "where": where}
        for row in site.transact(Database.NB, select)[0]["rows"]:
            if "ic-learned-route" not in dict(row["external_ids"][1]):
                gone = ["static_routes", "delete", ["set", [row["_uuid"]]]]
                site.transact(Database.NB, mutate("Logical_Router", [], gone))


def _balance(
    play: Play, zone: int, router: str, name: str, vips: tuple[tuple[str, str], ...]
) -> None:
    """Add a load balancer to a router, or change its VIPs."""
    state = play.zones[zone]
    pairs = mapping(dict(vips))
    if name in state.balancers:
        play.nb(zone, update("Load_Balancer", named(name), vips=pairs))
    elif router in state.routers:
        state.balancers.add(name)
        row = insert("Load_Balancer", "lb", name=name, vips=pairs)
        join = ["load_balancer", "insert", new("lb")]
        play.nb(zone, row, mutate("Logical_Router", named(router), join))


def _unbalance(play: Play, zone: int, name: str) -> None:
    state = play.zones[zone]
    if name in state.balancers:
        state.balancers.remove(name)
        play.nb(zone, delete("Load_Balancer", named(name)))


# --- Other hands ----------------------------------------------------------------------------


def _lose_learned(play: Play, zone: int, router: str) -> None:
    """Another client deletes the learned routes of a router."""
    for site in play.world.sites(zone):
        select = {"op": "select", "table": "Logical_Router_Static_Route", "where": []}
        rows = site.transact(Database.NB, select)[0]["rows"]
        gone = [row["_uuid"] for row in rows if "ic-learned-route" in dict(row["external_ids"][1])]
        loss = ["static_routes", "delete", ["set", gone]]
        site.transact(Database.NB, mutate("Logical_Router", named(router), loss))


def _lose_advertised(play: Play, zone: int, ts: str) -> None:
    """Another client deletes all routes of a transit switch."""
    play.world.write_ic(Database.IC_SB, delete("Route", named(ts, "transit_switch")))


def _ask(play: Play, zone: int) -> None:
    """A client waits until all zones are up to date (`ovn-ic-nbctl --wait=sb sync`)."""
    play.world.write_ic(Database.IC_NB, mutate("IC_NB_Global", [], ["nb_ic_cfg", "+=", 1]))


def _ic_option(play: Play, zone: int, key: str, value: str) -> None:
    """Set an option for all zones."""
    remove = ["options", "delete", ["set", [key]]]
    add = ["options", "insert", mapping({key: value} if value else {})]
    play.world.write_ic(Database.IC_NB, mutate("IC_NB_Global", [], remove, add))


KINDS: Mapping[str, Kind] = {
    "lose_learned": _lose_learned,
    "lose_advertised": _lose_advertised,
    "ask": _ask,
    "ic_option": _ic_option,
    "settle": _settle,
    "ts_add": _ts_add,
    "ts_del": _ts_del,
    "rename": _rename,
    "option": _option,
    "stop": _stop,
    "start": _start,
    "restart": _restart,
    "pause": _pause,
    "resume": _resume,
    "chassis_add": _chassis_add,
    "chassis_del": _chassis_del,
    "chassis_set": _chassis_set,
    "chassis_encaps": _chassis_encaps,
    "router_add": _router_add,
    "router_del": _router_del,
    "router_enabled": _router_enabled,
    "router_option": _router_option,
    "port_add": _port_add,
    "port_del": _port_del,
    "port_networks": _port_networks,
    "port_mac": _port_mac,
    "port_option": _port_option,
    "bind": _bind,
    "unbind": _unbind,
    "join": _join,
    "part": _part,
    "route_add": _route_add,
    "route_del": _route_del,
    "balance": _balance,
    "unbalance": _unbalance,
}
