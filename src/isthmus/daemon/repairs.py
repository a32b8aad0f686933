"""Reports what others deleted or changed, and was set back.

An event source of the loop. It logs at most one line per `INTERVAL` seconds, and offers the same
text to the status, which makes an Event of it.
"""

import logging
from collections.abc import Sequence
from math import inf

from isthmus.daemon.event_source import EventSource
from isthmus.engine.engine import Engine
from isthmus.engine.repairs import Repair
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
        report: the number of rows repaired so far, and the last line; empty before the first.
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
        made = [repair for repair in repaired if not repair.columns]
        changed = [repair for repair in repaired if repair.columns]
        parts = (("missing, and made again", made), ("changed, and set back", changed))
        line = "; ".join(_line(what, repairs) for what, repairs in parts if repairs)
        self.report = (self.report[0] + len(repaired), line)
        repaired.clear()
        _log.info("%s", line)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake for a line that was put off."""
        if self._engine.repaired:
            poller.wake_in(self._due - now)


def _line(what: str, repairs: Sequence[Repair]) -> str:
    rows = "a row was" if len(repairs) == 1 else f"{len(repairs)} rows were"
    return f"{rows} {what}: {listed(sorted(set(map(_named, repairs))))}"


def _named(repair: Repair) -> str:
    row = repair.row
    names = (str(getattr(row, column, "")) for column in _NAMES)
    columns = f"({', '.join(repair.columns)})" if repair.columns else ""
    parts = (row.DATABASE, row.TABLE, next(filter(None, names), ""), columns)
    return printable(" ".join(filter(None, parts)))
