"""Lets time pass for what is to settle (paths, zones that were left); a feed of the loop."""

from collections.abc import Sequence
from math import inf
from typing import Protocol

from isthmus.model.problems import Problem
from isthmus.ovsdb.poller import Poller


class Ticking(Protocol):
    """Something that waits for a time."""

    def tick(self, now: float) -> float:
        """Let time pass; when to be called again: monotonic seconds, or inf."""


class Settling:
    """Gives something the time.

    Args:
        waiting: of the engine.
    """

    def __init__(self, waiting: Ticking) -> None:
        self._waiting = waiting
        self._due = inf

    def run(self, now: float) -> None:
        """Let what is due happen."""
        self._due = self._waiting.tick(now)

    def problems(self) -> Sequence[Problem]:
        """None: nobody misses what waits."""
        return ()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake for the next."""
        poller.wake_in(self._due - now)

    def close(self) -> None:
        """Nothing to let go of."""
