"""Tells the engine the time of day now and then, for its sign of life; a feed of the loop."""

import time
from collections.abc import Callable, Sequence

from isthmus.exchange.zones.heartbeat import INTERVAL, SignOfLife
from isthmus.model.problems import Problem
from isthmus.ovsdb.poller import Poller


class Heartbeat:
    """Wakes the loop once in `INTERVAL`.

    Args:
        sign: of the engine.
        clock: seconds since 1970.
    """

    def __init__(self, sign: SignOfLife, clock: Callable[[], float] = time.time) -> None:
        self._sign, self._clock = sign, clock
        self._due = float("-inf")

    def run(self, now: float) -> None:
        """Tell the time if it is due."""
        if now >= self._due:
            self._due = now + INTERVAL
            self._sign.tell(int(self._clock()))

    def problems(self) -> Sequence[Problem]:
        """None."""
        return ()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake when it is due again."""
        poller.wake_in(self._due - now)

    def close(self) -> None:
        """Nothing to let go of."""
