"""Transactions, how they end, and those that have not ended yet, which the engine keeps.

Invariant: one per database, but for those of a single reconciler whose keys do not depend on each
other: of them, `AHEAD` may follow each other without waiting, and none holds a key twice.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from isthmus.engine.reconciler import AnyReconciler
from isthmus.model.operations import Operation
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database

AHEAD = 2
"""Transactions under way to one database: the server works on one while the next is planned."""

Work: TypeAlias = tuple[AnyReconciler, Any]
"""A reconciler and one of its keys."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """Operations for one database, and the work they came from."""

    database: Database
    operations: tuple[Operation, ...]
    work: tuple[Work, ...]

    @property
    def comment(self) -> str:
        """A line for the database's log: who wrote, and what kind of objects."""
        names = dict.fromkeys(reconciler.name for reconciler, _ in self.work)
        return "isthmus: " + ", ".join(names)

    @property
    def reconcilers(self) -> tuple[AnyReconciler, ...]:
        """Whose work it is."""
        return tuple(dict.fromkeys(reconciler for reconciler, _ in self.work))


NOT_PERMITTED = "permission error"
"""What a server, or `isthmus ic-db guard`, says of what a client may not do (RFC 7047, 4.1.3)."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The transaction took effect, and the view has followed it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It did not take effect through no fault of its own (connection, lock, lost race)."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The database refused it.

    Args:
        error: the error of RFC 7047, e.g. "constraint violation".
        details: the server's explanation.
    """

    error: str
    details: str


Result = Committed | TryAgain | Failed


def problem_of(failed: Failed, database: str, what: str, key: str) -> Problem:
    """What to tell people of a change that was refused when it was asked for alone.

    Args:
        failed: how.
        database: where.
        what, key: the reconciler that asked for it, and of what.
    """
    said = f"{failed.error} ({failed.details})"
    if failed.error == NOT_PERMITTED:
        message = f"its guard refused the change: {said}"
        remedy = (
            "see that this zone's certificate has the name of the zone (az-name), and that nobody"
            " else has what it wants; the guard's operator sees more by `isthmus ic-db status`; it"
            " is retried"
        )
        return Subject(f"database {database}", what, key).problem(
            message, remedy, Reason.NOT_PERMITTED
        )
    message = f"the server refused the change: {said}"
    remedy = "look for another client that writes the same rows; it is retried"
    return Subject(f"database {database}", what, key).problem(message, remedy, Reason.WRITE_REFUSED)


@dataclass(slots=True)
class Flights:
    """What is under way, by database."""

    _under_way: dict[Database, list[Transaction]] = field(default_factory=dict)

    def __contains__(self, database: Database) -> bool:
        return database in self._under_way

    def __len__(self) -> int:
        return sum(map(len, self._under_way.values()))

    def __iter__(self) -> Iterator[Transaction]:
        for transactions in self._under_way.values():
            yield from transactions

    @property
    def databases(self) -> Collection[Database]:
        """Those with a transaction under way."""
        return self._under_way.keys()

    def add(self, transactions: Iterable[Transaction]) -> None:
        """Note what is being sent."""
        for transaction in transactions:
            self._under_way.setdefault(transaction.database, []).append(transaction)

    def end(self, transaction: Transaction) -> None:
        """Note that one has ended."""
        others = self._under_way[transaction.database]
        others.remove(transaction)
        if not others:
            del self._under_way[transaction.database]

    def give_up(self, database: Database) -> list[Transaction]:
        """Forget those of a database; which they were."""
        return self._under_way.pop(database, [])

    def may_follow(self, database: Database) -> AnyReconciler | None:
        """Whose transaction may be sent after those that are under way; None if nobody's may."""
        transactions = self._under_way.get(database, [])
        owners = {owner for transaction in transactions for owner in transaction.reconcilers}
        if not 0 < len(transactions) < AHEAD or len(owners) != 1:
            return None
        (owner,) = owners
        return owner if owner.independent else None

    def keys(self, database: Database) -> set[Hashable]:
        """The keys that are under way to a database."""
        return {key for transaction in self._under_way[database] for _, key in transaction.work}
