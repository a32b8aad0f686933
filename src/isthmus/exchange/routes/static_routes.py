"""Our routers' static routes, told apart: learned ones and the routers' own; derived state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeVar

from isthmus.engine.reconciler import Reconciler, Watch
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Operation
from isthmus.model.ovn_keys import IC_LEARNED_ROUTE
from isthmus.model.prefixes import Network, canonical, parse_network
from isthmus.model.rows import LogicalRouter, LogicalRouterStaticRoute, Row, RowId

K = TypeVar("K")
V = TypeVar("V")


class LearnKey(NamedTuple):
    """What tells one learned route from another; the prefix in canonical form."""

    router: RowId
    ip_prefix: str
    nexthop: str
    origin: str
    route_table: str

    @property
    def destination(self) -> "Destination":
        """What it leads to, whichever way."""
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
class _Place:
    """Where a static route was filed, so that it is found again when it has changed."""

    router: RowId
    learned: LearnKey | None
    own: OwnKey | None


class StaticRouteUser(Protocol):
    """A reconciler whose keys depend on the routers' static routes."""

    def own_route_changed(self, uuid: RowId, key: OwnKey | None) -> None:
        """A static route that was not learned came, went or changed."""

    def learned_route_changed(self, key: LearnKey) -> None:
        """A learned route came, went or changed."""


class StaticRoutes(Reconciler[RowId]):
    """All static routes of all routers, filed; the key is the row's UUID.

    Attributes:
        learned: the rows by what they were learned as; more than one is one too many.
        ways: what was learned, by destination.
        own: the rows that were not learned, by prefix and table.
        own_by_router: the same by router.
        dependents: told of what came, went or changed.
    """

    name: ClassVar[str] = "static routes"

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._places: dict[RowId, _Place] = {}
        self.learned: dict[LearnKey, dict[RowId, None]] = {}
        self.ways: dict[Destination, dict[LearnKey, None]] = {}
        self.own: dict[OwnKey, dict[RowId, None]] = {}
        self.own_by_router: dict[RowId, dict[RowId, None]] = {}
        self.dependents: tuple[StaticRouteUser, ...] = ()

    def watches(self) -> Mapping[type[Row], Watch[RowId]]:
        return {
            LogicalRouterStaticRoute: lambda change: [change.row.uuid],
            LogicalRouter: _of_router,
        }

    def keys(self) -> Iterable[RowId]:
        return (*self._places, *self._view.table(LogicalRouterStaticRoute).rows)

    def reconcile(self, key: RowId) -> Iterable[Operation]:
        place = self._places.pop(key, None)
        if place is not None:
            self._take_out(key, place)
            self._tell(key, place)
        row = self._view.get(LogicalRouterStaticRoute, key)
        router = self._view.relation(LogicalRouter, "static_routes").parent(key)
        if row is not None and router is not None:
            place = self._places[key] = _place(row, router)
            self._file(key, place)
            self._tell(key, place)
        return ()

    def _file(self, uuid: RowId, place: _Place) -> None:
        if place.learned is not None:
            self.learned.setdefault(place.learned, {})[uuid] = None
            self.ways.setdefault(place.learned.destination, {})[place.learned] = None
            return
        self.own_by_router.setdefault(place.router, {})[uuid] = None
        if place.own is not None:
            self.own.setdefault(place.own, {})[uuid] = None

    def _take_out(self, uuid: RowId, place: _Place) -> None:
        if place.learned is not None:
            _remove(self.learned, place.learned, uuid)
            if place.learned not in self.learned:
                _remove(self.ways, place.learned.destination, place.learned)
            return
        _remove(self.own_by_router, place.router, uuid)
        if place.own is not None:
            _remove(self.own, place.own, uuid)

    def _tell(self, uuid: RowId, place: _Place) -> None:
        for dependent in self.dependents:
            if place.learned is not None:
                dependent.learned_route_changed(place.learned)
            else:
                dependent.own_route_changed(uuid, place.own)


def _place(row: LogicalRouterStaticRoute, router: RowId) -> _Place:
    if IC_LEARNED_ROUTE in row.external_ids:
        origin = row.options.get("origin", "")
        key = LearnKey(router, canonical(row.ip_prefix), row.nexthop, origin, row.route_table)
        return _Place(router, key, None)
    network = parse_network(row.ip_prefix)
    own = None if network is None else OwnKey(router, network, row.route_table)
    return _Place(router, None, own)


def _remove(index: dict[K, dict[V, None]], key: K, value: V) -> None:
    index[key].pop(value, None)
    if not index[key]:
        del index[key]


def _of_router(change: Change) -> Iterable[RowId]:
    return (*change.joined.get("static_routes", ()), *change.left.get("static_routes", ()))
