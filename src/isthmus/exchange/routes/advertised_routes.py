"""Advertised routes: IC-SB holds each route that some source of ours asks for exactly once."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.advertise import (
    AdvertisedSource,
    AdvertisedSources,
    AdvertiseKey,
    Offer,
    key_of,
)
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler
from isthmus.model.changes import Change
from isthmus.model.indexes import IC_ROUTES_BY_OFFER, IC_ROUTES_BY_ZONE
from isthmus.model.operations import Delete, Insert, Operation, Ref, Value, update
from isthmus.model.rows import AvailabilityZone, Database, IcRoute, Row


class AdvertisedRoutes(ZoneReconciler[Offer]):
    """Our routes in IC-SB; those of ours that no source asks for, orphans included, are deleted.

    A route is deleted in the transaction that inserts one with another next hop, or later.
    """

    name: ClassVar[str] = "advertised routes"
    writes: ClassVar[Database] = Database.IC_SB

    def __init__(
        self, view: View, zone: OwnZone, sources: AdvertisedSources, policy: ImportPolicy
    ) -> None:
        super().__init__(view, zone)
        self._sources, self._policy = sources, policy

    def watches(self) -> Mapping[type[Row], Watch[Offer]]:
        return {IcRoute: self._of_route}

    def _of_route(self, change: Change) -> Iterable[Offer]:
        zone = self._zone.current
        rows = change.of(IcRoute)
        return [key_of(row).offer for row in rows if zone and row.availability_zone == zone.uuid]

    def keys(self) -> Iterable[Offer]:
        yield from tuple(self._sources.wanted)
        zone = self._zone.current
        if zone is not None:
            yield from (key_of(r).offer for r in self._view.all(IC_ROUTES_BY_ZONE, zone.uuid))

    def align(self, key: Offer, zone: AvailabilityZone) -> Iterator[Operation]:
        wanted: dict[AdvertiseKey, AdvertisedSource] = {}
        for (route, _), source in self._sources.wanted.get(key, {}).items():
            wanted[route] = min(source, wanted.get(route, source))
        rows = self._view.all(IC_ROUTES_BY_OFFER, (zone.uuid, *key))
        kept, spare = _matched(wanted, sorted(rows, key=lambda row: row.uuid))
        added = wanted.keys() - kept.keys() if self._policy.complete else frozenset[AdvertiseKey]()
        for route in sorted(added):
            yield self._insert(route, zone, wanted[route])
        for route, row in kept.items():
            yield from self._update(row, route, wanted[route])
        if kept or added or not wanted:
            yield from (Delete(IcRoute, row.uuid) for row in spare)

    @staticmethod
    def _insert(route: AdvertiseKey, zone: AvailabilityZone, source: AdvertisedSource) -> Operation:
        return Insert(
            IcRoute,
            {
                "transit_switch": route.ts,
                "availability_zone": Ref(zone.uuid),
                "route_table": route.route_table,
                "ip_prefix": route.written or route.ip_prefix,
                "nexthop": route.nexthop,
                "origin": source.origin,
                "external_ids": source.external_ids,
            },
        )

    @staticmethod
    def _update(row: IcRoute, route: AdvertiseKey, source: AdvertisedSource) -> Iterator[Operation]:
        columns: dict[str, Value] = {"origin": source.origin, "external_ids": source.external_ids}
        if route.written and key_of(row).written != route.written:
            columns["ip_prefix"] = route.written
        yield from update(row, columns)


def _matched(
    wanted: Collection[AdvertiseKey], rows: Iterable[IcRoute]
) -> tuple[dict[AdvertiseKey, IcRoute], list[IcRoute]]:
    """Which row becomes which route, and the rows that are left.

    A row with the prefix in another form is rewritten, so that no route is withdrawn.
    """
    kept: dict[AdvertiseKey, IcRoute] = {}
    others: list[IcRoute] = []
    for row in rows:
        route = key_of(row)
        if route in wanted and route not in kept:
            kept[route] = row
        else:
            others.append(row)
    spare = list[IcRoute]()
    for row in others:
        lacking = (w for w in wanted if w not in kept and w.nexthop == row.nexthop)
        successor = min(lacking, default=None)
        if successor is None:
            spare.append(row)
        else:
            kept[successor] = row
    return kept, spare
