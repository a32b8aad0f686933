"""Learned routes: from other routers' IC-SB routes to static routes on ours.

Two steps. `LearnedSources` (derived) says, for one IC-SB route, on which of our routers it may be
learned, and if not, why. `LearnedRoutes` makes each router hold each such route once.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import ClassVar

from isthmus.engine.reconciler import Reconciler, Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.attachments import Attachment, Attachments, GlobalPolicy
from isthmus.exchange.routes.import_policy import Guard
from isthmus.exchange.routes.load_balancer_vips import RouterVips
from isthmus.exchange.routes.options import LOADBALANCER, Refusal
from isthmus.exchange.routes.path_readiness import Path, Paths
from isthmus.exchange.routes.refused_routes import Announcements, Finding
from isthmus.exchange.routes.static_routes import Destination, LearnKey, OwnKey, StaticRoutes
from isthmus.exchange.zones.registration import OwnZone
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    DYNAMIC_ROUTES_BY_PREFIX,
    IC_ROUTES_BY_PREFIX,
    IC_ROUTES_BY_TS,
    IC_ROUTES_BY_ZONE,
    SB_DATAPATHS_BY_ROUTER,
)
from isthmus.model.operations import Insert, Mutate, NewRef, Operation, Ref, Value, set_keys
from isthmus.model.ovn_keys import IC_LEARNED_ROUTE
from isthmus.model.prefixes import (
    Address,
    Network,
    canonical,
    is_default,
    is_link_local_nexthop,
    parse_address,
    parse_network,
)
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcPortBinding,
    IcRoute,
    LogicalRouter,
    LogicalRouterStaticRoute,
    Row,
    RowId,
    SbLearnedRoute,
    SbPortBinding,
)


class LearnedSources(Reconciler[RowId]):
    """What each IC-SB route means for our routers; the key is its UUID.

    Attributes:
        wanted: for each route that some router must have, the IC-SB routes that say so.
    """

    name: ClassVar[str] = "learned sources"

    def __init__(  # noqa: PLR0913, PLR0917 - what decides on learning, each once
        self,
        view: View,
        zone: OwnZone,
        policy: GlobalPolicy,
        attachments: Attachments,
        routes: StaticRoutes,
        vips: RouterVips,
        guard: Guard,
        announced: Announcements,
    ) -> None:
        super().__init__()
        self._view, self._zone, self._policy = view, zone, policy
        self._attachments, self._routes, self._vips = attachments, routes, vips
        self._guard, self._announced = guard, announced
        guard.learning = announced.learning = self
        self._meant: dict[RowId, tuple[LearnKey, ...]] = {}
        self.wanted: dict[LearnKey, dict[RowId, None]] = {}
        self.output: Reconciler[LearnKey] | None = None

    def watches(self) -> Mapping[type[Row], Watch[RowId]]:
        return {
            IcRoute: lambda change: [change.row.uuid],
            SbLearnedRoute: self._of_dynamic_route,
            AvailabilityZone: self._of_zone,
            LogicalRouter: self._of_router,
        }

    def _of_zone(self, change: Change) -> Iterator[RowId]:
        """The guard's rules go by the zone's name."""
        if self._guard.active and len({_name(side) for side in change.sides}) == 2:
            yield from (r.uuid for r in self._view.all(IC_ROUTES_BY_ZONE, change.row.uuid))

    def _of_router(self, change: Change) -> Iterator[RowId]:
        """The guard's local prefixes go by the router's name."""
        if self._guard.active and len({_name(side) for side in change.sides}) == 2:
            for attachment in tuple(self._attachments.by_router.get(change.row.uuid, {}).values()):
                yield from (r.uuid for r in self._view.all(IC_ROUTES_BY_TS, attachment.ts))

    def _of_dynamic_route(self, change: Change) -> Iterator[RowId]:
        for side in change.sides:
            network = parse_network(side.ip_prefix) if isinstance(side, SbLearnedRoute) else None
            if network is not None:
                yield from (r.uuid for r in self._view.all(IC_ROUTES_BY_PREFIX, network))

    def attachment_changed(self, attachment: Attachment) -> None:
        """Every route of its transit switch may be learned through it."""
        self.mark(route.uuid for route in self._view.all(IC_ROUTES_BY_TS, attachment.ts))

    def own_route_changed(self, uuid: RowId, key: OwnKey | None) -> None:
        """A router's own route keeps the same prefix from being learned."""
        if key is not None:
            self.mark(route.uuid for route in self._view.all(IC_ROUTES_BY_PREFIX, key.prefix))

    def learned_route_changed(self, key: LearnKey) -> None:
        """A learned route does not decide what is learned."""

    def vips_changed(self, router: RowId, load_balancers: Iterable[RowId]) -> None:
        """A VIP keeps prefixes around it from being learned."""
        for attachment in tuple(self._attachments.by_router.get(router, {}).values()):
            self.attachment_changed(attachment)

    def guard_changed(self, routes: Iterable[RowId]) -> None:
        """What may be learned, or how much, is another."""
        for route in routes:
            self.mark((route,))
            for learned in self.keys_of(route):
                self._mark_output(learned)

    def learned_prefix_moved(self, router: RowId, prefix: Network) -> None:
        """It moved across the maximum of its zone."""
        for route in self._view.all(IC_ROUTES_BY_PREFIX, prefix):
            for learned in self.keys_of(route.uuid):
                if learned.router == router:
                    self._mark_output(learned)

    def keys(self) -> Iterable[RowId]:
        return (*self._meant, *self._view.table(IcRoute).rows)

    def keys_of(self, route: RowId) -> tuple[LearnKey, ...]:
        """What a route means, the maximum of its zone aside."""
        return self._meant.get(route, ())

    def reconcile(self, key: RowId) -> Iterable[Operation]:
        route = self._view.get(IcRoute, key)
        findings: list[Finding] = []
        meant = {} if route is None else dict.fromkeys(self._means(route, findings))
        renoted = self._announced.note(key, findings)
        for gone in self._meant.pop(key, ()):
            if gone not in meant:
                del self.wanted[gone][key]
                if not self.wanted[gone]:
                    del self.wanted[gone]
                self._mark_output(gone)
        for learned in meant:
            self._announced.meaning_changed(learned)  # of which zone may be another
            if renoted or key not in self.wanted.setdefault(learned, {}):
                self.wanted.setdefault(learned, {})[key] = None
                self._mark_output(learned)
        if meant:
            self._meant[key] = tuple(meant)
        return ()

    def _mark_output(self, learned: LearnKey) -> None:
        self._announced.meaning_changed(learned)
        if self.output is not None:
            self.output.mark((learned,))

    def _means(self, route: IcRoute, findings: list[Finding]) -> Iterator[LearnKey]:
        """What a route means for our routers; what there is to note on it goes to `findings`."""
        prefix = parse_network(route.ip_prefix)
        for attachment in self._attachments.by_ts.get(route.transit_switch, {}).values():
            refusal = self._refuses(route, attachment)
            if prefix is not None:
                finding = self._announced.finding(route, prefix, attachment.router, refusal)
                findings += [finding] if finding is not None else []
            if refusal is None:
                yield LearnKey(
                    attachment.router,
                    canonical(route.ip_prefix),
                    route.nexthop,
                    route.origin,
                    route.route_table,
                )

    def admitted(self, key: LearnKey) -> dict[RowId, None]:
        """The IC-SB routes that want a learned route and are within their zones' maximum."""
        wanted = self.wanted.get(key, {})
        return {uuid: None for uuid in wanted if self._announced.admits(uuid, key.router)}

    def refuses(self, route: IcRoute, attachment: Attachment) -> Refusal | None:
        """Why a route is not learned through an attachment, or None if it is."""
        refusal = self._refuses(route, attachment)
        if refusal is None and not self._announced.admits(route.uuid, attachment.router):
            return Refusal.TOO_MANY
        return refusal

    def _refuses(self, route: IcRoute, attachment: Attachment) -> Refusal | None:
        prefix, nexthop = parse_network(route.ip_prefix), parse_address(route.nexthop)
        if prefix is None or nexthop is None or not attachment.takes_nexthop(prefix, nexthop):
            return Refusal.UNPARSABLE
        return (
            self._refuses_sender(route, attachment)
            or _refuses_marks(route, attachment)
            or _refuses_nexthop(nexthop, attachment)
            or self._refuses_kind(route)
            or self._refuses_prefix(route, prefix, attachment)
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
        datapath = self._view.one(SB_DATAPATHS_BY_ROUTER, attachment.router)
        if datapath and self._view.one(DYNAMIC_ROUTES_BY_PREFIX, (datapath.uuid, prefix)):
            return Refusal.DYNAMIC
        inside = self._vips.of(attachment.router).any_inside(prefix)
        return Refusal.LOCAL_VIP if inside else None

    def _refuses_prefix(
        self, route: IcRoute, prefix: Network, attachment: Attachment
    ) -> Refusal | None:
        default = is_default(prefix) and self._guard.allows_default(route)
        refusal = self._policy.current.refuses_learning(prefix, default=default)
        if refusal not in {None, Refusal.DENYLIST}:
            return refusal
        # The guard before the lists: what lies in a private subnet is worth a word, too.
        guarded = self._guard.refuses_learning(route, prefix, attachment)
        return guarded or refusal or attachment.learn.refuses(prefix)

    def _refuses_kind(self, route: IcRoute) -> Refusal | None:
        learns = route.origin != LOADBALANCER or self._policy.current.learn_lb
        return None if learns else Refusal.LOAD_BALANCER


def _name(row: Row) -> str:
    return row.name if isinstance(row, AvailabilityZone | LogicalRouter) else ""


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
    """Our routers' learned static routes: each wanted one once, and no other.

    Args:
        paths: where they are given, another way to a prefix that can be reached already is added
            when packets will arrive by it, and not before.
    """

    name: ClassVar[str] = "learned routes"
    writes: ClassVar[Database | None] = Database.NB
    independent: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913, PLR0917 - what decides on writing, each once
        self,
        view: View,
        zone: OwnZone,
        routes: StaticRoutes,
        sources: LearnedSources,
        guard: Guard,
        paths: Paths | None,
    ) -> None:
        super().__init__()
        self._view, self._zone = view, zone
        self._routes, self._sources = routes, sources
        self._guard, self._paths = guard, paths
        self._waiting: dict[Destination, dict[LearnKey, None]] = {}
        if paths is not None:
            paths.opened = self._path_opened
        sources.output = self

    def guard_known(self) -> None:
        """What was held back may go."""
        self.mark(self.keys())

    def watches(self) -> Mapping[type[Row], Watch[LearnKey]]:
        # `StaticRoutes` and `LearnedSources` mark the keys; these open the ways of waiting ones.
        return {IcPortBinding: self._of_gateway, SbPortBinding: self._of_gateway}

    def _of_gateway(self, _: Change) -> Iterator[LearnKey]:
        if self._paths is not None:
            self._paths.gateways_changed()
        return chain.from_iterable(self._waiting.values())

    def _path_opened(self) -> None:
        self.mark(chain.from_iterable(self._waiting.values()))

    def learned_route_changed(self, key: LearnKey) -> None:
        """A row of ours came, went or changed, by our hand or another's."""
        self.mark((key,))
        self.mark(self._waiting.get(key.destination, ()))

    def own_route_changed(self, uuid: RowId, key: OwnKey | None) -> None:
        """Acts through `LearnedSources`."""

    def keys(self) -> Iterable[LearnKey]:
        return (*self._sources.wanted, *self._routes.learned)

    def reconcile(self, key: LearnKey) -> Iterable[Operation]:
        if self._zone.current is None or self._view.get(LogicalRouter, key.router) is None:
            return ()
        have = self._routes.learned.get(key, {})
        wanted = self._sources.admitted(key)
        waits = bool(wanted) and not have and not self._may_come(key, wanted)
        self._note(key, waits=waits)
        if not wanted:
            return self._delete(key.router, have)
        if not have:
            return self._insert(key, min(wanted)) if self._guard.known and not waits else ()
        kept = min(have)
        spare = [uuid for uuid in have if uuid != kept]
        return [*self._refresh(kept, wanted), *self._delete(key.router, spare)]

    def waits(self, key: LearnKey) -> bool:
        """Whether a route is wanted, but not yet: see `isthmus.exchange.routes.path_readiness`."""
        return key in self._waiting.get(key.destination, ())

    def _may_come(self, key: LearnKey, wanted: Iterable[RowId]) -> bool:
        """Whether a route will not lead packets astray that find their way without it."""
        if self._paths is None or not self._routes.ways.get(key.destination):
            return True
        switches = {self._view.table(IcRoute).rows[uuid].transit_switch for uuid in wanted}
        return any(self._paths.open(Path(key.router, ts, key.nexthop)) for ts in switches)

    def _note(self, key: LearnKey, *, waits: bool) -> None:
        if waits:
            self._waiting.setdefault(key.destination, {})[key] = None
        elif key in (keys := self._waiting.get(key.destination, {})):
            del keys[key]
            if not keys:
                del self._waiting[key.destination]

    def _insert(self, key: LearnKey, source: RowId) -> Iterator[Operation]:
        new = NewRef()
        row: dict[str, Value] = {
            "ip_prefix": self._view.table(IcRoute).rows[source].ip_prefix,
            "nexthop": key.nexthop,
            "route_table": key.route_table,
            "external_ids": {IC_LEARNED_ROUTE: str(source)},
            "options": {"origin": key.origin},
        }
        yield Insert(LogicalRouterStaticRoute, row, new)
        joined = frozenset({new})
        yield Mutate(LogicalRouter, key.router, (("static_routes", "insert", joined),))

    def _refresh(self, kept: RowId, wanted: Mapping[RowId, None]) -> Iterator[Operation]:
        """The IC-SB route was replaced by one that means the same."""
        row = self._view.table(LogicalRouterStaticRoute).rows[kept]
        if row.external_ids.get(IC_LEARNED_ROUTE) not in wanted:
            ids = {IC_LEARNED_ROUTE: str(min(wanted))}
            yield set_keys(LogicalRouterStaticRoute, kept, "external_ids", ids)

    @staticmethod
    def _delete(router: RowId, uuids: Iterable[RowId]) -> Iterator[Operation]:
        gone = frozenset(Ref(uuid) for uuid in uuids)
        if gone:
            yield Mutate(LogicalRouter, router, (("static_routes", "delete", gone),))
