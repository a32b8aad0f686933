"""The engine: from changes to transactions. It knows no domain, no clock and no socket.

The daemon feeds it with changes, asks it for a plan of transactions and tells it how each ended.
At most one transaction per database is in flight; keys that become dirty meanwhile wait for its
end, so a plan is never made from a view that lacks what was just written. Only where keys do not
depend on each other (`Reconciler.independent`), others may follow before it has ended.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from isthmus.engine.reconciler import AnyReconciler, Watch
from isthmus.engine.report import EngineReport, FlightReport, ReconcilerReport
from isthmus.engine.transactions import (
    Committed,
    Failed,
    Flights,
    Result,
    Transaction,
    TryAgain,
    Work,
    problem_of,
)
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Operation
from isthmus.model.problems import Problem
from isthmus.model.rows import ROW_TYPES, Database, Row

BATCH = 1000
"""Most keys in one transaction: bounds the time that a server is busy with one of ours."""

BACKOFF_FIRST, BACKOFF_MOST = 0.1, 10.0
"""Seconds until a key that failed for good reason is tried again without any new event."""

_Batches = dict[Database, tuple[list[Operation], list[Work]]]

_CHANGE_OF = {kind: f"a change of {kind.DATABASE} {kind.TABLE}" for kind in ROW_TYPES}


@dataclass(slots=True)
class _Failure:
    """A key whose own transaction was refused."""

    attempts: int
    due: float
    result: Failed


@dataclass(slots=True)
class Engine:
    """Runs reconcilers over a view.

    Args:
        view: shared with the reconcilers.
        reconcilers: in the order in which they depend on each other, derived state first.
        clock: seconds, for the time that each reconciler is reported to have taken.
    """

    view: View
    reconcilers: Sequence[AnyReconciler]
    clock: Callable[[], float] = float
    last_recompute: str = ""
    recomputes: int = 0
    _watchers: dict[type[Row], list[tuple[AnyReconciler, Watch[Any]]]] = field(init=False)
    _in_flight: Flights = field(init=False, default_factory=Flights)
    _isolated: dict[Database | None, dict[Work, None]] = field(init=False, default_factory=dict)
    _failures: dict[Work, _Failure] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._watchers = {}
        for reconciler in self.reconcilers:
            for kind, watch in reconciler.watches().items():
                self._watchers.setdefault(kind, []).append((reconciler, watch))

    def apply(self, changes: Sequence[Change]) -> None:
        """Follow the changes of one or several updates and mark what they may affect."""
        for change in changes:
            self.view.apply(change)
        for change in changes:
            kind = type(change.row)
            for reconciler, watch in self._watchers.get(kind, ()):
                before = len(reconciler.dirty)
                reconciler.mark(watch(change))
                if len(reconciler.dirty) != before:
                    reconciler.last_reason = _CHANGE_OF[kind]

    def recompute(self, reason: str) -> None:
        """Mark everything: all keys of all reconcilers."""
        self.last_recompute = reason
        self.recomputes += 1
        for reconciler in self.reconcilers:
            reconciler.mark(reconciler.keys())
            reconciler.last_reason = f"recompute: {reason}"

    def plan(
        self, now: float, writable: Collection[Database], synced: Collection[Database]
    ) -> list[Transaction]:
        """Reconcile what is dirty, as far as the databases it writes to can be written.

        Args:
            now: monotonic seconds.
            writable: the databases that are connected, and whose locks, if any, are held.
            synced: the databases whose contents the view has held in full at least once.

        Returns:
            Transactions to send, at most one per database, in order after those sent before;
            each counts as in flight until `completed` is called for it.
        """
        for reconciler in self.reconcilers:
            if reconciler.writes is None:
                self._derive(reconciler)
        self._wake(now)
        self._hold_back(frozenset(synced))
        # What must go alone comes first: where it turns out to need nothing, the others may go.
        planned = self._send(self._isolate(set(writable).difference(self._in_flight.databases)))
        batches: _Batches = {}
        for database in self._in_flight.databases:
            if database in writable:
                self._follow_up(database, batches)
        for reconciler in self.reconcilers:
            if not reconciler.when_settled:
                self._collect(reconciler, batches, writable, synced)
        for reconciler in self.reconcilers:
            if reconciler.when_settled and self._quiet(reconciler, batches):
                self._collect(reconciler, batches, writable, synced)
        return planned + self._send(
            Transaction(database, tuple(operations), tuple(work))
            for database, (operations, work) in batches.items()
            if operations
        )

    def completed(self, transaction: Transaction, result: Result, now: float) -> None:
        """Take note of how a transaction ended, and mark its keys if it must be tried again."""
        self._in_flight.end(transaction)
        for reconciler in transaction.reconcilers:
            reconciler.batch_done()
        match result:
            case Committed():
                for work in transaction.work:
                    self._failures.pop(work, None)
                # What was written is looked at once more: if the server or somebody else
                # changed it on the way, that shows now and not at the next event.
                self._mark(transaction.work, "its transaction took effect")
            case TryAgain():
                self._mark(transaction.work, "its transaction is to be tried again")
            case Failed() if len(transaction.work) > 1:
                # One bad key must not hold up the others: each gets a transaction of its own.
                for work in transaction.work:
                    self._try_alone(work)
            case Failed():
                self._delay(transaction.work[0], result, now)

    def abandon(self, database: Database) -> None:
        """Forget what is in flight to a database whose connection was given up."""
        for transaction in self._in_flight.give_up(database):
            for reconciler in transaction.reconcilers:
                reconciler.batch_done()
            self._mark(transaction.work, "its database was replaced")

    def next_wakeup(self) -> float | None:
        """When `plan` must be called again even if nothing happens: monotonic seconds."""
        return min((failure.due for failure in self._failures.values()), default=None)

    def settled(self) -> bool:
        """Whether nothing is dirty, in flight or put off."""
        return not (
            self._in_flight
            or any(self._isolated.values())
            or self._failures
            or any(reconciler.dirty for reconciler in self.reconcilers)
        )

    def problems(self) -> list[Problem]:
        """All that is wrong, in a stable order."""
        found = {p for r in self.reconcilers for ps in r.problems.values() for p in ps}
        for (reconciler, key), failure in self._failures.items():
            found.add(problem_of(failure.result, str(reconciler.writes), reconciler.name, str(key)))
        return sorted(found)

    def report(self, writable: Collection[Database], synced: Collection[Database]) -> EngineReport:
        """What was done, why, and what it waits for; `writable` and `synced` as for `plan`."""
        return EngineReport(
            settled=self.settled(),
            recomputes=self.recomputes,
            last_recompute=self.last_recompute,
            in_flight=tuple(
                FlightReport(transaction.database, transaction.comment, len(transaction.operations))
                for transaction in self._in_flight
            ),
            reconcilers=tuple(self._report_of(r, writable, synced) for r in self.reconcilers),
        )

    def _report_of(
        self,
        reconciler: AnyReconciler,
        writable: Collection[Database],
        synced: Collection[Database],
    ) -> ReconcilerReport:
        alone = self._isolated.get(reconciler.writes, {})
        return ReconcilerReport(
            name=reconciler.name,
            writes=reconciler.writes,
            handled=reconciler.handled,
            operations=reconciler.operations,
            seconds=reconciler.seconds,
            last_reason=reconciler.last_reason,
            dirty=len(reconciler.dirty),
            alone=sum(1 for other, _ in alone if other is reconciler),
            put_off=sum(1 for other, _ in self._failures if other is reconciler),
            waits_for=tuple(self._obstacles(reconciler, writable, synced)),
        )

    def _obstacles(
        self,
        reconciler: AnyReconciler,
        writable: Collection[Database],
        synced: Collection[Database],
    ) -> Iterator[str]:
        database = reconciler.writes
        if database is None or not reconciler.dirty:
            return
        for needed in sorted(reconciler.needs - frozenset(synced)):
            yield f"{needed}: not read yet"
        if database in self._in_flight:
            yield f"{database}: a transaction is in flight"
        elif database not in writable:
            yield f"{database}: cannot be written, for want of a connection or the lock"
        if reconciler.when_settled and not self._quiet(reconciler, {}):
            yield "the other reconcilers, to have nothing left to do"

    def _collect(
        self,
        reconciler: AnyReconciler,
        batches: _Batches,
        writable: Collection[Database],
        synced: Collection[Database],
    ) -> None:
        """Add what a reconciler has to do to its database's batch, if it may run now."""
        database = reconciler.writes
        if (
            database is not None
            and database in writable
            and database not in self._in_flight
            and not self._isolated.get(database)
            and reconciler.needs <= frozenset(synced)
        ):
            operations, work = batches.setdefault(database, ([], []))
            self._drain(reconciler, operations, work)

    def _follow_up(self, database: Database, batches: _Batches) -> None:
        """Let a reconciler whose keys are independent go on, if no other one waits for its turn."""
        reconciler = self._in_flight.may_follow(database)
        others = (r for r in self.reconcilers if r.writes is database and r is not reconciler)
        if reconciler is None or self._isolated.get(database) or any(r.dirty for r in others):
            return
        operations, work = batches.setdefault(database, ([], []))
        self._drain(reconciler, operations, work, self._in_flight.keys(database))

    def _quiet(self, asking: AnyReconciler, batches: _Batches) -> bool:
        """Whether nobody but the asking reconciler has anything to do, in flight or put off."""
        return not (
            self._in_flight
            or self._failures
            or any(self._isolated.values())
            or any(operations for operations, _ in batches.values())
            or any(r.dirty for r in self.reconcilers if r is not asking and not r.when_settled)
        )

    def _derive(self, reconciler: AnyReconciler) -> None:
        if not reconciler.dirty:
            return
        dirty, reconciler.dirty = reconciler.dirty, {}
        with self._timed(reconciler):
            for key in dirty:
                reconciler.handled += 1
                for operation in reconciler.reconcile(key):
                    raise AssertionError(f"{reconciler.name} writes nothing, yet said {operation}")

    def _drain(
        self,
        reconciler: AnyReconciler,
        operations: list[Operation],
        work: list[Work],
        busy: Collection[Hashable] = (),
    ) -> None:
        """Look at dirty keys, but for those that are busy, until the batch is full.

        What was found is not kept waiting for the rest: after a batch's worth of keys, many of
        which may need nothing, it goes out.
        """
        while len(work) < BATCH:
            free = (key for key in reconciler.dirty if key not in busy)
            # In portions: the first key of a dictionary is found behind all removed ones.
            portion = tuple(islice(free, BATCH - len(work)))
            if not portion:
                return
            with self._timed(reconciler):
                for key in portion:
                    del reconciler.dirty[key]
                    if wanted := self._reconciled(reconciler, key):
                        operations += wanted
                        work.append((reconciler, key))
            if work:
                return

    @staticmethod
    def _reconciled(reconciler: AnyReconciler, key: Any) -> tuple[Operation, ...]:
        reconciler.handled += 1
        operations = tuple(reconciler.reconcile(key))
        reconciler.operations += len(operations)
        return operations

    @contextmanager
    def _timed(self, running: AnyReconciler) -> Iterator[None]:
        """Count a reconciler's time, and name it to those whose keys it marks."""
        before = [len(reconciler.dirty) for reconciler in self.reconcilers]
        began = self.clock()
        yield
        running.seconds += self.clock() - began
        for reconciler, dirty in zip(self.reconcilers, before, strict=True):
            if reconciler is not running and len(reconciler.dirty) != dirty:
                reconciler.last_reason = f"another reconciler: {running.name}"

    def _send(self, transactions: Iterable[Transaction]) -> list[Transaction]:
        sent = list(transactions)
        self._in_flight.add(sent)
        return sent

    def _try_alone(self, work: Work) -> None:
        self._isolated.setdefault(work[0].writes, {})[work] = None

    def _hold_back(self, synced: frozenset[Database]) -> None:
        """Retries, too, wait for what their reconcilers need, and keep nobody else from working."""
        for queue in self._isolated.values():
            for work in [work for work in queue if not work[0].needs <= synced]:
                del queue[work]
                self._mark((work,), "a retry waits for a database")

    def _isolate(self, free: Collection[Database]) -> Iterable[Transaction]:
        for database, queue in self._isolated.items():
            while queue and database is not None and database in free:
                work = next(iter(queue))
                del queue[work]
                reconciler, key = work
                reconciler.dirty.pop(key, None)
                operations = self._reconciled(reconciler, key)
                if operations:
                    yield Transaction(database, operations, (work,))
                    break
                self._failures.pop(work, None)

    @staticmethod
    def _mark(work: Iterable[Work], reason: str) -> None:
        for reconciler, key in work:
            reconciler.mark((key,))
            reconciler.last_reason = reason

    def _delay(self, work: Work, result: Failed, now: float) -> None:
        known = self._failures.get(work)
        attempts = known.attempts + 1 if known else 1
        # The first refusal is often a lost race (a tunnel key, a name): look again at once.
        delay = 0.0 if attempts == 1 else min(BACKOFF_FIRST * 2**attempts, BACKOFF_MOST)
        self._failures[work] = _Failure(attempts, now + delay, result)

    def _wake(self, now: float) -> None:
        for work, failure in self._failures.items():
            reconciler, key = work
            if failure.due <= now:
                failure.due = now + BACKOFF_MOST
                self._try_alone(work)
            elif key in reconciler.dirty:
                # Something changed for it: try at once, but alone, so it cannot fail others.
                self._try_alone(work)
