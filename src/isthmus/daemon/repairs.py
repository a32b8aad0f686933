"""Reports the rows that others deleted and that were made again.

An event source of the loop. It logs at most one line per `INTERVAL` seconds, and offers the same
text to the status, which makes an Event of it.
"""

import logging
from math import inf

from isthmus.daemon.event_source import EventSource
from isthmus.engine.engine import Engine
from isthmus.model.rows import Row
from isthmus.model.text import listed, printable
from isthmus.ovsdb.poller import Poller

INTERVAL = 10.0
"""Seconds between two lines: hundreds of rows may be deleted one by one."""

_NAMES = ("name", "logical_port", "ip_prefix", "match", "transit_switch", "ip")
"""The columns that identify a row for an operator."""

_log = logging.getLogger("isthmus.repairs")


class RepairSource(EventSource):
    """Logs what an engine has repaired.

    Attributes:
        report: the number of rows made again so far, and the last line; empty before the first.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._due = -inf
        self.report = (0, "")

    def run(self, now: float) -> None:
        """Log what has been repaired since the last line."""
        repaired = self._engine.repaired
        if not repaired or now < self._due:
            return
        self._due = now + INTERVAL
        number = len(repaired)
        rows = "a row was" if number == 1 else f"{number} rows were"
        line = f"{rows} missing, and made again: {listed(sorted(set(map(_named, repaired))))}"
        self.report = (self.report[0] + number, line)
        repaired.clear()
        _log.info("%s", line)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake for a line that was put off."""
        if self._engine.repaired:
            poller.wake_in(self._due - now)


def _named(row: Row) -> str:
    names = (str(getattr(row, column, "")) for column in _NAMES)
    name = next(filter(None, names), "")
    return printable(f"{row.DATABASE} {row.TABLE} {name}").rstrip()
