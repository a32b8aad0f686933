"""Zones, their gateways, tunnels and ports, read from the IC databases. Pure.

The answer of `isthmus show`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from isthmus.engine.view import View
from isthmus.inspect.layout import Branch, tree
from isthmus.model.external_ids import NETWORK, SUBNET
from isthmus.model.rows import (
    AvailabilityZone,
    Gateway,
    IcEncap,
    IcPortBinding,
    IcRoute,
    TransitSwitch,
)
from isthmus.model.text import counted, printable_lines


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """A tunnel end of a gateway."""

    type: str
    ip: str


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A zone's port on a transit switch; `address` is "MAC IP/LENGTH…"."""

    name: str
    transit_switch: str
    address: str
    tunnel_key: int


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """A gateway, and the ports that it serves now."""

    name: str
    hostname: str
    tunnels: tuple[TunnelEnd, ...]
    ports: tuple[PortInfo, ...]


@dataclass(frozen=True, slots=True)
class ZoneInfo:
    """An availability zone; `unbound_ports` are those that no gateway serves."""

    name: str
    gateways: tuple[GatewayInfo, ...]
    unbound_ports: tuple[PortInfo, ...]
    routes: int


@dataclass(frozen=True, slots=True)
class TransitSwitchInfo:
    """A transit switch.

    Args:
        zones: how many zones have a port on the switch.
        network: the network of custom VPCs that the switch serves; empty for the default VPCs.
    """

    name: str
    subnet: str
    zones: int
    network: str = ""


@dataclass(frozen=True, slots=True)
class IcTopology:
    """All zones and transit switches, by name."""

    zones: tuple[ZoneInfo, ...]
    transit_switches: tuple[TransitSwitchInfo, ...]


def topology(view: View) -> IcTopology:
    """The topology in a view of IC-NB and IC-SB."""
    zones = sorted(view.table(AvailabilityZone), key=lambda row: row.name)
    switches = sorted(view.table(TransitSwitch), key=lambda row: row.name)
    return IcTopology(
        zones=tuple(_zone(view, zone) for zone in zones),
        transit_switches=tuple(_switch(view, switch) for switch in switches),
    )


def _zone(view: View, zone: AvailabilityZone) -> ZoneInfo:
    gateways = [row for row in view.table(Gateway) if row.availability_zone == zone.uuid]
    ports = [row for row in view.table(IcPortBinding) if row.availability_zone == zone.uuid]
    known = {gateway.name for gateway in gateways}
    return ZoneInfo(
        name=zone.name,
        gateways=tuple(
            _gateway(view, gateway, [port for port in ports if port.gateway == gateway.name])
            for gateway in sorted(gateways, key=lambda row: (row.hostname, row.name))
        ),
        unbound_ports=_ports(port for port in ports if port.gateway not in known),
        routes=sum(route.availability_zone == zone.uuid for route in view.table(IcRoute)),
    )


def _gateway(view: View, gateway: Gateway, ports: Iterable[IcPortBinding]) -> GatewayInfo:
    encaps = (view.get(IcEncap, uuid) for uuid in gateway.encaps)
    tunnels = [TunnelEnd(encap.type, encap.ip) for encap in encaps if encap is not None]
    return GatewayInfo(
        name=gateway.name,
        hostname=gateway.hostname,
        tunnels=tuple(sorted(tunnels, key=lambda end: (end.type, end.ip))),
        ports=_ports(ports),
    )


def _ports(rows: Iterable[IcPortBinding]) -> tuple[PortInfo, ...]:
    ports = [PortInfo(r.logical_port, r.transit_switch, r.address, r.tunnel_key) for r in rows]
    return tuple(sorted(ports, key=lambda port: (port.transit_switch, port.name)))


def _switch(view: View, switch: TransitSwitch) -> TransitSwitchInfo:
    zones = {
        port.availability_zone
        for port in view.table(IcPortBinding)
        if port.transit_switch == switch.name
    }
    ids = switch.external_ids
    return TransitSwitchInfo(switch.name, ids.get(SUBNET, ""), len(zones), ids.get(NETWORK, ""))


def topology_text(found: IcTopology) -> str:
    """The topology as plain text: a tree for each zone, a line for each transit switch."""
    return printable_lines(_lines(found))


def _lines(found: IcTopology) -> Iterator[str]:
    for zone in found.zones:
        yield from tree(_zone_branch(zone))
    for switch in found.transit_switches:
        network = f" of network {switch.network}" if switch.network else ""
        yield (
            f"transit switch {switch.name}{network}: subnet {switch.subnet or 'none'},"
            f" {switch.zones} of {counted(len(found.zones), 'zone')} attached"
        )
    if not found.zones:
        yield "no availability zone has joined"


def _zone_branch(zone: ZoneInfo) -> Branch:
    branches = [_gateway_branch(gateway) for gateway in zone.gateways]
    if zone.unbound_ports:
        ports = list(map(_port_branch, zone.unbound_ports))
        branches.append(("ports without a live gateway", ports))
    routes = counted(zone.routes, "route")
    return f"availability zone {zone.name} ({routes} advertised)", branches


def _gateway_branch(gateway: GatewayInfo) -> Branch:
    tunnels: list[Branch] = [(f"{tunnel.type} {tunnel.ip}", ()) for tunnel in gateway.tunnels]
    ports = list(map(_port_branch, gateway.ports))
    return f"gateway {gateway.hostname} ({gateway.name})", tunnels + ports


def _port_branch(port: PortInfo) -> Branch:
    address = port.address or "no address yet"
    return f"port {port.name} on transit switch {port.transit_switch}: {address}", ()
