"""The operations that create, change or remove a router's connection to a transit switch. Pure.

Used by `RouterPorts` and for leaving. Only differences are written. Keys of `options` and
`external_ids` that others have set (`requested-tnl-key`, filters, an MTU) are kept, also when a
port is replaced because its name changes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from isthmus.controller.connections import Connections, PortPair
from isthmus.controller.reconcilers.port_options import MARKS, PortSettings
from isthmus.model.external_ids import TS_MARK
from isthmus.model.indexes import PORT_GATEWAYS, ROUTER_PORTS, SWITCH_PORTS
from isthmus.model.operations import (
    Insert,
    NewRef,
    Operation,
    Update,
    Value,
    change_map,
    insert_child,
    remove_children,
    set_keys,
    update,
)
from isthmus.model.ovn_keys import REQUESTED_TNL_KEY, ROUTER_PORT
from isthmus.model.prefixes import parse_interface
from isthmus.model.rows import (
    GatewayChassis,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
)

ADDRESSES = frozenset({"router"})


@dataclass(frozen=True, slots=True)
class WantedPort:
    """The desired connection.

    Args:
        transit_switch: the transit switch's name.
        switch_port, router_port: names of the two ports.
        mac: of the router port.
        networks: of the router port, "address/length".
        gateways: priority by chassis name; None to leave the candidates unchanged.
        vendor: the vendor mark for `external_ids`.
        settings: options of the router port.
        tunnel_key: the key that a new switch port requests; 0 for none.
    """

    transit_switch: str
    switch_port: str
    router_port: str
    mac: str
    networks: frozenset[str]
    gateways: Mapping[str, int] | None
    vendor: Mapping[str, str]
    settings: PortSettings
    tunnel_key: int = 0

    @property
    def switch_port_ids(self) -> Mapping[str, str]:
        """The `external_ids` of the switch port."""
        return {"ls": self.transit_switch, **self.vendor}

    @property
    def router_port_ids(self) -> Mapping[str, str]:
        """The `external_ids` of the router port."""
        return {TS_MARK: self.transit_switch, **self.vendor, **self.settings.marks}


def align_ports(
    connections: Connections,
    wanted: WantedPort,
    existing: Iterable[PortPair],
    switch: LogicalSwitch,
    router: LogicalRouter,
) -> Iterator[Operation]:
    """Return the operations from the existing connections to the desired one.

    Args:
        connections: to find parents and gateway candidates.
        wanted: the desired connection.
        existing: all our connections to the transit switch.
        switch: the transit switch's copy.
        router: the router to connect.
    """
    ports = list(existing)
    here = (p.switch_port for p in ports if p.switch == switch and p.switch_port is not None)
    switch_port = next((row for row in here if row.name == wanted.switch_port), None)
    router_port = connections.router_port_named(wanted.router_port)
    if router_port is not None and connections.router_of(router_port) != router:
        router_port = None  # of the VPC that was connected before; removed below
    # Manual settings of a port that is replaced belong to the connection, not to its name.
    donor = next((p for p in ports if p.router_port is not None), PortPair(None, None, None))
    yield from remove_ports(connections, ports, keep=(switch_port, router_port))
    if router_port is not None:
        yield from _update_router_port(connections, router_port, wanted)
    else:
        yield from _insert_router_port(connections, router, wanted, donor.router_port)
    if switch_port is not None:
        yield from _update_switch_port(switch_port, wanted)
    else:
        yield from _insert_switch_port(switch, wanted, donor.switch_port)


def remove_ports(
    connections: Connections,
    ports: Iterable[PortPair],
    keep: tuple[LogicalSwitchPort | None, LogicalRouterPort | None] = (None, None),
) -> Iterator[Operation]:
    """Remove ports from their switches and routers, which deletes them, except those to keep."""
    for port in ports:
        if port.switch and port.switch_port and port.switch_port != keep[0]:
            yield from remove_children(SWITCH_PORTS, port.switch.uuid, [port.switch_port.uuid])
    # Two switch ports may name the same router port.
    rows = {port.router_port.uuid: port.router_port for port in ports if port.router_port}
    for row in rows.values():
        router = connections.router_of(row)
        if router is not None and (keep[1] is None or row.uuid != keep[1].uuid):
            yield from remove_children(ROUTER_PORTS, router.uuid, [row.uuid])


def _insert_switch_port(
    switch: LogicalSwitch, wanted: WantedPort, donor: LogicalSwitchPort | None
) -> Iterator[Operation]:
    # Requested at once: ovn-controller 23.03 keeps the flows of a key that is changed later.
    options = {REQUESTED_TNL_KEY: str(wanted.tunnel_key)} if wanted.tunnel_key else {}
    options |= donor.options if donor is not None else {}
    row: dict[str, Value] = {
        "name": wanted.switch_port,
        "type": "router",
        "addresses": ADDRESSES,
        "options": {**options, ROUTER_PORT: wanted.router_port},
        "external_ids": wanted.switch_port_ids,
    }
    yield from insert_child(SWITCH_PORTS, switch.uuid, row)


def _update_switch_port(have: LogicalSwitchPort, wanted: WantedPort) -> Iterator[Operation]:
    yield from update(have, {"type": "router", "addresses": ADDRESSES})
    if have.options.get(ROUTER_PORT) != wanted.router_port:
        peer = {ROUTER_PORT: wanted.router_port}
        yield set_keys(LogicalSwitchPort, have.uuid, "options", peer)
    if not wanted.switch_port_ids.items() <= have.external_ids.items():
        yield set_keys(LogicalSwitchPort, have.uuid, "external_ids", wanted.switch_port_ids)


def _insert_router_port(
    connections: Connections,
    router: LogicalRouter,
    wanted: WantedPort,
    donor: LogicalRouterPort | None,
) -> Iterator[Operation]:
    gateways = wanted.gateways
    if gateways is None:
        rows = connections.gateway_chassis(donor) if donor is not None else []
        gateways = {row.chassis_name: row.priority for row in rows}
    refs: list[NewRef] = []
    for chassis, priority in gateways.items():
        refs.append(NewRef())
        yield Insert(GatewayChassis, _candidate(wanted.router_port, chassis, priority), refs[-1])
    options, ids = (donor.options, donor.external_ids) if donor is not None else ({}, {})
    row: dict[str, Value] = {
        "name": wanted.router_port,
        "mac": wanted.mac,
        "networks": wanted.networks,
        "options": wanted.settings.options(options, ids),
        "external_ids": wanted.router_port_ids,
        "gateway_chassis": frozenset(refs),
    }
    yield from insert_child(ROUTER_PORTS, router.uuid, row)


def _update_router_port(
    connections: Connections, have: LogicalRouterPort, wanted: WantedPort
) -> Iterator[Operation]:
    row: dict[str, Value] = {}
    if have.mac != wanted.mac:
        row["mac"] = wanted.mac
    # The same address may be written in several ways.
    if set(map(parse_interface, have.networks)) != set(map(parse_interface, wanted.networks)):
        row["networks"] = wanted.networks
    if row:
        yield Update(LogicalRouterPort, have.uuid, row)
    yield from align_settings(have, wanted.settings, wanted.router_port_ids)
    if wanted.gateways is not None:
        yield from align_gateways(connections, have, wanted.gateways)


def align_settings(
    have: LogicalRouterPort, settings: PortSettings, ids: Mapping[str, str]
) -> Iterator[Operation]:
    """Return the operations that give a router port its options, their marks, and other marks."""
    options = settings.options(have.options, have.external_ids)
    yield from change_map(LogicalRouterPort, have.uuid, "options", have.options, options)
    stale = {key: v for key, v in have.external_ids.items() if key not in MARKS}
    marks = {**stale, **settings.marks, **ids}
    yield from change_map(LogicalRouterPort, have.uuid, "external_ids", have.external_ids, marks)


def align_gateways(
    connections: Connections, have: LogicalRouterPort, gateways: Mapping[str, int]
) -> Iterator[Operation]:
    """Return the operations that give a router port these gateway candidates, with priorities."""
    rows = {row.name: row for row in connections.gateway_chassis(have)}
    for chassis, priority in gateways.items():
        candidate = _candidate(have.name, chassis, priority)
        row = rows.pop(f"{have.name}-{chassis}", None)
        if row is None:
            yield from insert_child(PORT_GATEWAYS, have.uuid, candidate)
        elif (row.chassis_name, row.priority) != (chassis, priority):
            yield Update(GatewayChassis, row.uuid, candidate)
    yield from remove_children(PORT_GATEWAYS, have.uuid, (row.uuid for row in rows.values()))


def _candidate(router_port: str, chassis: str, priority: int) -> dict[str, Value]:
    name = f"{router_port}-{chassis}"
    return {"name": name, "chassis_name": chassis, "priority": priority}
