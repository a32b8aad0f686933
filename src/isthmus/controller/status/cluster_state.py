"""What is: zone, transit switches, gateways, other zones, and how many routes, for the status.

`isthmus.daemon.status_source` asks for it beside the conditions. All of it is read off the view, so
that it holds with OVN's own `ovn-ic` as engine, too. Its cost does not depend on the number of
routes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from isthmus.controller.connections import Lookup
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.joined_zone import remembered
from isthmus.engine.view import View
from isthmus.model.external_ids import SUBNET, zone_claim
from isthmus.model.indexes import (
    CHASSIS_BY_NAME,
    GATEWAYS_BY_ZONE,
    IC_PORTS_BY_ZONE,
    IC_ROUTES_BY_ZONE_AND_TS,
    LEARNED_ROUTES,
    ZONES_BY_NAME,
)
from isthmus.model.rows import (
    AvailabilityZone,
    IcPortBinding,
    IcSbGlobal,
    NbGlobal,
    RowId,
    TransitSwitch,
)

"""In `external_ids` of a static route that was learned from another zone."""


@dataclass(frozen=True, slots=True)
class SwitchFacts:
    """A transit switch that this cluster is to be connected to.

    Args:
        name: of the transit switch.
        subnet: of its router ports, as written in `external_ids:subnet`.
        port: our port there, as published in IC-SB; empty if there is none.
        address: the port's addresses, "MAC IP/length…".
        gateway: the node that serves the port at the moment; empty if none does.
    """

    name: str
    subnet: str
    port: str = ""
    address: str = ""
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """A node of `gw-nodes`.

    Args:
        node: its name.
        chassis: its chassis' name; empty if it has none.
        active_on: the transit switches whose ports it serves at the moment.
    """

    node: str
    chassis: str
    active_on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """Another zone.

    Args:
        name: of the zone.
        gateways: the host names of its gateways.
        transit_switches: those that it has a port on.
        routes: how many it advertises.
    """

    name: str
    gateways: tuple[str, ...]
    transit_switches: tuple[str, ...]
    routes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it.

    Args:
        zone: the zone that is in force; empty if this cluster takes no part.
        registered: whether the zone is registered in IC-SB, for this cluster.
        remembers: whether something of a zone that was joined is still to be removed.
        transit_switches: those to be connected to.
        gateways: the nodes of `gw-nodes`, in that order.
        zones: the others, by name.
        advertised: how many routes this zone advertises.
        learned: how many routes its routers have learned.
        on_offer: how many routes other zones advertise on transit switches that we are on.
    """

    zone: str = ""
    registered: bool = False
    remembers: bool = False
    transit_switches: tuple[SwitchFacts, ...] = ()
    gateways: tuple[GatewayFacts, ...] = ()
    zones: tuple[ZoneFacts, ...] = ()
    advertised: int = 0
    learned: int = 0
    on_offer: int = 0


class Observer:
    """Reads the facts off a view.

    Args:
        view: what is there.
        inputs: what is asked for.
    """

    def __init__(self, view: View, inputs: Inputs) -> None:
        self._view, self._inputs = view, inputs
        self._lookup = Lookup(view, inputs)
        self._ports = view.index(IC_PORTS_BY_ZONE)
        self._routes = view.tally(IC_ROUTES_BY_ZONE_AND_TS)
        self._learned = view.tally(LEARNED_ROUTES)

    def facts(self) -> Facts:
        """The facts of this moment."""
        nb_global = self._view.table(NbGlobal).single()
        own = self._own(nb_global)
        switches = tuple(self._switches(own))
        ours = {switch.name for switch in switches if switch.port}
        routes = dict(self._routes.items())
        return Facts(
            zone=nb_global.name if nb_global else "",
            registered=own is not None,
            remembers=remembered(nb_global) is not None,
            transit_switches=switches,
            gateways=tuple(self._gateway_nodes(switches)),
            zones=tuple(self._others(own, routes)),
            advertised=sum(n for (zone, _), n in routes.items() if own and zone == own.uuid),
            learned=sum(n for _, n in self._learned.items()),
            on_offer=sum(
                n
                for (zone, switch), n in routes.items()
                if own and zone != own.uuid and switch in ours
            ),
        )

    def _own(self, nb_global: NbGlobal | None) -> AvailabilityZone | None:
        ic_global = self._view.table(IcSbGlobal).single()
        if nb_global is None or not nb_global.name or ic_global is None:
            return None
        holder = ic_global.external_ids.get(zone_claim(nb_global.name))
        return self._view.one(ZONES_BY_NAME, nb_global.name) if holder == nb_global.uuid else None

    def _switches(self, own: AvailabilityZone | None) -> Iterable[SwitchFacts]:
        bindings = {row.transit_switch: row for row in self._ports.all(own.uuid)} if own else {}
        vpcs = self._inputs.vpcs or (self._inputs.vpc,)
        for name in (name for vpc in vpcs for name in self._lookup.connected_names(vpc)):
            row = self._lookup.transit_switches.one(name)
            yield self._switch(name, row, bindings.get(name))

    def _switch(
        self, name: str, row: TransitSwitch | None, binding: IcPortBinding | None
    ) -> SwitchFacts:
        subnet = row.external_ids.get(SUBNET, "") if row is not None else ""
        if binding is None:
            return SwitchFacts(name, subnet)
        chassis = self._view.one(CHASSIS_BY_NAME, binding.gateway)
        node = (chassis.hostname or chassis.name) if chassis is not None else ""
        return SwitchFacts(name, subnet, binding.logical_port, binding.address, node)

    def _gateway_nodes(self, switches: Iterable[SwitchFacts]) -> Iterable[GatewayFacts]:
        serving: dict[str, list[str]] = {}
        for switch in switches:
            serving.setdefault(switch.gateway, []).append(switch.name)
        config = self._inputs.config
        for node in config.gateways if config is not None else ():
            chassis = next(iter(self._lookup.chassis_of(node)), None)
            yield GatewayFacts(node, chassis.name if chassis else "", tuple(serving.get(node, ())))

    def _others(
        self, own: AvailabilityZone | None, routes: Mapping[tuple[RowId, str], int]
    ) -> Iterable[ZoneFacts]:
        count: dict[RowId, int] = {}
        for (zone, _), number in routes.items():
            count[zone] = count.get(zone, 0) + number
        for row in sorted(self._view.table(AvailabilityZone), key=lambda row: row.name):
            if own is None or row.uuid != own.uuid:
                yield ZoneFacts(
                    row.name,
                    tuple(
                        sorted(
                            {
                                gateway.hostname
                                for gateway in self._view.all(GATEWAYS_BY_ZONE, row.uuid)
                            }
                        )
                    ),
                    tuple(sorted({port.transit_switch for port in self._ports.all(row.uuid)})),
                    count.get(row.uuid, 0),
                )
