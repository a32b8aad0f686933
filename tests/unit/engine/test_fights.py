"""Another client that undoes what the engine writes: damped, reported, and forgiven."""

from typing import ClassVar

import pytest

from isthmus.engine.engine import Engine
from isthmus.engine.fights import DELAY_MOST, FREE, QUIET
from isthmus.engine.reconciler import Reconciler, Watch
from isthmus.engine.transactions import Committed, Transaction
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Insert, Operation, Update
from isthmus.model.reasons import Reason
from isthmus.model.rows import AvailabilityZone, Database, Row, RowId

EVERY = frozenset(Database)


class Zones(Reconciler[str]):
    """Keeps zones with nb_ic_cfg 1."""

    name: ClassVar[str] = "zones"
    writes: ClassVar[Database] = Database.IC_SB

    def __init__(self, view: View, *wanted: str) -> None:
        super().__init__()
        self._view, self.wanted = view, wanted

    def watches(self) -> dict[type[Row], Watch[str]]:
        return {AvailabilityZone: lambda change: [r.name for r in change.sides]}  # type: ignore[attr-defined]

    def keys(self) -> tuple[str, ...]:
        return self.wanted

    def reconcile(self, key: str) -> list[Operation]:
        row = next((r for r in self._view.table(AvailabilityZone) if r.name == key), None)
        if row is None:
            return [Insert(AvailabilityZone, {"name": key, "nb_ic_cfg": 1})]
        return [] if row.nb_ic_cfg == 1 else [Update(AvailabilityZone, row.uuid, {"nb_ic_cfg": 1})]


class Field:
    """An engine, its server, and another client; the test sets the time."""

    def __init__(self, *wanted: str) -> None:
        self.view = View()
        self.engine = Engine(self.view, [Zones(self.view, *wanted)])
        self.engine.recompute("test")
        self.now, self.written, self._serial = 0.0, 0, 0

    def rows(self) -> dict[str, AvailabilityZone]:
        return {row.name: row for row in self.view.table(AvailabilityZone)}

    def execute(self, transaction: Transaction, early: "tuple[str, ...]" = ()) -> None:
        """Run a transaction; rows `early` are deleted again before its answer is read."""
        changes = []
        for operation in transaction.operations:
            self.written += 1
            if isinstance(operation, Insert):
                self._serial += 1
                uuid = RowId(str(self._serial))
                row = AvailabilityZone(uuid=uuid, name=str(operation.row["name"]), nb_ic_cfg=1)
                changes.append(Change(None, row))
                changes += [Change(row, None)] * (row.name in early)
            elif isinstance(operation, Update):
                old = next(r for r in self.rows().values() if r.uuid == operation.uuid)
                new = AvailabilityZone(uuid=old.uuid, name=old.name, nb_ic_cfg=1)
                changes.append(Change(old, new))
        self.engine.apply(changes)
        self.engine.completed(transaction, Committed(), self.now)

    def settle(self, early: "tuple[str, ...]" = ()) -> None:
        for transaction in self.engine.plan(self.now, EVERY, EVERY):
            self.execute(transaction, early)

    def undo(self, *names: str, delete: bool = True) -> None:
        """What the other client does, as soon as it sees the rows."""
        changes = []
        for row in [row for name, row in self.rows().items() if name in names]:
            other = AvailabilityZone(uuid=row.uuid, name=row.name, nb_ic_cfg=2)
            if delete or row.nb_ic_cfg == 1:
                changes.append(Change(row, None if delete else other))
        self.engine.apply(changes)

    def fight(self, seconds: float, *names: str, delete: bool = True) -> int:
        """Fight for a time, in steps of a millisecond; how often rows were written."""
        before, end = self.written, self.now + seconds
        while self.now < end:
            self.undo(*names, delete=delete)
            self.settle()
            self.now += 0.001
        return self.written - before

    @property
    def reasons(self) -> list[Reason]:
        return [problem.reason for problem in self.engine.problems()]


@pytest.fixture
def field() -> Field:
    """A settled engine with two zones."""
    field = Field("az1", "az2")
    field.settle()
    field.settle()
    assert field.engine.settled()
    return field


@pytest.mark.parametrize("delete", [True, False], ids=["deletes", "changes"])
def test_a_row_that_is_undone_in_a_loop_is_set_back_ever_more_rarely(
    field: Field, delete: bool
) -> None:
    """Before, as often as the server could: hundreds of times in a second."""
    assert field.fight(2.0, "az1", delete=delete) >= FREE
    assert field.fight(60.0, "az1", delete=delete) <= 20
    assert field.fight(100.0, "az1", delete=delete) <= 100 / DELAY_MOST + 1


def test_a_row_that_goes_before_the_answer_is_read_counts_as_undone(field: Field) -> None:
    """A fast client deletes a row while its transaction is still in flight."""
    before = field.written
    for _ in range(1000):
        field.undo("az1")
        field.settle(early=("az1",))
        field.now += 0.001
    assert field.written - before <= FREE + 4


def test_the_first_repairs_are_made_at_once(field: Field) -> None:
    """Rows that are deleted by hand come back in the same turn."""
    for _ in range(FREE):
        field.undo("az1")
        field.settle()
        assert "az1" in field.rows()
    assert field.reasons == []


def test_other_rows_are_not_delayed(field: Field) -> None:
    """A fight for one row leaves the others as quick as ever."""
    field.fight(5.0, "az1")
    field.undo("az2")
    field.settle()
    assert "az2" in field.rows()


def test_one_problem_stays_as_long_as_the_fight_goes_on(field: Field) -> None:
    """It does not come and go with each repair."""
    field.fight(1.0, "az1", "az2")
    for _ in range(60):
        field.fight(1.0, "az1", "az2")
        [problem] = field.engine.problems()
        assert problem.reason is Reason.ROWS_OVERWRITTEN
        assert (problem.object, problem.key) == (
            "database OVN_IC_Southbound", "table Availability_Zone"
        )  # fmt: skip


def test_a_fight_ends(field: Field) -> None:
    """The row is there for good, the problem goes, and the next repair is made at once."""
    field.fight(30.0, "az1")
    while "az1" not in field.rows():
        due = field.engine.next_wakeup()
        assert due is not None
        field.now = max(field.now, due)
        field.settle()
    field.settle()
    assert field.reasons == [Reason.ROWS_OVERWRITTEN]
    assert field.engine.next_wakeup() == pytest.approx(field.now + QUIET)
    field.now += QUIET
    field.settle()
    assert field.reasons == []
    assert field.engine.settled()
    assert field.engine.next_wakeup() is None
    field.undo("az1")
    field.settle()
    assert "az1" in field.rows()


def test_a_key_that_waits_is_not_settled(field: Field) -> None:
    """What is derived from a settled engine must wait for it; `engine show` counts it."""
    field.fight(5.0, "az1")
    field.undo("az1")
    field.settle()
    assert not field.engine.settled()
    assert not field.engine.quiet(Database.IC_SB)
    [zones] = field.engine.report(EVERY, EVERY).reconcilers
    assert (zones.put_off, zones.dirty) == (1, 0)
