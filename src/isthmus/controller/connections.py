"""The connections of VPCs to transit switches: routers, their ports and gateways in the view.

Used by the reconcilers and the status. Objects are identified by their marks (`vendor`, our own
mark, the transit switch of their switch) and never by parsing their names: zone names may contain
any character.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from operator import attrgetter

from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.zones import zone_name
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.external_ids import (
    ISTHMUS,
    KUBE_OVN,
    NETWORK,
    SUBNET,
    TS_MARK,
    VENDOR,
    claimed_address,
    is_ours,
    network_of,
)
from isthmus.model.indexes import (
    BINDINGS_BY_PORT,
    CHASSIS_BY_NAME,
    IC_PORTS_BY_TS,
    LOCAL_CHASSIS_BY_HOSTNAME,
    LRPS_BY_NAME,
    LSPS_BY_ROUTER_PORT,
    MARKED_LRPS_BY_TS,
    NODE_PORTS,
    PORT_GATEWAYS,
    ROUTER_PORTS,
    ROUTERS_BY_NAME,
    SB_ENCAPS_BY_TUNNEL,
    SWITCH_PORTS,
    SWITCHES_BY_TS,
    TRANSIT_SWITCHES_BY_NAME,
    node_of,
)
from isthmus.model.ovn_keys import REDIRECT, ROUTER_PORT, interconn_ts, is_remote
from isthmus.model.prefixes import Address, Network, overlapping, parse_interface, parse_list
from isthmus.model.rows import (
    Chassis,
    GatewayChassis,
    IcPortBinding,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    RowId,
    SbEncap,
    TransitSwitch,
)


@dataclass(frozen=True, slots=True)
class PortPair:
    """A router's connection to a transit switch: the switch port and the router port.

    A side is None if only the other one exists.
    """

    switch: LogicalSwitch | None
    switch_port: LogicalSwitchPort | None
    router_port: LogicalRouterPort | None

    @property
    def name(self) -> str:
        """The name of the switch port, else of the router port."""
        row = self.switch_port or self.router_port
        return row.name if row is not None else ""


class Connections:
    """The connections of the VPCs of the inputs.

    Args:
        view: shared with the engine.
        inputs: which VPCs take part in which networks.
    """

    def __init__(self, view: View, inputs: Inputs) -> None:
        self._view, self._inputs = view, inputs

    def transit_switch_names(self) -> set[str]:
        """The names of all transit switches that exist, or of which a copy or a port is left."""
        return {
            *self._view.index(TRANSIT_SWITCHES_BY_NAME).keys(),
            *self._view.index(SWITCHES_BY_TS).keys(),
            *self._view.index(MARKED_LRPS_BY_TS).keys(),
        }

    def transit_switch(self, name: str) -> TransitSwitch | None:
        """The transit switch of a name in IC-NB."""
        return self._view.one(TRANSIT_SWITCHES_BY_NAME, name)

    def copies(self, transit_switch: str) -> Iterator[LogicalSwitch]:
        """The copies of a transit switch in NB."""
        return self._view.all(SWITCHES_BY_TS, transit_switch)

    def vpc_of(self, row: TransitSwitch) -> str | None:
        """The VPC to connect to a transit switch; None if this cluster does not connect to it."""
        network = network_of(row) if self.subnet(row) else None
        return None if network is None else self._inputs.vpc_in(network)

    def subnet(self, row: TransitSwitch) -> str:
        """The subnets of a transit switch: those in its row, else those that our ports are in.

        Kube-OVN's start script up to 1.15 writes none if TS_NAME is not `ts`.
        """
        if row.external_ids.get(SUBNET):
            return row.external_ids[SUBNET]
        ports = (pair.router_port for pair in self.ports_on(row.name))
        texts = (text for port in ports if port is not None for text in port.networks)
        found = {interface.network for text in texts if (interface := parse_interface(text))}
        return ",".join(sorted(map(str, found)))

    def transit_switches(self, vpc: str) -> list[str]:
        """The names of the transit switches to connect a VPC to, in the order of their numbers."""
        rows = [row for row in self._view.table(TransitSwitch) if self.vpc_of(row) == vpc]
        return sorted((row.name for row in rows if self.shadowing(row) is None), key=_natural)

    def connected_to(self, router: LogicalRouter) -> list[str]:
        """The names of the transit switches that a router has ports on, in their order."""
        marked = self._view.index(MARKED_LRPS_BY_TS)
        return sorted(
            (
                name
                for name in tuple(marked.keys())
                if any(self.router_of(port) == router for port in marked.all(name))
            ),
            key=_natural,
        )

    def shadowing(self, row: TransitSwitch) -> TransitSwitch | None:
        """The transit switch that is connected instead of one whose subnet it shares, if any.

        A router cannot have two ports in one subnet. Of transit switches of one network whose
        subnets overlap, the one that has a port of ours is connected, a port with a gateway rather
        than one without, the one with ports of more other zones, else the first by number.
        """
        network, subnets = network_of(row), parse_list(self.subnet(row))[0]
        rivals = [
            other
            for other in self._view.table(TransitSwitch)
            if other.uuid != row.uuid
            and network_of(other) == network
            and any(overlapping(subnets, parse_list(self.subnet(other))[0]))
        ]
        if not rivals:
            return None
        first = min((row, *rivals), key=lambda ts: self._rank(ts.name))
        return None if first.uuid == row.uuid else first

    def _rank(self, name: str) -> tuple[bool, bool, int, tuple[str, int, str]]:
        ports = self.ports_on(name)
        rows = (row for p in ports if p.router_port for row in self.gateway_chassis(p.router_port))
        served = any(self._view.one(CHASSIS_BY_NAME, row.chassis_name) for row in rows)
        return not ports, not served, -len(self.zones_on(name)), _natural(name)

    def zones_on(self, transit_switch: str) -> set[str]:
        """The names of the other zones with ports on a transit switch."""
        ports = self._view.all(IC_PORTS_BY_TS, transit_switch)
        zones = {zone_name(self._view, port.availability_zone) for port in ports}
        own = self._view.single(NbGlobal)
        return zones - {own.name if own is not None else ""}

    def router(self, vpc: str) -> LogicalRouter | None:
        """The router of a VPC."""
        return next(iter(self.routers(vpc)), None)

    def routers(self, vpc: str) -> list[LogicalRouter]:
        """The routers with the name of a VPC, of which the one with the most ports is the VPC's.

        NB does not keep names unique: `ovn-nbctl --add-duplicate lr-add` makes another one.
        """
        rows = list(self._view.all(ROUTERS_BY_NAME, vpc))
        if len(rows) > 1:
            ports = self._view.relation(ROUTER_PORTS)
            rows.sort(key=lambda row: (-len([*ports.children(row.uuid)]), row.uuid))
        return rows

    def router_ports(self, vpc: str) -> list[LogicalRouterPort]:
        """The ports of a VPC's router on transit switches that have our mark."""
        router = self.router(vpc)
        marked = self._view.index(MARKED_LRPS_BY_TS)
        ports = (port for name in tuple(marked.keys()) for port in marked.all(name))
        return [port for port in ports if self.router_of(port) == router]

    def node_networks(self, vpc: str) -> frozenset[Network]:
        """The networks between a VPC's router and the nodes, as the northbound database has them.

        Kube-OVN connects each node by a switch port `node-NAME`, whatever the switch is called.
        """
        nodes = self._view.index(LOCAL_CHASSIS_BY_HOSTNAME)
        parent = self._view.relation(SWITCH_PORTS).parent
        switches: set[RowId] = set()
        for port in self._view.all(NODE_PORTS, True):
            switch = parent(port.uuid)
            # There may be thousands of nodes, all on one switch.
            if switch is not None and switch not in switches and nodes.one(node_of(port)):
                switches.add(switch)
        router = self.router(vpc)
        if router is None or not switches:
            return frozenset()
        return frozenset(
            interface.network
            for port in self._view.children(ROUTER_PORTS, router.uuid)
            for peer in self._view.all(LSPS_BY_ROUTER_PORT, port.name)
            if parent(peer.uuid) in switches
            for text in port.networks
            if (interface := parse_interface(text)) is not None
        )

    def vendor(self, vpc: str) -> Mapping[str, str]:
        """The `external_ids` that mark the objects of a VPC with their vendor."""
        return {VENDOR: KUBE_OVN if vpc == self._inputs.vpc else ISTHMUS}

    def router_port_named(self, name: str) -> LogicalRouterPort | None:
        """The port with that name, of any router."""
        return self._view.one(LRPS_BY_NAME, name)

    def router_of(self, port: LogicalRouterPort) -> LogicalRouter | None:
        """The router that a port belongs to."""
        return self._view.parent(ROUTER_PORTS, port.uuid)

    def switch_ports(self, switch: LogicalSwitch) -> Iterator[LogicalSwitchPort]:
        """The ports of a switch."""
        return self._view.children(SWITCH_PORTS, switch.uuid)

    def ports_on(self, transit_switch: str) -> list[PortPair]:
        """All connections of routers to a transit switch that are ours, sorted by name.

        These are the ports of type router on the switch's copies that are marked by us or by
        Kube-OVN, or have lost their marks, and lead to the default VPC's router or to no router
        port; marked ones that have lost that type; and the router ports with our own mark.
        """
        found: list[PortPair] = []
        for switch in self.copies(transit_switch):
            for port in self.switch_ports(switch):
                router = port.type == "router" or self._was_router(transit_switch, port)
                if router and self._is_ours(transit_switch, port):
                    found += self._connection(transit_switch, switch, port)
        paired = {pair.router_port.uuid for pair in found if pair.router_port is not None}
        found += [
            PortPair(None, None, orphan)
            for orphan in self._view.all(MARKED_LRPS_BY_TS, transit_switch)
            if orphan.uuid not in paired
        ]
        return sorted(found, key=attrgetter("name"))

    def transit_switch_of_port(self, change: Change) -> tuple[str, ...]:
        """The transit switch on whose copy a switch port is (a watch).

        A deleted port is on no switch; its switch changes at the same time, and is watched, too.
        """
        switch = self._view.parent(SWITCH_PORTS, change.row.uuid)
        return interconn_ts(switch) if switch is not None else ()

    def gateway_chassis(self, port: LogicalRouterPort) -> list[GatewayChassis]:
        """The gateway candidates of a router port, sorted by name."""
        return sorted(self._view.children(PORT_GATEWAYS, port.uuid), key=lambda row: row.name)

    def serving_chassis(self, transit_switch: str) -> Mapping[str, Chassis]:
        """The chassis that serve our router ports on a transit switch now, as OVN reports it."""
        ports = (pair.router_port for pair in self.ports_on(transit_switch))
        names = (REDIRECT + port.name for port in ports if port is not None)
        bindings = (self._view.one(BINDINGS_BY_PORT, name) for name in names)
        found = (self._view.get(Chassis, b.chassis) for b in bindings if b is not None)
        return {chassis.name: chassis for chassis in found if chassis is not None}

    @property
    def chassis_known(self) -> bool:
        """Whether there are any chassis; there are none while SB is not read, or made again."""
        return next(iter(self._view.index(LOCAL_CHASSIS_BY_HOSTNAME).keys()), None) is not None

    def chassis_of(self, node: str) -> list[Chassis]:
        """This cluster's chassis with the hostname `node`, sorted by name."""
        return sorted(self._view.all(LOCAL_CHASSIS_BY_HOSTNAME, node), key=lambda row: row.name)

    def tunnel_at(self, addresses: Iterable[Address]) -> SbEncap | None:
        """The tunnel end of any zone's chassis with one of these addresses."""
        tunnels = product(("geneve", "vxlan", "stt"), map(str, addresses))
        found = (self._view.one(SB_ENCAPS_BY_TUNNEL, tunnel) for tunnel in tunnels)
        return next(filter(None, found), None)

    def _is_ours(self, transit_switch: str, port: LogicalSwitchPort) -> bool:
        """Whether a switch port is ours: by its mark, its router port's, or both names."""
        if is_ours(port.external_ids):
            return True
        if VENDOR in port.external_ids:
            return False
        peer = self.router_port_named(port.options.get(ROUTER_PORT, ""))
        ids = peer.external_ids if peer is not None else {}
        marked = is_ours(ids) and ids.get(TS_MARK) == transit_switch
        return marked or self._has_our_names(transit_switch, port)

    def _was_router(self, transit_switch: str, port: LogicalSwitchPort) -> bool:
        """Whether a port of another type has the marks and the router port of one of ours."""
        peer = self.router_port_named(port.options.get(ROUTER_PORT, ""))
        marked = peer is not None and peer.external_ids.get(TS_MARK) == transit_switch
        return marked and is_ours(port.external_ids)

    def _has_our_names(self, transit_switch: str, port: LogicalSwitchPort) -> bool:
        """Whether a port without marks, and the router port that it names, are named like ours."""
        zone = self._inputs.config.zone if self._inputs.config is not None else ""
        names = f"{transit_switch}-{zone}", f"{zone}-{transit_switch}"
        return bool(zone) and (port.name, port.options.get(ROUTER_PORT)) == names

    def _connection(
        self, transit_switch: str, switch: LogicalSwitch, port: LogicalSwitchPort
    ) -> Iterator[PortPair]:
        """A switch port with its router port; nothing if that is not ours."""
        peer = self.router_port_named(port.options.get(ROUTER_PORT, ""))
        if peer is None or peer.external_ids.get(TS_MARK, transit_switch) != transit_switch:
            yield PortPair(switch, port, None)
            return
        router, made_here = self.router_of(peer), port.external_ids.get(VENDOR) == ISTHMUS
        marked = is_ours(peer.external_ids) and (TS_MARK in peer.external_ids or made_here)
        named = self._has_our_names(transit_switch, port)
        if marked or named or (router is not None and router.name == self._inputs.vpc):
            yield PortPair(switch, port, peer)
        elif made_here:
            yield PortPair(switch, port, None)


def held_addresses(row: TransitSwitch, cluster: RowId) -> dict[str, str]:
    """This cluster's address claims on a transit switch, with any zone name."""
    return {
        key: value
        for key, value in row.external_ids.items()
        if claimed_address(key) is not None and value.rpartition("/")[2] == cluster
    }


def renamed(change: Change) -> bool:
    """Whether a router was added, deleted or renamed."""
    names = [row.name for row in change.of(LogicalRouter)]
    return len(names) != 2 or names[0] != names[1]


def transit_switches_of(change: Change) -> set[str]:
    """The transit switches that a row of these tables belongs or belonged to (a watch)."""
    names: set[str] = set()
    for switch in change.of(LogicalSwitch):
        names.update(interconn_ts(switch))
    names.update(row.name for row in change.of(TransitSwitch))
    return names.union(row.transit_switch for row in change.of(IcPortBinding))


def connects_node(change: Change) -> bool:
    """Whether `Connections.node_networks` may depend on a switch port or a chassis (a watch)."""
    ports, chassis = change.of(LogicalSwitchPort), change.of(Chassis)
    return any(port.type == "router" or node_of(port) for port in ports) or any(
        not is_remote(row) for row in chassis
    )


def rivals_changed(change: Change) -> bool:
    """Whether `Connections.shadowing` of other transit switches may depend on a change (a watch).

    It does if a transit switch was added, deleted or renamed, or has other marks than before;
    address claims do not matter.
    """
    found = [
        (row.name, *map(row.external_ids.get, (SUBNET, NETWORK, VENDOR)))
        for row in change.of(TransitSwitch)
    ]
    return len(found) == 1 or len(set(found)) > 1


def _natural(name: str) -> tuple[str, int, str]:
    """Sorts ts before ts1, and ts2 before ts10, as Kube-OVN numbers them."""
    match = re.fullmatch(r"(.*?)(\d{0,9})", name, re.DOTALL)
    stem, number = match.groups() if match else (name, "")
    return stem, int(number or -1), name
