"""OVSDB operations as JSON (RFC 7047, section 5.2), for rows that Isthmus does not know."""

from typing import Any, TypeAlias

Json: TypeAlias = Any


def insert(table: str, ref: str, /, **row: Json) -> Json:
    """Insert a row to which the same transaction can refer as ["named-uuid", ref]."""
    return {"op": "insert", "table": table, "uuid-name": ref, "row": row}


def update(table: str, where: Json, /, **row: Json) -> Json:
    """Replace columns."""
    return {"op": "update", "table": table, "where": where, "row": row}


def mutate(table: str, where: Json, *mutations: Json) -> Json:
    """Insert into or delete from sets and maps."""
    return {"op": "mutate", "table": table, "where": where, "mutations": list(mutations)}


def delete(table: str, where: Json) -> Json:
    """Delete rows."""
    return {"op": "delete", "table": table, "where": where}


def named(value: str, column: str = "name") -> Json:
    """The condition that a column has a value."""
    return [[column, "==", value]]


def mapping(values: dict[str, str]) -> Json:
    """A map in OVSDB's notation."""
    return ["map", [list(item) for item in sorted(values.items())]]


def strings(values: "list[str] | tuple[str, ...]") -> Json:
    """A set of strings in OVSDB's notation."""
    return ["set", list(values)]


def new(name: str) -> Json:
    """A reference to a row that the same transaction inserts."""
    return ["set", [["named-uuid", name]]]
