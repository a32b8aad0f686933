"""Health checks of load balancer endpoints in other zones (OVN 25.09 on).

northd creates an SB row with `remote` for an endpoint that `ip_port_mappings` places in another
zone. We request the check from that zone in IC-SB. That zone creates an SB row with `ic_learned`,
its ovn-controller checks, and the status comes back the same way. Schemas without the tables have
no keys here.
"""

from collections.abc import Iterator
from typing import ClassVar, TypeAlias

from isthmus.engine.view import View
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler
from isthmus.model.indexes import IC_MONITORS_BY_ENDPOINT, SB_MONITORS_BY_ENDPOINT
from isthmus.model.operations import Delete, Insert, Operation, Value, update
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcServiceMonitor,
    NbGlobal,
    SbServiceMonitor,
    ServiceMonitor,
)

_TARGET = "az-name"
_SVC_MAC = "svc_monitor_mac"

MonitorKey: TypeAlias = tuple[str, str, int, str | None]
"""Logical port, address, port and protocol: see `monitor_endpoint`."""


class _Monitors(ZoneReconciler[MonitorKey]):
    """Both tables, by the same key."""

    indexes = (SB_MONITORS_BY_ENDPOINT, IC_MONITORS_BY_ENDPOINT)

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__(view, zone)
        self._sb = view.index(SB_MONITORS_BY_ENDPOINT)
        self._ic = view.index(IC_MONITORS_BY_ENDPOINT)

    def _requested_by(self, zone: AvailabilityZone, key: MonitorKey) -> IcServiceMonitor | None:
        """The check that our zone requests of another."""
        rows = self._ic.all(key)
        return next((row for row in rows if row.source_availability_zone == zone.name), None)

    def _requested_of(self, zone: AvailabilityZone, key: MonitorKey) -> IcServiceMonitor | None:
        """The check that another zone requests of ours."""
        rows = self._ic.all(key)
        return next((row for row in rows if row.target_availability_zone == zone.name), None)


class MonitorRequests(_Monitors):
    """In IC-SB: the checks that we request, and the status of those requested of us."""

    name: ClassVar[str] = "service monitor requests"
    writes: ClassVar[Database] = Database.IC_SB

    def align(self, key: MonitorKey, zone: AvailabilityZone) -> Iterator[Operation]:
        sb = self._sb.one(key)
        wanted = sb if sb is not None and sb.remote and not sb.ic_learned else None
        yield from self._request(zone, wanted, self._requested_by(zone, key))
        requested = self._requested_of(zone, key)
        if requested is not None and sb is not None and sb.ic_learned:
            yield from update(requested, {"status": _optional(sb.status)})

    @staticmethod
    def _request(
        zone: AvailabilityZone, wanted: SbServiceMonitor | None, have: IcServiceMonitor | None
    ) -> Iterator[Operation]:
        if wanted is None:
            if have is not None:
                yield Delete(IcServiceMonitor, have.uuid)
            return
        row: dict[str, Value] = {
            **_columns(wanted),
            "source_availability_zone": zone.name,
            "target_availability_zone": wanted.options.get(_TARGET, ""),
            "src_mac": wanted.src_mac,
        }
        if have is None:
            yield Insert(IcServiceMonitor, row)
        else:
            yield from update(have, row)


class MonitorCopies(_Monitors):
    """In SB: the checks requested of us, and the status of those that we request."""

    name: ClassVar[str] = "service monitors"
    writes: ClassVar[Database] = Database.SB

    def align(self, key: MonitorKey, zone: AvailabilityZone) -> Iterator[Operation]:
        if not self._view.schema.has(SbServiceMonitor, "ic_learned"):
            return
        sb, requested = self._sb.one(key), self._requested_of(zone, key)
        if sb is None and requested is not None:
            yield Insert(
                SbServiceMonitor,
                {**_columns(requested), "ic_learned": True, "src_mac": self._mac()},
            )
        elif sb is not None and sb.ic_learned and requested is None:
            yield Delete(SbServiceMonitor, sb.uuid)
        elif sb is not None and sb.ic_learned and requested is not None:
            yield from update(sb, _columns(requested))
        elif sb is not None and sb.remote:
            answer = self._requested_by(zone, key)
            if answer is not None:
                yield from update(sb, {"status": _optional(answer.status)})

    def _mac(self) -> str:
        """The source MAC that our own northd has set for checks."""
        nb_global = self._view.single(NbGlobal)
        return nb_global.options.get(_SVC_MAC, "") if nb_global else ""


def _columns(row: ServiceMonitor) -> dict[str, Value]:
    """The columns that both tables have."""
    return {
        "type": _optional(row.type),
        "ip": row.ip,
        "protocol": _optional(row.protocol),
        "port": row.port,
        "logical_port": row.logical_port,
        "src_ip": row.src_ip,
        "options": dict(row.options),
    }


def _optional(value: str | None) -> str | frozenset[str]:
    return frozenset() if value is None else value
