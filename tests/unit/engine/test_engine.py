"""What the engine guarantees, one test each, with reconcilers that the test controls."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import ClassVar

import pytest

from isthmus.engine.engine import BACKOFF_MOST, BATCH, Engine
from isthmus.engine.reconciler import (
    DerivedState,
    Edge,
    Only,
    Reconciler,
    SingleKey,
    Watch,
    edges_to_all_keys,
)
from isthmus.engine.transactions import Committed, Failed, Transaction, TryAgain
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Insert, Operation
from isthmus.model.problems import Problem
from isthmus.model.rows import AvailabilityZone, Database, NbGlobal, Row, RowId

EVERY = frozenset(Database)
REFUSED = Failed("constraint violation", "too bad")


class Writer(Reconciler[str]):
    """Keeps one zone of IC-SB per key in `wanted`."""

    name: ClassVar[str] = "zones"
    writes: ClassVar[Database] = Database.IC_SB

    def __init__(self, *wanted: str) -> None:
        super().__init__()
        self.wanted = dict.fromkeys(wanted)
        self.asked: list[str] = []
        self.batches = 0

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {AvailabilityZone: self._named}

    def keys(self) -> Iterable[str]:
        return tuple(self.wanted)

    def reconcile(self, key: str) -> Iterable[Operation]:
        self.asked.append(key)
        if key in self.wanted:
            yield Insert(AvailabilityZone, {"name": key})

    def batch_done(self) -> None:
        self.batches += 1

    @staticmethod
    def _named(change: Change) -> Iterable[str]:
        return [row.name for row in change.sides if isinstance(row, AvailabilityZone)]


class NbWriter(Writer):
    """The same for another database, whose contents it needs alone."""

    name: ClassVar[str] = "globals"
    writes: ClassVar[Database] = Database.NB
    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB})

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {}


class IndependentWriter(Writer):
    """A reconciler whose keys do not depend on each other."""

    independent: ClassVar[bool] = True


class OnlyWriter(SingleKey, Reconciler[Only]):
    """Has just one object, and always inserts it."""

    name: ClassVar[str] = "options"
    writes: ClassVar[Database] = Database.IC_SB

    def reconcile(self, key: Only) -> Iterable[Operation]:
        return [Insert(AvailabilityZone, {"name": str(key)})]


class Deriver(DerivedState[str, str]):
    """Reports each zone whose row changed as changed."""

    name: ClassVar[str] = "derived"

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {AvailabilityZone: Writer._named}

    def keys(self) -> Iterable[str]:
        return ()

    def derive(self, key: str) -> Iterable[str]:
        self.asked.append(key)
        return (key,)


class PatientDeriver(Deriver):
    """The same, once a database has been read in full."""

    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB})


class LastWriter(Writer):
    """Writes to NB after everything for IC-SB is written."""

    name: ClassVar[str] = "last"
    writes: ClassVar[Database] = Database.NB
    after: ClassVar[frozenset[Database]] = frozenset({Database.IC_SB})


def engine_of(*reconcilers: Writer) -> Engine:
    """An engine with everything marked."""
    engine = Engine(View(), reconcilers)
    engine.recompute("test")
    return engine


def plan(engine: Engine, now: float = 0.0) -> list[Transaction]:
    """A plan with all databases at hand; never two transactions for one of them."""
    planned = engine.plan(now, EVERY, EVERY)
    databases = [transaction.database for transaction in planned]
    assert len(set(databases)) == len(databases)
    return planned


def keys_of(transaction: Transaction) -> list[str]:
    """The keys that a transaction is for."""
    return [key for _, key in transaction.work]


def commit(engine: Engine, writer: Writer, transaction: Transaction) -> None:
    """Let a transaction succeed: what it wanted is there."""
    for key in keys_of(transaction):
        writer.wanted.pop(key, None)
    engine.completed(transaction, Committed(), 0.0)


def fail_alone(engine: Engine, writer: Writer, now: float = 0.0) -> Transaction:
    """Have the writer's only key refused."""
    (transaction,) = plan(engine, now)
    assert len(transaction.work) == 1
    engine.completed(transaction, REFUSED, now)
    return transaction


def zone_added(name: str) -> Change:
    """A zone's row that another client inserted."""
    return Change(None, AvailabilityZone(uuid=RowId(f"row of {name}"), name=name))


def derived_engine(state: Deriver, writer: Writer) -> Engine:
    """An engine in which changes of a state mark the same keys of a writer."""
    return Engine(View(), [state, writer], [Edge(state, writer, lambda key: (key,))])


def test_derived_state_is_followed_in_the_same_plan() -> None:
    """Keys that a derived state affects are written by the plan that derived it."""
    writer = Writer()
    engine = derived_engine(Deriver(), writer)
    writer.wanted["a"] = None
    engine.apply([zone_added("a")])
    (transaction,) = plan(engine)
    assert keys_of(transaction) == ["a"]


def test_derived_state_waits_for_the_databases_that_it_needs() -> None:
    """It is not derived from rows of a database that has not been read in full."""
    state, writer = PatientDeriver(), Writer()
    engine = derived_engine(state, writer)
    engine.apply([zone_added("a")])
    engine.plan(0.0, EVERY, EVERY - {Database.NB})
    assert state.asked == []
    assert not engine.settled()
    engine.plan(0.0, (), EVERY)
    assert state.asked == ["a"]


def test_edges_go_forward() -> None:
    """A state that comes after what depends on it is refused, since its changes would be late."""
    one, two = Deriver(), Deriver()
    Engine(View(), [one, two], [Edge(one, two, lambda key: (key,))])
    with pytest.raises(ValueError, match="comes after"):
        Engine(View(), [two, one], [Edge(one, two, lambda key: (key,))])


def test_all_keys_may_depend_on_a_state() -> None:
    """Any change of a state marks all keys of the targets that depend on all of it."""
    state, one, two = Deriver(), Writer("a"), NbWriter("b", "c")
    engine = Engine(View(), [state, one, two], edges_to_all_keys(state, one, two))
    state.mark(["x"])
    assert [keys_of(transaction) for transaction in plan(engine)] == [["a"], ["b", "c"]]


def test_what_comes_last_waits_for_other_databases_to_be_quiet() -> None:
    """It waits while anything is dirty, in flight or put off there, and no longer."""
    first, last = Writer("a"), LastWriter("z")
    engine = engine_of(first, last)
    (transaction,) = plan(engine)
    assert keys_of(transaction) == ["a"]
    assert not engine.quiet(Database.IC_SB)
    assert plan(engine) == []
    engine.completed(transaction, REFUSED, 0.0)
    assert plan(engine, -1.0) == []
    (transaction,) = plan(engine)
    commit(engine, first, transaction)
    (transaction,) = plan(engine)
    assert keys_of(transaction) == ["z"]
    assert engine.quiet(Database.IC_SB)


def test_those_that_come_last_do_not_wait_for_each_other() -> None:
    """Two that each write where the other waits both get their turn."""

    class OtherLast(Writer):
        after: ClassVar[frozenset[Database]] = EVERY

    last, other = LastWriter("a"), OtherLast("b")
    engine = engine_of(last, other)
    (transaction,) = plan(engine)
    assert keys_of(transaction) == ["a"]
    commit(engine, last, transaction)
    (transaction,) = plan(engine)
    assert keys_of(transaction) == ["b"]


def test_writers_share_a_transaction_in_their_order() -> None:
    """One transaction per database holds the work of all its reconcilers, in their order."""
    one, two, other = Writer("a"), Writer("b"), NbWriter("c")
    planned = plan(engine_of(one, other, two))
    assert [(t.database, keys_of(t)) for t in planned] == [
        (Database.IC_SB, ["a", "b"]),
        (Database.NB, ["c"]),
    ]
    assert planned[0].comment == "isthmus: zones"


def test_what_becomes_dirty_in_flight_waits_for_the_end() -> None:
    """While a transaction is in flight its database gets no other; afterwards it gets the rest."""
    writer = Writer("a")
    engine = engine_of(writer)
    (first,) = plan(engine)
    writer.wanted["b"] = None
    engine.apply([zone_added("b")])
    assert plan(engine) == []
    commit(engine, writer, first)
    (second,) = plan(engine)
    assert "b" in keys_of(second)


def test_keys_that_do_not_depend_on_each_other_do_not_wait() -> None:
    """The next transaction follows at once, without the keys in flight; a third does not."""
    writer = IndependentWriter("a")
    engine = engine_of(writer)
    (first,) = plan(engine)
    writer.wanted["b"] = None
    engine.apply([zone_added("a"), zone_added("b")])
    (second,) = plan(engine)
    assert keys_of(second) == ["b"]
    writer.wanted["c"] = None
    engine.apply([zone_added("c")])
    assert plan(engine) == []
    commit(engine, writer, first)
    (third,) = plan(engine)
    assert keys_of(third) == ["c"]
    assert writer.asked == ["a", "b", "a", "c"]


def test_others_get_their_turn_before_independent_keys_go_on() -> None:
    """A reconciler with dirty keys does not wait for one that may run ahead."""
    writer, other = IndependentWriter("a"), Writer()
    engine = engine_of(writer, other)
    (first,) = plan(engine)
    writer.wanted["b"], other.wanted["z"] = None, None
    writer.mark(["b"])
    other.mark(["z"])
    assert plan(engine) == []
    commit(engine, writer, first)
    (second,) = plan(engine)
    assert keys_of(second) == ["b", "z"]


def test_what_ran_ahead_is_tried_again_with_what_was_refused() -> None:
    """The keys of each of two lost transactions in flight are marked again."""
    writer = IndependentWriter("a")
    engine = engine_of(writer)
    (first,) = plan(engine)
    writer.wanted["b"] = None
    writer.mark(["b"])
    (second,) = plan(engine)
    engine.completed(first, TryAgain(), 0.0)
    engine.completed(second, TryAgain(), 0.0)
    (again,) = plan(engine)
    assert keys_of(again) == ["a", "b"]
    engine.abandon(Database.IC_SB)
    (again,) = plan(engine)
    assert keys_of(again) == ["a", "b"]


def test_other_databases_do_not_wait() -> None:
    """A slow database delays only its own writers."""
    slow, quick = Writer("a"), NbWriter("b")
    engine = engine_of(slow, quick)
    first = plan(engine)
    commit(engine, quick, first[1])
    quick.wanted["c"] = None
    quick.mark(["c"])
    slow.mark(["d"])
    assert [t.database for t in plan(engine)] == [Database.NB]


def test_a_batch_is_bounded() -> None:
    """More keys than BATCH go out in several transactions."""
    writer = Writer(*(str(number) for number in range(BATCH + 7)))
    engine = engine_of(writer)
    (first,) = plan(engine)
    assert len(first.work) == BATCH
    commit(engine, writer, first)
    (second,) = plan(engine)
    assert len(second.work) == 7


def test_a_committed_key_is_handled_once_more() -> None:
    """After the commit the engine handles the key again, finds nothing to do, and is settled."""
    writer = Writer("a")
    engine = engine_of(writer)
    (transaction,) = plan(engine)
    commit(engine, writer, transaction)
    assert not engine.settled()
    assert plan(engine) == []
    assert writer.asked == ["a", "a"]
    assert engine.settled()


def test_one_bad_key_does_not_delay_the_others() -> None:
    """A refused batch is tried key by key: the good ones commit, the bad one is reported."""
    writer = Writer("a", "bad", "c")
    engine = engine_of(writer)
    (batch,) = plan(engine)
    engine.completed(batch, REFUSED, 0.0)
    assert engine.problems() == []
    alone = []
    for _ in range(3):
        (transaction,) = plan(engine)
        alone.append(keys_of(transaction))
        if keys_of(transaction) == ["bad"]:
            engine.completed(transaction, REFUSED, 0.0)
        else:
            commit(engine, writer, transaction)
    assert alone == [["a"], ["bad"], ["c"]]
    assert engine.problems() == []  # it may have been a lost race
    (transaction,) = plan(engine)
    engine.completed(transaction, REFUSED, 0.0)
    (problem,) = engine.problems()
    assert (problem.object, problem.key, problem.value) == (
        "database OVN_IC_Southbound",
        "zones",
        "bad",
    )
    assert problem.message == "the database's schema does not allow a value; it will be retried"


def test_a_refusal_of_the_only_object_has_no_value() -> None:
    """The name of the reconciler says it all, so its empty key is not shown."""
    writer = OnlyWriter()
    engine = Engine(View(), [writer])
    writer.mark(writer.keys())
    for _ in range(2):
        (transaction,) = plan(engine)
        engine.completed(transaction, REFUSED, 0.0)
    (problem,) = engine.problems()
    assert problem.where == "database OVN_IC_Southbound: options"


def test_a_refusal_for_lack_of_permission_is_reported_as_such() -> None:
    """A refusal by the authorizing proxy is a problem of its own, with the answer and a remedy."""
    engine = engine_of(Writer("other's"))
    refused = Failed("permission error", "zone az3 may not: insert Availability_Zone")
    for _ in range(2):
        (transaction,) = plan(engine)
        engine.completed(transaction, refused, 0.0)
    (problem,) = engine.problems()
    assert problem.reason == "NotPermitted"
    assert "zone az3 may not: insert Availability_Zone" in problem.message
    assert "isthmus ic-db status" in problem.remedy


def test_backoff_starts_at_once_and_grows_to_a_bound() -> None:
    """A key that stays bad is tried again at once, then less often, down to a bound."""
    writer = Writer("bad")
    engine = engine_of(writer)
    now, waits = 0.0, []
    for _ in range(12):
        fail_alone(engine, writer, now)
        due = engine.next_wakeup()
        assert due is not None
        waits.append(round(due - now, 6))
        now = due
    assert waits[0] == 0.0
    assert all(earlier <= later for earlier, later in pairwise(waits))
    assert waits[1] > 0.0
    assert waits[-1] == BACKOFF_MOST


def test_a_key_put_off_is_not_tried_before_its_time() -> None:
    """Between two attempts nothing is sent, and the engine is not settled."""
    writer = Writer("bad")
    engine = engine_of(writer)
    fail_alone(engine, writer)
    fail_alone(engine, writer)
    due = engine.next_wakeup()
    assert due is not None
    assert plan(engine, due - 0.01) == []
    assert not engine.settled()
    assert len(plan(engine, due)) == 1


def test_a_change_has_a_bad_key_tried_at_once() -> None:
    """A change for the key ends the delay, and a commit ends the problem."""
    writer = Writer("bad")
    engine = engine_of(writer)
    fail_alone(engine, writer)
    fail_alone(engine, writer)
    engine.apply([zone_added("bad")])
    (transaction,) = plan(engine)
    assert len(engine.problems()) == 1
    commit(engine, writer, transaction)
    assert engine.problems() == []
    assert plan(engine) == []
    assert engine.settled()


def test_a_bad_key_that_is_no_longer_wanted_is_dropped() -> None:
    """When nothing is left to do for it, its problem and its timer are gone."""
    writer = Writer("bad")
    engine = engine_of(writer)
    fail_alone(engine, writer)
    writer.wanted.clear()
    engine.apply([zone_added("bad")])
    assert plan(engine) == []
    assert engine.problems() == []
    assert engine.next_wakeup() is None
    assert engine.settled()


def test_a_bad_key_and_good_keys_go_out_one_after_the_other() -> None:
    """A bad key that changes together with good ones never makes two transactions at once."""
    writer = Writer("bad")
    engine = engine_of(writer)
    fail_alone(engine, writer)
    fail_alone(engine, writer)
    writer.wanted["good"] = None
    engine.apply([zone_added("good"), zone_added("bad")])
    (first,) = plan(engine)
    assert keys_of(first) == ["bad"]
    engine.completed(first, REFUSED, 0.0)
    (second,) = plan(engine)
    assert keys_of(second) == ["good"]


def test_a_bad_key_that_needs_nothing_delays_no_others() -> None:
    """If the retry of a refused key turns out to be unnecessary, the same plan has the others."""
    writer = Writer("bad")
    engine = engine_of(writer)
    fail_alone(engine, writer)
    writer.wanted = {"good": None}
    engine.apply([zone_added("good"), zone_added("bad")])
    (transaction,) = plan(engine)
    assert keys_of(transaction) == ["good"]


def test_waiting_for_a_server_does_not_pile_up_work() -> None:
    """A bad key whose server was down for long is tried once when the server is back."""
    writer = Writer("bad")
    engine = engine_of(writer)
    fail_alone(engine, writer)
    for turn in range(20):
        assert engine.plan(turn * 2 * BACKOFF_MOST, (), EVERY) == []
    writer.asked.clear()
    writer.wanted.clear()
    assert plan(engine, 1000.0) == []
    assert writer.asked == ["bad"]


def test_a_lost_race_is_run_again() -> None:
    """TryAgain marks the keys, reports nothing and waits for nothing."""
    writer = Writer("a", "b")
    engine = engine_of(writer)
    (transaction,) = plan(engine)
    engine.completed(transaction, TryAgain(), 0.0)
    assert engine.problems() == []
    assert engine.next_wakeup() is None
    (again,) = plan(engine)
    assert keys_of(again) == ["a", "b"]


def test_an_abandoned_transaction_is_run_again() -> None:
    """When a database is replaced under a transaction, its keys go to the new one."""
    writer = Writer("a")
    engine = engine_of(writer)
    plan(engine)
    engine.abandon(Database.IC_SB)
    engine.abandon(Database.NB)
    assert writer.batches == 1
    (again,) = plan(engine)
    assert keys_of(again) == ["a"]


@pytest.mark.parametrize("result", [Committed(), TryAgain(), REFUSED])
def test_the_end_of_a_batch_is_reported(result: Committed | TryAgain | Failed) -> None:
    """However a transaction ends, `batch_done` is called once for each of its reconcilers."""
    writer = Writer("a", "b")
    engine = engine_of(writer)
    (transaction,) = plan(engine)
    engine.completed(transaction, result, 0.0)
    assert writer.batches == 1


def test_nothing_is_written_where_nothing_can_be() -> None:
    """Without a writable database keys stay dirty and are not handled."""
    writer = Writer("a")
    engine = engine_of(writer)
    assert engine.plan(0.0, EVERY - {Database.IC_SB}, EVERY) == []
    assert writer.asked == []
    assert not engine.settled()
    assert len(plan(engine)) == 1


def test_nothing_is_written_before_needed_databases_are_read() -> None:
    """A writer waits for the databases that it needs, and for no others."""
    patient, quick = Writer("a"), NbWriter("b")
    engine = engine_of(patient, quick)
    planned = engine.plan(0.0, EVERY, {Database.NB})
    assert [t.database for t in planned] == [Database.NB]
    engine.completed(planned[0], TryAgain(), 0.0)
    assert Database.IC_SB in [t.database for t in plan(engine)]


def test_a_retry_waits_for_needed_databases_too() -> None:
    """A retry is not made while a database that its writer needs is being replaced."""

    class Needy(NbWriter):
        needs: ClassVar[frozenset[Database]] = EVERY

    needy, quick = Needy("bad"), NbWriter()
    engine = engine_of(needy, quick)
    fail_alone(engine, needy)
    quick.wanted["good"] = None
    quick.mark(["good"])
    known = EVERY - {Database.IC_SB}
    (transaction,) = engine.plan(50.0, EVERY, known)
    assert keys_of(transaction) == ["good"]
    commit(engine, quick, transaction)
    assert engine.plan(51.0, EVERY, known) == []
    (retried,) = plan(engine, 52.0)
    assert keys_of(retried) == ["bad"]


def test_recompute_is_all_keys() -> None:
    """It marks every key again, and records the reason and the number."""
    writer = Writer("a", "b")
    engine = engine_of(writer)
    (transaction,) = plan(engine)
    engine.completed(transaction, Committed(), 0.0)
    plan(engine)
    writer.asked.clear()
    engine.recompute("because")
    assert list(writer.dirty) == ["a", "b"]
    assert (engine.last_recompute, engine.recomputes) == ("because", 2)


def test_watchers_see_the_whole_update() -> None:
    """Watches are called when the view has followed all changes, not only the first."""
    seen: list[int] = []
    view = View()

    class Counter(Writer):
        def watches(self) -> Mapping[type[Row], Watch[str]]:
            def count(change: Change) -> Iterable[str]:
                seen.append(len(view.table(AvailabilityZone)))
                return ()

            return {AvailabilityZone: count}

    engine = Engine(view, [Counter()])
    engine.apply([zone_added("a"), zone_added("b")])
    assert seen == [2, 2]


def test_only_watched_tables_mark() -> None:
    """A change of a table that no reconciler watches marks nothing."""
    writer = Writer()
    engine = engine_of(writer)
    engine.apply([Change(None, NbGlobal(uuid=RowId("g")))])
    assert engine.settled()


def reports(keyed: Writer | Deriver, *values: str) -> None:
    """Have one problem per value."""
    for value in values:
        keyed.report(value, Problem("zone", "name", value, "is odd", "change it"))


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_problems_come_in_a_stable_order(order: tuple[str, str]) -> None:
    """The order does not depend on what came first; equal problems are listed once."""
    one, two = Writer(), NbWriter()
    engine = engine_of(one, two)
    plan(engine)
    reports(one, *order)
    reports(two, *order)
    assert [problem.value for problem in engine.problems()] == ["a", "b"]
    one.report("a")
    two.report("a")
    assert [problem.value for problem in engine.problems()] == ["b"]


def test_what_is_found_without_a_database_is_a_symptom() -> None:
    """Neither what needs it nor what follows its tables is reported until it has been read."""
    writer, nb_writer, deriver = Writer(), NbWriter(), Deriver()
    engine = Engine(View(), (deriver, writer, nb_writer))
    reports(writer, "a")
    reports(nb_writer, "b")
    reports(deriver, "c")
    shown = []
    for missing in (Database.IC_SB, Database.IC_NB, Database.NB):
        engine.plan(0.0, EVERY, EVERY - {missing})
        shown.append([problem.value for problem in engine.problems()])
    assert shown == [["b"], ["b", "c"], ["c"]]
    plan(engine)
    assert [problem.value for problem in engine.problems()] == ["a", "b", "c"]
