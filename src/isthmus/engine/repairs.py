"""Which rows a transaction makes again after others deleted them. Pure.

The engine observes the changes of each turn, and asks about the transactions that it plans in the
same turn. A row counts as made again if it was deleted while nothing of ours was in flight to its
database, and an insert has the same texts and numbers: then the desired state is unchanged.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from isthmus.engine.transactions import Transaction
from isthmus.model.changes import Change
from isthmus.model.operations import Insert
from isthmus.model.rows import Database, Row

_Known = dict[tuple[type[Row], tuple[str, ...]], dict[tuple[Any, ...], Row]]
"""Deleted rows by their values in the columns that an insert sets."""


class Repairs:
    """The rows that others deleted in this turn."""

    def __init__(self) -> None:
        self._deleted: Sequence[Row] = ()

    def observe(self, changes: Iterable[Change], in_flight: Collection[Database]) -> None:
        """Replace the deleted rows by those of the changes of a turn."""
        deleted = [change.old for change in changes if change.new is None]
        self._deleted = [row for row in deleted if row and row.DATABASE not in in_flight]

    def marked(self, transaction: Transaction) -> Transaction:
        """The transaction with the rows that it makes again."""
        if not self._deleted:
            return transaction
        known: _Known = {}
        made = (self._deleted_as(op, known) for op in transaction.operations)
        return replace(transaction, repairs=tuple(row for row in made if row is not None))

    def _deleted_as(self, operation: object, known: _Known) -> Row | None:
        """The deleted row that an operation inserts again."""
        if not isinstance(operation, Insert):
            return None
        texts = {c: v for c, v in operation.row.items() if isinstance(v, (str, int))}
        key = (operation.table, tuple(texts))
        if key not in known:
            rows = [row for row in self._deleted if isinstance(row, operation.table)]
            known[key] = {tuple(getattr(row, c, None) for c in texts): row for row in rows}
        return known[key].get(tuple(texts.values())) if texts else None
