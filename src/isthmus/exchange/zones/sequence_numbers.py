"""Sequence numbers, by which `ovn-ic-nbctl --wait=sb sync` knows that all zones have followed.

A client raises `IC_NB_Global.nb_ic_cfg`. Each zone copies it to its own row when everything that
it had to write for that state is committed. When all zones carry it, it is copied to the global
rows. Schemas before 24.03 have none of this.
"""

from collections.abc import Iterator
from typing import ClassVar

from isthmus.engine.reconciler import Only, SingleKey
from isthmus.engine.view import View
from isthmus.exchange.zones.own_zone import ZoneReconciler
from isthmus.model.operations import Insert, Operation, Update
from isthmus.model.rows import AvailabilityZone, Database, IcNbGlobal, IcSbGlobal, Row

_TABLES = (IcNbGlobal, IcSbGlobal, AvailabilityZone)


class ZoneSequence(SingleKey, ZoneReconciler[Only]):
    """Our own zone's number, and the southbound one of all, after everything else is written."""

    name: ClassVar[str] = "sequence number (IC-SB)"
    writes: ClassVar[Database] = Database.IC_SB
    after: ClassVar[frozenset[Database]] = frozenset(Database)
    tables: ClassVar[tuple[type[Row], ...]] = _TABLES

    def align(self, key: Only, zone: AvailabilityZone) -> Iterator[Operation]:
        requested = self._view.single(IcNbGlobal)
        if requested is None or not _has_sequence_numbers(self._view):
            return
        if zone.nb_ic_cfg != requested.nb_ic_cfg:
            yield Update(AvailabilityZone, zone.uuid, {"nb_ic_cfg": requested.nb_ic_cfg})
            return
        ic_global, reached = self._view.single(IcSbGlobal), _reached(self._view)
        if ic_global is not None and reached is not None and ic_global.nb_ic_cfg != reached:
            yield Update(IcSbGlobal, ic_global.uuid, {"nb_ic_cfg": reached})


class FleetSequence(SingleKey, ZoneReconciler[Only]):
    """The northbound answer: what all zones have reached. Creates the global row if needed."""

    name: ClassVar[str] = "sequence number (IC-NB)"
    writes: ClassVar[Database] = Database.IC_NB
    tables: ClassVar[tuple[type[Row], ...]] = _TABLES

    def align(self, key: Only, zone: AvailabilityZone) -> Iterator[Operation]:
        if not _has_sequence_numbers(self._view):
            return
        row, reached = self._view.single(IcNbGlobal), _reached(self._view)
        if row is None:
            yield Insert(IcNbGlobal, {})
        elif reached is not None and row.sb_ic_cfg != reached:
            yield Update(IcNbGlobal, row.uuid, {"sb_ic_cfg": reached})


def _has_sequence_numbers(view: View) -> bool:
    return view.schema.has(IcNbGlobal, "nb_ic_cfg")


def _reached(view: View) -> int | None:
    """The number that all zones carry, or None."""
    numbers = {zone.nb_ic_cfg for zone in view.table(AvailabilityZone)}
    return numbers.pop() if len(numbers) == 1 else None
