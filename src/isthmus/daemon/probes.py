"""Keepalive probes as the databases ask for: `ic_probe_interval` (ovn-nb(5), ovn-ic-nb(5)).

A feed of the loop. `NB_Global.options` says it for NB and SB, `IC_NB_Global.options` for IC-NB and
IC-SB; changes take effect on the connections that there are.
"""

from collections.abc import Sequence

from isthmus.daemon.sessions import Databases
from isthmus.engine.view import View
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database, IcNbGlobal, NbGlobal
from isthmus.ovsdb.poller import Poller

OPTION = "ic_probe_interval"

_GOVERNED: tuple[tuple[type[NbGlobal] | type[IcNbGlobal], tuple[Database, ...]], ...] = (
    (NbGlobal, (Database.NB, Database.SB)),
    (IcNbGlobal, (Database.IC_NB, Database.IC_SB)),
)


class Probes:
    """Follows the option in both places.

    Args:
        view: where the options are read.
        databases: whose probes are set.
        default: milliseconds where the option is not set; None for the sessions' own default.
    """

    def __init__(self, view: View, databases: Databases, default: int | None = None) -> None:
        self._view, self._databases, self._default = view, databases, default
        self._problems: list[Problem] = []

    def run(self, now: float) -> None:  # noqa: ARG002 - a feed's signature
        """Compare what is set with what is asked for."""
        self._problems = []
        for kind, governed in _GOVERNED:
            row = self._view.table(kind).single()
            text = "" if row is None else row.options.get(OPTION, "")
            interval = int(text) if text.isdecimal() else self._default
            if text and not text.isdecimal():
                self._problems.append(_bad(kind.TABLE, text))
            for database in governed:
                self._databases.probe(database, interval)

    def problems(self) -> Sequence[Problem]:
        """Values that are no number."""
        return self._problems

    def wait(self, poller: Poller, now: float) -> None:
        """Nothing to wait for: the rows come through the databases."""

    def close(self) -> None:
        """Nothing to let go of."""


def _bad(table: str, value: str) -> Problem:
    return Subject(table, f"options:{OPTION}", value).problem(
        "is no number of milliseconds; the default is used",
        "set a whole number, 0 to switch probes off, or remove the option",
        Reason.INVALID_OPTION,
    )
