"""Who takes part: zones, their gateways, tunnels and ports, from the IC databases. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from isthmus.engine.view import View
from isthmus.model.external_ids import NETWORK, SUBNET
from isthmus.model.rows import (
    AvailabilityZone,
    Gateway,
    IcEncap,
    IcPortBinding,
    IcRoute,
    TransitSwitch,
)


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """A tunnel end of a gateway."""

    type: str
    ip: str


@dataclass(frozen=True, slots=True)
class Port:
    """A zone's port on a transit switch; `address` is "MAC IP/length…"."""

    name: str
    transit_switch: str
    address: str
    tunnel_key: int


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """A gateway, and the ports that it serves at the moment."""

    name: str
    hostname: str
    tunnels: tuple[TunnelEnd, ...]
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """An availability zone; `unbound_ports` are those that no gateway serves."""

    name: str
    gateways: tuple[GatewayInfo, ...]
    unbound_ports: tuple[Port, ...]
    routes: int


@dataclass(frozen=True, slots=True)
class Switch:
    """A transit switch, how many zones have a port on it, and the network of custom VPCs it serves.

    `network` is empty for those of the default VPCs.
    """

    name: str
    subnet: str
    zones: int
    network: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    """All that takes part."""

    zones: tuple[Zone, ...]
    transit_switches: tuple[Switch, ...]


def topology(view: View) -> Topology:
    """Read the topology off a view of IC-NB and IC-SB."""
    zones = sorted(view.table(AvailabilityZone), key=lambda row: row.name)
    switches = sorted(view.table(TransitSwitch), key=lambda row: row.name)
    return Topology(
        zones=tuple(_zone(view, zone) for zone in zones),
        transit_switches=tuple(_switch(view, switch) for switch in switches),
    )


def _zone(view: View, zone: AvailabilityZone) -> Zone:
    gateways = [row for row in view.table(Gateway) if row.availability_zone == zone.uuid]
    ports = [row for row in view.table(IcPortBinding) if row.availability_zone == zone.uuid]
    known = {gateway.name for gateway in gateways}
    return Zone(
        name=zone.name,
        gateways=tuple(
            _gateway(view, gateway, [port for port in ports if port.gateway == gateway.name])
            for gateway in sorted(gateways, key=lambda row: (row.hostname, row.name))
        ),
        unbound_ports=_ports(port for port in ports if port.gateway not in known),
        routes=sum(route.availability_zone == zone.uuid for route in view.table(IcRoute)),
    )


def _gateway(view: View, gateway: Gateway, ports: Iterable[IcPortBinding]) -> GatewayInfo:
    encaps = (view.table(IcEncap).get(uuid) for uuid in gateway.encaps)
    tunnels = [TunnelEnd(encap.type, encap.ip) for encap in encaps if encap is not None]
    return GatewayInfo(
        name=gateway.name,
        hostname=gateway.hostname,
        tunnels=tuple(sorted(tunnels, key=lambda end: (end.type, end.ip))),
        ports=_ports(ports),
    )


def _ports(rows: Iterable[IcPortBinding]) -> tuple[Port, ...]:
    ports = [Port(r.logical_port, r.transit_switch, r.address, r.tunnel_key) for r in rows]
    return tuple(sorted(ports, key=lambda port: (port.transit_switch, port.name)))


def _switch(view: View, switch: TransitSwitch) -> Switch:
    zones = {
        port.availability_zone
        for port in view.table(IcPortBinding)
        if port.transit_switch == switch.name
    }
    ids = switch.external_ids
    return Switch(switch.name, ids.get(SUBNET, ""), len(zones), ids.get(NETWORK, ""))
