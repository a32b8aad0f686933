"""When the timers run and for how long the loop may sleep."""

from math import inf
from typing import cast

from isthmus.daemon.timers import HeartbeatTimer, ReconcilerTimer
from isthmus.exchange.zones.heartbeat import INTERVAL, Heartbeat
from isthmus.ovsdb.poller import Poller
from support.fakes.session import FakePoller


def sleeps(timer: ReconcilerTimer | HeartbeatTimer, now: float) -> float:
    """How long the loop may sleep."""
    poller = FakePoller()
    timer.wait(cast("Poller", poller), now)
    return min(poller.wakes)


class Ticks:
    """Records when it is called, and is due again every ten seconds."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    def tick(self, now: float) -> float:
        self.calls.append(now)
        return now + 10.0


class Heartbeats:
    """Records the times of day that it is given."""

    def __init__(self) -> None:
        self.times: list[int] = []

    def set_time(self, now: int) -> None:
        self.times.append(now)


def test_a_reconciler_is_called_in_run_alone() -> None:
    """Waiting passes no time, since what it marks then would not be planned."""
    ticks = Ticks()
    timer = ReconcilerTimer(ticks.tick)
    assert sleeps(timer, 0.0) == inf
    timer.run(5.0)
    assert sleeps(timer, 8.0) == 7.0
    assert sleeps(timer, 16.0) == -1.0
    assert ticks.calls == [5.0]


def test_heartbeats_come_at_their_interval() -> None:
    """The first one comes at once, in whole seconds of the day, however often the loop turns."""
    heartbeats = Heartbeats()
    times = iter((1000.7, 2000.2))
    timer = HeartbeatTimer(cast("Heartbeat", heartbeats), lambda: next(times))
    timer.run(5.0)
    timer.run(6.0)
    assert heartbeats.times == [1000]
    assert sleeps(timer, 6.0) == INTERVAL - 1.0
    timer.run(5.0 + INTERVAL)
    assert heartbeats.times == [1000, 2000]
