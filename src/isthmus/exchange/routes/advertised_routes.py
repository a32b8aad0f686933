"""Advertised routes: IC-SB holds each route that some source of ours asks for exactly once."""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.advertise import (
    AdvertisedSource,
    AdvertisedSources,
    AdvertiseKey,
    key_of,
)
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler
from isthmus.model.changes import Change
from isthmus.model.indexes import IC_ROUTES_BY_CONTENT, IC_ROUTES_BY_ZONE
from isthmus.model.operations import Delete, Insert, Operation, Ref, Value, update
from isthmus.model.rows import AvailabilityZone, Database, IcRoute, Row


class AdvertisedRoutes(ZoneReconciler[AdvertiseKey]):
    """Our routes in IC-SB; those of ours that no source asks for, orphans included, are deleted."""

    name: ClassVar[str] = "advertised routes"
    writes: ClassVar[Database] = Database.IC_SB

    def __init__(
        self, view: View, zone: OwnZone, sources: AdvertisedSources, policy: ImportPolicy
    ) -> None:
        super().__init__(view, zone)
        self._sources, self._policy = sources, policy

    def watches(self) -> Mapping[type[Row], Watch[AdvertiseKey]]:
        return {IcRoute: self._of_route}

    def _of_route(self, change: Change) -> Iterable[AdvertiseKey]:
        zone = self._zone.current
        rows = change.of(IcRoute)
        return [key_of(row) for row in rows if zone and row.availability_zone == zone.uuid]

    def keys(self) -> Iterable[AdvertiseKey]:
        yield from tuple(self._sources.wanted)
        zone = self._zone.current
        if zone is not None:
            yield from map(key_of, self._view.all(IC_ROUTES_BY_ZONE, zone.uuid))

    def align(self, key: AdvertiseKey, zone: AvailabilityZone) -> Iterator[Operation]:
        have = sorted(
            self._view.all(IC_ROUTES_BY_CONTENT, (zone.uuid, *key)), key=lambda row: row.uuid
        )
        source = min(self._sources.wanted.get(key, {}).values(), default=None)
        for route in have if source is None else have[1:]:
            yield Delete(IcRoute, route.uuid)
        if source is not None and (have or self._policy.complete):
            yield from self._write(key, zone, source, have[0] if have else None)

    @staticmethod
    def _write(
        key: AdvertiseKey, zone: AvailabilityZone, source: AdvertisedSource, route: IcRoute | None
    ) -> Iterator[Operation]:
        if route is None:
            yield Insert(
                IcRoute,
                {
                    "transit_switch": key.ts,
                    "availability_zone": Ref(zone.uuid),
                    "route_table": key.route_table,
                    "ip_prefix": source.written or key.ip_prefix,
                    "nexthop": key.nexthop,
                    "origin": source.origin,
                    "external_ids": source.external_ids,
                },
            )
            return
        written = source.written or route.ip_prefix
        row: dict[str, Value] = {"origin": source.origin, "external_ids": source.external_ids}
        yield from update(route, {**row, "ip_prefix": written})
