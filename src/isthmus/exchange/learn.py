"""Learned routes: from other routers' IC-SB routes to static routes on ours.

Two steps. `LearnedSources` (derived) says, for one IC-SB route, on which of our routers it may be
learned, and if not, why. `LearnedRoutes` makes each router hold each such route once.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.exchange.attachments import Attachment, Attachments, GlobalPolicy
from isthmus.exchange.load_balancers import RouterVips
from isthmus.exchange.lookup import LEARNED, Lookup
from isthmus.exchange.policy import LOADBALANCER, Refusal
from isthmus.exchange.static_routes import LearnKey, OwnKey, StaticRoutes
from isthmus.exchange.zone import OwnZone
from isthmus.model.changes import Change
from isthmus.model.operations import Insert, Mutate, NewRef, Operation, Ref, Value, set_keys
from isthmus.model.prefixes import (
    Address,
    Network,
    canonical,
    is_link_local_nexthop,
    parse_address,
    parse_network,
)
from isthmus.model.rows import (
    Database,
    IcRoute,
    LogicalRouter,
    LogicalRouterStaticRoute,
    Row,
    RowId,
    SbLearnedRoute,
)
from isthmus.reconcile.reconciler import Reconciler, Watch


class LearnedSources(Reconciler[RowId]):
    """What each IC-SB route means for our routers; the key is its UUID.

    Attributes:
        wanted: for each route that some router must have, the IC-SB routes that say so.
    """

    name: ClassVar[str] = "learned sources"

    def __init__(  # noqa: PLR0913, PLR0917 - what decides on learning, each once
        self,
        lookup: Lookup,
        zone: OwnZone,
        policy: GlobalPolicy,
        attachments: Attachments,
        routes: StaticRoutes,
        vips: RouterVips,
    ) -> None:
        super().__init__()
        self._lookup, self._zone, self._policy = lookup, zone, policy
        self._attachments, self._routes, self._vips = attachments, routes, vips
        self._meant: dict[RowId, tuple[LearnKey, ...]] = {}
        self.wanted: dict[LearnKey, dict[RowId, None]] = {}
        self.output: Reconciler[LearnKey] | None = None

    def watches(self) -> Mapping[type[Row], Watch[RowId]]:
        return {IcRoute: lambda change: [change.row.uuid], SbLearnedRoute: self._of_dynamic_route}

    def _of_dynamic_route(self, change: Change) -> Iterator[RowId]:
        for side in change.sides:
            network = parse_network(side.ip_prefix) if isinstance(side, SbLearnedRoute) else None
            if network is not None:
                yield from (r.uuid for r in self._lookup.ic_routes_by_prefix.all(network))

    def attachment_changed(self, attachment: Attachment) -> None:
        """Every route of its transit switch may be learned through it."""
        self.mark(route.uuid for route in self._lookup.ic_routes_by_ts.all(attachment.ts))

    def own_route_changed(self, uuid: RowId, key: OwnKey | None) -> None:
        """A router's own route keeps the same prefix from being learned."""
        if key is not None:
            self.mark(route.uuid for route in self._lookup.ic_routes_by_prefix.all(key.prefix))

    def learned_route_changed(self, key: LearnKey) -> None:
        """A learned route does not decide what is learned."""

    def vips_changed(self, router: RowId, load_balancers: Iterable[RowId]) -> None:
        """A VIP keeps prefixes around it from being learned."""
        for attachment in tuple(self._attachments.by_router.get(router, {}).values()):
            self.attachment_changed(attachment)

    def keys(self) -> Iterable[RowId]:
        return (*self._meant, *self._lookup.ic_routes.rows)

    def reconcile(self, key: RowId) -> Iterable[Operation]:
        route = self._lookup.ic_routes.get(key)
        meant = {} if route is None else dict.fromkeys(self._means(route))
        for gone in self._meant.pop(key, ()):
            if gone not in meant:
                del self.wanted[gone][key]
                if not self.wanted[gone]:
                    del self.wanted[gone]
                self._mark_output(gone)
        for learned in meant:
            if key not in self.wanted.setdefault(learned, {}):
                self.wanted[learned][key] = None
                self._mark_output(learned)
        if meant:
            self._meant[key] = tuple(meant)
        return ()

    def _mark_output(self, learned: LearnKey) -> None:
        if self.output is not None:
            self.output.mark((learned,))

    def _means(self, route: IcRoute) -> Iterator[LearnKey]:
        for attachment in self._attachments.by_ts.get(route.transit_switch, {}).values():
            if self.refuses(route, attachment) is None:
                yield LearnKey(
                    attachment.router,
                    canonical(route.ip_prefix),
                    route.nexthop,
                    route.origin,
                    route.route_table,
                )

    def refuses(self, route: IcRoute, attachment: Attachment) -> Refusal | None:
        """Why a route is not learned through an attachment, or None if it is."""
        prefix, nexthop = parse_network(route.ip_prefix), parse_address(route.nexthop)
        if prefix is None or nexthop is None or prefix.version != nexthop.version:
            return Refusal.UNPARSABLE
        return (
            self._refuses_sender(route, attachment)
            or _refuses_marks(route, attachment)
            or _refuses_nexthop(nexthop, attachment)
            or self._refuses_kind(route)
            or self._policy.current.refuses_learning(prefix)
            or attachment.learn.refuses(prefix)
            or self._refuses_own(route, prefix, attachment)
        )

    def _refuses_sender(self, route: IcRoute, attachment: Attachment) -> Refusal | None:
        router = route.external_ids.get("lr-id")
        if router == attachment.router:
            return Refusal.SAME_ROUTER
        zone = self._zone.current
        if router is None and zone is not None and route.availability_zone == zone.uuid:
            return Refusal.SAME_ZONE
        return None

    def _refuses_own(
        self, route: IcRoute, prefix: Network, attachment: Attachment
    ) -> Refusal | None:
        own = OwnKey(attachment.router, prefix, route.route_table)
        if own in self._routes.own:
            return Refusal.OWN_ROUTE
        if self._lookup.routes_itself(attachment.router, prefix):
            return Refusal.DYNAMIC
        inside = self._vips.of(attachment.router).any_inside(prefix)
        return Refusal.LOCAL_VIP if inside else None

    def _refuses_kind(self, route: IcRoute) -> Refusal | None:
        learns = route.origin != LOADBALANCER or self._policy.current.learn_lb
        return None if learns else Refusal.LOAD_BALANCER


def _refuses_marks(route: IcRoute, attachment: Attachment) -> Refusal | None:
    if not attachment.router_enabled:
        return Refusal.DISABLED
    tag = route.external_ids.get("ic-route-tag", "")
    if tag and tag == attachment.filter_tag:
        return Refusal.TAG
    if route.route_table and route.route_table != attachment.route_table:
        return Refusal.ROUTE_TABLE
    return None


def _refuses_nexthop(nexthop: Address, attachment: Attachment) -> Refusal | None:
    if is_link_local_nexthop(nexthop):
        return Refusal.NEXTHOP_LINK_LOCAL
    reachable = any(nexthop.version == n.version and nexthop in n for n in attachment.networks)
    return None if reachable else Refusal.UNREACHABLE


class LearnedRoutes(Reconciler[LearnKey]):
    """Our routers' learned static routes: each wanted one once, and no other."""

    name: ClassVar[str] = "learned routes"
    writes: ClassVar[Database | None] = Database.NB

    def __init__(
        self, lookup: Lookup, zone: OwnZone, routes: StaticRoutes, sources: LearnedSources
    ) -> None:
        super().__init__()
        self._lookup, self._zone = lookup, zone
        self._routes, self._sources = routes, sources
        sources.output = self

    def watches(self) -> Mapping[type[Row], Watch[LearnKey]]:
        return {}  # `StaticRoutes` and `LearnedSources` mark the keys

    def learned_route_changed(self, key: LearnKey) -> None:
        """A row of ours came, went or changed, by our hand or another's."""
        self.mark((key,))

    def own_route_changed(self, uuid: RowId, key: OwnKey | None) -> None:
        """Acts through `LearnedSources`."""

    def keys(self) -> Iterable[LearnKey]:
        return (*self._sources.wanted, *self._routes.learned)

    def reconcile(self, key: LearnKey) -> Iterable[Operation]:
        if self._zone.current is None or self._lookup.routers.get(key.router) is None:
            return ()
        have = self._routes.learned.get(key, {})
        wanted = self._sources.wanted.get(key, {})
        if not wanted:
            return self._delete(key.router, have)
        if not have:
            return self._insert(key, min(wanted))
        kept = min(have)
        spare = [uuid for uuid in have if uuid != kept]
        return [*self._refresh(kept, wanted), *self._delete(key.router, spare)]

    def _insert(self, key: LearnKey, source: RowId) -> Iterator[Operation]:
        new = NewRef()
        row: dict[str, Value] = {
            "ip_prefix": self._lookup.ic_routes.rows[source].ip_prefix,
            "nexthop": key.nexthop,
            "route_table": key.route_table,
            "external_ids": {LEARNED: str(source)},
            "options": {"origin": key.origin},
        }
        yield Insert(LogicalRouterStaticRoute, row, new)
        joined = frozenset({new})
        yield Mutate(LogicalRouter, key.router, (("static_routes", "insert", joined),))

    def _refresh(self, kept: RowId, wanted: Mapping[RowId, None]) -> Iterator[Operation]:
        """The IC-SB route was replaced by one that means the same."""
        row = self._lookup.static_routes.rows[kept]
        if row.external_ids.get(LEARNED) not in wanted:
            ids = {LEARNED: str(min(wanted))}
            yield set_keys(LogicalRouterStaticRoute, kept, "external_ids", ids)

    @staticmethod
    def _delete(router: RowId, uuids: Iterable[RowId]) -> Iterator[Operation]:
        gone = frozenset(Ref(uuid) for uuid in uuids)
        if gone:
            yield Mutate(LogicalRouter, router, (("static_routes", "delete", gone),))
