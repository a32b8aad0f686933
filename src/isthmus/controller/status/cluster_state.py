"""The state of this cluster for the status: zone, transit switches, gateways, zones, route counts.

`isthmus.daemon.status_source` reads it before it assesses the conditions. Everything is read from
the view, so it is also correct while OVN's own `ovn-ic` exchanges the routes. The cost does not
depend on the number of routes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from isthmus.controller.connections import Connections
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.zones import is_registered, joined_zone
from isthmus.engine.view import View
from isthmus.model.indexes import (
    BINDINGS_BY_PORT,
    GATEWAYS_BY_NAME,
    GATEWAYS_BY_ZONE,
    IC_PORTS_BY_ZONE,
    IC_ROUTES_BY_ZONE_AND_TS,
    LEARNED_ROUTES,
    ZONES_BY_NAME,
)
from isthmus.model.rows import AvailabilityZone, IcPortBinding, NbGlobal, RowId


@dataclass(frozen=True, slots=True)
class TransitSwitchState:
    """A transit switch of this cluster's networks.

    Args:
        name: its name.
        subnet: the subnet of its router ports, as written in `external_ids:subnet`.
        port: our port, as published in IC-SB; empty if there is none.
        address: the port's addresses, "MAC IP/length…".
        gateway: the node that serves the port at the moment; empty if none does, or if it is not
            published in IC-SB, so that no other zone can reach it.
    """

    name: str
    subnet: str
    port: str = ""
    address: str = ""
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class GatewayState:
    """A node of `gw-nodes`.

    Args:
        node: its name.
        chassis: the name of its chassis; empty if it has none.
        active_on: the transit switches whose ports it serves at the moment.
    """

    node: str
    chassis: str
    active_on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ZoneState:
    """Another zone.

    Args:
        name: its name.
        gateways: the hostnames of its gateways.
        transit_switches: those on which it has a port.
        routes: the number of routes that it advertises.
        connected: whether one of its ports is bound to a gateway here; None if it has no port.
    """

    name: str
    gateways: tuple[str, ...]
    transit_switches: tuple[str, ...]
    routes: int
    connected: bool | None


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The whole state.

    Args:
        zone: this cluster's zone; empty if the cluster does not take part.
        registered: whether the zone is registered in IC-SB for this cluster.
        joined: whether Isthmus has joined, and has not left completely.
        transit_switches: those of this cluster's networks.
        gateways: the nodes of `gw-nodes`, in the same order.
        zones: the other zones, sorted by name.
        advertised: the number of routes that this zone advertises.
        learned: the number of routes that its routers have learned.
        on_offer: the number of routes of other zones on transit switches where we have a port.
    """

    zone: str = ""
    registered: bool = False
    joined: bool = False
    transit_switches: tuple[TransitSwitchState, ...] = ()
    gateways: tuple[GatewayState, ...] = ()
    zones: tuple[ZoneState, ...] = ()
    advertised: int = 0
    learned: int = 0
    on_offer: int = 0


class ClusterStateReader:
    """Reads the state from the view.

    Args:
        view: the contents of the databases.
        inputs: the inputs in force.
    """

    def __init__(self, view: View, inputs: Inputs) -> None:
        self._view, self._inputs = view, inputs
        self._connections = Connections(view, inputs)

    def read(self) -> ClusterState:
        """The state at this moment."""
        nb_global = self._view.single(NbGlobal)
        own = self._own_zone(nb_global)
        switches = tuple(self._switches(own))
        ours = {switch.name for switch in switches if switch.port}
        advertised = on_offer = 0
        by_zone: dict[RowId, int] = {}
        for (zone, switch), number in self._view.tally(IC_ROUTES_BY_ZONE_AND_TS).items():
            by_zone[zone] = by_zone.get(zone, 0) + number
            if own is not None and zone == own.uuid:
                advertised += number
            elif own is not None and switch in ours:
                on_offer += number
        return ClusterState(
            zone=nb_global.name if nb_global else "",
            registered=own is not None,
            joined=joined_zone(nb_global) is not None,
            transit_switches=switches,
            gateways=tuple(self._gateway_nodes(switches)),
            zones=tuple(self._other_zones(own, by_zone)),
            advertised=advertised,
            learned=sum(number for _, number in self._view.tally(LEARNED_ROUTES).items()),
            on_offer=on_offer,
        )

    def _own_zone(self, nb_global: NbGlobal | None) -> AvailabilityZone | None:
        name = nb_global.name if nb_global is not None else ""
        registered = bool(name) and is_registered(self._view, name)
        return self._view.one(ZONES_BY_NAME, name) if registered else None

    def _switches(self, own: AvailabilityZone | None) -> Iterator[TransitSwitchState]:
        ports = self._view.all(IC_PORTS_BY_ZONE, own.uuid) if own is not None else ()
        bindings = {row.transit_switch: row for row in ports}
        vpcs = self._inputs.vpcs or (self._inputs.vpc,)
        for name in (name for vpc in vpcs for name in self._connections.transit_switches(vpc)):
            row, binding = self._connections.transit_switch(name), bindings.get(name)
            state = TransitSwitchState(name, self._connections.subnet(row) if row else "")
            if binding is not None:
                gateway = self._view.one(GATEWAYS_BY_NAME, binding.gateway)
                published = gateway and gateway.availability_zone == binding.availability_zone
                node = (gateway.hostname or gateway.name) if gateway and published else ""
                port, address = binding.logical_port, binding.address
                state = replace(state, port=port, address=address, gateway=node)
            yield state

    def _gateway_nodes(self, switches: Iterable[TransitSwitchState]) -> Iterator[GatewayState]:
        serving: dict[str, list[str]] = {}
        for switch in switches:
            serving.setdefault(switch.gateway, []).append(switch.name)
        config = self._inputs.config
        for node in config.gateways if config is not None else ():
            chassis = next(iter(self._connections.chassis_of(node)), None)
            yield GatewayState(node, chassis.name if chassis else "", tuple(serving.get(node, ())))

    def _other_zones(
        self, own: AvailabilityZone | None, routes: Mapping[RowId, int]
    ) -> Iterator[ZoneState]:
        for row in sorted(self._view.table(AvailabilityZone), key=lambda row: row.name):
            if own is None or row.uuid != own.uuid:
                gateways = {port.hostname for port in self._view.all(GATEWAYS_BY_ZONE, row.uuid)}
                ports = list(self._view.all(IC_PORTS_BY_ZONE, row.uuid))
                switches = {port.transit_switch for port in ports}
                yield ZoneState(
                    row.name,
                    tuple(sorted(gateways)),
                    tuple(sorted(switches)),
                    routes.get(row.uuid, 0),
                    any(map(self._is_bound, ports)) if ports else None,
                )

    def _is_bound(self, port: IcPortBinding) -> bool:
        binding = self._view.one(BINDINGS_BY_PORT, port.logical_port)
        return binding is not None and binding.chassis is not None
