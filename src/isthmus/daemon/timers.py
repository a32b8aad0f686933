"""Event sources that wait for times: those that reconcilers ask for, and the heartbeat."""

import time
from collections.abc import Callable
from math import inf
from typing import Protocol

from isthmus.daemon.event_source import EventSource
from isthmus.exchange.zones.heartbeat import INTERVAL, Heartbeat
from isthmus.ovsdb.poller import Poller


class Timed(Protocol):
    """A part of the engine that waits for a time, e.g. for paths to settle."""

    def tick(self, now: float) -> float:
        """Mark what is due; when to be called again: monotonic seconds, or inf."""


class _Timer(EventSource):
    """Wakes the loop at a time."""

    _due: float

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when the timer is due."""
        poller.wake_in(self._due - now)


class ReconcilerTimer(_Timer):
    """Passes the time to a part of the engine.

    Args:
        timed: the part.
    """

    def __init__(self, timed: Timed) -> None:
        self._timed = timed
        self._due = inf

    def run(self, now: float) -> None:
        """Let the part mark what is due."""
        self._due = self._timed.tick(now)


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
