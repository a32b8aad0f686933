"""What an engine reports about itself."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import ClassVar

from isthmus.engine.engine import BATCH, Engine
from isthmus.engine.reconciler import DerivedState, Edge, Reconciler, Watch
from isthmus.engine.report import ReconcilerReport
from isthmus.engine.transactions import Committed, Failed
from isthmus.engine.view import View
from isthmus.inspect.engine_text import report_text
from isthmus.model.changes import Change
from isthmus.model.operations import Delete, Operation
from isthmus.model.rows import AvailabilityZone, Database, Row, RowId

EVERY = frozenset(Database)


class Remover(Reconciler[str]):
    """Deletes the zones of its wanted names, once each."""

    name: ClassVar[str] = "zones"
    writes: ClassVar[Database] = Database.IC_SB

    def __init__(self) -> None:
        super().__init__()
        self.wanted: set[str] = set()

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {AvailabilityZone: lambda change: [change.row.uuid]}

    def keys(self) -> Iterable[str]:
        return self.wanted

    def reconcile(self, key: str) -> Iterable[Operation]:
        if key in self.wanted:
            yield Delete(AvailabilityZone, RowId(key))


class Deriver(DerivedState[str, str]):
    """Reports each of its keys as changed."""

    name: ClassVar[str] = "names"

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {}

    def keys(self) -> Iterable[str]:
        return ()

    def derive(self, key: str) -> Iterable[str]:
        return (key,)


def engine_of() -> tuple[Engine, Deriver, Remover]:
    """An engine whose clock advances a second at each reading."""
    deriver, remover = Deriver(), Remover()
    edge, ticks = Edge(deriver, remover, lambda key: (key,)), count()
    engine = Engine(View(), [deriver, remover], [edge], clock=lambda: float(next(ticks)))
    return engine, deriver, remover


def of(engine: Engine, writable: frozenset[Database] = EVERY) -> ReconcilerReport:
    """The report on the remover."""
    return engine.report(writable, EVERY).reconcilers[1]


def test_work_is_counted_and_timed() -> None:
    """Keys, operations and time add up, for the reconciler that spent them."""
    engine, _, remover = engine_of()
    remover.wanted = {"a", "b"}
    remover.mark(["a", "b", "c"])
    engine.plan(0.0, EVERY, EVERY)
    report = of(engine)
    assert (report.handled, report.operations, report.seconds) == (3, 2, 1.0)
    assert engine.report(EVERY, EVERY).in_flight[0].operations == 2


def test_the_last_reason_is_named() -> None:
    """A change of a table, another reconciler, a recompute, the end of a transaction."""
    engine, deriver, remover = engine_of()
    engine.recompute("start")
    assert of(engine).last_reason == "recompute: start"
    engine.apply([Change(None, AvailabilityZone(uuid=RowId("a")))])
    assert of(engine).last_reason == "a change of OVN_IC_Southbound Availability_Zone"
    engine.plan(0.0, EVERY, EVERY)
    deriver.mark(["b"])
    remover.wanted = {"b"}
    (transaction,) = engine.plan(0.0, EVERY, EVERY)
    assert of(engine).last_reason == "derived: names"
    engine.completed(transaction, Committed(), 0.0)
    assert of(engine).last_reason == "its transaction took effect"


def test_obstacles_are_named() -> None:
    """A missing lock or connection, a transaction in flight, and a database that was not read."""
    engine, _, remover = engine_of()
    remover.wanted = {"a", "b"}
    remover.mark(["a"])
    assert of(engine, frozenset()).waits_for == (
        "OVN_IC_Southbound: not connected, or without the lock",
    )
    engine.plan(0.0, EVERY, EVERY)
    remover.mark(["b"])
    assert of(engine).waits_for == ("OVN_IC_Southbound: a transaction is in flight",)
    unread = engine.report(EVERY, EVERY - {Database.NB}).reconcilers[1]
    assert unread.waits_for[0] == "OVN_Northbound: not read yet"
    assert "zones: 1 key waiting for" in report_text(engine.report(EVERY, EVERY))


def test_refused_keys_are_counted() -> None:
    """A key that the server refused is put off, and the report says so."""
    engine, _, remover = engine_of()
    remover.wanted = {"a"}
    remover.mark(["a"])
    (transaction,) = engine.plan(0.0, EVERY, EVERY)
    engine.completed(transaction, Failed("constraint violation", ""), 0.0)
    assert (of(engine).put_off, engine.report(EVERY, EVERY).settled) == (1, False)
    assert "refused by the server" in report_text(engine.report(EVERY, EVERY))


def test_operations_do_not_wait_for_all_keys() -> None:
    """After a batch of keys, operations go out before further settled keys are handled."""
    engine, _, remover = engine_of()
    remover.wanted = {"first"}
    remover.mark(["first", *map(str, range(5 * BATCH))])
    (transaction,) = engine.plan(0.0, EVERY, EVERY)
    assert len(transaction.work) == 1
    assert remover.handled == BATCH
