"""Prunes zones that have been dead for long, where `isthmus ic-db run` is asked to.

Called by `supervisor` in its loop. Every member does so on its own servers, whether they lead or
not: the first one removes a zone, and the others find nothing. Invariant: a zone without heartbeats
is never pruned, nor one that this process has not watched (`exchange.zones.heartbeat_watch`). What
fails is retried later.
"""

import logging
import time
from collections.abc import Callable, Mapping

from isthmus.exchange.zones.heartbeat import INTERVAL
from isthmus.exchange.zones.heartbeat_watch import HeartbeatWatch
from isthmus.exchange.zones.prune import PrunePlan, plan_pruning
from isthmus.model.rows import Database
from isthmus.ovsdb.oneshot import OneShotError, read, write

CHECK_INTERVAL = INTERVAL / 2
"""Seconds between checks."""

_TIMEOUT = 2.0
"""Seconds for a request to a server on this host."""

_log = logging.getLogger(__name__)


class ZonePruning:
    """Prunes zones whose last heartbeat is `after` seconds old.

    Args:
        remotes: the addresses of both databases.
        after: seconds.
        clock: monotonic seconds.
        time_of_day: seconds since 1970.
    """

    def __init__(
        self,
        remotes: Mapping[Database, str],
        after: int,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self._after, self._clock, self._time_of_day = after, clock, time_of_day
        self._watch = HeartbeatWatch()
        self._remotes = remotes
        self._due = 0.0

    def pause(self) -> float:
        """Seconds until the next check."""
        return self._due - self._clock()

    def check(self) -> None:
        """Prune one dead zone, if a check is due."""
        if self.pause() > 0:
            return
        self._due = self._clock() + CHECK_INTERVAL
        try:
            view, now = read(self._remotes, _TIMEOUT, leader_only=False), int(self._time_of_day())
            self._watch.observe(view, self._clock())
            names = self._watch.dead(now, self._after)
            if not names:
                return
            removal = plan_pruning(view, names[0], now, self._after, alive_too=False)
            if not isinstance(removal, PrunePlan):
                _log.warning("%s", removal)
                return
            self._remove(removal)
            age = removal.zone.silent_for
            _log.warning("zone pruned: %s, last heartbeat %s s ago", names[0], age)
            if names[1:]:
                self._due = self._clock()  # in the next turn, since rows have changed
        except OneShotError as error:
            self._watch.interrupt()
            _log.info("dead zones are checked again later: %s", error)

    def _remove(self, removal: PrunePlan) -> None:
        """Remove a zone; IC-SB first, which refuses if the zone has written a heartbeat since."""
        parts = ((Database.IC_SB, removal.ic_sb), (Database.IC_NB, removal.ic_nb))
        for database, operations in parts:
            if operations:
                kinds = {operation.table for operation in operations}
                remote = self._remotes[database]
                write(database, remote, kinds, operations, _TIMEOUT, leader_only=False)
