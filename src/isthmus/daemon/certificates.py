"""Certificates of this daemon that expire soon: for the IC databases, and for NB and SB.

An event source of the loop. The files are read every `INTERVAL` seconds, and every `AGAIN` seconds
while one expires soon, so that the problem ends seconds after the files are renewed.
"""

from collections.abc import Mapping, Sequence
from math import inf

from isthmus.daemon.event_source import EventSource
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.model.problems import Problem
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.streams import tls

INTERVAL = 3600.0
"""Seconds between checks of certificates that are good for long."""

AGAIN = 5.0
"""Seconds between checks while a certificate expires soon."""


class CertificateSource(EventSource):
    """Reads the certificates that the sessions use."""

    def __init__(self, sessions: DatabaseSessions) -> None:
        self._sessions = sessions
        self._checked: Mapping[Database, str] = {}
        self._problems: Sequence[Problem] = ()
        self._due = inf

    def run(self, now: float) -> None:
        """Check, if it is time or if the addresses have changed."""
        remotes = self._sessions.remotes
        if now < self._due and remotes == self._checked:
            return
        self._checked = remotes
        in_use = tls.in_use(",".join(remotes.values()).split(","))
        self._problems = sorted({problem for one in in_use for problem in one.expiring()})
        self._due = now + (AGAIN if self._problems else INTERVAL) if in_use else inf

    def problems(self) -> Sequence[Problem]:
        """The certificates that expire soon."""
        return self._problems

    def wait(self, poller: Poller, now: float) -> None:
        """Wake for the next check."""
        if self._due < inf:
            poller.wake_in(self._due - now)
