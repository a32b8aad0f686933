"""Logs what prevents the databases from working: once, and only if it does not pass by itself.

Called by `raft.member_loop`, `server.supervisor` and `server.certificate_reload`.
"""

import logging
from collections.abc import Iterable

from isthmus.model.problems import Problem

GRACE = 3.0
"""Seconds that a problem must last before it is logged."""

JOINING_GRACE = 10.0
"""The same for a member that joins: its server asks for admission at most every 8 s."""

_log = logging.getLogger(__name__)


class BlockerLog:
    """Logs each problem once, and once that all of those of a subject are resolved."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._since: dict[tuple[str, ...], float] = {}
        self._logged: set[tuple[str, ...]] = set()
        self._unresolved = False
        """Whether a problem was logged since "all problems resolved" was."""

    def update(self, problems: Iterable[Problem], now: float, joining: bool = False) -> None:
        """Log what is new among all problems of this moment; `joining`: of a member that joins."""
        grace = JOINING_GRACE if joining else GRACE
        current = {problem.identity: problem for problem in problems}
        self._since = {identity: self._since.get(identity, now) for identity in current}
        for identity, since in self._since.items():
            if identity not in self._logged and now - since >= grace:
                _log.warning("%s", current[identity])
                self._logged.add(identity)
                self._unresolved = True
        self._logged &= current.keys()
        if self._unresolved and not self._since:
            _log.info("%s: all problems resolved", self._subject)
            self._unresolved = False
