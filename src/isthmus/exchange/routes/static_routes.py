"""Our routers' static routes, learned ones and the routers' own ones apart; derived state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeVar

from isthmus.engine.reconciler import DerivedState, Watch
from isthmus.engine.view import View
from isthmus.model.indexes import ROUTER_ROUTES
from isthmus.model.ovn_keys import IC_LEARNED_ROUTE
from isthmus.model.prefixes import Network, canonical, parse_network
from isthmus.model.rows import LogicalRouter, LogicalRouterStaticRoute, Row, RowId

K = TypeVar("K")
V = TypeVar("V")


class LearnKey(NamedTuple):
    """What identifies a learned route; the prefix is in canonical form."""

    router: RowId
    ip_prefix: str
    nexthop: str
    origin: str
    route_table: str

    @property
    def destination(self) -> "Destination":
        """The destination, without the next hop."""
        return Destination(self.router, self.ip_prefix, self.route_table)


class Destination(NamedTuple):
    """A prefix in one route table of a router; the prefix in canonical form."""

    router: RowId
    ip_prefix: str
    route_table: str


class OwnKey(NamedTuple):
    """A router's own prefix in one route table."""

    router: RowId
    prefix: Network
    route_table: str


@dataclass(frozen=True, slots=True)
class FiledRoute:
    """A static route: `learned` if it was, `own` if it was not and its prefix is valid."""

    uuid: RowId
    router: RowId
    learned: LearnKey | None
    own: OwnKey | None


class StaticRoutes(DerivedState[RowId, FiledRoute]):
    """All static routes of all routers; the key is the row's UUID.

    A change is a route that came or went, or either side of a changed one.

    Attributes:
        learned: by destination, the rows and what they were learned as.
        own: the rows that were not learned, by prefix and table.
        own_by_router: the same by router.
    """

    name: ClassVar[str] = "static routes"

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._filed: dict[RowId, FiledRoute] = {}
        self.learned: dict[Destination, dict[RowId, LearnKey]] = {}
        self.own: dict[OwnKey, dict[RowId, None]] = {}
        self.own_by_router: dict[RowId, dict[RowId, None]] = {}

    def watches(self) -> Mapping[type[Row], Watch[RowId]]:
        return {
            LogicalRouterStaticRoute: lambda change: [change.row.uuid],
            LogicalRouter: lambda change: (
                change.joined.get("static_routes", frozenset())
                | change.left.get("static_routes", frozenset())
            ),
        }

    def keys(self) -> Iterable[RowId]:
        return (*self._filed, *self._view.table(LogicalRouterStaticRoute).rows)

    def derive(self, key: RowId) -> Iterable[FiledRoute]:
        before = self._filed.pop(key, None)
        if before is not None:
            self._remove(before)
            yield before
        row = self._view.get(LogicalRouterStaticRoute, key)
        router = self._view.relation(ROUTER_ROUTES).parent(key)
        if row is not None and router is not None:
            after = self._filed[key] = _filed(row, router)
            self._add(after)
            yield after

    def _add(self, route: FiledRoute) -> None:
        if route.learned is not None:
            self.learned.setdefault(route.learned.destination, {})[route.uuid] = route.learned
            return
        self.own_by_router.setdefault(route.router, {})[route.uuid] = None
        if route.own is not None:
            self.own.setdefault(route.own, {})[route.uuid] = None

    def _remove(self, route: FiledRoute) -> None:
        if route.learned is not None:
            _remove(self.learned, route.learned.destination, route.uuid)
            return
        _remove(self.own_by_router, route.router, route.uuid)
        if route.own is not None:
            _remove(self.own, route.own, route.uuid)


def _filed(row: LogicalRouterStaticRoute, router: RowId) -> FiledRoute:
    if IC_LEARNED_ROUTE in row.external_ids:
        origin = row.options.get("origin", "")
        key = LearnKey(router, canonical(row.ip_prefix), row.nexthop, origin, row.route_table)
        return FiledRoute(row.uuid, router, key, None)
    network = parse_network(row.ip_prefix)
    own = None if network is None else OwnKey(router, network, row.route_table)
    return FiledRoute(row.uuid, router, None, own)


def _remove(index: dict[K, dict[RowId, V]], key: K, row: RowId) -> None:
    index[key].pop(row, None)
    if not index[key]:
        del index[key]
