"""Reports transit switches that are gone, as after a deletion by hand.

Called by `supervisor` in its loop. They are not created again: `isthmus ic-db transit-switch
remove` deletes them, too, and no row says who did.
"""

import logging
import time
from collections.abc import Callable

from isthmus.model.rows import Database, TransitSwitch
from isthmus.model.text import printable
from isthmus.ovsdb.oneshot import OneShotError, read

CHECK_INTERVAL = 30.0
"""Seconds between checks."""

_TIMEOUT = 2.0
"""Seconds for a request to the server on this host."""

_log = logging.getLogger(__name__)


class TransitSwitchWatch:
    """The names of the transit switches at the last check.

    Args:
        remote: the address of IC-NB.
        clock: monotonic seconds.
    """

    def __init__(self, remote: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._remote, self._clock = remote, clock
        self._names: set[str] = set()
        self._due = 0.0

    def pause(self) -> float:
        """Seconds until the next check."""
        return self._due - self._clock()

    def check(self) -> None:
        """Log what is gone since the last check, if one is due."""
        if self.pause() > 0:
            return
        self._due = self._clock() + CHECK_INTERVAL
        try:
            view = read({Database.IC_NB: self._remote}, _TIMEOUT, leader_only=False)
        except OneShotError:
            return  # the supervisor reports a server that does not answer
        names = {row.name for row in view.table(TransitSwitch)}
        for name in sorted(self._names - names):
            _log.warning(
                "transit switch %s was deleted, so zones lose their ports on it; if that was a"
                " mistake, create it with the same subnet: isthmus ic-db transit-switch add",
                printable(name),
            )
        self._names = names
