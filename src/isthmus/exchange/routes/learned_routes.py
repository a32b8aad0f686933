"""Learned routes: a static route per IC-SB route and router, as `ovn-ic` has them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from isthmus.engine.view import View
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.exchange.routes.path_readiness import Path, PathReadiness
from isthmus.exchange.routes.prefix_groups import PrefixGroups
from isthmus.exchange.routes.static_routes import Destination, FiledRoute, LearnKey, StaticRoutes
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler
from isthmus.model.indexes import ROUTER_ROUTES
from isthmus.model.operations import (
    Operation,
    Value,
    insert_child,
    remove_children,
    set_keys,
    update,
)
from isthmus.model.ovn_keys import IC_LEARNED_ROUTE, SRC_IP
from isthmus.model.prefixes import parse_interface
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcRoute,
    LogicalRouter,
    LogicalRouterStaticRoute,
    RowId,
)

_Rows = Mapping[RowId, LearnKey]
_Sources = Mapping[LearnKey, Sequence[RowId]]


class LearnedRoutes(ZoneReconciler[Destination]):
    """The learned static routes to one destination: one per IC-SB route, and no other.

    Two zones that advertise a prefix with one next hop thus give two equal routes, marked with the
    UUIDs of their IC-SB routes, which makes such a mistake visible.

    An obsolete route is removed in the transaction that inserts another one, or later: while all
    that replace it must wait, and packets still arrive by it, it stays.

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
        self._waiting: dict[Destination, tuple[LearnKey, ...]] = {}

    def keys(self) -> Iterable[Destination]:
        return (*self._groups.wanted, *self._routes.learned)

    def of_static_route(self, route: FiledRoute) -> Iterable[Destination]:
        """The destination of a learned route that came, went or changed."""
        return () if route.learned is None else (route.learned.destination,)

    def waiting(self) -> Iterable[Destination]:
        """The destinations with routes that wait until packets will arrive by them."""
        return tuple(self._waiting)

    def waits(self, key: LearnKey) -> bool:
        """Whether a route waits until packets will arrive by it."""
        return key in self._waiting.get(key.destination, ())

    def align(self, key: Destination, zone: AvailabilityZone) -> Iterator[Operation]:
        self._waiting.pop(key, None)
        if self._view.get(LogicalRouter, key.router) is None:
            return
        have, wanted = self._routes.learned.get(key, {}), self._groups.admitted(key)
        kept = {new: self._matched(new, wanted[new], have) for new in wanted}
        missing = [new for new in wanted if not kept[new]]
        if waiting := tuple(new for new in missing if not self._is_ready(new, wanted, have)):
            self._waiting[key] = waiting
        added = [
            (new, source)
            for new in (wanted if self._policy.complete else ())
            for source in sorted(wanted[new])
            if source not in kept[new] and new not in waiting
        ]
        for new, source in added:
            yield from self._insert(new, source)
        rows = {row: source for found in kept.values() for source, row in found.items()}
        for row, source in rows.items():
            yield from self._refresh(row, source)
        if rows or added or not wanted:
            surplus = [uuid for uuid in have if uuid not in rows]
            yield from remove_children(ROUTER_ROUTES, key.router, surplus)

    def _matched(self, new: LearnKey, sources: Sequence[RowId], have: _Rows) -> dict[RowId, RowId]:
        """The row of each IC-SB route that asks for a route.

        A row whose IC-SB route is gone serves another one, so that no packet is lost.
        """
        table, found = self._view.table(LogicalRouterStaticRoute).rows, dict[RowId, RowId]()
        rows = sorted(uuid for uuid, learned in have.items() if learned == new)
        for uuid in rows:
            mark = RowId(table[uuid].external_ids.get(IC_LEARNED_ROUTE, ""))
            if mark in sources:
                found.setdefault(mark, uuid)
        spare = iter([uuid for uuid in rows if uuid not in found.values()])
        lacking = [source for source in sorted(sources) if source not in found]
        return found | dict(zip(lacking, spare, strict=False))

    def _is_ready(self, new: LearnKey, wanted: _Sources, have: _Rows) -> bool:
        """Whether adding a route loses no packets that arrive without it."""
        paths = self._paths
        if paths is None or any(old.nexthop == new.nexthop for old in have.values()):
            return True
        rows = self._view.table(IcRoute).rows
        zones = {rows[uuid].availability_zone for sources in wanted.values() for uuid in sources}
        if not any(
            old in wanted or paths.works(old.router, old.nexthop, zones) for old in have.values()
        ):
            return True
        switches = {rows[uuid].transit_switch for uuid in wanted[new]}
        return any(paths.is_ready(Path(new.router, ts, new.nexthop)) for ts in switches)

    def _insert(self, key: LearnKey, source: RowId) -> Iterator[Operation]:
        row: dict[str, Value] = {
            "ip_prefix": self._view.table(IcRoute).rows[source].ip_prefix,
            "nexthop": key.nexthop,
            "route_table": key.route_table,
            "external_ids": {IC_LEARNED_ROUTE: str(source)},
            "options": {"origin": key.origin},
        }
        return insert_child(ROUTER_ROUTES, key.router, row)

    def _refresh(self, kept: RowId, source: RowId) -> Iterator[Operation]:
        """Name the IC-SB route, write the prefix as it is there, and set back other columns.

        By its source, or over another port, a route leads no packets to the prefix.
        """
        row = self._view.table(LogicalRouterStaticRoute).rows[kept]
        written = self._view.table(IcRoute).rows[source].ip_prefix
        columns: dict[str, Value] = {}
        if parse_interface(row.ip_prefix) != parse_interface(written):
            columns["ip_prefix"] = written
        if row.policy == SRC_IP or row.output_port is not None:
            columns |= dict.fromkeys(("policy", "output_port"), frozenset[str]())
        yield from update(row, columns)
        if row.external_ids.get(IC_LEARNED_ROUTE) != source:
            ids = {IC_LEARNED_ROUTE: str(source)}
            yield set_keys(LogicalRouterStaticRoute, kept, "external_ids", ids)
