"""Problems as log events: each said once when it appears and once when it is gone."""

import logging
from collections.abc import Iterable

from isthmus.model.problems import Problem

_log = logging.getLogger("isthmus.problems")


class ProblemLog:
    """Remembers what has been said."""

    def __init__(self) -> None:
        self._said: set[Problem] = set()

    def update(self, problems: Iterable[Problem]) -> None:
        """Say what is new and what is over."""
        current = set(problems)
        for problem in sorted(current - self._said):
            _log.warning("%s", problem)
        for problem in sorted(self._said - current):
            _log.info("resolved: %s", problem)
        self._said = current
