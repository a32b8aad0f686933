"""OVSDB operations as values, as reconcilers return them.

They mirror RFC 7047, section 5.2. `isthmus.ovsdb` encodes them; tests interpret them. A value is
a str, int or bool, a `Ref`/`NewRef`, a (frozen)set or list of those, or a mapping of strings.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from isthmus.model.indexes import ChildrenOf
from isthmus.model.rows import Row, RowId


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to an existing row."""

    uuid: RowId


@dataclass(frozen=True, slots=True, eq=False)
class NewRef:
    """A reference to a row inserted by the same transaction; two are equal only if identical."""


Atom: TypeAlias = str | int | bool | Ref | NewRef
Value: TypeAlias = (
    Atom
    | frozenset[str]
    | frozenset[Ref]
    | frozenset[NewRef]
    | tuple[Atom, ...]
    | Mapping[str, str]
)
"""A column's value; a tuple is a set whose elements may mix references of both kinds."""


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert a row; `ref` lets other operations of the transaction refer to it."""

    table: type[Row]
    row: Mapping[str, Value]
    ref: NewRef | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Replace the named columns of one row."""

    table: type[Row]
    uuid: RowId
    row: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Mutate:
    """Insert into or delete from set and map columns of one row.

    Each mutation is (column, mutator, value). Deleting from a map takes the keys as a set.
    """

    table: type[Row]
    uuid: RowId
    mutations: tuple[tuple[str, Literal["insert", "delete"], Value], ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one row of a root table."""

    table: type[Row]
    uuid: RowId


@dataclass(frozen=True, slots=True)
class Wait:
    """Fail the transaction unless the row's named columns have these values right now."""

    table: type[Row]
    uuid: RowId
    row: Mapping[str, Value]


Operation: TypeAlias = Insert | Update | Mutate | Delete | Wait


def insert_child(
    held: ChildrenOf[Any, Any], parent: RowId, row: Mapping[str, Value]
) -> Iterator[Operation]:
    """Insert a row, and enter it into its parent's column."""
    ref = NewRef()
    yield Insert(held.child, row, ref)
    yield Mutate(held.parent, parent, ((held.column, "insert", frozenset({ref})),))


def remove_children(
    held: ChildrenOf[Any, Any], parent: RowId, children: Iterable[RowId]
) -> Iterator[Operation]:
    """Take rows out of their parent's column, which deletes them; nothing for no rows."""
    if refs := frozenset(map(Ref, children)):
        yield Mutate(held.parent, parent, ((held.column, "delete", refs),))


def update(row: Row, wanted: Mapping[str, Value]) -> Iterator[Update]:
    """Set those columns of a row that differ from the wanted values.

    Args:
        wanted: an optional column is a value of its own, or an empty set.
    """
    changed = {
        column: value
        for column, value in wanted.items()
        if _or_empty(getattr(row, column)) != (value.uuid if isinstance(value, Ref) else value)
    }
    if changed:
        yield Update(type(row), row.uuid, changed)


def _or_empty(value: Any) -> Any:
    return frozenset() if value is None else value


def set_keys(table: type[Row], uuid: RowId, column: str, values: Mapping[str, str]) -> Mutate:
    """Set some keys of a map column, and leave the other keys, which others may own, unchanged."""
    return Mutate(
        table, uuid, ((column, "delete", frozenset(values)), (column, "insert", dict(values)))
    )


def drop_keys(table: type[Row], uuid: RowId, column: str, keys: frozenset[str]) -> Mutate:
    """Remove some keys of a map column."""
    return Mutate(table, uuid, ((column, "delete", keys),))


def change_map(
    table: type[Row], uuid: RowId, column: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[Mutate]:
    """Change a map column from one value to another; only the keys that differ are written."""
    gone = frozenset(key for key in before if key not in after)
    new = {key: value for key, value in after.items() if before.get(key) != value}
    if gone:
        yield drop_keys(table, uuid, column, gone)
    if new:
        yield set_keys(table, uuid, column, new)
