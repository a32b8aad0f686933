"""What the engine runs: reconcilers, derived state, and the edges between them.

Both kinds work key by key, a key being the name of one object. A `Reconciler` returns the
operations that make an object as wanted. A `DerivedState` keeps values that reconcilers read, and
returns what changed in them. An `Edge` says which keys that change affects; the wiring declares
all edges. What a key leads to must depend on the view and on derived state alone, never on having
seen an event: a full recompute is "all keys". A `Veto` has the last word about what is written.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from isthmus.model.changes import Change
from isthmus.model.operations import Operation
from isthmus.model.problems import Problem
from isthmus.model.rows import Database, Row

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")

Watch: TypeAlias = Callable[[Change], Iterable[K]]
"""Names the keys that a change of one table may affect; called after the view has followed the
change and all other changes of the same update."""


class Keyed(ABC, Generic[K]):
    """What reconcilers and derived state have in common.

    Attributes:
        name: as shown to users and used in transaction comments, e.g. "learned routes".
        needs: the databases that must have been read in full before a key is handled, so that
            what is not known yet is not mistaken for what does not exist.
        dirty: the keys to handle.
        problems: by key.
        handled, operations, seconds, last_reason: kept by the engine, see
            `isthmus.engine.report.ReconcilerReport`.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[Database]] = frozenset(Database)

    def __init__(self) -> None:
        self.dirty: dict[K, None] = {}
        self.problems: dict[K, tuple[Problem, ...]] = {}
        self.handled = 0
        self.operations = 0
        self.seconds = 0.0
        self.last_reason = ""

    def watches(self) -> Mapping[type[Row], Watch[K]]:
        """For each table that matters, the function from a change to affected keys; none here."""
        return {}

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """All keys: those of wanted objects and those of existing ones."""

    def mark(self, keys: Iterable[K]) -> None:
        """Have these keys handled."""
        self.dirty.update(dict.fromkeys(keys))

    def report(self, key: K, *problems: Problem) -> None:
        """Set the problems of a key; none clears them."""
        if problems:
            self.problems[key] = problems
        else:
            self.problems.pop(key, None)


Only: TypeAlias = tuple[()]
"""The key of what has just one object."""


class SingleKey(Keyed[Only]):
    """For what has just one object: any change of `tables` affects it."""

    tables: ClassVar[tuple[type[Row], ...]] = ()

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        """Every change of `tables` names the only key."""
        return dict.fromkeys(self.tables, lambda _: ((),))

    def keys(self) -> Iterable[Only]:
        """The only key."""
        return ((),)


class Reconciler(Keyed[K]):
    """Keeps one kind of object in a database as wanted.

    Attributes:
        writes: the one database that its operations are for.
        independent: what a key needs depends on nothing that another of its keys writes, so the
            next transaction may be planned and sent before the last has ended.
        after: the databases to which this daemon must have nothing left to write, and nothing in
            flight, before a key is handled. Reconcilers with an `after` do not wait for each
            other.
    """

    writes: ClassVar[Database]
    independent: ClassVar[bool] = False
    after: ClassVar[frozenset[Database]] = frozenset()

    @abstractmethod
    def reconcile(self, key: K) -> Iterable[Operation]:
        """The operations that make the object of `key` as wanted; none if it is."""

    def batch_done(self) -> None:
        """Release what was reserved within one transaction (e.g. tunnel keys)."""


class DerivedState(Keyed[K], Generic[K, C]):
    """Values that are derived from the view, by key; nothing is written.

    By default it needs no database to have been read in full: its values follow whatever rows
    there are, and the reconcilers that use them wait.
    """

    needs: ClassVar[frozenset[Database]] = frozenset()

    @abstractmethod
    def derive(self, key: K) -> Iterable[C]:
        """Derive the values of `key` again; return what changed in them."""


class Veto(SingleKey, DerivedState[Only, None]):
    """Holds back operations that would do harm; an engine has at most one.

    A key whose operations it objects to writes nothing at all, and is handled again after each
    change of `tables` and whenever the veto itself is marked.

    Attributes:
        held: the objections to reconcilers' keys; kept by the engine.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[Reconciler[Any], Any], Collection[Problem]] = {}

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        """Every change of `tables`, while something is held back."""
        return dict.fromkeys(self.tables, lambda _: self.keys() if self.held else ())

    @abstractmethod
    def objections(self, operations: Sequence[Operation]) -> Collection[Problem] | None:
        """Why the operations of one key must not be run; None if they may.

        Problems are for operators; without any, the key waits for what is sure to come.
        """

    def derive(self, _: Only) -> Iterable[None]:
        """Have every key handled that is held back."""
        return (None,)


@dataclass(frozen=True, slots=True)
class Edge(Generic[C, K]):
    """Says that keys depend on derived state.

    Args:
        source: the state; it must come before the target in the engine's order.
        target: whose keys depend on it.
        affected: the keys of the target that a change of the state affects.
    """

    source: DerivedState[Any, C]
    target: Keyed[K]
    affected: Callable[[C], Iterable[K]]


AnyKeyed: TypeAlias = Keyed[Any]
AnyReconciler: TypeAlias = Reconciler[Any]
AnyDerivedState: TypeAlias = DerivedState[Any, Any]
AnyEdge: TypeAlias = Edge[Any, Any]


def edges_to_all_keys(source: AnyDerivedState, *targets: AnyKeyed) -> list[AnyEdge]:
    """Edges by which any change of a state affects all keys of the targets."""

    def edge(target: AnyKeyed) -> AnyEdge:
        return Edge(source, target, lambda _: target.keys())

    return [edge(target) for target in targets]
