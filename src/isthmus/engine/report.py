"""What the engine has done and what it waits for, as values for display. Made by `Engine.report`.

`engine/show` prints these fields as JSON, so their names are public. docs/reference/engine.md lists
them. New counters and metrics belong here.
"""

from dataclasses import dataclass

from isthmus.model.rows import Database


@dataclass(frozen=True, slots=True)
class ReconcilerReport:
    """One reconciler or derived state.

    Args:
        name: what it keeps as wanted, e.g. "learned routes".
        writes: the database that it writes; None for derived state.
        handled: how many times a key was handled, since the daemon started.
        operations: how many operations that led to.
        seconds: how long that took, by the engine's clock.
        last_reason: why keys were last marked: a change of a table, another reconciler, a
            recompute, or a transaction that ended.
        dirty: keys that are still to be handled.
        alone: keys that will be tried in a transaction of their own.
        put_off: keys to be retried later: the server refused them, or others undo them each time.
        held: keys that write nothing, because the engine's veto objects.
        waits_for: what keeps dirty keys from being handled, e.g. "OVN_Southbound: not read yet".
    """

    name: str
    writes: Database | None
    handled: int
    operations: int
    seconds: float
    last_reason: str
    dirty: int
    alone: int
    put_off: int
    held: int
    waits_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TransactionReport:
    """A transaction without an answer; the comment names its reconcilers."""

    database: Database
    comment: str
    operations: int


@dataclass(frozen=True, slots=True)
class EngineReport:
    """The whole engine.

    Args:
        settled: nothing is dirty, in flight or put off.
        recomputes: how many times everything was marked.
        last_recompute: the reason for the last one.
        in_flight: the transactions without an answer.
        reconcilers: all of them, in the engine's order.
    """

    settled: bool
    recomputes: int
    last_recompute: str
    in_flight: tuple[TransactionReport, ...]
    reconcilers: tuple[ReconcilerReport, ...]
