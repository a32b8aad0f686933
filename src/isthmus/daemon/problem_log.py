"""Problems in the log: each is logged once when it appears and once when it is resolved."""

import logging
from collections.abc import Iterable

from isthmus.model.problems import Problem

_log = logging.getLogger("isthmus.problems")


class ProblemLog:
    """Has the problems that were logged and are not resolved."""

    def __init__(self) -> None:
        self._logged: set[Problem] = set()

    def update(self, problems: Iterable[Problem]) -> None:
        """Log the difference to the last call."""
        current = set(problems)
        for problem in sorted(current - self._logged):
            _log.warning("%s", problem)
        for problem in sorted(self._logged - current):
            _log.info("resolved: %s", problem)
        self._logged = current
