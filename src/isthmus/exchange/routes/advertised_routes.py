"""Advertised routes: IC-SB holds each route that some source of ours asks for exactly once."""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.advertise import AdvertisedSource, AdvertisedSources, Offer, key_of
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
        wanted: dict[str, AdvertisedSource] = {}
        for (nexthop, _), source in self._sources.wanted.get(key, {}).items():
            wanted[nexthop] = min(source, wanted.get(nexthop, source))
        rows = self._view.all(IC_ROUTES_BY_OFFER, (zone.uuid, *key))
        have = sorted(rows, key=lambda row: row.uuid, reverse=True)
        kept = {row.nexthop: row for row in have if row.nexthop in wanted}
        added = wanted.keys() - kept.keys() if self._policy.complete else frozenset[str]()
        for nexthop in sorted(added):
            yield self._insert(key, nexthop, zone, wanted[nexthop])
        for nexthop, row in kept.items():
            yield from self._update(row, wanted[nexthop])
        if kept or added or not wanted:
            yield from (Delete(IcRoute, row.uuid) for row in have if row not in kept.values())

    @staticmethod
    def _insert(
        key: Offer, nexthop: str, zone: AvailabilityZone, source: AdvertisedSource
    ) -> Operation:
        return Insert(
            IcRoute,
            {
                "transit_switch": key.ts,
                "availability_zone": Ref(zone.uuid),
                "route_table": key.route_table,
                "ip_prefix": source.written or key.ip_prefix,
                "nexthop": nexthop,
                "origin": source.origin,
                "external_ids": source.external_ids,
            },
        )

    @staticmethod
    def _update(row: IcRoute, source: AdvertisedSource) -> Iterator[Operation]:
        written = source.written or row.ip_prefix
        columns: dict[str, Value] = {"origin": source.origin, "external_ids": source.external_ids}
        yield from update(row, {**columns, "ip_prefix": written})
