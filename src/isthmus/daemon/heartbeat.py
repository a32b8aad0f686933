"""Supplies the engine with the time of day for its heartbeat; a feed of the loop."""

import time
from collections.abc import Callable, Sequence

from isthmus.exchange.zones.heartbeat import INTERVAL, Heartbeat
from isthmus.model.problems import Problem
from isthmus.ovsdb.poller import Poller


class HeartbeatTimer:
    """Wakes the loop once in `INTERVAL`.

    Args:
        heartbeat: of the engine.
        clock: seconds since 1970.
    """

    def __init__(self, heartbeat: Heartbeat, clock: Callable[[], float] = time.time) -> None:
        self._heartbeat, self._clock = heartbeat, clock
        self._due = float("-inf")

    def run(self, now: float) -> None:
        """Supply the time if it is due."""
        if now >= self._due:
            self._due = now + INTERVAL
            self._heartbeat.set_time(int(self._clock()))

    def problems(self) -> Sequence[Problem]:
        """None."""
        return ()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake when it is due again."""
        poller.wake_in(self._due - now)

    def close(self) -> None:
        """Nothing to let go of."""
