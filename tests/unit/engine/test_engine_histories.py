"""The engine under random events, refusals, lost races and lost connections."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from isthmus.engine.engine import Engine
from isthmus.engine.reconciler import Reconciler, Watch
from isthmus.engine.transactions import Failed, Result, Transaction, TryAgain
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Delete, Insert, Operation
from isthmus.model.rows import AvailabilityZone, Database, Row
from support.fakes.ovsdb import FakeDatabase

IC_SB = Database.IC_SB
HERE = (Database.NB, IC_SB)


class Zones(Reconciler[str]):
    """Keeps exactly one IC-SB zone per name in `wanted`, among the names that it is given."""

    name: ClassVar[str] = "zones"
    writes: ClassVar[Database] = IC_SB
    needs: ClassVar[frozenset[Database]] = frozenset(HERE)

    def __init__(self, view: View, names: str, wanted: set[str]) -> None:
        super().__init__()
        self.rows = view.table(AvailabilityZone)
        self.names, self.wanted = names, wanted

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {AvailabilityZone: self._changed}

    def keys(self) -> Iterable[str]:
        return self.names

    def reconcile(self, key: str) -> Iterable[Operation]:
        row = next((row for row in self.rows if row.name == key), None)
        if key in self.wanted and row is None:
            yield Insert(AvailabilityZone, {"name": key})
        if key not in self.wanted and row is not None:
            yield Delete(AvailabilityZone, row.uuid)

    def _changed(self, change: Change) -> Iterable[str]:
        sides = (side for side in change.sides if isinstance(side, AvailabilityZone))
        return [side.name for side in sides if side.name in self.names]


class IndependentZones(Zones):
    """The same, with keys that do not depend on each other."""

    independent: ClassVar[bool] = True


class World:
    """A database, an engine with two reconcilers of a kind, and everything that can go wrong."""

    def __init__(self, kind: type[Zones]) -> None:
        self.view = View()
        self.wanted: set[str] = set()
        self.zones = [kind(self.view, "abc", self.wanted), kind(self.view, "de", self.wanted)]
        self.engine = Engine(self.view, self.zones)
        self.database = FakeDatabase(IC_SB)
        self.feed = self.database.observe()
        self.in_flight: list[tuple[Transaction, Result]] = []
        self.now = 0.0

    def want(self, name: str) -> None:
        """Change what is wanted, and mark it."""
        self.wanted ^= {name}
        for zones in self.zones:
            if name in zones.names:
                zones.mark([name])

    def interfere(self, name: str) -> None:
        """Another client inserts a zone, or deletes it."""
        row = next((r for r in self.database.rows(AvailabilityZone) if r["name"] == name), None)
        operation = Delete(AvailabilityZone, row["_uuid"]) if row else None
        self.database.transact([operation or Insert(AvailabilityZone, {"name": name})])

    def follow(self) -> None:
        """Apply the changes so far."""
        self.engine.apply(tuple(self.feed))
        self.feed.clear()

    def send(self, how: str) -> None:
        """Plan, and have the server commit the transaction, refuse it, or lose it."""
        synced = {IC_SB} if how == "moving" else set(HERE)
        writable = set() if how == "away" else set(HERE)
        planned = self.engine.plan(self.now, writable, synced)
        sent = [work for transaction, _ in self.in_flight for work in transaction.work]
        assert not planned or not sent or sent[0][0].independent
        assert not {work for t in planned for work in t.work}.intersection(sent)
        for transaction in planned:
            lost: dict[str, Result] = {"race": TryAgain(), "refuse": Failed("no", "never")}
            result = lost.get(how) or self.database.transact(transaction.operations)
            self.in_flight.append((transaction, result))

    def finish(self) -> None:
        """The reply comes, after the changes."""
        self.follow()
        for transaction, result in self.in_flight:
            self.engine.completed(transaction, result, self.now)
        self.in_flight.clear()

    def lose(self) -> None:
        """Give up the connection, without a result for the transaction."""
        self.engine.abandon(IC_SB)
        self.in_flight.clear()

    def settle(self) -> None:
        """From now on everything works."""
        for _ in range(100):
            self.finish()
            self.send("take")
            if not self.in_flight:
                due = self.engine.next_wakeup()
                if due is None:
                    return
                self.now = due
        raise AssertionError("not settled")


EVENT = st.one_of(
    st.tuples(st.just("want"), st.sampled_from("abcde")),
    st.tuples(st.just("interfere"), st.sampled_from("abcde")),
    st.tuples(st.just("send"), st.sampled_from(["take", "race", "refuse", "moving", "away"])),
    st.tuples(st.sampled_from(["follow", "finish", "lose", "wait"]), st.just("")),
)


@given(st.sampled_from([Zones, IndependentZones]), st.lists(EVENT, max_size=40))
def test_it_always_converges(kind: type[Zones], history: list[tuple[str, str]]) -> None:
    """After any history exactly the wanted zones exist, and no work and no problem is left."""
    world = World(kind)
    for event, argument in history:
        if event == "wait":
            world.now += 1.0
        elif argument:
            getattr(world, event)(argument)
        else:
            getattr(world, event)()
    world.settle()
    assert {row["name"] for row in world.database.rows(AvailabilityZone)} == world.wanted
    assert world.engine.settled()
    assert world.engine.problems() == []
