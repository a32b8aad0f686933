"""The loop: sessions, event sources and the engine on one thread.

One turn takes in what has happened, lets the engine plan, and sends what it planned. After a turn
that did nothing, the loop waits for the next event. It never polls.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from isthmus.daemon.event_source import EventSource
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.engine.engine import Engine
from isthmus.engine.transactions import Failed
from isthmus.model.problems import Problem
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.stop_signal import StopSignal

_log = logging.getLogger(__name__)
_problems_log = logging.getLogger("isthmus.problems")

_MEANING = {
    "active": "active",
    "standby": "standby: waiting for the lock",
    "paused": "paused: nothing is written",
}


RESOLVED_AFTER = 3.0
"""Seconds without a problem after which it counts as resolved, so that one that comes and goes is
logged once."""


class ProblemLog:
    """Logs each problem once when it appears and once when it is resolved.

    A problem whose details change stays the same problem (`Problem.identity`).
    """

    def __init__(self) -> None:
        self._current: set[Problem] = set()
        self._logged: dict[tuple[str, ...], Problem] = {}
        self._gone: dict[tuple[str, ...], float] = {}
        """When logged problems have gone: monotonic seconds."""

    def update(self, problems: Iterable[Problem], now: float) -> None:
        """Log the difference to the last call."""
        current = set(problems)
        if current == self._current and not self._gone:
            return
        self._current = current
        for problem in sorted(current):
            if problem.identity not in self._logged:
                _problems_log.warning("%s", problem)
        present = {problem.identity: problem for problem in current}
        self._logged |= present
        self._gone = {gone: self._gone.get(gone, now) for gone in self._logged.keys() - present}
        for identity, since in sorted(self._gone.items()):
            if since + RESOLVED_AFTER <= now:
                _problems_log.info("resolved: %s", self._logged.pop(identity))
                del self._gone[identity]

    def next_wakeup(self) -> float | None:
        """When a problem counts as resolved: monotonic seconds."""
        return min((gone + RESOLVED_AFTER for gone in self._gone.values()), default=None)


class Loop:
    """Runs an engine on its databases.

    Args:
        engine, sessions: what to run.
        sources: run in this order in each turn.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        sessions: DatabaseSessions,
        sources: Sequence[EventSource] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._sessions, self._sources = engine, sessions, sources
        self._clock = clock
        self._problem_log = ProblemLog()
        self._logged_status = ""
        self._stop_reason = ""
        engine.recompute("start")

    @property
    def status(self) -> str:
        """ "active" with the zone's lock, "standby" without it, "paused" after that command."""
        if self._sessions.paused:
            return "paused"
        return "active" if self._sessions.active else "standby"

    def stop(self, reason: str) -> None:
        """End after this turn."""
        self._stop_reason = reason

    def run(self, on_ready: Callable[[], None], needed: frozenset[Database]) -> None:
        """Work until SIGTERM, SIGINT or `stop`.

        Args:
            on_ready: called once, when the `needed` databases have been read in full.
        """
        stop = StopSignal()
        ready = False
        try:
            while not (stop.received or self._stop_reason):
                progress = self.turn()
                if not ready and needed <= self._sessions.synced:
                    ready = True
                    on_ready()
                if not (progress or self._stop_reason):
                    self.wait(stop)
            reason = stop.received or self._stop_reason
            _log.info("stopping on %s; routes stay in place", reason)
        finally:
            stop.close()
            for source in self._sources:
                source.close()
            self._sessions.close()

    def turn(self) -> bool:
        """Do what can be done without waiting; whether anything was done.

        Sources run after the sessions, so that they see locks and connections that have come or
        gone. A key that was handled counts as something done even if it writes nothing: it
        may have started a timer, which runs in the next turn.
        """
        now = self._clock()
        changes = self._sessions.run(now)
        self._engine.apply(changes)
        ended = list(self._sessions.ended())
        for transaction, result in ended:
            if isinstance(result, Failed):
                _log.debug("%s: %s: %s", transaction.comment, result.error, result.details)
            self._engine.completed(transaction, result, now)
        for source in self._sources:
            source.run(now)
        handled = self._keys_handled()
        planned = self._engine.plan(now, self._sessions.writable(), self._sessions.synced)
        for transaction in planned:
            _log.debug("%s: %d operations", transaction.comment, len(transaction.operations))
            self._sessions.send(transaction)
        self._log_changes(now)
        return bool(changes or ended or planned or handled != self._keys_handled())

    def wait(self, stop: StopSignal) -> None:
        """Block until there is something to do, or `stop` has come."""
        poller = Poller()
        now = self._clock()
        self._sessions.wait(poller)
        for source in self._sources:
            source.wait(poller, now)
        poller.wait_readable(stop.fileno())
        due_times = (
            self._engine.next_wakeup(),
            self._sessions.next_wakeup(now),
            self._problem_log.next_wakeup(),
        )
        for due in due_times:
            if due is not None:
                poller.wake_in(due - now)
        poller.block()

    def _keys_handled(self) -> int:
        return sum(reconciler.handled for reconciler in self._engine.reconcilers)

    def _log_changes(self, now: float) -> None:
        """Log the status if it has changed, and the problems that have come or gone."""
        if self.status != self._logged_status:
            self._logged_status = self.status
            _log.info("%s", _MEANING[self.status])
        problems = [*self._engine.problems(), *self._sessions.problems(now)]
        for source in self._sources:
            problems += source.problems()
        self._problem_log.update(problems, now)
