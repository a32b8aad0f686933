"""What others deleted or changed, and a transaction has set back. Pure.

The engine observes the changes of each turn, and asks about each transaction that took effect.
What others did is remembered while transactions to its database follow one another without a
pause, as for the ports of a switch that was deleted. A row is repaired if an insert has the texts,
numbers and references that it lost, or if an operation only undoes what was changed in a column.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain
from typing import Any, NamedTuple

from isthmus.engine.transactions import InFlight, Transaction
from isthmus.model.changes import Change
from isthmus.model.operations import Delete, Insert, Mutate, Ref, Update
from isthmus.model.rows import Database, Row, RowId

_Known = dict[tuple[type[Row], tuple[str, ...]], dict[tuple[Any, ...], Row]]
"""Rows that lost their values, by these, in the columns that an insert sets."""


class Repair(NamedTuple):
    """A row as it was before others deleted or changed it.

    Args:
        row: with its old values.
        columns: those that were set back; none if the row was made again.
    """

    row: Row
    columns: tuple[str, ...] = ()


class Repairs:
    """What others have deleted and changed."""

    def __init__(self) -> None:
        self._changes: dict[Database, dict[RowId, Change]] = {}

    def observe(self, changes: Sequence[Change], in_flight: InFlight) -> None:
        """Remember what others did."""
        ours = {d: _touched(sent) for d, sent in in_flight.items()} if changes else {}
        for change in changes:
            row = change.row
            database, uuid = row.DATABASE, row.uuid
            if database in ours and (change.new and uuid) in ours[database]:
                continue  # one of ours may have made it
            # An inserted row may be ours, too: until then it had no values to lose.
            known = self._changes.setdefault(database, {})
            before = known.get(uuid)
            if before is not None and (before.old is not None or change.new is not None):
                known[uuid] = Change(before.old, change.new)
            else:
                known[uuid] = change

    def discard(self, in_flight: InFlight) -> None:
        """Discard what others did to databases that nothing of ours is in flight to."""
        self._changes = {d: known for d, known in self._changes.items() if d in in_flight}

    def made_by(self, transaction: Transaction) -> list[Repair]:
        """What a transaction that took effect has set back, each row once."""
        changes = self._changes.get(transaction.database)
        if not changes:
            return []
        known: _Known = {}
        found: dict[RowId, Repair] = {}
        for operation in transaction.operations:
            if isinstance(operation, Insert):
                row = _lost_as(operation, changes.values(), known)
                if row is not None:
                    found[row.uuid] = Repair(row)
            elif isinstance(operation, (Update, Mutate)) and operation.uuid in changes:
                change = changes[operation.uuid]
                columns = tuple(_undone(operation, change))
                if change.old is not None and columns:
                    before = found.get(operation.uuid, Repair(change.old)).columns
                    found[operation.uuid] = Repair(change.old, before + columns)
        for uuid in found:
            del changes[uuid]
        return list(found.values())


def _touched(transactions: Iterable[Transaction]) -> set[RowId | None]:
    """The rows that transactions change, and None if they may delete rows."""
    touched: set[RowId | None] = set()
    for operation in chain.from_iterable(sent.operations for sent in transactions):
        if isinstance(operation, (Update, Mutate, Delete)):
            touched.add(operation.uuid)
            adds = isinstance(operation, Mutate) and all(
                mutator == "insert" for _, mutator, _ in operation.mutations
            )
            if not adds:
                touched.add(None)
    return touched


def _lost_as(insert: Insert, changes: Iterable[Change], known: _Known) -> Row | None:
    """The row whose values were lost and that an operation inserts again."""
    wanted = {
        column: value.uuid if isinstance(value, Ref) else value
        for column, value in insert.row.items()
        if isinstance(value, (str, int, Ref))
    }
    key = (insert.table, tuple(wanted))
    if key not in known:
        known[key] = {
            lost: change.old
            for change in changes
            if isinstance(change.old, insert.table)
            and (lost := _values(change.old, wanted)) != _values(change.new, wanted)
        }
    return known[key].get(tuple(wanted.values())) if wanted else None


def _values(row: Row | None, columns: Iterable[str]) -> tuple[Any, ...]:
    return tuple(getattr(row, column, None) for column in columns)


def _undone(operation: Update | Mutate, change: Change) -> Iterator[str]:
    """The columns in which an operation takes back some of a change, and does nothing else."""
    if isinstance(operation, Update):
        results = {column: _elements(value) for column, value in operation.row.items()}
    else:
        results = {}
        for column, mutator, value in operation.mutations:
            held = results.get(column, _elements(getattr(change.new, column, None)))
            these = _elements(value)
            results[column] = (
                held | these
                if mutator == "insert"
                else {e for e in held if (e[0] if isinstance(e, tuple) else e) not in these}
            )
    for column, result in results.items():
        old, new = (_elements(getattr(row, column, None)) for row in (change.old, change.new))
        if result != new and result ^ new <= old ^ new:
            yield column


def _elements(value: Any) -> Set[Any]:
    """A column's value as a set; a map's elements are pairs."""
    if isinstance(value, Mapping):
        return set(value.items())
    values = value if isinstance(value, (Set, tuple)) else () if value is None else (value,)
    return {each.uuid if isinstance(each, Ref) else each for each in values}
