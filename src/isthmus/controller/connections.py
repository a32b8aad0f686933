"""Questions about the view that several of the controller's reconcilers ask, with their indexes.

Objects are recognised by what is written on them (`vendor`, our mark, the transit switch they sit
on), never by taking their names apart: zone names may hold any character.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.joined_zone import remembered
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.external_ids import (
    ISTHMUS,
    KUBE_OVN,
    TS_MARK,
    VENDOR,
    claimed_address,
    is_ours,
    network_of,
    zone_claim,
)
from isthmus.model.indexes import (
    LOCAL_CHASSIS_BY_HOSTNAME,
    LRPS_BY_NAME,
    MARKED_LRPS_BY_TS,
    PORT_GATEWAYS,
    ROUTER_PORTS,
    ROUTERS_BY_NAME,
    SWITCH_PORTS,
    SWITCHES_BY_TS,
    TRANSIT_SWITCHES_BY_NAME,
    ZONES_BY_NAME,
)
from isthmus.model.ovn_keys import ROUTER_PORT, interconn_ts
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    GatewayChassis,
    IcPortBinding,
    IcSbGlobal,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    RowId,
    TransitSwitch,
)


@dataclass(frozen=True, slots=True)
class RouterPort:
    """A connection of the router to a transit switch: the switch's port and the router's.

    One side is None where the other is all that is left.
    """

    switch: LogicalSwitch | None
    switch_port: LogicalSwitchPort | None
    router_port: LogicalRouterPort | None


class Lookup:
    """Indexes over one view, for the VPCs of the inputs."""

    def __init__(self, view: View, inputs: Inputs) -> None:
        self._view, self._inputs = view, inputs
        self.transit_switches = view.index(TRANSIT_SWITCHES_BY_NAME)
        self.copies = view.index(SWITCHES_BY_TS)
        self.marked = view.index(MARKED_LRPS_BY_TS)

    # -- this cluster and its zone -----------------------------------------------------------

    def nb_global(self) -> NbGlobal | None:
        """The row of this cluster's zone."""
        return self._view.table(NbGlobal).single()

    def holder_of(self, zone: str) -> str | None:
        """The cluster (UUID of its NB_Global) that claims a zone's name; None if there is none."""
        row = self._view.table(IcSbGlobal).single()
        return None if row is None else row.external_ids.get(zone_claim(zone))

    def registered(self, zone: str) -> bool:
        """Whether this cluster is known by that zone name, and nobody else is."""
        row = self.nb_global()
        return row is not None and row.name == zone and self.holder_of(zone) == row.uuid

    def joined(self) -> bool:
        """Whether the zone that Isthmus joined is still in force in NB."""
        row = self.nb_global()
        memory = remembered(row)
        return row is not None and memory is not None and row.name == memory.zone

    def zone_name(self, zone: RowId) -> str:
        """The name of an IC-SB availability zone; empty if its row is gone."""
        row = self._view.table(AvailabilityZone).get(zone)
        return row.name if row is not None else ""

    def zone_exists(self, name: str) -> bool:
        """Whether a zone of that name is registered in IC-SB, by whomever."""
        return self._view.one(ZONES_BY_NAME, name) is not None

    # -- transit switches --------------------------------------------------------------------

    def transit_switch_names(self) -> set[str]:
        """All names that matter: of transit switches, of copies, and on what remains of ports."""
        return {*self.transit_switches.keys(), *self.copies.keys(), *self.marked.keys()}

    def vpc_of(self, row: TransitSwitch) -> str | None:
        """The VPC to connect to a transit switch; None if it is none of our business."""
        network = network_of(row)
        return None if network is None else self._inputs.vpc_in(network)

    def connected_names(self, vpc: str) -> list[str]:
        """The transit switches to connect a VPC to, in the order of their numbers."""
        rows = self._view.table(TransitSwitch)
        return sorted((row.name for row in rows if self.vpc_of(row) == vpc), key=_natural)

    # -- routers and ports -------------------------------------------------------------------

    def router(self, vpc: str) -> LogicalRouter | None:
        """The router of a VPC."""
        return self._view.one(ROUTERS_BY_NAME, vpc)

    def router_ports(self, vpc: str) -> list[LogicalRouterPort]:
        """Our ports of a VPC's router on transit switches."""
        router = self.router(vpc)
        ports = (port for name in tuple(self.marked.keys()) for port in self.marked.all(name))
        return [port for port in ports if self.router_of(port) == router]

    def vendor(self, vpc: str) -> Mapping[str, str]:
        """The `external_ids` that say who makes what a VPC needs."""
        return {VENDOR: KUBE_OVN if vpc == self._inputs.vpc else ISTHMUS}

    def router_port_named(self, name: str) -> LogicalRouterPort | None:
        """The router port of that name, of any router."""
        return self._view.one(LRPS_BY_NAME, name)

    def router_of(self, port: LogicalRouterPort) -> LogicalRouter | None:
        """The router that a port belongs to."""
        return self._view.parent(ROUTER_PORTS, port.uuid)

    def switch_ports(self, switch: LogicalSwitch) -> Iterator[LogicalSwitchPort]:
        """The ports of a switch."""
        return self._view.children(SWITCH_PORTS, switch.uuid)

    def ports_on(self, transit_switch: str) -> list[RouterPort]:
        """All connections of routers to a transit switch that are ours, by name.

        Those are the router-type ports with a vendor mark of ours on the switch's copies that
        lead to the default VPC's router or nowhere, and what carries our own mark.
        """
        found: list[RouterPort] = []
        for switch in self.copies.all(transit_switch):
            for port in self.switch_ports(switch):
                if port.type == "router" and is_ours(port.external_ids):
                    found += self._connection(transit_switch, switch, port)
        paired = {pair.router_port.uuid for pair in found if pair.router_port is not None}
        found += [
            RouterPort(None, None, orphan)
            for orphan in self.marked.all(transit_switch)
            if orphan.uuid not in paired
        ]
        return sorted(found, key=_port_name)

    def transit_switch_of_port(self, change: Change) -> tuple[str, ...]:
        """The transit switch on whose copy a switch port is (a watch).

        A port that is gone belongs to no switch; the change of its switch tells about it.
        """
        switch = self._view.parent(SWITCH_PORTS, change.row.uuid)
        return interconn_ts(switch) if switch is not None else ()

    def gateway_chassis(self, port: LogicalRouterPort) -> list[GatewayChassis]:
        """The gateway candidates of a router port, by name."""
        return sorted(self._view.children(PORT_GATEWAYS, port.uuid), key=lambda row: row.name)

    def chassis_of(self, node: str) -> list[Chassis]:
        """This cluster's chassis on the node of that name, by name."""
        return sorted(self._view.all(LOCAL_CHASSIS_BY_HOSTNAME, node), key=lambda row: row.name)

    def _connection(
        self, transit_switch: str, switch: LogicalSwitch, port: LogicalSwitchPort
    ) -> Iterator[RouterPort]:
        """A switch port with its router port; nothing if it is another router's."""
        peer = self.router_port_named(port.options.get(ROUTER_PORT, ""))
        if peer is None or peer.external_ids.get(TS_MARK, transit_switch) != transit_switch:
            yield RouterPort(switch, port, None)
            return
        router, made_here = self.router_of(peer), port.external_ids[VENDOR] == ISTHMUS
        marked = is_ours(peer.external_ids) and (TS_MARK in peer.external_ids or made_here)
        if marked or (router is not None and router.name == self._inputs.vpc):
            yield RouterPort(switch, port, peer)
        elif made_here:
            yield RouterPort(switch, port, None)


def held_addresses(row: TransitSwitch, cluster: RowId) -> dict[str, str]:
    """This cluster's address claims on a transit switch, whatever zone name they carry."""
    return {
        key: value
        for key, value in row.external_ids.items()
        if claimed_address(key) is not None and value.rpartition("/")[2] == cluster
    }


def ports_changed(change: Change) -> bool:
    """Whether a router or switch came, went, changed by itself, or has other ports than before."""
    return change.old != change.new or "ports" in change.joined or "ports" in change.left


def transit_switches_of(change: Change) -> set[str]:
    """The transit switches that a row of one of these tables is, or was, about (a watch)."""
    names: set[str] = set()
    for row in change.sides:
        if isinstance(row, TransitSwitch):
            names.add(row.name)
        elif isinstance(row, IcPortBinding):
            names.add(row.transit_switch)
        elif isinstance(row, LogicalSwitch):
            names.update(interconn_ts(row))
    return names


def _port_name(port: RouterPort) -> str:
    row = port.switch_port or port.router_port
    return row.name if row is not None else ""


def _natural(name: str) -> tuple[str, int, str]:
    """Sorts ts before ts1, and ts2 before ts10, as Kube-OVN numbers them."""
    match = re.fullmatch(r"(.*?)(\d{0,9})", name, re.DOTALL)
    stem, number = match.groups() if match else (name, "")
    return stem, int(number or -1), name
