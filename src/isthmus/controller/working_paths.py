"""Which routes to other zones work, and what is known to be meant to go. Questions to the view.

A route works if its next hop is a remote port on a transit switch to which its router is connected.
`isthmus.controller.reconcilers.path_protection` asks what a write would take away.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from isthmus.controller.connections import Connections
from isthmus.controller.import_policy import import_rules
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.zones import is_registered, zone_name
from isthmus.engine.view import View
from isthmus.model.external_ids import NETWORK, TRUSTED_ZONE, VENDOR, is_ours, network_of
from isthmus.model.indexes import (
    BINDINGS_BY_PORT,
    IC_PORTS_BY_ADDRESS,
    IC_PORTS_BY_NAME,
    IC_PORTS_BY_TS,
    IC_ROUTES_BY_PREFIX,
    IC_ROUTES_BY_ZONE_AND_TS,
    LRPS_BY_NAME,
    LSPS_BY_ROUTER_PORT,
    REMOTE_LSPS_BY_ADDRESS,
    ROUTER_PORTS,
    ROUTER_ROUTES,
    STATIC_ROUTES_BY_DESTINATION,
    SWITCH_PORTS,
    ZONES_BY_NAME,
    route_destination,
)
from isthmus.model.ovn_keys import (
    ADVERTISE,
    IC_LEARNED_ROUTE,
    LEARN,
    REDIRECT,
    ROUTER_PORT,
    interconn_ts,
)
from isthmus.model.prefix_index import PrefixIndex
from isthmus.model.prefixes import parse_address, parse_interface
from isthmus.model.rows import (
    AvailabilityZone,
    IcRoute,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    RowId,
)

Gone = Collection[RowId]
"""Rows that count as deleted."""


class Link(NamedTuple):
    """A router's connection to a transit switch: all rows of it exist."""

    ts: str
    switch: LogicalSwitch
    port: LogicalSwitchPort
    router_port: LogicalRouterPort
    router: LogicalRouter


class WorkingPath(NamedTuple):
    """The way of a route that works: over a link to a remote port."""

    link: Link
    remote: LogicalSwitchPort


class WorkingPaths:
    """The ways of this cluster's routers to other zones.

    Thousands of routes share a next hop, so what is found for one is kept until `forget`, which
    must be called after each change of the view or the inputs.

    Args:
        view: shared with the engine.
        inputs: which VPCs take part in which networks.
    """

    def __init__(self, view: View, inputs: Inputs) -> None:
        self._view, self._inputs = view, inputs
        self._connections = Connections(view, inputs)
        self._found: dict[tuple[str, RowId], WorkingPath | None] = {}
        self._in_place: dict[RowId, bool] = {}
        self._local: dict[str, PrefixIndex[str]] = {}

    def forget(self) -> None:
        """Read everything again from the view."""
        self._found.clear()
        self._in_place.clear()
        self._local.clear()

    # -- what works ----------------------------------------------------------------------------

    def link(self, port: LogicalSwitchPort) -> Link | None:
        """The link that a switch port is part of."""
        switch = self._view.parent(SWITCH_PORTS, port.uuid)
        lrp = self._view.one(LRPS_BY_NAME, port.options.get(ROUTER_PORT, ""))
        router = self._view.parent(ROUTER_PORTS, lrp.uuid) if lrp is not None else None
        if switch is None or lrp is None or router is None or port.type != "router":
            return None
        return next((Link(ts, switch, port, lrp, router) for ts in interconn_ts(switch)), None)

    def links_on(self, switch: LogicalSwitch) -> Iterator[Link]:
        """All links to a switch."""
        return filter(None, map(self.link, self._view.children(SWITCH_PORTS, switch.uuid)))

    def link_of(self, lrp: LogicalRouterPort) -> Link | None:
        """The link that a router port is part of."""
        links = map(self.link, self._view.all(LSPS_BY_ROUTER_PORT, lrp.name))
        return next(filter(None, links), None)

    def path(
        self, route: LogicalRouterStaticRoute, router: RowId, gone: Gone = ()
    ) -> WorkingPath | None:
        """The path of a router's route; None if it does not work."""
        if gone:
            return self._path(route, router, gone)
        key = route.nexthop, router
        if key not in self._found:
            self._found[key] = self._path(route, router, gone)
        return self._found[key]

    def _path(
        self, route: LogicalRouterStaticRoute, router: RowId, gone: Gone
    ) -> WorkingPath | None:
        nexthop = parse_address(route.nexthop)
        remotes = list(self._view.all(REMOTE_LSPS_BY_ADDRESS, nexthop)) if nexthop else []
        # A port that its zone has withdrawn may stay for a while next to the one in its place.
        remotes.sort(key=lambda port: self._view.one(IC_PORTS_BY_NAME, port.name) is None)
        for remote in remotes:
            switch = self._view.parent(SWITCH_PORTS, remote.uuid)
            for link in self.links_on(switch) if switch is not None else ():
                interfaces = map(parse_interface, link.router_port.networks)
                rows = (remote, link.switch, link.port, link.router_port)
                if (
                    link.router.uuid == router
                    and any(i is not None and nexthop in i.network for i in interfaces)
                    and not any(row.uuid in gone for row in rows)
                    and (not gone or self._is_bound(remote.name, REDIRECT + link.router_port.name))
                ):
                    return WorkingPath(link, remote)
        return None

    def _is_bound(self, *ports: str) -> bool:
        """Whether ports have chassis: a path that replaces another carries nothing before that."""
        bindings = [self._view.one(BINDINGS_BY_PORT, port) for port in ports]
        return all(row is not None and row.chassis is not None for row in bindings)

    def routes_over(
        self, switch: LogicalSwitch
    ) -> Iterator[tuple[LogicalRouterStaticRoute, WorkingPath]]:
        """The routes that work over a switch, with their paths."""
        for router in {link.router.uuid: None for link in self.links_on(switch)}:
            for route in self._view.children(ROUTER_ROUTES, router):
                path = self.path(route, router)
                if path is not None and path.link.switch == switch:
                    yield route, path

    def carries(self, link: Link) -> bool:
        """Whether a route works over a link, or other zones reach us over it."""
        over = any(path.link == link for _, path in self.routes_over(link.switch))
        return over or any(self._published(link))

    def is_only_entry(self, link: Link) -> bool:
        """Whether another zone reaches a prefix of ours over a link alone.

        Another transit switch is a way in for the zones that have a port there.
        """
        zone = self.zone()
        if zone is None:
            return False
        peers = self._peers(link.ts)
        return not all(
            others and peers <= {peer for ts in others for peer in self._peers(ts)}
            for others in (self._other_entries(r, link, zone) for r in self._published(link))
        )

    def _other_entries(self, route: IcRoute, link: Link, zone: AvailabilityZone) -> set[str]:
        """The other transit switches over which a zone's prefix is published."""
        return {
            other.transit_switch
            for prefix in IC_ROUTES_BY_PREFIX.keys(route)
            for other in self._view.all(IC_ROUTES_BY_PREFIX, prefix)
            if other.availability_zone == zone.uuid
            and other.transit_switch != link.ts
            and (row := self._connections.transit_switch(other.transit_switch)) is not None
            and self._connections.vpc_of(row) == link.router.name
        }

    def _peers(self, ts: str) -> set[RowId]:
        """The other zones with a port on a transit switch."""
        zone = self.zone()
        own = {zone.uuid} if zone is not None else set()
        return {port.availability_zone for port in self._view.all(IC_PORTS_BY_TS, ts)} - own

    def _published(self, link: Link) -> Iterator[IcRoute]:
        """Our routes over a link, if another zone has a port to use them."""
        zone = self.zone()
        ports = self._view.children(SWITCH_PORTS, link.switch.uuid)
        alone = all(port.type != "remote" for port in ports)
        if zone is None or (alone and not self._peers(link.ts)):
            return
        addresses = {str(i.ip) for i in map(parse_interface, link.router_port.networks) if i}
        for route in self._view.all(IC_ROUTES_BY_ZONE_AND_TS, (zone.uuid, link.ts)):
            if route.nexthop in addresses:
                yield route

    def carries_to(self, remote: LogicalSwitchPort) -> bool:
        """Whether a route works over a remote port that has not got another name in IC-SB."""
        switch = self._view.parent(SWITCH_PORTS, remote.uuid)
        return switch is not None and any(
            path.remote == remote and not self._is_renamed(route, path)
            for route, path in self.routes_over(switch)
        )

    def _is_renamed(self, route: LogicalRouterStaticRoute, path: WorkingPath) -> bool:
        address = path.link.ts, parse_address(route.nexthop)
        names = {port.logical_port for port in self._view.all(IC_PORTS_BY_ADDRESS, address)}
        return bool(names) and path.remote.name not in names

    def is_last(self, route: LogicalRouterStaticRoute, router: RowId, gone: Gone) -> bool:
        """Whether no other route leads a router to the same prefix without some rows.

        Another one counts if the IC databases have all that it depends on.
        """
        return not any(
            self._is_backed(other, path)
            for prefix in route_destination(route)
            for other in self._view.all(STATIC_ROUTES_BY_DESTINATION, prefix)
            if other.uuid not in gone
            and other.uuid != route.uuid
            and other.route_table == route.route_table
            and self._view.relation(ROUTER_ROUTES).parent(other.uuid) == router
            and (path := self.path(other, router, gone)) is not None
        )

    def _is_backed(self, route: LogicalRouterStaticRoute, path: WorkingPath) -> bool:
        ts = path.link.ts
        row = self._connections.transit_switch(ts)
        if row is None or self._connections.vpc_of(row) != path.link.router.name:
            return False
        if IC_LEARNED_ROUTE not in route.external_ids:
            return self._view.one(IC_PORTS_BY_NAME, path.remote.name) is not None
        return any(
            source.transit_switch == ts and source.nexthop == route.nexthop
            for prefix in route_destination(route)
            for source in self._view.all(IC_ROUTES_BY_PREFIX, prefix)
        )

    # -- what is meant -------------------------------------------------------------------------

    def is_severed(self, router: LogicalRouter, ts: str) -> bool:
        """Whether a router is known to be meant to leave a transit switch.

        A name that leads nowhere, in the configuration or on the transit switch, may be misspelt:
        it takes effect once what it names exists.
        """
        config, vpc, vpcs = self._inputs.config, router.name, self._inputs.vpcs
        row = self._connections.transit_switch(ts)
        if row is not None and VENDOR in row.external_ids and not is_ours(row.external_ids):
            return True
        if config is None:
            return False
        if vpc not in vpcs:
            return all(self._connections.router(name) is not None for name in vpcs)
        network = network_of(row) if row is not None else None
        wanted = "" if vpc == self._inputs.vpc else config.vpcs[vpc]
        if row is None or network is None or network == wanted:
            return False
        given_away = NETWORK in row.external_ids and self._connections.vpc_of(row) is not None
        return given_away or bool(self._connections.transit_switches(vpc))

    def is_published(self, link: Link) -> bool:
        """Whether our port is in IC-SB, and the route options are as configured."""
        if link.port.uuid not in self._in_place:
            self._in_place[link.port.uuid] = self._is_published(link)
        return self._in_place[link.port.uuid]

    def _is_published(self, link: Link) -> bool:
        config, row, zone = self._inputs.config, self._view.single(NbGlobal), self.zone()
        port = self._view.one(IC_PORTS_BY_NAME, link.port.name)
        if row is None or zone is None or port is None or port.availability_zone != zone.uuid:
            return False
        automatic = config is None or config.auto_route
        return not automatic or row.options.get(ADVERTISE) == row.options.get(LEARN) == "true"

    def is_withdrawn(self, route: LogicalRouterStaticRoute, path: WorkingPath) -> bool:
        """Whether a learned route that is not wanted is withdrawn, or refused by a rule.

        That is not known while IC-SB is not the one that it was learned from: then its zone must
        have published its port and routes again.
        """
        row, zone = self._view.single(NbGlobal), self.zone()
        if row is not None and zone is not None and row.external_ids.get(TRUSTED_ZONE) == zone.uuid:
            return True
        address = path.link.ts, parse_address(route.nexthop)
        return any(
            other.nexthop == route.nexthop
            for port in self._view.all(IC_PORTS_BY_ADDRESS, address)
            for other in self._view.all(
                IC_ROUTES_BY_ZONE_AND_TS, (port.availability_zone, path.link.ts)
            )
        )

    def zone_behind(self, path: WorkingPath) -> str | None:
        """The name of the zone whose port in IC-SB a path leads to; None if it has none there."""
        port = self._view.one(IC_PORTS_BY_NAME, path.remote.name)
        return zone_name(self._view, port.availability_zone) if port is not None else None

    def is_local(self, route: LogicalRouterStaticRoute, router: LogicalRouter) -> bool:
        """Whether a route overlaps a prefix of its own VPC, so that it must not be learned."""
        known = self._local.get(router.name)
        if known is None:
            known = self._local[router.name] = PrefixIndex[str]()
            local = import_rules(self._inputs).local.get(router.name, {})
            for name, prefixes in local.items():
                for prefix in prefixes:
                    known.add(prefix, name)
        return any(any(known.overlapping(prefix)) for prefix in route_destination(route))

    def zone(self) -> AvailabilityZone | None:
        """This cluster's row in IC-SB, if it is registered."""
        row = self._view.single(NbGlobal)
        if row is None or not is_registered(self._view, row.name):
            return None
        return self._view.one(ZONES_BY_NAME, row.name)
