"""Check what a server sends about the tables that the authorizing proxy monitors. Pure.

Called by `follower` before `DatabaseState` takes it. Invariant: rows that pass have every column
that the rules read, with a value of its type, so that no server's data makes a rule fail.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isthmus.authz.database_state import COLUMNS, Json, reference

_OPTIONAL = frozenset({("Datapath_Binding", "type")})
"""Columns that older schemas lack."""

Columns = Mapping[str, Sequence[str]]
"""The columns to monitor, by table."""


def is_clustered(results: Json) -> bool:
    """Whether a database is clustered, by the results of a "select" of its model from `_Server`.

    Raises:
        ValueError: they are not those of a select.
    """
    match results:
        case [{"rows": list(rows)}]:
            return rows != [{"model": "standalone"}]
    raise ValueError("the model of the database has not the right structure")


def columns_of(database: str, schema: Json) -> Columns:
    """The tables and columns in `COLUMNS` that a server's schema has.

    Raises:
        ValueError: a table lacks a column that the rules read, or it is not a schema.
    """
    tables = schema.get("tables") if isinstance(schema, dict) else None
    if not isinstance(tables, dict):
        raise ValueError("the schema has no tables")
    return {
        table: _present(table, columns, tables[table])
        for table, columns in COLUMNS[database].items()
        if table in tables
    }


def _present(table: str, columns: Sequence[str], schema: Json) -> Sequence[str]:
    known = schema.get("columns") if isinstance(schema, dict) else None
    if not isinstance(known, dict):
        raise ValueError(f"table {table} has no columns")
    for column in columns:
        if column not in known and (table, column) not in _OPTIONAL:
            raise ValueError(f"table {table} has no column {column}")
    return [column for column in columns if column in known]


def checked_rows(columns: Columns, updates: Json) -> Iterator[Json]:
    """The rows in the parameter of an `update`, or in the reply to `monitor` (RFC 7047, 4.1.5).

    Raises:
        ValueError: the structure, a table, a column or the type of a value is not as requested.
    """
    if not isinstance(updates, dict):
        raise ValueError("an update is not an object")
    for table, rows in updates.items():
        if table not in columns or not isinstance(rows, dict):
            raise ValueError("an update is of a table that is not monitored, or has no rows")
        for change in rows.values():
            if not isinstance(change, dict):
                raise ValueError(f"an update of table {table} is not an object")
            if (row := change.get("new")) is not None:
                _check_row(table, columns[table], row)
            yield row


def _check_row(table: str, columns: Sequence[str], row: Json) -> None:
    if not isinstance(row, dict):
        raise ValueError(f"a row of table {table} is not an object")
    for column in columns:
        if not _fits(column, row.get(column), (table, column) in _OPTIONAL):
            raise ValueError(f"a value of column {column} of table {table} has another type")


def _fits(column: str, value: Any, optional: bool) -> bool:
    match column:
        case "availability_zone":
            return bool(reference(value))
        case "external_ids" | "options":
            return _is_map(value)
        case "tunnel_key":
            return type(value) is int
        case _:
            return isinstance(value, str) or (optional and value in (None, ["set", []]))


def _is_map(value: Any) -> bool:
    match value:
        case ["map", list(entries)]:
            return all(_is_pair(entry) for entry in entries)
    return False


def _is_pair(value: Any) -> bool:
    match value:
        case [str(), str()]:
            return True
    return False
