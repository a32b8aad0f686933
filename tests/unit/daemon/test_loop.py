"""The loop on fake databases: when it works, when it waits, and for what."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import ClassVar

import pytest

from isthmus.daemon.loop import Loop
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.daemon.timers import ReconcilerTimer
from isthmus.engine.engine import Engine
from isthmus.engine.reconciler import Reconciler, Watch
from isthmus.engine.view import View
from isthmus.model.operations import Insert, Operation
from isthmus.model.problems import Problem
from isthmus.model.rows import Database, Row, TransitSwitch
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.stop_signal import StopSignal
from support.fakes.ovsdb import FakeDatabase
from support.fakes.session import FakePoller, FakeSession, fake_sessions


class Handled(Reconciler[int]):
    """Counts the keys that it is given, and inserts one row once if configured to write."""

    name: ClassVar[str] = "handled"
    writes: ClassVar[Database] = Database.IC_NB
    needs: ClassVar[frozenset[Database]] = frozenset()

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view, self.keys_handled = view, list[int]()
        self.wanted: set[str] = set()
        self.starts: Callable[[], None] = lambda: None

    def watches(self) -> Mapping[type[Row], Watch[int]]:
        return {}

    def keys(self) -> Iterable[int]:
        return ()

    def reconcile(self, key: int) -> Iterable[Operation]:
        self.keys_handled.append(key)
        self.starts()
        there = {row.name for row in self.view.table(TransitSwitch)}
        return [Insert(TransitSwitch, {"name": name}) for name in self.wanted - there]


class Due:
    """Marks a key at a given time, as the readiness of paths does."""

    def __init__(self, reconciler: Handled, due: float) -> None:
        self.reconciler, self.due = reconciler, due

    def tick(self, now: float) -> float:
        if self.due <= now:
            self.due = inf
            self.reconciler.mark((1,))
        return self.due


class Recorder:
    """An event source that records what the loop does with it."""

    def __init__(self) -> None:
        self.active: list[bool] = []
        self.closed = False
        self.sessions: DatabaseSessions | None = None

    def run(self, now: float) -> None:  # noqa: ARG002 - an event source's signature
        assert self.sessions is not None
        self.active.append(self.sessions.active)

    def problems(self) -> Sequence[Problem]:
        return ()

    def wait(self, poller: Poller, now: float) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Bench:
    """A loop with one reconciler, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.view = View()
        self.reconciler = Handled(self.view)
        self.engine = Engine(self.view, (self.reconciler,))
        self.sessions = DatabaseSessions(self.view)
        for database in Database:
            self.sessions.use(database, f"unix:{database}", self.engine, self.now)
        self.due = Due(self.reconciler, inf)
        self.recorder = Recorder()
        self.recorder.sessions = self.sessions
        self.timers = ReconcilerTimer(self.due.tick)
        self.loop = Loop(self.engine, self.sessions, (self.recorder, self.timers), lambda: self.now)

    def settle(self) -> None:
        """Turn until there is nothing left to do, as the loop does before it waits."""
        for _ in range(20):
            if not self.loop.turn():
                return
        raise AssertionError("the loop does not come to rest")

    def sleep(self) -> float:
        """Let the loop wait; how long it would sleep at most."""
        stop = StopSignal()
        self.loop.wait(stop)
        stop.close()
        assert FakePoller.last is not None
        return min(FakePoller.last.wakes, default=inf)


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[Database, FakeDatabase]]:
    """Four fake databases that the daemon's sessions connect to."""
    with fake_sessions(monkeypatch) as databases:
        yield databases


@pytest.fixture
def bench(databases: Mapping[Database, FakeDatabase]) -> Bench:
    """A loop that has come to rest."""
    bench = Bench()
    bench.settle()
    return bench


def test_a_key_that_becomes_due_after_planning_is_handled_at_once(bench: Bench) -> None:
    """A timer that is due between a turn and the wait does not wait for an unrelated event."""
    bench.due.due = 1.0
    bench.settle()
    bench.now = 1.0
    assert bench.sleep() <= 0
    bench.settle()
    assert bench.reconciler.keys_handled == [1]


def test_a_timer_is_waited_for_to_the_second(bench: Bench) -> None:
    """The loop sleeps until the next timer is due, and without one for as long as it likes."""
    assert bench.sleep() == inf
    bench.due.due = 4.0
    bench.settle()
    bench.now = 1.5
    assert bench.sleep() == 2.5


def test_a_timer_that_is_started_while_planning_is_waited_for(bench: Bench) -> None:
    """A reconciler that asks for a time and writes nothing is still woken at that time."""

    bench.reconciler.starts = lambda: setattr(bench.due, "due", 3.0)
    bench.reconciler.mark((7,))
    bench.settle()
    assert bench.sleep() == 3.0


def test_a_lock_that_is_granted_is_seen_by_all_sources(bench: Bench) -> None:
    """Becoming active is an event of its own: the status is assessed although no row changed."""
    (sb,) = (session for session in FakeSession.opened if session.database is Database.SB)
    sb.lock_free = False
    bench.settle()
    bench.sleep()
    assert bench.recorder.active.pop() is False
    sb.lock_free = True
    bench.settle()
    assert bench.recorder.active.pop() is True
    assert bench.loop.status == "active"
