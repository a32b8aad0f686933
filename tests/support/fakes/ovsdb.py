"""A small in-memory OVSDB, for tests without servers.

It implements the rules on which reconcilers rely: transactions are atomic, unique indexes hold,
strong references must have a target, rows of non-root tables vanish when nothing refers to them,
weak references to vanished rows are cleared. tests/contract runs the same histories on it and on
the real ovsdb-server.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

from isthmus.engine.transactions import Committed, Failed, Result, TryAgain
from isthmus.model.changes import Change
from isthmus.model.operations import (
    Delete,
    Insert,
    Mutate,
    NewRef,
    Operation,
    Ref,
    Update,
    Wait,
)
from isthmus.model.rows import ROW_TYPES, Database, Row, RowId
from support.fakes.schemas import INDEXES, ROOTS, STRONG, WEAK


class RefusedError(Exception):
    """The database refuses a transaction."""

    def __init__(self, error: str, details: str) -> None:
        super().__init__(f"{error}: {details}")
        self.error, self.details = error, details


Columns = dict[str, Any]
Tables = dict[type[Row], dict[RowId, Columns]]


def _plain(value: Any, new: Mapping[int, RowId]) -> Any:
    if isinstance(value, Ref):
        return value.uuid
    if isinstance(value, NewRef):
        return new[id(value)]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (frozenset, tuple)):
        return frozenset(_plain(element, new) for element in value)
    return value


class FakeDatabase:
    """One database; collects the changes that each observer has not fetched yet.

    Attributes:
        committed: all transactions.
        columns: what the server's schema has; empty if it has everything.
    """

    def __init__(self, database: Database, uuids: Iterator[int] | None = None) -> None:
        self.database = database
        self._uuids = uuids or itertools.count(1)
        self.tables: Tables = {kind: {} for kind in ROW_TYPES if kind.DATABASE is database}
        self._observers: list[list[Change]] = []
        self.committed: list[tuple[Operation, ...]] = []
        self.columns: Mapping[type[Row], Mapping[str, frozenset[str]]] = {}

    def beside(self, database: Database, _zone: str = "") -> "FakeDatabase":
        """Another database, whose rows have other UUIDs: a `MakeDatabase`.

        The UUIDs of a fleet do not depend on the tests before: addresses are derived from them.
        """
        return FakeDatabase(database, self._uuids)

    # -- reading -----------------------------------------------------------------------------

    def observe(self) -> list[Change]:
        """A list that receives all changes from now on, starting with all existing rows."""
        changes = list(_diff({kind: {} for kind in self.tables}, self.tables))
        self._observers.append(changes)
        return changes

    def rows(self, kind: type[Row]) -> list[dict[str, Any]]:
        """All rows of a table as plain column values, with `_uuid`."""
        return [{"_uuid": uuid, **columns} for uuid, columns in self.tables[kind].items()]

    # -- writing -----------------------------------------------------------------------------

    def transact(self, operations: Iterable[Operation]) -> Result:
        """Commit or refuse a transaction as a whole."""
        operations = tuple(operations)
        before = self.tables
        after = copy.deepcopy(before)
        try:
            if not _execute(after, operations, self._new_uuid):
                return TryAgain()
            _collect_garbage(self.database, after)
            _check(self.database, after)
        except RefusedError as refused:
            return Failed(refused.error, refused.details)
        self._become(after)
        self.committed.append(operations)
        return Committed()

    def backup(self) -> Any:
        """All contents, with their UUIDs."""
        return copy.deepcopy(self.tables)

    def restore(self, contents: Any) -> None:
        """Replace the contents by those of a backup, as if its file were put in place."""
        self._become(copy.deepcopy(contents))

    def load(self, contents: Any) -> None:
        """Replace the contents as `ovsdb-client restore` does: all rows have new UUIDs."""
        rows = [uuid for table in contents.values() for uuid in table]
        self._become(_renumbered(contents, {uuid: self._new_uuid() for uuid in rows}))

    def _new_uuid(self) -> RowId:
        return RowId(str(UUID(int=next(self._uuids))))

    def _become(self, tables: Tables) -> None:
        changes = list(_diff(self.tables, tables))
        self.tables = tables
        for observer in self._observers:
            observer.extend(changes)


MakeDatabase = Callable[[Database, str], FakeDatabase]
"""Makes a database of a zone, or one that all zones share (no name)."""


def _execute(
    tables: Tables, operations: Sequence[Operation], new_uuid: Callable[[], RowId]
) -> bool:
    inserts = [operation for operation in operations if isinstance(operation, Insert)]
    new = {id(insert): new_uuid() for insert in inserts}
    new |= {id(insert.ref): new[id(insert)] for insert in inserts if insert.ref is not None}
    return all(_execute_one(tables[operation.table], operation, new) for operation in operations)


def _execute_one(
    rows: dict[RowId, Columns], operation: Operation, new: Mapping[int, RowId]
) -> bool:
    match operation:
        case Insert(table, row):
            uuid = new[id(operation)]
            rows[uuid] = _defaults(table)
            for column, value in row.items():
                _store(rows[uuid], column, _plain(value, new))
        case Update(_, uuid, row) if uuid in rows:
            for column, value in row.items():
                _store(rows[uuid], column, _plain(value, new))
        case Mutate(_, uuid, mutations) if uuid in rows:
            for column, mutator, value in mutations:
                _mutate(rows[uuid], column, mutator, _plain(value, new))
        case Delete(_, uuid):
            rows.pop(uuid, None)
        case Wait(_, uuid, row):
            found = rows.get(uuid)
            return found is not None and all(found[c] == _plain(v, new) for c, v in row.items())
    return True


def _renumbered(value: Any, new: Mapping[RowId, RowId]) -> Any:
    """A copy with other UUIDs."""
    if isinstance(value, dict):
        return {new.get(k, k): _renumbered(v, new) for k, v in value.items()}
    if isinstance(value, frozenset):
        return frozenset(_renumbered(element, new) for element in value)
    return new.get(RowId(value), value) if isinstance(value, str) else value


def _defaults(table: type[Row]) -> Columns:
    row = table(uuid=RowId(""))
    columns = {f.name: getattr(row, f.name) for f in fields(row) if f.name != "uuid"}
    columns.update({column: frozenset() for column in table.CHILDREN})
    return copy.deepcopy(columns)


def _store(columns: Columns, column: str, value: Any) -> None:
    if column not in columns:
        raise RefusedError("unknown column", column)
    if isinstance(columns[column], frozenset) and not isinstance(value, frozenset):
        value = frozenset({value})
    elif not isinstance(columns[column], frozenset) and isinstance(value, frozenset):
        value = next(iter(value), None)  # an optional scalar
    columns[column] = value


def _mutate(columns: Columns, column: str, mutator: str, value: Any) -> None:
    current = columns[column]
    if isinstance(current, dict) and mutator == "insert":
        columns[column] = {**value, **current}  # an existing key keeps its value
    elif isinstance(current, dict):
        columns[column] = {k: v for k, v in current.items() if k not in value}
    else:
        value = value if isinstance(value, frozenset) else frozenset({value})
        columns[column] = current | value if mutator == "insert" else current - value


def _targets(value: Any) -> Iterator[RowId]:
    if isinstance(value, frozenset):
        yield from value
    elif value:
        yield value


def _kind(database: Database, name: str) -> type[Row]:
    return next(k for k in ROW_TYPES if k.DATABASE is database and name == k.TABLE)


def _used(database: Database, tables: Tables) -> set[tuple[str, RowId]]:
    return {
        (target, uuid)
        for kind, rows in tables.items()
        for column, target in STRONG.get((database, kind.TABLE), {}).items()
        for columns in rows.values()
        for uuid in _targets(columns[column])
    }


def _collect_garbage(database: Database, tables: Tables) -> None:
    while True:
        used = _used(database, tables)
        dead = [
            (kind, uuid)
            for kind, rows in tables.items()
            if kind.TABLE not in ROOTS
            for uuid in rows
            if (kind.TABLE, uuid) not in used
        ]
        if not dead:
            break
        for kind, uuid in dead:
            del tables[kind][uuid]
    _clear_weak(database, tables)


def _clear_weak(database: Database, tables: Tables) -> None:
    for kind, rows in tables.items():
        for column, target in WEAK.get((database, kind.TABLE), {}).items():
            known = tables[_kind(database, target)]
            for columns in rows.values():
                value = columns[column]
                if isinstance(value, frozenset):
                    columns[column] = value.intersection(known)
                elif value and value not in known:
                    columns[column] = None


def _check(database: Database, tables: Tables) -> None:
    # In the order of the server: references of all tables, then sizes, then indexes.
    for kind, rows in tables.items():
        for target, uuid in _used(database, {kind: rows}):
            if uuid not in tables[_kind(database, target)]:
                raise RefusedError("referential integrity violation", f"{kind.TABLE} -> {target}")
    for kind, rows in tables.items():
        if kind.TABLE.endswith("_Global") and len(rows) > 1:
            raise RefusedError("constraint violation", f"{kind.TABLE} may have one row")
        for index in INDEXES.get((database, kind.TABLE), ()):
            keys = [tuple(columns[column] for column in index) for columns in rows.values()]
            if len(set(keys)) < len(keys):
                raise RefusedError("constraint violation", f"{kind.TABLE} index {index}")


def _row(kind: type[Row], uuid: RowId, columns: Columns) -> Row:
    return kind(uuid=uuid, **{k: v for k, v in columns.items() if k not in kind.CHILDREN})


def _diff(before: Tables, after: Tables) -> Iterator[Change]:
    for kind in after:
        for uuid in dict.fromkeys((*before[kind], *after[kind])):
            old, new = before[kind].get(uuid), after[kind].get(uuid)
            if old == new:
                continue
            joined, left = {}, {}
            for column in kind.CHILDREN:
                had = old[column] if old else frozenset()
                has = new[column] if new else frozenset()
                if has - had:
                    joined[column] = has - had
                if had - has:
                    left[column] = had - has
            yield Change(
                _row(kind, uuid, old) if old else None,
                _row(kind, uuid, new) if new else None,
                joined,
                left,
            )
