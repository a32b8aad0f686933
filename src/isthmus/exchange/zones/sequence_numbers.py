"""Sequence numbers, by which `ovn-ic-nbctl --wait=sb sync` knows that all zones have followed.

A client raises `IC_NB_Global.nb_ic_cfg`. Each zone copies it to its own row when all that it had
to write for that state is committed; when all zones carry it, it is copied to the global rows.
Schemas before 24.03 have none of this.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.engine.reconciler import Reconciler, Watch
from isthmus.engine.view import View
from isthmus.exchange.zones.registration import Only, OwnZone, watch_only
from isthmus.model.operations import Insert, Operation, Update
from isthmus.model.rows import AvailabilityZone, Database, IcNbGlobal, IcSbGlobal, Row


class _Sequence(Reconciler[Only]):
    """One key, and the same tables to watch."""

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__()
        self._view, self._zone = view, zone

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        return watch_only((IcNbGlobal, IcSbGlobal, AvailabilityZone))

    def keys(self) -> Iterable[Only]:
        return [()]

    def _asked(self) -> IcNbGlobal | None:
        """The row with the number asked for, where the schema has one and we take part."""
        if self._zone.current is None or not self._view.schema.has(IcNbGlobal, "nb_ic_cfg"):
            return None
        return self._view.single(IcNbGlobal)

    def _reached(self) -> int | None:
        """The number that all zones carry, or None."""
        numbers = {zone.nb_ic_cfg for zone in self._view.table(AvailabilityZone)}
        return numbers.pop() if len(numbers) == 1 else None


class ZoneSequence(_Sequence):
    """Our own zone's number, and the southbound one of all; once everything else is written."""

    name: ClassVar[str] = "sequence number (IC-SB)"
    writes: ClassVar[Database | None] = Database.IC_SB
    when_settled: ClassVar[bool] = True

    def reconcile(self, key: Only) -> Iterator[Operation]:
        asked, zone = self._asked(), self._zone.current
        if asked is None or zone is None:
            return
        if zone.nb_ic_cfg != asked.nb_ic_cfg:
            yield Update(AvailabilityZone, zone.uuid, {"nb_ic_cfg": asked.nb_ic_cfg})
            return
        ic_global = self._view.single(IcSbGlobal)
        reached = self._reached()
        if ic_global is not None and reached is not None and ic_global.nb_ic_cfg != reached:
            yield Update(IcSbGlobal, ic_global.uuid, {"nb_ic_cfg": reached})


class FleetSequence(_Sequence):
    """The northbound answer: what all zones have reached. Makes the global row if need be."""

    name: ClassVar[str] = "sequence number (IC-NB)"
    writes: ClassVar[Database | None] = Database.IC_NB

    def reconcile(self, key: Only) -> Iterator[Operation]:
        if self._zone.current is None or not self._view.schema.has(IcNbGlobal, "nb_ic_cfg"):
            return
        asked = self._view.single(IcNbGlobal)
        if asked is None:
            yield Insert(IcNbGlobal, {})
            return
        reached = self._reached()
        if reached is not None and asked.sb_ic_cfg != reached:
            yield Update(IcNbGlobal, asked.uuid, {"sb_ic_cfg": reached})
