"""Which paths between zones work, read from the rows alone and independently of the product.

A path works if a router has a route and a policy for a prefix, and each row on the way of its
packets is in place: the router port with a gateway that is alive, the remote port, the chassis
that it is bound to, and the other zone's port on a gateway with the same tunnel IP and keys.
"""

from collections.abc import Collection
from ipaddress import ip_address, ip_interface
from typing import Any, NamedTuple

from isthmus.model.rows import (
    Chassis,
    IcPortBinding,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    SbEncap,
    SbPortBinding,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet

KEY = "requested-tnl-key"
Row = dict[str, Any]


class Path(NamedTuple):
    """From a router of one zone to a prefix of another."""

    zone: str
    router: str
    prefix: str


class _Port(NamedTuple):
    """A router's port on a copy of a transit switch."""

    switch: Row
    port: Row
    router_port: Row
    router: Row


def working(fleet: ControlledFleet, down: Collection[str] = ()) -> set[Path]:
    """All paths that work.

    Args:
        fleet: the zones.
        down: zones without a daemon. Paths count that lead to a gateway from which OVN has moved
            the port, if only one of these could make its own zone or the others use the new one.
    """
    return {
        Path(zone.cluster, port.router["name"], route["ip_prefix"])
        for zone in fleet.zones
        for port in _ports(zone)
        for route in _of(zone, LogicalRouterStaticRoute, port.router["static_routes"])
        if _works(fleet, zone, port, route, down)
    }


def _works(
    fleet: ControlledFleet,
    zone: ControlledZone,
    port: _Port,
    route: Row,
    down: Collection[str],
) -> bool:
    policies = _of(zone, LogicalRouterPolicy, port.router["policies"])
    match = f"ip4.dst == {route['ip_prefix']}"
    if not any(p["match"] == match and p["action"] == "allow" for p in policies):
        return False
    if _gateway(zone, port) is None:
        return False
    return any(
        _arrives(fleet, zone, port, remote, down)
        for remote in _of(zone, LogicalSwitchPort, port.switch["ports"])
        if remote["type"] == "remote" and _has(remote, route["nexthop"])
        if _reaches(port.router_port, route["nexthop"])
    )


def _arrives(
    fleet: ControlledFleet,
    zone: ControlledZone,
    port: _Port,
    remote: Row,
    down: Collection[str],
) -> bool:
    """Whether packets to a remote port reach the port of another zone that it stands for.

    The tunnel IP decides which node receives them; the names of chassis do not matter.
    """
    bound = _chassis_of(zone, remote["name"])
    address = next((w.split("/")[0] for a in remote["addresses"] for w in a.split()[1:]), "")
    for other in fleet.zones:
        for theirs in _ports(other) if other is not zone else ():
            gateway = _gateway(other, theirs)
            if (
                gateway is not None
                and bound is not None
                and bound["other_config"].get("is-remote") == "true"
                and (
                    _tunnels(zone, bound) == _tunnels(other, gateway)
                    or _awaits(zone, other, (remote, bound, gateway), down)
                )
                and any(str(ip_interface(n).ip) == address for n in theirs.router_port["networks"])
                and remote["options"].get(KEY) == theirs.port["options"].get(KEY)
                and _key(port.switch) == _key(theirs.switch)
            ):
                return True
    return False


def _awaits(
    zone: ControlledZone,
    other: ControlledZone,
    rows: tuple[Row, Row, Row],
    down: Collection[str],
) -> bool:
    """Whether only a zone that is down keeps a port from being bound to another zone's gateway.

    Either its own zone does not follow a move of the gateway that had to be, or the other one does
    not correct what IC-SB says.
    """
    remote, bound, gateway = rows
    ports = zone.all(IcPortBinding, logical_port=remote["name"])
    published = next((row["gateway"] for row in ports), None)
    if published == gateway["name"] != bound["name"]:
        return zone.cluster in down and not _is_gateway(other, bound["name"])
    return other.cluster in down and published == bound["name"]


def _is_gateway(zone: ControlledZone, name: str) -> bool:
    """Whether a chassis is alive and one of the gateways that its zone's ConfigMap lists."""
    nodes = zone.inputs.config.gateways if zone.inputs.config is not None else ()
    return any(
        row["hostname"] in nodes and name not in zone.dead for row in zone.all(Chassis, name=name)
    )


def _ports(zone: ControlledZone) -> list[_Port]:
    found = []
    for switch in zone.all(LogicalSwitch):
        for port in _of(zone, LogicalSwitchPort, switch["ports"]):
            name = port["options"].get("router-port")
            for lrp in zone.all(LogicalRouterPort, name=name) if port["type"] == "router" else ():
                routers = zone.all(LogicalRouter)
                router = next((r for r in routers if lrp["_uuid"] in r["ports"]), None)
                if router is not None and _key(switch):
                    found.append(_Port(switch, port, lrp, router))
    return found


def _gateway(zone: ControlledZone, port: _Port) -> Row | None:
    """The chassis that serves a port, if it is alive and takes part in interconnection."""
    chassis = _chassis_of(zone, f"cr-{port.router_port['name']}")
    if chassis is None or chassis["name"] in zone.dead:
        return None
    return chassis if chassis["other_config"].get("is-interconn") == "true" else None


def _chassis_of(zone: ControlledZone, port: str) -> Row | None:
    uuid = next((b["chassis"] for b in zone.all(SbPortBinding, logical_port=port)), None)
    return next((row for row in zone.all(Chassis) if row["_uuid"] == uuid), None)


def _of(zone: ControlledZone, kind: Any, uuids: Any) -> list[Row]:
    return [row for row in zone.all(kind) if row["_uuid"] in uuids]


def _tunnels(zone: ControlledZone, chassis: Row) -> set[str]:
    return {row["ip"] for row in _of(zone, SbEncap, chassis["encaps"])}


def _key(switch: Row) -> str:
    return str(switch["other_config"].get(KEY, ""))


def _has(remote: Row, address: str) -> bool:
    return any(w.split("/")[0] == address for a in remote["addresses"] for w in a.split()[1:])


def _reaches(lrp: Row, address: str) -> bool:
    return any(ip_address(address) in ip_interface(n).network for n in lrp["networks"])
