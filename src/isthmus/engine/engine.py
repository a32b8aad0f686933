"""The engine: from changes to transactions. It knows no domain, no clock and no socket.

The daemon passes changes to it, asks it for a plan of transactions, and reports their results.
At most one transaction per database is in flight. Keys that become dirty meanwhile wait for its
result, so a plan is never made from a view that lacks what was just written. Only where keys do
not depend on each other (`Reconciler.independent`) may the next transaction go out earlier.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from itertools import chain, islice
from typing import Any

from isthmus.engine.fights import Fights
from isthmus.engine.reconciler import (
    AnyDerivedState,
    AnyEdge,
    AnyKeyed,
    AnyReconciler,
    DerivedState,
    Reconciler,
    Veto,
    Watch,
)
from isthmus.engine.refusals import refusal
from isthmus.engine.repairs import Repair, Repairs
from isthmus.engine.report import EngineReport, ReconcilerReport, TransactionReport
from isthmus.engine.transactions import (
    Committed,
    Failed,
    InFlight,
    Result,
    Transaction,
    TryAgain,
    Work,
)
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Operation
from isthmus.model.problems import Problem
from isthmus.model.rows import ROW_TYPES, Database, Row

BATCH = 1000
"""Most keys in one transaction: bounds the time that a server is busy with one of ours."""

BACKOFF_FIRST, BACKOFF_MOST = 0.1, 10.0
"""Seconds until a refused key is tried again without a new event: after the first retry, and at
most."""

_Batches = dict[Database, tuple[list[Operation], list[Work]]]

_CHANGE_OF = {kind: f"a change of {kind.DATABASE} {kind.TABLE}" for kind in ROW_TYPES}


@dataclass(slots=True)
class _Failure:
    """A key that was refused in a transaction of its own.

    Args:
        attempts: how often.
        due: when it is tried again, in monotonic seconds.
        problem: the last answer.
    """

    attempts: int
    due: float
    problem: Problem


@dataclass(slots=True)
class Engine:
    """Runs reconcilers and derived state over a view.

    Args:
        view: shared with the reconcilers.
        reconcilers: derived state and reconcilers; each state before those that depend on it.
        edges: which state marks whose keys.
        clock: seconds, for the time that each reconciler is reported to have taken.

    Attributes:
        recomputes, last_recompute: how often everything was marked, and the last reason.
        repaired: what others deleted or changed and was set back, which the daemon reports and
            removes from the list.
    """

    view: View
    reconcilers: Sequence[AnyKeyed]
    edges: Sequence[AnyEdge] = ()
    _: KW_ONLY
    clock: Callable[[], float] = float
    last_recompute: str = field(init=False, default="")
    recomputes: int = field(init=False, default=0)
    repaired: list[Repair] = field(init=False, default_factory=list)
    _watchers: dict[type[Row], list[tuple[AnyKeyed, Watch[Any]]]] = field(init=False)
    _states: list[AnyDerivedState] = field(init=False)
    _writers: list[AnyReconciler] = field(init=False)
    _edges: dict[AnyDerivedState, list[AnyEdge]] = field(init=False, default_factory=dict)
    _in_flight: InFlight = field(init=False, default_factory=InFlight)
    _repairs: Repairs = field(init=False, default_factory=Repairs)
    _fights: Fights = field(init=False, default_factory=Fights)
    _isolated: dict[Database, dict[Work, None]] = field(init=False, default_factory=dict)
    _failures: dict[Work, _Failure] = field(init=False, default_factory=dict)
    _veto: Veto | None = field(init=False)
    _reads: dict[AnyKeyed, frozenset[Database]] = field(init=False, default_factory=dict)
    _known: frozenset[Database] = field(init=False, default=frozenset())
    _now: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._watchers = {}
        for keyed in self.reconcilers:
            watches = keyed.watches()
            for kind, watch in watches.items():
                self._watchers.setdefault(kind, []).append((keyed, watch))
            self._reads[keyed] = keyed.needs.union(kind.DATABASE for kind in watches)
        self._states = [keyed for keyed in self.reconcilers if isinstance(keyed, DerivedState)]
        self._writers = [keyed for keyed in self.reconcilers if isinstance(keyed, Reconciler)]
        self._veto = next((k for k in self.reconcilers if isinstance(k, Veto)), None)
        for edge in self.edges:
            if edge.target in self._states[: self._states.index(edge.source) + 1]:
                raise ValueError(f"{edge.source.name} comes after {edge.target.name}")
            self._edges.setdefault(edge.source, []).append(edge)

    @property
    def _held(self) -> Mapping[Work, Collection[Problem]]:
        return self._veto.held if self._veto is not None else {}

    def apply(self, changes: Sequence[Change]) -> None:
        """Update the view with the changes of one or several updates; mark what they may affect."""
        self._repairs.observe(changes, self._in_flight)
        by_kind: dict[type[Row], list[Change]] = {}
        for change in changes:
            self.view.apply(change)
            by_kind.setdefault(type(change.row), []).append(change)
        for kind, found in by_kind.items():
            for keyed, watch in self._watchers.get(kind, ()):
                _mark(keyed, chain.from_iterable(map(watch, found)), _CHANGE_OF[kind])

    def recompute(self, reason: str) -> None:
        """Mark everything: all keys of all reconcilers."""
        self.last_recompute = reason
        self.recomputes += 1
        for keyed in self.reconcilers:
            keyed.mark(keyed.keys())
            keyed.last_reason = f"recompute: {reason}"

    def plan(
        self, now: float, writable: Collection[Database], synced: Collection[Database]
    ) -> list[Transaction]:
        """Handle what is dirty, as far as the databases that it writes to can be written.

        Args:
            now: monotonic seconds.
            writable: the databases that are connected, and whose locks, if any, are held.
            synced: the databases whose contents the view has held in full at least once.

        Returns:
            Transactions to send, at most one per database, in order after those sent before.
            Each counts as in flight until `completed` is called for it.
        """
        known = self._known = frozenset(synced)
        self._now = now
        for state in self._states:
            if state.dirty and state.needs <= known:
                self._derive(state)
        self._wake(now)
        self._hold_back(known)
        self._fights.wake(now)
        # What must go alone comes first: if it turns out to need nothing, the others may go.
        planned = self._send(self._isolate(set(writable).difference(self._in_flight)))
        batches: _Batches = {}
        for database in self._in_flight:
            if database in writable:
                self._follow_up(database, batches)
        for reconciler in self._writers:
            if not reconciler.after:
                self._collect(reconciler, batches, writable, known)
        for reconciler in self._writers:
            if reconciler.after and all(self.quiet(d, batches) for d in reconciler.after):
                self._collect(reconciler, batches, writable, known)
        planned += self._send(
            Transaction(database, tuple(operations), tuple(work))
            for database, (operations, work) in batches.items()
            if operations
        )
        self._repairs.discard(self._in_flight)
        return planned

    def completed(self, transaction: Transaction, result: Result, now: float) -> None:
        """Record the result of a transaction, and mark its keys as far as they need it."""
        self._in_flight.remove(transaction)
        for reconciler in transaction.reconcilers:
            reconciler.batch_done()
        match result:
            case Committed():
                repairs = self._repairs.made_by(transaction)
                self.repaired += repairs
                self._fights.note(transaction.work, repairs, now)
                for work in transaction.work:
                    self._failures.pop(work, None)
                # Written keys are handled once more: if the server or another client changed
                # them on the way, that shows now and not at the next event.
                _mark_work(transaction.work, "its transaction took effect")
            case TryAgain():
                _mark_work(transaction.work, "its transaction must be tried again")
            case Failed() if len(transaction.work) > 1:
                # One bad key must not hold up the others: each gets a transaction of its own.
                for work in transaction.work:
                    self._try_alone(work)
            case Failed():
                self._delay(transaction.work[0], result, now)

    def abandon(self, database: Database) -> None:
        """Drop what is in flight to a database whose connection was given up."""
        for transaction in self._in_flight.pop(database, ()):
            for reconciler in transaction.reconcilers:
                reconciler.batch_done()
            _mark_work(transaction.work, "its database was replaced")

    def next_wakeup(self) -> float | None:
        """When `plan` must be called again even if nothing happens: monotonic seconds."""
        due: list[float | None] = [failure.due for failure in self._failures.values()]
        due.append(self._fights.next_wakeup())
        return min((moment for moment in due if moment is not None), default=None)

    def quiet(self, database: Database, batches: _Batches | None = None) -> bool:
        """Whether nothing of ours is left to write to a database, in flight, or in `batches`.

        Reconcilers that wait for other databases themselves (`Reconciler.after`) do not count.
        """
        operations, _ = (batches or {}).get(database, ((), ()))
        return not (
            operations
            or database in self._in_flight
            or self._isolated.get(database)
            or any(r.writes is database for r, _ in (*self._failures, *self._fights.waiting))
            or any(r.dirty for r in self._writers if r.writes is database and not r.after)
        )

    def settled(self) -> bool:
        """Whether nothing is dirty, in flight or put off."""
        return not (
            self._in_flight
            or any(self._isolated.values())
            or self._failures
            or self._fights.waiting
            or any(reconciler.dirty for reconciler in self.reconcilers)
        )

    def problems(self) -> list[Problem]:
        """All problems, each once, in a stable order.

        What a reconciler finds while it lacks a database is a symptom: of that database not having
        been read, which others report.
        """
        read = [keyed for keyed, databases in self._reads.items() if databases <= self._known]
        found = {problem for r in read for those in r.problems.values() for problem in those}
        # One refusal is often a lost race, which the retry settles.
        found.update(failure.problem for failure in self._failures.values() if failure.attempts > 1)
        found |= self._fights.problems()
        for (reconciler, key), objections in self._held.items():
            # What the reconciler itself has found is the cause.
            found.update(() if key in reconciler.problems else objections)
        return sorted(found)

    def report(self, writable: Collection[Database], synced: Collection[Database]) -> EngineReport:
        """What was done, why, and what is waited for; `writable` and `synced` as for `plan`."""
        return EngineReport(
            settled=self.settled(),
            recomputes=self.recomputes,
            last_recompute=self.last_recompute,
            in_flight=tuple(
                TransactionReport(sent.database, sent.comment, len(sent.operations))
                for transactions in self._in_flight.values()
                for sent in transactions
            ),
            reconcilers=tuple(self._report_of(r, writable, synced) for r in self.reconcilers),
        )

    def _report_of(
        self, keyed: AnyKeyed, writable: Collection[Database], synced: Collection[Database]
    ) -> ReconcilerReport:
        writes = keyed.writes if isinstance(keyed, Reconciler) else None
        alone = [] if writes is None else self._isolated.get(writes, {})
        return ReconcilerReport(
            name=keyed.name,
            writes=writes,
            handled=keyed.handled,
            operations=keyed.operations,
            seconds=keyed.seconds,
            last_reason=keyed.last_reason,
            dirty=len(keyed.dirty),
            alone=sum(1 for other, _ in alone if other is keyed),
            put_off=sum(other is keyed for other, _ in (*self._failures, *self._fights.waiting)),
            held=sum(1 for other, _ in self._held if other is keyed),
            waits_for=tuple(self._obstacles(keyed, writable, synced)) if keyed.dirty else (),
        )

    def _obstacles(
        self, keyed: AnyKeyed, writable: Collection[Database], synced: Collection[Database]
    ) -> Iterator[str]:
        for needed in sorted(keyed.needs - frozenset(synced)):
            yield f"{needed}: not read yet"
        if not isinstance(keyed, Reconciler):
            return
        if keyed.writes in self._in_flight:
            yield f"{keyed.writes}: a transaction is in flight"
        elif keyed.writes not in writable:
            yield f"{keyed.writes}: not connected, or without the lock"
        for database in sorted(keyed.after):
            if not self.quiet(database):
                yield f"{database}: other reconcilers are not done"

    def _collect(
        self,
        reconciler: AnyReconciler,
        batches: _Batches,
        writable: Collection[Database],
        synced: frozenset[Database],
    ) -> None:
        """Add what a reconciler has to do to its database's batch, if it may run now."""
        database = reconciler.writes
        if (
            database in writable
            and database not in self._in_flight
            and not self._isolated.get(database)
            and reconciler.needs <= synced
        ):
            operations, work = batches.setdefault(database, ([], []))
            self._drain(reconciler, operations, work)

    def _follow_up(self, database: Database, batches: _Batches) -> None:
        """Let a reconciler whose keys are independent continue, unless another one is waiting."""
        reconciler = self._in_flight.may_follow(database)
        others = (r for r in self._writers if r.writes is database and r is not reconciler)
        if reconciler is None or self._isolated.get(database) or any(r.dirty for r in others):
            return
        operations, work = batches.setdefault(database, ([], []))
        self._drain(reconciler, operations, work, self._in_flight.busy(database))

    def _derive(self, state: AnyDerivedState) -> None:
        dirty, state.dirty = state.dirty, {}
        with self._timed(state):
            state.handled += len(dirty)
            changes = [change for key in dirty for change in state.derive(key)]
            for edge in self._edges.get(state, ()):
                keys = chain.from_iterable(map(edge.affected, changes))
                _mark(edge.target, keys, f"derived: {state.name}")
        if state is self._veto:
            _mark_work(self._held, "what held it back may be gone")

    def _drain(
        self,
        reconciler: AnyReconciler,
        operations: list[Operation],
        work: list[Work],
        busy: Collection[Hashable] = (),
    ) -> None:
        """Handle dirty keys, except busy ones, until the batch is full.

        Operations do not wait for all keys: after a batch's worth of keys, many of which may need
        nothing, they go out.
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

    def _reconciled(self, reconciler: AnyReconciler, key: Any) -> tuple[Operation, ...]:
        """What a key needs, unless the veto objects or others undo it each time."""
        reconciler.handled += 1
        operations = tuple(reconciler.reconcile(key))
        if self._veto is not None:
            self._veto.held.pop((reconciler, key), None)
            objections = self._veto.objections(operations)
            if objections is not None:
                self._veto.held[reconciler, key] = objections
                return ()
        if self._fights.delays((reconciler, key), needed=bool(operations), now=self._now):
            return ()
        reconciler.operations += len(operations)
        return operations

    @contextmanager
    def _timed(self, running: AnyKeyed) -> Iterator[None]:
        """Add to a reconciler's time."""
        began = self.clock()
        yield
        running.seconds += self.clock() - began

    def _send(self, transactions: Iterable[Transaction]) -> list[Transaction]:
        sent = list(transactions)
        self._in_flight.add(sent)
        return sent

    def _try_alone(self, work: Work) -> None:
        self._isolated.setdefault(work[0].writes, {})[work] = None

    def _hold_back(self, synced: frozenset[Database]) -> None:
        """Make retries wait for what their reconcilers need, without delaying others."""
        for queue in self._isolated.values():
            for work in [work for work in queue if not work[0].needs <= synced]:
                del queue[work]
                _mark_work((work,), "a retry waits for a database")

    def _isolate(self, free: Collection[Database]) -> Iterable[Transaction]:
        for database, queue in self._isolated.items():
            while queue and database in free:
                work = next(iter(queue))
                del queue[work]
                reconciler, key = work
                reconciler.dirty.pop(key, None)
                operations = self._reconciled(reconciler, key)
                if operations:
                    yield Transaction(database, operations, (work,))
                    break
                self._failures.pop(work, None)

    def _delay(self, work: Work, result: Failed, now: float) -> None:
        known = self._failures.get(work)
        attempts = known.attempts + 1 if known else 1
        # The first refusal is often a lost race (a tunnel key, a name): try again at once.
        delay = 0.0 if attempts == 1 else min(BACKOFF_FIRST * 2**attempts, BACKOFF_MOST)
        self._failures[work] = _Failure(attempts, now + delay, refusal(self.view, work, result))

    def _wake(self, now: float) -> None:
        for work, failure in self._failures.items():
            reconciler, key = work
            if failure.due <= now:
                failure.due = now + BACKOFF_MOST
                self._try_alone(work)
            elif key in reconciler.dirty:
                # Something changed for it: try at once, but alone, so that it fails no others.
                self._try_alone(work)


def _mark(keyed: AnyKeyed, keys: Iterable[Any], reason: str) -> None:
    before = len(keyed.dirty)
    keyed.mark(keys)
    if len(keyed.dirty) != before:
        keyed.last_reason = reason


def _mark_work(work: Iterable[Work], reason: str) -> None:
    for reconciler, key in work:
        reconciler.mark((key,))
        reconciler.last_reason = reason
