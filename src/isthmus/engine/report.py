"""What an engine has done and is waiting for, as values to be shown. Made by `Engine.report`."""

from dataclasses import dataclass

from isthmus.model.rows import Database


@dataclass(frozen=True, slots=True)
class ReconcilerReport:
    """One kind of object.

    Args:
        name: of the reconciler, e.g. "learned routes".
        writes: the database that it writes, or None if it keeps derived state.
        handled: how many times a key was looked at.
        operations: how many operations that led to.
        seconds: of the engine's clock, spent looking.
        last_reason: why keys were last marked: a change of a table, another reconciler, a
            recompute, a transaction that ended.
        dirty: keys that are still to be looked at.
        alone: keys that will be tried in a transaction of their own.
        put_off: keys that the server refused and that are tried again later.
        waits_for: what keeps dirty keys from being looked at, e.g. "OVN_Southbound: not read yet".
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
    waits_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlightReport:
    """The transaction that a database has not yet answered.

    Args:
        comment: what it is about.
        operations: how many it has.
    """

    database: Database
    comment: str
    operations: int


@dataclass(frozen=True, slots=True)
class EngineReport:
    """The whole engine.

    Args:
        settled: nothing is dirty, in flight or put off.
        recomputes: how many times everything was marked.
        last_recompute: why it last was.
    """

    settled: bool
    recomputes: int
    last_recompute: str
    in_flight: tuple[FlightReport, ...]
    reconcilers: tuple[ReconcilerReport, ...]
