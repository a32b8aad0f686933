"""The base of all reconcilers: one kind of object each, worked on key by key.

A reconciler says which keys a database change may affect, and, for one key, which operations
lead from what is to what is wanted. Those that write nothing (`writes` is None) keep derived
state and mark the keys of reconcilers after them. `reconcile` must depend on the view and on
derived state alone, never on having seen an event: a full recompute is "all keys".
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from isthmus.model.changes import Change
from isthmus.model.operations import Operation
from isthmus.model.problems import Problem
from isthmus.model.rows import Database, Row

K = TypeVar("K", bound=Hashable)

Watch: TypeAlias = Callable[[Change], Iterable[K]]
"""Names the keys that a change of one table may affect; called when the view has followed the
change, with all other changes of the same update."""


class Reconciler(ABC, Generic[K]):
    """One kind of object.

    Attributes:
        name: as shown to people and used in transaction comments, e.g. "learned routes".
        writes: the one database that its operations are for, or None.
        needs: the databases that must have been seen in full before it may write: what is not
            known yet must not be taken for what is gone.
        independent: what a key needs depends on nothing that another of its keys writes, so that
            the next transaction may be planned and sent before the last has ended.
        when_settled: it runs only when no other reconciler has anything to do or in flight.
        handled, operations, seconds, last_reason: kept by the engine, see
            `isthmus.engine.report.ReconcilerReport`.
    """

    name: ClassVar[str]
    writes: ClassVar[Database | None] = None
    needs: ClassVar[frozenset[Database]] = frozenset(Database)
    independent: ClassVar[bool] = False
    when_settled: ClassVar[bool] = False

    def __init__(self) -> None:
        self.dirty: dict[K, None] = {}
        self.problems: dict[K, tuple[Problem, ...]] = {}
        self.handled = 0
        self.operations = 0
        self.seconds = 0.0
        self.last_reason = ""

    @abstractmethod
    def watches(self) -> Mapping[type[Row], Watch[K]]:
        """For each table that matters, the function from a change to affected keys."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """All keys: those of wanted objects and those of existing ones."""

    @abstractmethod
    def reconcile(self, key: K) -> Iterable[Operation]:
        """The operations that make the object of `key` as wanted; none if it is."""

    def batch_done(self) -> None:
        """Forget what was handed out within one transaction (e.g. tunnel keys in flight)."""

    def mark(self, keys: Iterable[K]) -> None:
        """Have these keys reconciled."""
        for key in keys:
            self.dirty[key] = None

    def report(self, key: K, *problems: Problem) -> None:
        """State the problems of a key; none clears them."""
        if problems:
            self.problems[key] = problems
        else:
            self.problems.pop(key, None)


AnyReconciler: TypeAlias = Reconciler[Any]
