"""What the engine guarantees about operations that its veto objects to."""

from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar

import pytest

from isthmus.engine.engine import Engine
from isthmus.engine.reconciler import Reconciler, Veto
from isthmus.engine.transactions import Committed
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Insert, Operation
from isthmus.model.problems import Problem
from isthmus.model.rows import AvailabilityZone, Database, NbGlobal, Row, RowId

EVERY = frozenset(Database)
HARMFUL = Problem("zone", "name", "bad", "would do harm", "fix it")


class Zones(Reconciler[str]):
    """Inserts a zone for each key."""

    name: ClassVar[str] = "zones"
    writes: ClassVar[Database] = Database.IC_SB

    def keys(self) -> Iterable[str]:
        return ("bad", "good")

    def reconcile(self, key: str) -> Iterable[Operation]:
        return [Insert(AvailabilityZone, {"name": key})]


class NoBadZones(Veto):
    """Objects to the zone `bad` while `objects` is set."""

    name: ClassVar[str] = "no bad zones"
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal,)
    objects: Collection[Problem] | None = (HARMFUL,)

    def objections(self, operations: Sequence[Operation]) -> Collection[Problem] | None:
        bad = any(isinstance(op, Insert) and op.row["name"] == "bad" for op in operations)
        return self.objects if bad else None


@pytest.fixture
def veto() -> NoBadZones:
    """A veto that objects."""
    return NoBadZones()


@pytest.fixture
def engine(veto: NoBadZones) -> Engine:
    """An engine with it, that has committed what it may."""
    engine = Engine(View(), [veto, Zones()])
    engine.recompute("test")
    (sent,) = engine.plan(0.0, EVERY, EVERY)
    assert [key for _, key in sent.work] == ["good"]
    engine.completed(sent, Committed(), 0.0)
    return engine


def planned(engine: Engine) -> list[str]:
    """The keys that the engine sends next."""
    return [key for sent in engine.plan(0.0, EVERY, EVERY) for _, key in sent.work]


def test_a_held_key_is_reported_and_not_tried_again_by_itself(engine: Engine) -> None:
    """Nothing is in flight or dirty because of it, and its problem is shown."""
    engine.reconcilers[1].dirty.clear()
    assert planned(engine) == []
    assert (engine.settled(), engine.problems()) == (True, [HARMFUL])
    assert engine.report(EVERY, EVERY).reconcilers[1].held == 1


@pytest.mark.parametrize("cause", ["a table that it watches", "its own mark"])
def test_a_held_key_goes_on_when_the_objection_is_gone(
    engine: Engine, veto: NoBadZones, cause: str
) -> None:
    """A change of the veto's tables or a mark (by inputs) has it handled again."""
    engine.reconcilers[1].dirty.clear()
    veto.objects = None
    if cause == "its own mark":
        veto.mark(veto.keys())
    else:
        engine.apply([Change(None, NbGlobal(uuid=RowId("g")))])
    assert planned(engine) == ["bad"]
    assert engine.problems() == []


def test_what_the_reconciler_found_is_the_cause(engine: Engine) -> None:
    """The veto's problem is a symptom, and not shown next to the cause."""
    cause = Problem("zone", "", "", "is misspelt", "fix it")
    engine.reconcilers[1].report("bad", cause)
    assert engine.problems() == [cause]


def test_what_waits_for_the_expected_is_no_problem(veto: NoBadZones) -> None:
    """An objection without problems holds the key in silence."""
    veto.objects = ()
    engine = Engine(View(), [veto, Zones()])
    engine.recompute("test")
    assert planned(engine) == ["good"]
    assert engine.problems() == []
