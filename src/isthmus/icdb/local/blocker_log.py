"""Tells people what is in the way, in the log, once and only if it does not pass by itself.

Called by `tending`, `supervisor` and `renewal`.
"""

import logging
from collections.abc import Iterable

from isthmus.model.problems import Problem

GRACE = 3.0
"""Seconds for what is not as it should be to pass by itself before people are told."""

JOINING_GRACE = 10.0
"""The same for a member that joins: its server asks for admission every 8 s at most."""

_log = logging.getLogger(__name__)


class Reasons:
    """Tells people of each reason to wait once, and when there is none any more.

    Args:
        what: what waits, e.g. "OVN_IC_Northbound".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._since: dict[Problem, float] = {}
        self._told: set[Problem] = set()
        self._in_the_way = False
        """Whether people were told of a reason since they were last told that there is none."""

    def update(self, problems: Iterable[Problem], now: float, joining: bool = False) -> None:
        """Take note of the reasons of this moment.

        Args:
            problems: all there are.
            now: seconds.
            joining: whether it is a member that joins, which takes its time.
        """
        grace = JOINING_GRACE if joining else GRACE
        current = dict.fromkeys(problems)
        self._since = {problem: self._since.get(problem, now) for problem in current}
        for problem, since in self._since.items():
            if problem not in self._told and now - since >= grace:
                _log.warning("%s", problem)
                self._told.add(problem)
                self._in_the_way = True
        self._told &= current.keys()
        if self._in_the_way and not self._since:
            _log.info("%s: nothing is in the way any more", self._what)
            self._in_the_way = False
