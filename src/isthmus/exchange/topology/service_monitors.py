"""Health checks of load balancer endpoints in other zones (OVN 25.09 on).

northd creates an SB row with `remote` for an endpoint that `ip_port_mappings` places in another
zone. We request the check from that zone in IC-SB. That zone creates an SB row with `ic_learned`,
its ovn-controller checks, and the status comes back the same way. Schemas without the tables have
no keys here.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, TypeAlias

from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    IC_MONITORS_BY_ENDPOINT,
    SB_MONITORS_BY_ENDPOINT,
    monitor_endpoint,
)
from isthmus.model.operations import Delete, Insert, Operation, Update, Value
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcServiceMonitor,
    NbGlobal,
    Row,
    SbServiceMonitor,
)

_TARGET = "az-name"
_SVC_MAC = "svc_monitor_mac"

AnyMonitor = SbServiceMonitor | IcServiceMonitor


MonitorKey: TypeAlias = tuple[str, str, int, str | None]
"""Logical port, address, port and protocol: see `monitor_endpoint`."""


class _Monitors(ZoneReconciler[MonitorKey]):
    """Both tables, by the same key."""

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__(view, zone)
        self._sb = view.index(SB_MONITORS_BY_ENDPOINT)
        self._ic = view.index(IC_MONITORS_BY_ENDPOINT)

    def watches(self) -> Mapping[type[Row], Watch[MonitorKey]]:
        return {SbServiceMonitor: _keys, IcServiceMonitor: _keys}

    def keys(self) -> Iterable[MonitorKey]:
        return (*self._sb.keys(), *self._ic.keys())

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
        if (
            requested is not None
            and sb is not None
            and sb.ic_learned
            and sb.status != requested.status
        ):
            yield Update(IcServiceMonitor, requested.uuid, {"status": _optional(sb.status)})

    @staticmethod
    def _request(
        zone: AvailabilityZone, wanted: SbServiceMonitor | None, have: IcServiceMonitor | None
    ) -> Iterator[Operation]:
        if wanted is None:
            if have is not None:
                yield Delete(IcServiceMonitor, have.uuid)
            return
        target = wanted.options.get(_TARGET, "")
        details = (wanted.type, wanted.src_ip, wanted.src_mac, wanted.options)
        if have is None:
            names: dict[str, Value] = {
                "source_availability_zone": zone.name,
                "target_availability_zone": target,
                "src_mac": wanted.src_mac,
            }
            yield Insert(IcServiceMonitor, {**_columns(wanted), **names})
        elif (have.type, have.src_ip, have.src_mac, have.options) != details or (
            have.target_availability_zone != target
        ):
            row = {**_columns(wanted), "src_mac": wanted.src_mac}
            yield Update(IcServiceMonitor, have.uuid, {**row, "target_availability_zone": target})


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
        elif sb is not None and sb.ic_learned:
            yield from self._align(sb, requested)
        elif sb is not None and sb.remote:
            answer = self._requested_by(zone, key)
            if answer is not None and answer.status != sb.status:
                yield Update(SbServiceMonitor, sb.uuid, {"status": _optional(answer.status)})

    def _mac(self) -> str:
        """The source MAC that our own northd has set for checks."""
        nb_global = self._view.single(NbGlobal)
        return nb_global.options.get(_SVC_MAC, "") if nb_global else ""

    @staticmethod
    def _align(sb: SbServiceMonitor, requested: IcServiceMonitor | None) -> Iterator[Operation]:
        if requested is None:
            yield Delete(SbServiceMonitor, sb.uuid)
        elif (sb.type, sb.src_ip, sb.options) != (
            requested.type,
            requested.src_ip,
            requested.options,
        ):
            yield Update(SbServiceMonitor, sb.uuid, _columns(requested))


def _columns(row: AnyMonitor) -> dict[str, Value]:
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


def _optional(value: str | None) -> frozenset[str]:
    return frozenset() if value is None else frozenset({value})


def _keys(change: Change) -> Iterator[MonitorKey]:
    for side in change.sides:
        if isinstance(side, (SbServiceMonitor, IcServiceMonitor)):
            yield monitor_endpoint(side)
