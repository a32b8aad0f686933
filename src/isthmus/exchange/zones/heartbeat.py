"""The sign of life that a zone leaves in IC-SB, rarely, so that a dead one can be told.

IC-SB has no times. A zone run by Isthmus writes the time to `isthmus-alive-NAME` in
`IC_SB_Global.external_ids` when it joins and each `INTERVAL` from then on
(docs/decisions/0013-heartbeats.md has what that costs). `ovn-ic` neither writes nor heeds it.
Time is told by `isthmus.daemon.heartbeat`; until then nothing is written.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from isthmus.engine.reconciler import Reconciler, Watch
from isthmus.engine.view import View
from isthmus.exchange.zones.registration import Only, OwnZone, watch_only
from isthmus.model.external_ids import alive_key, alive_since
from isthmus.model.operations import Operation, set_keys
from isthmus.model.rows import AvailabilityZone, Database, IcSbGlobal, NbGlobal, Row

INTERVAL = 600
"""Seconds from one sign of life to the next."""

_FRESH = INTERVAL // 2
"""A sign younger than that is not written again, so that restarts do not add to the writes."""


class SignOfLife(Reconciler[Only]):
    """Our own zone's sign of life."""

    name: ClassVar[str] = "sign of life"
    writes: ClassVar[Database | None] = Database.IC_SB

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__()
        self._view, self._zone = view, zone
        self._now: int | None = None

    def tell(self, now: int) -> None:
        """Say what time it is, in seconds since 1970."""
        self._now = now
        self.mark(self.keys())

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        # IcSbGlobal too: whoever forgot this zone while it slept is told that it is back.
        return watch_only((NbGlobal, IcSbGlobal, AvailabilityZone))

    def keys(self) -> Iterable[Only]:
        return [()]

    def reconcile(self, key: Only) -> Iterable[Operation]:
        zone, row = self._zone.current, self._view.single(IcSbGlobal)
        if self._now is None or zone is None or row is None:
            return ()
        last = alive_since(row.external_ids, zone.name)
        if last is not None and abs(self._now - last) < _FRESH:
            return ()
        sign = {alive_key(zone.name): str(self._now)}
        return (set_keys(IcSbGlobal, row.uuid, "external_ids", sign),)
