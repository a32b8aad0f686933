"""Keepalive probes at the interval `ic_probe_interval` (ovn-nb(5), ovn-ic-nb(5)).

An event source of the loop. `NB_Global.options` sets the interval for NB and SB,
`IC_NB_Global.options` for IC-NB and IC-SB. Changes apply to existing connections.
"""

from collections.abc import Sequence

from isthmus.daemon.event_source import EventSource
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.engine.view import View
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database, IcNbGlobal, NbGlobal

OPTION = "ic_probe_interval"

_GOVERNED: tuple[tuple[type[NbGlobal] | type[IcNbGlobal], tuple[Database, ...]], ...] = (
    (NbGlobal, (Database.NB, Database.SB)),
    (IcNbGlobal, (Database.IC_NB, Database.IC_SB)),
)


class ProbeIntervals(EventSource):
    """Follows the option in both tables.

    Args:
        view: with the options.
        sessions: whose probes are set.
        default: milliseconds where the option is not set; None for the sessions' own default.
    """

    def __init__(self, view: View, sessions: DatabaseSessions, default: int | None = None) -> None:
        self._view, self._sessions, self._default = view, sessions, default
        self._problems: list[Problem] = []

    def run(self, now: float) -> None:  # noqa: ARG002 - an event source's signature
        """Apply the options."""
        self._problems = []
        for kind, governed in _GOVERNED:
            row = self._view.table(kind).single()
            text = "" if row is None else row.options.get(OPTION, "")
            interval = int(text) if text.isdecimal() else self._default
            if text and not text.isdecimal():
                self._problems.append(_bad(kind.TABLE, text))
            for database in governed:
                self._sessions.probe(database, interval)

    def problems(self) -> Sequence[Problem]:
        """Values that are not numbers."""
        return self._problems


def _bad(table: str, value: str) -> Problem:
    return Subject(table, f"options:{OPTION}", value).problem(
        "is not a number of milliseconds, so the default is used",
        "set a whole number (0 turns probes off), or remove the option",
        Reason.INVALID_OPTION,
    )
