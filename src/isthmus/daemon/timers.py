"""Event sources that wait for times: those that reconcilers ask for, and the heartbeat."""

import time
from collections.abc import Callable
from math import inf

from isthmus.daemon.event_source import EventSource
from isthmus.exchange.zones.heartbeat import INTERVAL, Heartbeat
from isthmus.ovsdb.poller import Poller


class _Timer(EventSource):
    """Wakes the loop at a time."""

    _due: float

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when the timer is due."""
        poller.wake_in(self._due - now)


class ReconcilerTimer(_Timer):
    """Passes the time to a part of the engine.

    Args:
        tick: marks what is due, e.g. paths that have settled; takes monotonic seconds, and returns
            when to be called again, or inf.
    """

    def __init__(self, tick: Callable[[float], float]) -> None:
        self._tick = tick
        self._due = inf

    def run(self, now: float) -> None:
        """Let the part mark what is due."""
        self._due = self._tick(now)


class HeartbeatTimer(_Timer):
    """Passes the time of day to the heartbeat every `INTERVAL` seconds.

    Args:
        heartbeat: of the engine.
        clock: seconds since 1970.
    """

    def __init__(self, heartbeat: Heartbeat, clock: Callable[[], float] = time.time) -> None:
        self._heartbeat, self._clock = heartbeat, clock
        self._due = -inf

    def run(self, now: float) -> None:
        """Pass the time if it is due."""
        if now >= self._due:
            self._due = now + INTERVAL
            self._heartbeat.set_time(int(self._clock()))
