"""Declared routes: static routes to other zones, which the configuration lists in `routes`.

The next hop is the present address of the zone's port on a transit switch in IC-SB, so a route
follows the port when its address changes, and is removed when the port is. Our routes have
`external_ids:isthmus-route`. Manual routes are never changed, and a manual route that equals a
declared one takes its place. Our routes have no `vendor`: Kube-OVN may remove routes with it.

A route that is not declared any more, but could be learned, is marked as a learned one. The engine
that learns routes then replaces it in one transaction, or removes it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, NamedTuple

from isthmus.controller.config.configmap import ConfigKey
from isthmus.controller.connections import renamed
from isthmus.controller.import_policy import import_rules
from isthmus.controller.inputs.inputs import Changed, Inputs
from isthmus.controller.reconcilers.base import ControllerReconciler
from isthmus.controller.zones import zone_name
from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.external_ids import DECLARED, TS_MARK
from isthmus.model.import_policy import LocalPrefix, LocalPrefixes
from isthmus.model.indexes import (
    DECLARED_ROUTES,
    IC_PORTS_BY_ZONE_AND_TS,
    IC_ROUTES_BY_PREFIX,
    ROUTER_ROUTES,
    UNLEARNED_ROUTES_BY_PREFIX,
    ZONES_BY_NAME,
)
from isthmus.model.operations import (
    Operation,
    Value,
    drop_keys,
    insert_child,
    remove_children,
    set_keys,
)
from isthmus.model.ovn_keys import IC_LEARNED_ROUTE
from isthmus.model.prefix_index import PrefixIndex
from isthmus.model.prefixes import (
    Address,
    Network,
    is_default,
    parse_address,
    parse_interface,
    parse_network,
    parse_port_address,
)
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.route_rules import DeclaredRoute
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcPortBinding,
    IcRoute,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    Row,
    RowId,
)


class DeclaredKey(NamedTuple):
    """The routes to one prefix on one router; a VPC's router has the VPC's name."""

    vpc: str
    prefix: Network


class _Declarations:
    """The routes that a configuration declares, by key, prefix and zone."""

    def __init__(self, routes: Iterable[DeclaredRoute], default_vpc: str) -> None:
        self.routes: dict[DeclaredKey, list[DeclaredRoute]] = {}
        self.by_prefix = PrefixIndex[DeclaredKey]()
        self.by_zone: dict[str, list[DeclaredKey]] = {}
        for route in routes:
            key = DeclaredKey(route.vpc or default_vpc, route.prefix)
            self.routes.setdefault(key, []).append(route)
            self.by_prefix.add(route.prefix, key)
            self.by_zone.setdefault(route.zone, []).append(key)


class DeclaredRoutes(ControllerReconciler[DeclaredKey]):
    """The declared routes to one prefix on one router.

    When leaving, `LeaveNorthbound` removes them, because that must not wait for IC-SB.
    """

    name: ClassVar[str] = "declared routes"
    writes: ClassVar[Database] = Database.NB
    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB, Database.IC_SB})

    def __init__(self, view: View, inputs: Inputs) -> None:
        super().__init__(view, inputs)
        # As of the last `affected`, to be compared with the next ones.
        self._declared = _Declarations((), inputs.vpc)
        self._local = LocalPrefixes()

    def watches(self) -> Mapping[type[Row], Watch[DeclaredKey]]:
        """Routes, their routers, our ports, and the ports and names of other zones."""
        return {
            LogicalRouterStaticRoute: self._of_route,
            LogicalRouter: self._of_router,
            LogicalRouterPort: self._of_router_port,
            IcPortBinding: self._of_port,
            AvailabilityZone: self._of_zone,
        }

    def affected(self, changed: Changed) -> Iterable[DeclaredKey]:
        """The keys with other declarations, and those that overlap a changed Subnet or Node."""
        keys: dict[DeclaredKey, None] = {}
        redeclared = changed.any_of(ConfigKey.ROUTES)
        if redeclared:
            config, before = self.inputs.config, self._declared.routes
            routes = config.routes if config is not None else ()
            self._declared = _Declarations(routes, self.inputs.vpc)
            now = self._declared.routes
            differing = (k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
            keys |= dict.fromkeys(differing)
        if self._declared.routes and (redeclared or changed.local):
            for prefix in self._local.update(import_rules(self.inputs).local):
                keys |= dict.fromkeys(self._declared.by_prefix.overlapping(prefix))
        return self.keys() if changed.taking_part else keys

    def keys(self) -> Iterable[DeclaredKey]:
        """The keys that are declared, and those with routes of ours or with problems."""
        keys = dict.fromkeys((*self._declared.routes, *self.problems))
        for row in self.view.all(DECLARED_ROUTES, True):
            keys |= dict.fromkeys(self._key_of(row))
        return tuple(keys)

    def reconcile(self, key: DeclaredKey) -> Iterable[Operation]:
        """Create, correct or remove the routes."""
        self.report(key)
        router = self.connections.router(key.vpc)
        if self.inputs.config is None:
            return ()
        problems: list[Problem] = []
        wanted = self._wanted(key, problems)
        rows = [
            row
            for row in self.view.all(UNLEARNED_ROUTES_BY_PREFIX, key.prefix)
            if router is not None and self.view.parent(ROUTER_ROUTES, row.uuid) == router
        ]
        by_hand = [row for row in rows if DECLARED not in row.external_ids and _is_plain(row)]
        if wanted:
            problems += self._beside(key, wanted, by_hand)
        self.report(key, *problems)
        if router is None:
            return ()
        made_by_hand = {parse_address(row.nexthop) for row in by_hand}
        missing = {hop: zone for hop, zone in wanted.items() if hop not in made_by_hand}
        ours = [row for row in rows if DECLARED in row.external_ids]
        learnable = self.view.one(IC_ROUTES_BY_PREFIX, key.prefix)
        if learnable is not None and not wanted and not by_hand and all(map(_is_plain, ours)):
            return [change for row in ours for change in _hand_over(row, learnable)]
        return tuple(_align(router, key.prefix, missing, ours))

    def _wanted(self, key: DeclaredKey, problems: list[Problem]) -> dict[Address, str]:
        """The next hops, each with its zone."""
        routes = self._declared.routes.get(key, [])
        if not routes:
            return {}
        local = None if is_default(key.prefix) else self._local.first(key.vpc, key.prefix)
        if local is not None:
            # The routes would make a prefix of this cluster unreachable.
            problems.append(self._overlapping(key, local))
            return {}
        wanted: dict[Address, str] = {}
        for route in routes:
            hops = dict.fromkeys(self._next_hops(route, key), route.zone)
            if not hops:
                problems.append(self._unreachable(key, route))
            wanted |= hops
        return wanted

    def _next_hops(self, route: DeclaredRoute, key: DeclaredKey) -> Iterator[Address]:
        """The zone's address on each transit switch that the VPC's router is connected to."""
        zone = self.view.one(ZONES_BY_NAME, route.zone)
        for port in self.connections.router_ports(key.vpc) if zone is not None else ():
            switch = port.external_ids[TS_MARK]
            if zone is not None and route.transit_switch in {"", switch}:
                theirs = self.view.all(IC_PORTS_BY_ZONE_AND_TS, (zone.uuid, switch))
                for binding in sorted(theirs, key=lambda row: row.logical_port)[:1]:
                    yield from _reachable(binding, port, key.prefix.version)

    def _key_of(self, row: LogicalRouterStaticRoute) -> Iterator[DeclaredKey]:
        router = self.view.parent(ROUTER_ROUTES, row.uuid)
        prefix = parse_network(row.ip_prefix)
        if router is not None and prefix is not None:
            yield DeclaredKey(router.name, prefix)

    def _of_route(self, change: Change) -> Iterator[DeclaredKey]:
        for row in change.of(LogicalRouterStaticRoute):
            if IC_LEARNED_ROUTE not in row.external_ids:
                prefix = parse_network(row.ip_prefix)
                yield from self._declared.by_prefix.equal(prefix) if prefix is not None else ()
                if DECLARED in row.external_ids:
                    yield from self._key_of(row)

    def _of_router(self, change: Change) -> Iterator[DeclaredKey]:
        if renamed(change) or "ports" in change.joined or "ports" in change.left:
            yield from self.keys()
        for children in (change.joined, change.left):
            for uuid in children.get("static_routes", ()):
                row = self.view.get(LogicalRouterStaticRoute, uuid)
                yield from self._of_route(Change(None, row)) if row is not None else ()

    def _of_router_port(self, change: Change) -> Iterable[DeclaredKey]:
        ports = change.of(LogicalRouterPort)
        reach = [(row.networks, row.external_ids.get(TS_MARK)) for row in ports]
        return () if len(reach) == 2 and reach[0] == reach[1] else self.keys()

    def _of_port(self, change: Change) -> Iterator[DeclaredKey]:
        for row in change.of(IcPortBinding):
            zone = zone_name(self.view, row.availability_zone)
            yield from self._declared.by_zone.get(zone, ()) if zone else self.keys()

    def _of_zone(self, change: Change) -> Iterator[DeclaredKey]:
        for row in change.of(AvailabilityZone):
            yield from self._declared.by_zone.get(row.name, ())

    def _beside(
        self,
        key: DeclaredKey,
        wanted: Mapping[Address, str],
        by_hand: Iterable[LogicalRouterStaticRoute],
    ) -> Iterator[Problem]:
        """Manual routes to the same prefix with other next hops."""
        others = sorted(row.nexthop for row in by_hand if parse_address(row.nexthop) not in wanted)
        if others:
            manual = f"a manual route to the same prefix with next hop {', '.join(others)}"
            message = f"router {key.vpc} has {manual}, which takes a share of the traffic"
            remedy = f"remove it: ovn-nbctl lr-route-del {key.vpc} {key.prefix} {others[0]}"
            yield self._subject(key).problem(message, remedy, Reason.MANUAL_ROUTE)

    def _overlapping(self, key: DeclaredKey, local: LocalPrefix) -> Problem:
        where = f"{local.prefix} of {local.owner} in VPC {key.vpc}"
        message = f"overlaps {where}, so the route is not created"
        remedy = "declare another prefix, or change the CIDR of one of the two"
        return self._subject(key).problem(message, remedy, Reason.OVERLAPPING_PREFIX)

    def _unreachable(self, key: DeclaredKey, route: DeclaredRoute) -> Problem:
        if self.view.one(ZONES_BY_NAME, route.zone) is None:
            message, reason = "no zone has this name, so there is no route", Reason.UNKNOWN_ZONE
            remedy = "write the name as `isthmus show` prints it, or make the zone join"
        else:
            address = f"IPv{key.prefix.version} address"
            where = f"{route.transit_switch or 'any transit switch'} in reach of VPC {key.vpc}"
            message = f"the zone has no {address} on {where}, so there is no route"
            reason = Reason.NO_NEXT_HOP
            remedy = "check with `isthmus show` which transit switches the zone is connected to"
        return self._subject(key, route.zone).problem(message, remedy, reason)

    def _subject(self, key: DeclaredKey, zone: str = "") -> Subject:
        value = f"{key.prefix} via {zone}" if zone else str(key.prefix)
        return Subject(str(self.inputs.config_map), "data.routes", value)


def _reachable(binding: IcPortBinding, port: LogicalRouterPort, version: int) -> Iterator[Address]:
    """Another zone's address on a transit switch, if it is in a network of our port."""
    networks = [i.network for i in map(parse_interface, sorted(port.networks)) if i is not None]
    for interface in parse_port_address(binding.address):
        if interface.version == version and any(interface.ip in net for net in networks):
            yield interface.ip
            return


def _is_plain(row: LogicalRouterStaticRoute) -> bool:
    """Whether a route is by destination, in the main table and without a port, as ours are."""
    return row.policy in {None, "dst-ip"} and not row.route_table and row.output_port is None


def _hand_over(row: LogicalRouterStaticRoute, learnable: IcRoute) -> Iterator[Operation]:
    """Mark a route as learned from IC-SB."""
    learned, table = {IC_LEARNED_ROUTE: str(learnable.uuid)}, LogicalRouterStaticRoute
    yield drop_keys(table, row.uuid, "external_ids", frozenset({DECLARED}))
    yield set_keys(table, row.uuid, "external_ids", learned)


def _align(
    router: LogicalRouter,
    prefix: Network,
    wanted: Mapping[Address, str],
    ours: Iterable[LogicalRouterStaticRoute],
) -> Iterator[Operation]:
    """Give our routes the desired next hops; leave correct ones unchanged."""
    missing, surplus = dict(wanted), list[RowId]()
    for row in ours:
        hop = parse_address(row.nexthop)
        zone = missing.pop(hop, None) if hop is not None and _is_plain(row) else None
        if zone is None:
            surplus.append(row.uuid)
        elif row.external_ids[DECLARED] != zone:
            yield set_keys(LogicalRouterStaticRoute, row.uuid, "external_ids", {DECLARED: zone})
    for hop, zone in missing.items():
        columns: dict[str, Value] = {"ip_prefix": str(prefix), "nexthop": str(hop)}
        columns["external_ids"] = {DECLARED: zone}
        yield from insert_child(ROUTER_ROUTES, router.uuid, columns)
    yield from remove_children(ROUTER_ROUTES, router.uuid, surplus)
