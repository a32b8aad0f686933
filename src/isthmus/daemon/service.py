"""The daemon: source, sessions and engine in one loop, on one thread.

`isthmus run` builds it. A turn takes in what has come, lets the engine plan, sends what it
planned; when a turn did nothing, the loop waits for the next event. Nothing is polled.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from isthmus.daemon.databases import Databases
from isthmus.daemon.log import ProblemLog
from isthmus.daemon.wake import StopSignal
from isthmus.exchange.wiring import exchange
from isthmus.intent.inputs import Inputs
from isthmus.intent.memory import remembered
from isthmus.intent.snapshot import Snapshot
from isthmus.intent.wiring import reconcilers
from isthmus.model.rows import Database, NbGlobal
from isthmus.ovsdb.poller import Poller
from isthmus.reconcile.engine import Engine
from isthmus.reconcile.view import View

_log = logging.getLogger(__name__)


class Source(Protocol):
    """Where the manifests come from."""

    def fileno(self) -> int:
        """Readable when `poll` may have something new."""

    def next_wakeup(self) -> float:
        """When `poll` must be called in any case: monotonic seconds."""

    def poll(self, now: float) -> Snapshot | None:
        """A new snapshot, or None."""

    def close(self) -> None:
        """Stop watching."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator gives on the command line.

    Args:
        ovnnb_db, ovnsb_db: the cluster's databases (ovsdb(7) connection methods).
        probe_interval: milliseconds between keepalive probes; None for the default.
    """

    ovnnb_db: str
    ovnsb_db: str
    probe_interval: int | None = None


class Service:
    """Controller and engine of one cluster.

    Args:
        settings: where the cluster's databases are.
        source: where its manifests come from; closed with the service.
        inputs: what the manifests mean, shared with the controller's reconcilers.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        inputs: Inputs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._inputs, self._clock = source, inputs, clock
        self._view = View()
        self._intents = reconcilers(self._view, inputs)
        everything = (*exchange(self._view).reconcilers, *self._intents)
        self._engine = Engine(self._view, everything)
        self._databases = Databases(self._view, settings.probe_interval)
        self._problems = ProblemLog()
        self._was_active: bool | None = None
        now = clock()
        self._databases.use(Database.NB, settings.ovnnb_db, self._engine, now)
        self._databases.use(Database.SB, settings.ovnsb_db, self._engine, now)
        self._engine.recompute("start")

    def run(self, on_ready: Callable[[], None]) -> None:
        """Work until SIGTERM or SIGINT.

        Args:
            on_ready: called once, when the cluster's own databases have been seen in full.
        """
        stop = StopSignal()
        ready = False
        try:
            while not stop.received:
                progress = self.turn()
                if not ready and {Database.NB, Database.SB} <= self._databases.synced:
                    ready = True
                    on_ready()
                if not progress:
                    self._wait(stop)
            _log.info("ending on %s; nothing is withdrawn", stop.received)
        finally:
            stop.close()
            self._source.close()
            self._databases.close()

    def turn(self) -> bool:
        """Do what can be done without waiting; whether anything was."""
        now = self._clock()
        self._read_source(now)
        self._follow_ic_databases(now)
        changes = self._databases.run(now)
        self._engine.apply(changes)
        ended = list(self._databases.ended())
        for transaction, result in ended:
            self._engine.completed(transaction, result, now)
        planned = self._engine.plan(now, self._databases.writable(), self._databases.synced)
        for transaction in planned:
            _log.debug("%s: %d operations", transaction.comment, len(transaction.operations))
            self._databases.send(transaction)
        self._say(now)
        return bool(changes or ended or planned)

    def _read_source(self, now: float) -> None:
        snapshot = self._source.poll(now)
        if snapshot is None:
            return
        changed = self._inputs.update(snapshot)
        for intent in self._intents:
            intent.mark(intent.affected(changed))

    def _follow_ic_databases(self, now: float) -> None:
        """Use the IC databases of the configuration, or those to be left."""
        config = self._inputs.config
        if config is not None:
            remotes = (config.ic_nb_remote, config.ic_sb_remote)
        else:
            memory = remembered(self._view.table(NbGlobal).single())
            remotes = (memory.ic_nb_remote, memory.ic_sb_remote) if memory else ("", "")
        for database, remote in zip((Database.IC_NB, Database.IC_SB), remotes, strict=True):
            self._databases.use(database, remote, self._engine, now)

    def _say(self, now: float) -> None:
        active = self._databases.active
        if active != self._was_active:
            self._was_active = active
            _log.info("%s", "active" if active else "standing by: the lock is not ours")
        self._problems.update(
            [
                *self._inputs.problems(),
                *self._engine.problems(),
                *self._databases.problems(now),
            ]
        )

    def _wait(self, stop: StopSignal) -> None:
        poller = Poller()
        self._databases.wait(poller)
        poller.wait_readable(self._source.fileno())
        poller.wait_readable(stop.fileno())
        now = self._clock()
        for due in (
            self._engine.next_wakeup(),
            self._databases.next_wakeup(now),
            self._source.next_wakeup(),
        ):
            if due is not None:
                poller.wake_in(due - now)
        poller.block()
