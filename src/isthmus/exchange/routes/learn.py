"""Which IC-SB routes our routers learn, and why not the others; derived state.

`LearnedSources` decides about each IC-SB route alone. `isthmus.exchange.routes.prefix_groups` adds
what depends on several routes, and `isthmus.exchange.routes.learned_routes` writes the result.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, NamedTuple

from isthmus.engine.reconciler import DerivedState, Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.attachments import Attachment, Attachments
from isthmus.exchange.routes.considered_routes import ConsideredRoutes
from isthmus.exchange.routes.import_policy import Finding, ImportPolicy
from isthmus.exchange.routes.load_balancer_vips import RouterVips
from isthmus.exchange.routes.options import LOADBALANCER, GlobalRouteOptions, Refusal
from isthmus.exchange.routes.static_routes import (
    Destination,
    FiledRoute,
    LearnKey,
    OwnKey,
    StaticRoutes,
)
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    DYNAMIC_ROUTES_BY_DESTINATION,
    IC_ROUTES_BY_PREFIX,
    IC_ROUTES_BY_TS,
    IC_ROUTES_BY_ZONE,
    SB_DATAPATHS_BY_ROUTER,
)
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
    IcRoute,
    LogicalRouter,
    Row,
    RowId,
    SbLearnedRoute,
)


class Outcome(NamedTuple):
    """What one IC-SB route comes to.

    Args:
        meant: what it asks to be learned, the limit of its zone aside.
        findings: what the import policy makes of it.
        zone: the name of the zone that advertises it, if there is an import policy.
    """

    meant: tuple[LearnKey, ...] = ()
    findings: tuple[Finding, ...] = ()
    zone: str = ""


NOTHING = Outcome()


class LearnChange(NamedTuple):
    """What an IC-SB route asked for and asks for now; empty if its outcome is the same."""

    route: RowId
    destinations: tuple[Destination, ...]


class LearnedSources(DerivedState[RowId, LearnChange]):
    """What each IC-SB route means for our routers; the key is its UUID.

    Attributes:
        wanted: by destination on a router, the IC-SB routes that ask for a route, and for which.
    """

    name: ClassVar[str] = "learned sources"
    # Otherwise all of them would be derived again with every database that is read later.
    needs: ClassVar[frozenset[Database]] = frozenset(Database)

    def __init__(  # noqa: PLR0913, PLR0917 - everything that decides about learning
        self,
        view: View,
        options: GlobalRouteOptions,
        attachments: Attachments,
        routes: StaticRoutes,
        vips: RouterVips,
        policy: ImportPolicy,
        considered: ConsideredRoutes,
    ) -> None:
        super().__init__()
        self._view, self._options = view, options
        self._attachments, self._routes, self._vips = attachments, routes, vips
        self._policy, self._considered = policy, considered
        self._outcomes: dict[RowId, Outcome] = {}
        self.wanted: dict[Destination, dict[RowId, LearnKey]] = {}

    def watches(self) -> Mapping[type[Row], Watch[RowId]]:
        return {
            IcRoute: lambda change: [change.row.uuid],
            SbLearnedRoute: self._of_dynamic_route,
            AvailabilityZone: self._of_zone,
            LogicalRouter: self._of_router,
        }

    def _of_zone(self, change: Change) -> Iterator[RowId]:
        """The import policy's rules go by the zone's name."""
        if self._policy.active and len({row.name for row in change.of(AvailabilityZone)}) == 2:
            yield from (r.uuid for r in self._view.all(IC_ROUTES_BY_ZONE, change.row.uuid))

    def _of_router(self, change: Change) -> Iterator[RowId]:
        """The import policy's local prefixes go by the router's name."""
        if self._policy.active and len({row.name for row in change.of(LogicalRouter)}) == 2:
            yield from self.of_router(change.row.uuid)

    def _of_dynamic_route(self, change: Change) -> Iterator[RowId]:
        for row in change.of(SbLearnedRoute):
            prefix = parse_network(row.ip_prefix)
            yield from (r.uuid for r in self._view.all(IC_ROUTES_BY_PREFIX, prefix))

    # -- the keys that other state affects ---------------------------------------------------

    def of_attachment(self, attachment: Attachment) -> Iterator[RowId]:
        """Every route of its transit switch may be learned through it."""
        return (route.uuid for route in self._view.all(IC_ROUTES_BY_TS, attachment.ts))

    def of_router(self, router: RowId) -> Iterator[RowId]:
        """Every route of the transit switches that a router is attached to."""
        for attachment in self._attachments.by_router.get(router, {}).values():
            yield from self.of_attachment(attachment)

    def of_static_route(self, route: FiledRoute) -> Iterator[RowId]:
        """A router's own route keeps the same prefix from being learned."""
        if route.own is not None:
            yield from (row.uuid for row in self._view.all(IC_ROUTES_BY_PREFIX, route.own.prefix))

    def of_prefixes(self, prefixes: frozenset[Network] | None) -> Iterable[RowId]:
        """The routes inside one of some prefixes; all for None."""
        if prefixes is None:
            return self.keys()
        routes = self._view.prefixes(IC_ROUTES_BY_PREFIX)
        return [uuid for prefix in prefixes for uuid in routes.inside(prefix)]

    # -- outcomes ----------------------------------------------------------------------------

    def keys(self) -> Iterable[RowId]:
        return (*self._outcomes, *self._view.table(IcRoute).rows)

    def keys_of(self, route: RowId) -> tuple[LearnKey, ...]:
        """What a route asks to be learned, the limit of its zone aside."""
        return self._outcomes.get(route, NOTHING).meant

    def destinations(self, router: RowId, prefixes: Iterable[Network]) -> Iterator[Destination]:
        """The destinations of what all routes to some prefixes ask to be learned on one router."""
        for prefix in prefixes:
            for route in self._view.all(IC_ROUTES_BY_PREFIX, prefix):
                for key in self.keys_of(route.uuid):
                    if key.router == router:
                        yield key.destination

    def findings(self, route: RowId) -> tuple[Finding, ...]:
        """What the import policy makes of a route."""
        return self._outcomes.get(route, NOTHING).findings

    def derive(self, key: RowId) -> Iterable[LearnChange]:
        route = self._view.get(IcRoute, key)
        before = self._outcomes.pop(key, NOTHING)
        after = NOTHING if route is None else self._outcome(route)
        if after != NOTHING:
            self._outcomes[key] = after
        for gone in before.meant:
            del self.wanted[gone.destination][key]
            if not self.wanted[gone.destination]:
                del self.wanted[gone.destination]
        for learned in after.meant:
            self.wanted.setdefault(learned.destination, {})[key] = learned
        if before != after:
            changed = (learned.destination for learned in (*before.meant, *after.meant))
            return (LearnChange(key, tuple(changed)),)
        return (LearnChange(key, ()),) if after.findings else ()

    def _outcome(self, route: IcRoute) -> Outcome:
        prefix = parse_network(route.ip_prefix)
        if prefix is None:
            return NOTHING
        meant: dict[LearnKey, None] = {}
        findings: dict[Finding, None] = {}
        for attachment in self._attachments.by_ts.get(route.transit_switch, {}).values():
            refusal = self.refuses(route, attachment)
            if refusal is None:
                meant[learn_key(route, attachment.router)] = None
            finding = self._policy.finding(route, prefix, attachment.router, refusal)
            if finding is not None:
                findings[finding] = None
        if not meant and not findings:
            return NOTHING
        zone = self._policy.zone_of(route) if self._policy.active else ""
        return Outcome(tuple(meant), tuple(findings), zone)

    # -- decisions ---------------------------------------------------------------------------

    def refuses(self, route: IcRoute, attachment: Attachment) -> Refusal | None:
        """Why a route is not learned through an attachment, the limit of its zone aside."""
        prefix, nexthop = parse_network(route.ip_prefix), parse_address(route.nexthop)
        if prefix is None or nexthop is None or not attachment.takes_nexthop(prefix, nexthop):
            return Refusal.UNPARSABLE
        return (
            _refuses_sender(route, attachment)
            or (None if self._considered.includes(route) else Refusal.BEYOND_LIMIT)
            or _refuses_marks(route, attachment)
            or _refuses_nexthop(nexthop, attachment)
            or self._refuses_prefix(route, prefix, attachment)
            or self._refuses_own(route, prefix, attachment)
        )

    def _refuses_own(
        self, route: IcRoute, prefix: Network, attachment: Attachment
    ) -> Refusal | None:
        own = OwnKey(attachment.router, prefix, route.route_table)
        if own in self._routes.own:
            return Refusal.OWN_ROUTE
        datapath = self._view.one(SB_DATAPATHS_BY_ROUTER, attachment.router)
        if datapath and self._view.one(DYNAMIC_ROUTES_BY_DESTINATION, (datapath.uuid, prefix)):
            return Refusal.DYNAMIC
        inside = self._vips.of(attachment.router).any_inside(prefix)
        return Refusal.LOCAL_VIP if inside else None

    def _refuses_prefix(
        self, route: IcRoute, prefix: Network, attachment: Attachment
    ) -> Refusal | None:
        if route.origin == LOADBALANCER and not self._options.current.learn_lb:
            return Refusal.LOAD_BALANCER
        default = is_default(prefix) and self._policy.allows_default(route)
        refusal = self._options.current.refuses_learning(prefix, default=default)
        if refusal not in {None, Refusal.DENYLIST}:
            return refusal
        # The policy before the lists: an overlap with a private Subnet must be reported, too.
        by_policy = self._policy.refuses_learning(route, prefix, attachment.router)
        return by_policy or refusal or attachment.learn.refuses(prefix)


def learn_key(route: IcRoute, router: RowId) -> LearnKey:
    """What an IC-SB route asks to be learned on a router."""
    prefix = canonical(route.ip_prefix)
    return LearnKey(router, prefix, route.nexthop, route.origin, route.route_table)


def _refuses_sender(route: IcRoute, attachment: Attachment) -> Refusal | None:
    router = route.external_ids.get("lr-id")
    if router == attachment.router:
        return Refusal.SAME_ROUTER
    same_zone = router is None and route.availability_zone == attachment.zone
    return Refusal.SAME_ZONE if same_zone else None


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
