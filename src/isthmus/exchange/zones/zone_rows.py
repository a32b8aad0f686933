"""The rows that a zone has in IC-SB, and their removal.

Used by `registration` for our own zone, by `prune` for a dead one, and by `take_over`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from isthmus.engine.view import View
from isthmus.model.external_ids import alive_key, zone_claim
from isthmus.model.indexes import (
    GATEWAYS_BY_ZONE,
    IC_PORTS_BY_ZONE,
    IC_ROUTES_BY_ZONE,
    ZONES_BY_NAME,
)
from isthmus.model.operations import Delete, Operation, drop_keys
from isthmus.model.rows import (
    AvailabilityZone,
    Gateway,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    IcServiceMonitor,
)


@dataclass(frozen=True, slots=True)
class ZoneRows:
    """The rows of one zone.

    Args:
        zone: its own row; None if only a claim of the name is left.
        gateways, ports, routes: its rows in these tables.
        monitors: the health checks that it requests of other zones.
    """

    zone: AvailabilityZone | None
    gateways: tuple[Gateway, ...]
    ports: tuple[IcPortBinding, ...]
    routes: tuple[IcRoute, ...]
    monitors: tuple[IcServiceMonitor, ...]

    @classmethod
    def of(cls, view: View, name: str) -> "ZoneRows":
        """The rows of the zone of that name."""
        zone = view.one(ZONES_BY_NAME, name)
        uuid = None if zone is None else zone.uuid
        return cls(
            zone,
            tuple(view.all(GATEWAYS_BY_ZONE, uuid)),
            tuple(view.all(IC_PORTS_BY_ZONE, uuid)),
            tuple(view.all(IC_ROUTES_BY_ZONE, uuid)),
            tuple(m for m in view.table(IcServiceMonitor) if m.source_availability_zone == name),
        )

    def removal(self) -> Iterator[Operation]:
        """Delete all of them; the zone comes last, because the others refer to it strongly."""
        for row in (*self.monitors, *self.routes, *self.ports, *self.gateways):
            yield Delete(type(row), row.uuid)  # encaps go with their gateways
        if self.zone is not None:
            yield Delete(AvailabilityZone, self.zone.uuid)


def claims_of(view: View) -> Mapping[str, str]:
    """The `external_ids` of IC_SB_Global, which hold the zones' claims and heartbeats."""
    ic_global = view.single(IcSbGlobal)
    return {} if ic_global is None else ic_global.external_ids


def drop_claim(ic_global: IcSbGlobal | None, name: str) -> Iterator[Operation]:
    """Remove the claim of a zone's name, and the zone's heartbeat."""
    if ic_global is not None:
        keys = frozenset({zone_claim(name), alive_key(name)})
        yield drop_keys(IcSbGlobal, ic_global.uuid, "external_ids", keys)
