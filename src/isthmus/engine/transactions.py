"""Transactions, their results, and those that are in flight.

Invariant: one per database, except those of a single reconciler whose keys do not depend on each
other: `AHEAD` of them may be in flight at a time, and no two of them have a key in common.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from isthmus.engine.reconciler import AnyReconciler
from isthmus.model.operations import Operation
from isthmus.model.rows import Database

AHEAD = 2
"""Transactions in flight to one database: the server works on one while the next is planned."""

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
        """The reconcilers that the work belongs to."""
        return tuple(dict.fromkeys(reconciler for reconciler, _ in self.work))


NOT_PERMITTED = "permission error"
"""The error for what a client may not do, of a server or of the authorizing proxy (RFC 7047,
4.1.3)."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The transaction took effect, and the view has followed it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It did not take effect, for a passing reason: connection, lock, or a lost race."""


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


class InFlight(dict[Database, list[Transaction]]):
    """The transactions whose results are not known yet; a database without any has no entry."""

    def add(self, transactions: Iterable[Transaction]) -> None:
        """Record what is being sent."""
        for transaction in transactions:
            self.setdefault(transaction.database, []).append(transaction)

    def remove(self, transaction: Transaction) -> None:
        """Record that a transaction has ended."""
        self[transaction.database].remove(transaction)
        if not self[transaction.database]:
            del self[transaction.database]

    def may_follow(self, database: Database) -> AnyReconciler | None:
        """The reconciler that may send its next transaction already; None if there is none."""
        transactions = self.get(database, [])
        owners = {owner for transaction in transactions for owner in transaction.reconcilers}
        if not 0 < len(transactions) < AHEAD or len(owners) != 1:
            return None
        (owner,) = owners
        return owner if owner.independent else None

    def busy(self, database: Database) -> set[Hashable]:
        """The reconcilers' keys that are in flight to a database."""
        return {key for transaction in self[database] for _, key in transaction.work}
