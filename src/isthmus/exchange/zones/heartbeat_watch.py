"""Which zones are dead, by heartbeats that were watched for longer than an interval. Pure.

A heartbeat that looks old proves little: the databases may have been down, or a clock may be wrong.
`isthmus.icdb.server.zone_pruning` and `isthmus zone prune --all-dead` read them again and again.
A zone is dead if its heartbeat did not change in that time although another zone's did, and if it
is old both by our clock and by the heartbeats that changed. Whatever interrupts the reading starts
the watch again.
"""

from statistics import median_low

from isthmus.engine.view import View
from isthmus.exchange.zones.heartbeat import INTERVAL
from isthmus.exchange.zones.zone_rows import claims_of
from isthmus.model.external_ids import heartbeats

WATCHED = INTERVAL * 3 // 2
"""Seconds of watching after which a living zone must have written a heartbeat."""


class HeartbeatWatch:
    """The heartbeats of all zones as they were read. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._read_at: float | None = None
        self._began = 0.0
        self._values: dict[str, int] = {}
        self._changed_at: dict[str, float] = {}

    def interrupt(self) -> None:
        """Start again with the next reading: the databases did not answer."""
        self._read_at = None

    def observe(self, view: View, at: float) -> None:
        """Take a reading of IC-SB; a pause longer than an interval counts as an interruption."""
        if self._read_at is None or at - self._read_at > INTERVAL:
            self._began, self._values, self._changed_at = at, {}, {}
        first, self._read_at = not self._values, at
        values = heartbeats(claims_of(view))
        for name, value in values.items():
            if not first and self._values.get(name) != value:
                self._changed_at[name] = at
        self._values = values

    def left(self) -> float:
        """Seconds of watching until `dead` can name a zone."""
        watched = 0.0 if self._read_at is None else self._read_at - self._began
        return max(0.0, WATCHED - watched)

    def dead(self, now: int, after: int) -> tuple[str, ...]:
        """The zones whose heartbeat is dead since `after` seconds, by name.

        Args:
            now: by our clock, in seconds since 1970.
            after: the age of a heartbeat from which on a zone counts as dead.
        """
        if self._read_at is None or self.left():
            return ()
        recent = self._read_at - WATCHED
        living = {n for n in self._values if self._changed_at.get(n, self._began) > recent}
        if not living:
            return ()
        # One zone whose clock is wrong does not decide.
        now = min(now, median_low(self._values[name] for name in living))
        return tuple(
            name
            for name, value in sorted(self._values.items())
            if now - value >= after and name not in living
        )
