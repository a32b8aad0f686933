"""Forgets zones that have been silent for long, where `isthmus ic-db run` is told to.

Called by `supervisor` in its loop. Every member does it, by its own servers, whether they lead or
not: the first to come removes a zone, and the others find nothing. Invariant: a zone that gives no
signs of life is never touched, and what cannot be done now is tried again later.
"""

import logging
import time

from isthmus.exchange.zones.prune import Forgetting, dead, forget
from isthmus.icdb.server.plan import Plan
from isthmus.model.problems import Problem
from isthmus.model.rows import Database
from isthmus.ovsdb.oneshot import NotWrittenError, UnreachableError, read, write

MOST = 600.0
"""Seconds from one look to the next at most: as often as zones give signs."""

_TIMEOUT = 2.0
"""Seconds for a request to a server on this machine."""

_log = logging.getLogger(__name__)


class Forgetter:
    """Looks for dead zones now and then.

    Args:
        plan: whose databases.
        after: seconds of silence after which a zone is dead.
    """

    def __init__(self, plan: Plan, after: int) -> None:
        self._after = after
        self._remotes = {server.database: f"unix:{server.socket}" for server in plan.servers}
        self._due = 0.0

    def pause(self) -> float:
        """Seconds until it is time to look again."""
        return self._due - time.monotonic()

    def look(self) -> None:
        """Forget the zones that are dead, if it is time to look."""
        if self.pause() > 0:
            return
        self._due = time.monotonic() + min(MOST, max(1.0, self._after / 2))
        try:
            view, now = read(self._remotes, _TIMEOUT, leader_only=False), int(time.time())
            names = dead(view, now, self._after)
            for name in names[:1]:  # the next in the next turn: the row has changed then
                self._forget(forget(view, name, now, self._after, alive_too=False))
                self._due = time.monotonic() if names[1:] else self._due
        except (UnreachableError, NotWrittenError) as error:
            _log.info("dead zones are looked for again later: %s", error)

    def _forget(self, plan: Forgetting | Problem) -> None:
        if isinstance(plan, Problem):
            return
        for database, operations in ((Database.IC_SB, plan.ic_sb), (Database.IC_NB, plan.ic_nb)):
            if operations:
                kinds = {operation.table for operation in operations}
                remote = self._remotes[database]
                write(database, remote, kinds, operations, _TIMEOUT, leader_only=False)
        _log.warning(
            "zone %s is forgotten: no sign of life for %s s", plan.zone.name, plan.zone.silent_for
        )
