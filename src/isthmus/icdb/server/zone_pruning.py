"""Prunes zones that have been dead for long, where `isthmus ic-db run` is asked to.

Called by `supervisor` in its loop. Every member does so on its own servers, whether they lead or
not: the first one removes a zone, and the others find nothing. Invariant: a zone without heartbeats
is never pruned. What fails is retried later.
"""

import logging
import time

from isthmus.exchange.zones.prune import PrunePlan, dead, plan_pruning
from isthmus.icdb.server.plan import Plan
from isthmus.model.rows import Database
from isthmus.ovsdb.oneshot import OneShotError, read, write

MAX_INTERVAL = 600.0
"""Most seconds between checks: as often as zones write heartbeats."""

_TIMEOUT = 2.0
"""Seconds for a request to a server on this host."""

_log = logging.getLogger(__name__)


class ZonePruning:
    """Prunes zones of the plan's databases whose last heartbeat is `after` seconds old."""

    def __init__(self, plan: Plan, after: int) -> None:
        self._after = after
        self._remotes = {server.database: server.remote for server in plan.servers}
        self._due = 0.0

    def pause(self) -> float:
        """Seconds until the next check."""
        return self._due - time.monotonic()

    def check(self) -> None:
        """Prune one dead zone, if a check is due."""
        if self.pause() > 0:
            return
        self._due = time.monotonic() + min(MAX_INTERVAL, max(1.0, self._after / 2))
        try:
            view, now = read(self._remotes, _TIMEOUT, leader_only=False), int(time.time())
            names = dead(view, now, self._after)
            if not names:
                return
            removal = plan_pruning(view, names[0], now, self._after, alive_too=False)
            if isinstance(removal, PrunePlan):
                self._remove(removal)
                age = removal.zone.silent_for
                _log.warning("zone pruned: %s, last heartbeat %s s ago", names[0], age)
            if names[1:]:
                self._due = time.monotonic()  # in the next turn, since rows have changed
        except OneShotError as error:
            _log.info("dead zones are checked again later: %s", error)

    def _remove(self, removal: PrunePlan) -> None:
        """Remove a zone; IC-SB first, which refuses if the zone has written a heartbeat since."""
        parts = ((Database.IC_SB, removal.ic_sb), (Database.IC_NB, removal.ic_nb))
        for database, operations in parts:
            if operations:
                kinds = {operation.table for operation in operations}
                remote = self._remotes[database]
                write(database, remote, kinds, operations, _TIMEOUT, leader_only=False)
