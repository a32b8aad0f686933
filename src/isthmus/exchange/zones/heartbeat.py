"""The heartbeat: a time that a zone writes to IC-SB rarely, by which a dead zone is recognised.

IC-SB has no times of its own. A zone run by Isthmus writes the time to `isthmus-alive-NAME` in
`IC_SB_Global.external_ids` when it joins and every `INTERVAL` from then on
(docs/decisions/0013-heartbeats.md has the cost). `ovn-ic` neither writes nor reads it.
`isthmus.daemon.timers` supplies the time; until then nothing is written.
"""

from collections.abc import Iterable
from typing import ClassVar

from isthmus.engine.reconciler import Only, SingleKey
from isthmus.engine.view import View
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler
from isthmus.model.external_ids import alive_key, alive_since
from isthmus.model.operations import Operation, set_keys
from isthmus.model.rows import AvailabilityZone, Database, IcSbGlobal, NbGlobal, Row

INTERVAL = 600
"""Seconds from one heartbeat to the next."""

_FRESH = INTERVAL // 2
"""A heartbeat younger than this is not repeated, so that restarts do not add to the writes."""


class Heartbeat(SingleKey, ZoneReconciler[Only]):
    """The heartbeat of our own zone.

    State in memory: the time of day, which the daemon supplies again after a restart.
    """

    name: ClassVar[str] = "heartbeat"
    writes: ClassVar[Database] = Database.IC_SB
    # IcSbGlobal too: if another operator pruned this zone while it was down, it shows itself again.
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal, IcSbGlobal, AvailabilityZone)

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__(view, zone)
        self._now: int | None = None

    def set_time(self, now: int) -> None:
        """Supply the time of day, in seconds since 1970."""
        self._now = now
        self.mark(self.keys())

    def align(self, key: Only, zone: AvailabilityZone) -> Iterable[Operation]:
        row = self._view.single(IcSbGlobal)
        if self._now is None or row is None:
            return
        last = alive_since(row.external_ids, zone.name)
        if last is None or abs(self._now - last) >= _FRESH:
            beat = {alive_key(zone.name): str(self._now)}
            yield set_keys(IcSbGlobal, row.uuid, "external_ids", beat)
