"""The loop: sessions, engine and feeds on one thread.

A turn takes in what has come, lets the engine plan, sends what it planned; when a turn did
nothing, the loop waits for the next event. Nothing is polled.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from isthmus.daemon.problem_log import ProblemLog
from isthmus.daemon.sessions import Databases
from isthmus.daemon.stop_signal import StopSignal
from isthmus.engine.engine import Engine
from isthmus.model.problems import Problem
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller

_log = logging.getLogger(__name__)

_MEANING = {
    "active": "active",
    "standby": "standing by: the lock is not ours yet",
    "paused": "paused: nothing is written",
}


class Feed(Protocol):
    """What takes part in the loop beside databases and engine."""

    def run(self, now: float) -> None:
        """Do what can be done without waiting."""

    def problems(self) -> Sequence[Problem]:
        """What people must mend."""

    def wait(self, poller: Poller, now: float) -> None:
        """Have the poller wake when there is something to do; it must not mark any keys."""

    def close(self) -> None:
        """Let go of everything."""


class Loop:
    """Runs an engine on its databases.

    Args:
        engine, databases: what to run.
        feeds: run at the beginning of each turn, in this order.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        databases: Databases,
        feeds: Sequence[Feed] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._databases, self._feeds = engine, databases, feeds
        self._clock = clock
        self._problems = ProblemLog()
        self._was = ""
        self._stop_reason = ""
        engine.recompute("start")

    @property
    def status(self) -> str:
        """ "active" with the zone's lock, "standby" without, "paused" if told so."""
        if self._databases.paused:
            return "paused"
        return "active" if self._databases.active else "standby"

    def stop(self, reason: str) -> None:
        """End after this turn."""
        self._stop_reason = reason

    def run(self, on_ready: Callable[[], None], needed: frozenset[Database]) -> None:
        """Work until SIGTERM, SIGINT or `stop`.

        Args:
            on_ready: called once, when the `needed` databases have been seen in full.
        """
        stop = StopSignal()
        ready = False
        try:
            while not (stop.received or self._stop_reason):
                progress = self.turn()
                if not ready and needed <= self._databases.synced:
                    ready = True
                    on_ready()
                if not (progress or self._stop_reason):
                    self.wait(stop)
            reason = stop.received or self._stop_reason
            _log.info("ending on %s; nothing is withdrawn", reason)
        finally:
            stop.close()
            for feed in self._feeds:
                feed.close()
            self._databases.close()

    def turn(self) -> bool:
        """Do what can be done without waiting; whether anything was.

        Sources run when the sessions have, so that they see a lock or a connection that came or
        went. Handling a key counts as doing something even if nothing is to be written: it may
        have started a timer, which runs at the beginning of the next turn.
        """
        now = self._clock()
        changes = self._databases.run(now)
        self._engine.apply(changes)
        ended = list(self._databases.ended())
        for transaction, result in ended:
            self._engine.completed(transaction, result, now)
        for feed in self._feeds:
            feed.run(now)
        handled = self._keys_handled()
        planned = self._engine.plan(now, self._databases.writable(), self._databases.synced)
        for transaction in planned:
            _log.debug("%s: %d operations", transaction.comment, len(transaction.operations))
            self._databases.send(transaction)
        self._say(now)
        return bool(changes or ended or planned or handled != self._keys_handled())

    def _keys_handled(self) -> int:
        return sum(reconciler.handled for reconciler in self._engine.reconcilers)

    def _say(self, now: float) -> None:
        if self.status != self._was:
            self._was = self.status
            _log.info("%s", _MEANING[self.status])
        problems = [*self._engine.problems(), *self._databases.problems(now)]
        for feed in self._feeds:
            problems += feed.problems()
        self._problems.update(problems)

    def wait(self, stop: StopSignal | None = None) -> None:
        """Block until there is something to do."""
        poller = Poller()
        now = self._clock()
        self._databases.wait(poller)
        for feed in self._feeds:
            feed.wait(poller, now)
        if stop is not None:
            poller.wait_readable(stop.fileno())
        for due in (self._engine.next_wakeup(), self._databases.next_wakeup(now)):
            if due is not None:
                poller.wake_in(due - now)
        poller.block()
