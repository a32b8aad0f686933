"""The view: all rows of the four databases in memory, with indexes and parent relations.

The engine applies changes to it; reconcilers only read it. It is the single source of truth about
what exists: everything that reconcilers derive from it can be derived again at any time.
`isthmus.model.indexes` declares the indexes; the view builds each when it is first asked for.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from isthmus.model.changes import Change
from isthmus.model.indexes import ChildrenOf, IndexOf
from isthmus.model.prefix_index import PrefixIndex
from isthmus.model.rows import ROW_TYPES, Database, Row, RowId

R = TypeVar("R", bound=Row)
P = TypeVar("P", bound=Row)
C = TypeVar("C", bound=Row)
R_contra = TypeVar("R_contra", bound=Row, contravariant=True)


class Follower(Protocol[R_contra]):
    """An index of any kind: it is given each row that comes or goes."""

    def add(self, row: R_contra) -> None:
        """Enter a row."""

    def remove(self, row: R_contra) -> None:
        """Take a row out."""


class Index(Generic[R]):
    """Rows of one table by a computed key; a row may have several keys, or none.

    Args:
        rows: of the table; followed by the table itself.
        keys: the keys of a row.
    """

    __slots__ = ("_entries", "_keys", "_rows")

    def __init__(self, rows: dict[RowId, R], keys: Callable[[R], Iterable[Hashable]]) -> None:
        self._rows = rows
        self._keys = keys
        # Most keys have one row: a bare UUID then saves the 200 bytes of a container.
        self._entries: dict[Hashable, RowId | dict[RowId, None]] = {}

    def add(self, row: R) -> None:
        """Enter a row under its keys."""
        for key in self._keys(row):
            entry = self._entries.get(key)
            if entry is None:
                self._entries[key] = row.uuid
            elif isinstance(entry, dict):
                entry[row.uuid] = None
            elif entry != row.uuid:
                self._entries[key] = {entry: None, row.uuid: None}

    def remove(self, row: R) -> None:
        """Take a row out from under its keys."""
        for key in self._keys(row):
            entry = self._entries.get(key)
            if isinstance(entry, dict):
                entry.pop(row.uuid, None)
                if not entry:
                    del self._entries[key]
            elif entry is not None:
                del self._entries[key]

    def all(self, key: Hashable) -> Iterator[R]:
        """The rows under a key, in the order in which they came."""
        entry = self._entries.get(key)
        if isinstance(entry, dict):
            for uuid in list(entry):
                yield self._rows[uuid]
        elif entry is not None:
            yield self._rows[entry]

    def one(self, key: Hashable) -> R | None:
        """The row under a key; the first of several; None if there is none."""
        return next(self.all(key), None)

    def keys(self) -> Iterable[Any]:
        """All keys that have a row."""
        return self._entries.keys()


class Tally(Generic[R]):
    """How many rows of one table have a computed key; for tables too large to index for that."""

    __slots__ = ("_counts", "_keys")

    def __init__(self, keys: Callable[[R], Iterable[Hashable]]) -> None:
        self._keys = keys
        self._counts: dict[Hashable, int] = {}

    def add(self, row: R) -> None:
        """Count a row under its keys."""
        for key in self._keys(row):
            self._counts[key] = self._counts.get(key, 0) + 1

    def remove(self, row: R) -> None:
        """No longer count a row."""
        for key in self._keys(row):
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    def items(self) -> Iterable[tuple[Any, int]]:
        """All keys that have a row, each with the number of its rows."""
        return self._counts.items()


class Ranking(Generic[R]):
    """Ranks of the rows of one table by a computed key, in order.

    They are put in order when they are read: a large update is then sorted once.

    Args:
        keys: the keys of a row, each with the row's rank there. No two rows have the same rank.
    """

    __slots__ = ("_added", "_keys", "_ranks")

    _FEW = 100
    """As many ranks are inserted one by one; sorting all is faster for more."""

    def __init__(self, keys: Callable[[R], Iterable[Any]]) -> None:
        self._keys = keys
        self._ranks: dict[Any, list[Any]] = {}
        self._added: dict[Any, list[Any]] = {}

    def add(self, row: R) -> None:
        """Enter a row under its keys."""
        for key, rank in self._keys(row):
            self._added.setdefault(key, []).append(rank)

    def remove(self, row: R) -> None:
        """Take a row out from under its keys."""
        for key, rank in self._keys(row):
            self._insert(key)
            ranks = self._ranks[key]
            del ranks[bisect_left(ranks, rank)]
            if not ranks:
                del self._ranks[key]

    @property
    def ranks(self) -> Mapping[Any, list[Any]]:
        """Those under each key that has a row, in order."""
        for key in tuple(self._added):
            self._insert(key)
        return self._ranks

    def _insert(self, key: Any) -> None:
        added = self._added.pop(key, ())
        if not added:
            return
        ranks = self._ranks.setdefault(key, [])
        if len(added) <= self._FEW:
            for rank in added:
                insort(ranks, rank)
        else:
            ranks += added
            ranks.sort()


class PrefixRows(Generic[R]):
    """Rows of one table by prefix, to find those that overlap a prefix.

    Attributes:
        prefixes: the UUIDs of the rows by their prefixes.
    """

    __slots__ = ("_keys", "prefixes")

    def __init__(self, keys: Callable[[R], Iterable[Any]]) -> None:
        self._keys = keys
        self.prefixes = PrefixIndex[RowId]()

    def add(self, row: R) -> None:
        """Enter a row under its prefixes."""
        for prefix in self._keys(row):
            self.prefixes.add(prefix, row.uuid)

    def remove(self, row: R) -> None:
        """Take a row out from under its prefixes."""
        for prefix in self._keys(row):
            self.prefixes.remove(prefix, row.uuid)


class Relation:
    """Which parent row holds which child, for one strong-reference column."""

    __slots__ = ("_children", "_parent")

    def __init__(self) -> None:
        self._parent: dict[RowId, RowId] = {}
        self._children: dict[RowId, dict[RowId, None]] = {}

    def parent(self, child: RowId) -> RowId | None:
        """The row that holds `child`, or None."""
        return self._parent.get(child)

    def children(self, parent: RowId) -> Iterable[RowId]:
        """The rows that `parent` holds."""
        return self._children.get(parent, {}).keys()

    def join(self, parent: RowId, children: Iterable[RowId]) -> None:
        """Record that `parent` now holds `children`."""
        held = self._children.setdefault(parent, {})
        for child in children:
            held[child] = None
            self._parent[child] = parent

    def leave(self, parent: RowId, children: Iterable[RowId]) -> None:
        """Record that `parent` no longer holds `children`."""
        held = self._children.get(parent, {})
        for child in children:
            held.pop(child, None)
            # Within one transaction a child may move: the new parent may have come first.
            if self._parent.get(child) == parent:
                del self._parent[child]
        if not held:
            self._children.pop(parent, None)


class Table(Generic[R]):
    """The rows of one table."""

    def __init__(self) -> None:
        self.rows: dict[RowId, R] = {}
        self._indexes: list[Follower[R]] = []

    def follow(self, index: Follower[R]) -> None:
        """Enter all rows into an index, and have it follow all later changes."""
        for row in self.rows.values():
            index.add(row)
        self._indexes.append(index)

    def get(self, uuid: RowId | None) -> R | None:
        """The row of that UUID, or None."""
        return None if uuid is None else self.rows.get(uuid)

    def single(self) -> R | None:
        """The only row of a table that has at most one, or None."""
        return next(iter(self.rows.values()), None)

    def __iter__(self) -> Iterator[R]:
        return iter(self.rows.values())

    def __len__(self) -> int:
        return len(self.rows)

    def apply(self, old: R | None, new: R | None) -> None:
        """Follow one change."""
        if old is not None:
            for index in self._indexes:
                index.remove(old)
        if new is not None:
            self.rows[new.uuid] = new
            for index in self._indexes:
                index.add(new)
        elif old is not None:
            self.rows.pop(old.uuid, None)


class Schema:
    """Which tables, columns and values of enumerations the servers have.

    Versions of OVN differ; what a server lacks must not be written. Until a table has been
    learned, everything that `isthmus.model.rows` declares counts as present.
    """

    def __init__(self) -> None:
        self._tables: dict[type[Row], Mapping[str, frozenset[str]]] = {}

    def learn(self, kind: type[Row], columns: Mapping[str, frozenset[str]]) -> None:
        """Note a table's columns and the values each is limited to (empty: any).

        A server without the table has no columns of it.
        """
        self._tables[kind] = columns

    def has(self, kind: type[Row], column: str = "") -> bool:
        """Whether the server has the table, and that column of it."""
        columns = self._tables.get(kind)
        if columns is None:
            return True
        return column in columns if column else bool(columns)

    def allows(self, kind: type[Row], column: str, value: str) -> bool:
        """Whether a column can hold a value."""
        columns = self._tables.get(kind)
        if columns is None:
            return True
        return column in columns and (not columns[column] or value in columns[column])


class View:
    """All tables, their indexes, and all relations of strong references.

    Attributes:
        schema: what the servers have.
    """

    def __init__(self) -> None:
        self.schema = Schema()
        self._indexes: dict[IndexOf[Any], Index[Any]] = {}
        self._tallies: dict[IndexOf[Any], Tally[Any]] = {}
        self._rankings: dict[IndexOf[Any], Ranking[Any]] = {}
        self._prefix_rows: dict[IndexOf[Any], PrefixRows[Any]] = {}
        self._tables: dict[type[Row], Table[Any]] = {kind: Table() for kind in ROW_TYPES}
        self._relations: dict[tuple[type[Row], str], Relation] = {
            (kind, column): Relation() for kind in ROW_TYPES for column in kind.CHILDREN
        }

    def table(self, kind: type[R]) -> Table[R]:
        """The table of a kind of row."""
        return self._tables[kind]

    def get(self, kind: type[R], uuid: RowId | None) -> R | None:
        """The row of that UUID, or None."""
        return self.table(kind).get(uuid)

    def single(self, kind: type[R]) -> R | None:
        """The only row of a table that has at most one, or None."""
        return self.table(kind).single()

    def index(self, declared: IndexOf[R]) -> Index[R]:
        """The index of a declaration; it is built on the first request."""
        index = self._indexes.get(declared)
        if index is None:
            table = self.table(declared.table)
            index = self._indexes[declared] = Index(table.rows, declared.keys)
            table.follow(index)
        return index

    def all(self, declared: IndexOf[R], key: Hashable) -> Iterator[R]:
        """The rows that an index has under a key, in the order in which they came."""
        return self.index(declared).all(key)

    def one(self, declared: IndexOf[R], key: Hashable) -> R | None:
        """The row that an index has under a key; the first of several; None if there is none."""
        return self.index(declared).one(key)

    def tally(self, declared: IndexOf[R]) -> Tally[R]:
        """The number of rows under each key; it is counted on the first request."""
        tally = self._tallies.get(declared)
        if tally is None:
            tally = self._tallies[declared] = Tally(declared.keys)
            self.table(declared.table).follow(tally)
        return tally

    def ranks(self, declared: IndexOf[R]) -> Mapping[Any, list[Any]]:
        """The ranks of the rows in order, if the keys are pairs of a key and a rank.

        They are put in order on the first request.
        """
        ranking = self._rankings.get(declared)
        if ranking is None:
            ranking = self._rankings[declared] = Ranking(declared.keys)
            self.table(declared.table).follow(ranking)
        return ranking.ranks

    def prefixes(self, declared: IndexOf[R]) -> PrefixIndex[RowId]:
        """The UUIDs of the rows by prefix, if the keys are prefixes; built on the first request."""
        rows = self._prefix_rows.get(declared)
        if rows is None:
            rows = self._prefix_rows[declared] = PrefixRows(declared.keys)
            self.table(declared.table).follow(rows)
        return rows.prefixes

    def parent(self, declared: ChildrenOf[P, C], child: RowId) -> P | None:
        """The row that holds a child in a strong-reference column, or None."""
        uuid = self.relation(declared).parent(child)
        return self.get(declared.parent, uuid)

    def children(self, declared: ChildrenOf[P, C], parent: RowId) -> Iterator[C]:
        """The rows that a parent holds in a strong-reference column."""
        rows = self.table(declared.child).rows
        uuids = self.relation(declared).children(parent)
        return (rows[uuid] for uuid in tuple(uuids) if uuid in rows)

    def moved(self, declared: ChildrenOf[P, C], change: Change) -> list[C]:
        """The rows that a parent gained or lost by a change, as far as they still exist."""
        joined, left = change.joined.get(declared.column, ()), change.left.get(declared.column, ())
        rows = self.table(declared.child).rows
        return [rows[uuid] for uuid in (*joined, *left) if uuid in rows]

    def relation(self, declared: ChildrenOf[P, C]) -> Relation:
        """The parents and children of a strong-reference column, by UUID."""
        return self._relations[declared.parent, declared.column]

    def vanish(self, database: Database) -> Iterator[Change]:
        """The changes that would empty a database's tables; made when it is replaced."""
        for kind, table in self._tables.items():
            if kind.DATABASE is database:
                for row in table:
                    held = {
                        column: frozenset(self._relations[kind, column].children(row.uuid))
                        for column in kind.CHILDREN
                    }
                    yield Change(row, None, {}, {c: rows for c, rows in held.items() if rows})

    def apply(self, change: Change) -> None:
        """Follow one change."""
        row = change.row
        self._tables[type(row)].apply(change.old, change.new)
        for column, children in change.left.items():
            self._relations[type(row), column].leave(row.uuid, children)
        for column, children in change.joined.items():
            self._relations[type(row), column].join(row.uuid, children)
