"""Learned routes: our routers hold each static route that is learned exactly once."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import ClassVar

from isthmus.engine.view import View
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.exchange.routes.path_readiness import Path, PathReadiness
from isthmus.exchange.routes.prefix_groups import PrefixGroups
from isthmus.exchange.routes.static_routes import Destination, FiledRoute, LearnKey, StaticRoutes
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler
from isthmus.model.indexes import ROUTER_ROUTES
from isthmus.model.operations import Operation, Value, insert_child, remove_children, set_keys
from isthmus.model.ovn_keys import IC_LEARNED_ROUTE
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcRoute,
    LogicalRouter,
    LogicalRouterStaticRoute,
    RowId,
)


class LearnedRoutes(ZoneReconciler[LearnKey]):
    """Our routers' learned static routes: each wanted one once, and no other.

    Args:
        routes: the static routes that exist.
        groups: what is wanted.
        policy: no route is added before it is complete.
        paths: if given, another route to a prefix that is already reachable is added only when
            packets will arrive by it.
    """

    name: ClassVar[str] = "learned routes"
    writes: ClassVar[Database] = Database.NB
    independent: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913, PLR0917 - everything that decides about writing
        self,
        view: View,
        zone: OwnZone,
        routes: StaticRoutes,
        groups: PrefixGroups,
        policy: ImportPolicy,
        paths: PathReadiness | None,
    ) -> None:
        super().__init__(view, zone)
        self._routes, self._groups, self._policy, self._paths = routes, groups, policy, paths
        self._waiting: dict[Destination, dict[LearnKey, None]] = {}

    def keys(self) -> Iterable[LearnKey]:
        return (*self._groups.wanted, *self._routes.learned)

    def of_static_route(self, route: FiledRoute) -> Iterable[LearnKey]:
        """A learned route that came, went or changed, and those that wait for its destination."""
        if route.learned is None:
            return ()
        return (route.learned, *self._waiting.get(route.learned.destination, ()))

    def waiting(self) -> Iterable[LearnKey]:
        """The routes that are wanted and wait until packets will arrive by them."""
        return chain.from_iterable(self._waiting.values())

    def waits(self, key: LearnKey) -> bool:
        """Whether a route waits until packets will arrive by it."""
        return key in self._waiting.get(key.destination, ())

    def align(self, key: LearnKey, zone: AvailabilityZone) -> Iterable[Operation]:
        if self._view.get(LogicalRouter, key.router) is None:
            return ()
        have = self._routes.learned.get(key, {})
        wanted = self._groups.admitted(key)
        waits = bool(wanted) and not have and not self._is_ready(key, wanted)
        self._note(key, waits=waits)
        if not wanted:
            return remove_children(ROUTER_ROUTES, key.router, have)
        if not have:
            return self._insert(key, min(wanted)) if self._policy.complete and not waits else ()
        kept = min(have)
        spare = [uuid for uuid in have if uuid != kept]
        return [*self._refresh(kept, wanted), *remove_children(ROUTER_ROUTES, key.router, spare)]

    def _is_ready(self, key: LearnKey, wanted: Iterable[RowId]) -> bool:
        """Whether adding a route loses no packets that arrive without it."""
        if self._paths is None or not self._routes.learned_to.get(key.destination):
            return True
        switches = {self._view.table(IcRoute).rows[uuid].transit_switch for uuid in wanted}
        return any(self._paths.is_ready(Path(key.router, ts, key.nexthop)) for ts in switches)

    def _note(self, key: LearnKey, *, waits: bool) -> None:
        if waits:
            self._waiting.setdefault(key.destination, {})[key] = None
        elif key in (keys := self._waiting.get(key.destination, {})):
            del keys[key]
            if not keys:
                del self._waiting[key.destination]

    def _insert(self, key: LearnKey, source: RowId) -> Iterator[Operation]:
        row: dict[str, Value] = {
            "ip_prefix": self._view.table(IcRoute).rows[source].ip_prefix,
            "nexthop": key.nexthop,
            "route_table": key.route_table,
            "external_ids": {IC_LEARNED_ROUTE: str(source)},
            "options": {"origin": key.origin},
        }
        return insert_child(ROUTER_ROUTES, key.router, row)

    def _refresh(self, kept: RowId, wanted: Mapping[RowId, None]) -> Iterator[Operation]:
        """Name another IC-SB route if the one that was learned is gone."""
        row = self._view.table(LogicalRouterStaticRoute).rows[kept]
        if row.external_ids.get(IC_LEARNED_ROUTE) not in wanted:
            ids = {IC_LEARNED_ROUTE: str(min(wanted))}
            yield set_keys(LogicalRouterStaticRoute, kept, "external_ids", ids)
