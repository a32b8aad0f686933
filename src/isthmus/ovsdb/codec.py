"""Convert between values and OVSDB's JSON (RFC 7047, section 5). Pure; used by replicas, sessions.

Decoding follows the *server's* schema, since the JSON of a column depends on its type there.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import ovs.db.schema
import ovs.db.types

from isthmus.model.operations import Insert, Mutate, NewRef, Operation, Ref, Update, Wait
from isthmus.model.rows import Row
from isthmus.ovsdb.coalesce import coalesce

Json: TypeAlias = Any
"""JSON in the form of the json module."""

Decoder: TypeAlias = Callable[[Json], Any]
Merger: TypeAlias = Callable[[Any, Json], Any]
"""Computes the new value from the current one and the difference that `update2` reports."""


class Column:
    """How one column of the server's schema is decoded."""

    __slots__ = ("decode", "merge")

    decode: Decoder
    merge: Merger

    def __init__(self, type_: ovs.db.types.Type) -> None:
        if type_.is_map():
            self.decode, self.merge = _decode_map, _merge_map
        elif type_.is_optional():
            self.decode, self.merge = _decode_optional, _replace(_decode_optional)
        elif type_.is_scalar():
            self.decode, self.merge = _decode_atom, _replace(_decode_atom)
        else:
            self.decode, self.merge = (
                decode_set,
                lambda now, difference: now ^ decode_set(difference),
            )


def columns_of(schema: ovs.db.schema.DbSchema, kind: type[Row]) -> dict[str, Column]:
    """Decoders for the columns that a table has in the server's schema."""
    return {name: Column(column.type) for name, column in schema.tables[kind.TABLE].columns.items()}


def _decode_atom(json: Json) -> Any:
    return json[1] if isinstance(json, (list, tuple)) else json


def _elements(json: Json) -> Iterable[Json]:
    return json[1] if isinstance(json, (list, tuple)) and json[0] == "set" else (json,)


def decode_set(json: Json) -> frozenset[Any]:
    """Decode a set: ["set", […]], or a bare atom for a set of one."""
    return frozenset(_decode_atom(element) for element in _elements(json))


def _decode_optional(json: Json) -> Any:
    return next((_decode_atom(element) for element in _elements(json)), None)


def _decode_map(json: Json) -> dict[Any, Any]:
    return {_decode_atom(key): _decode_atom(value) for key, value in json[1]}


def _replace(decode: Decoder) -> Merger:
    return lambda _current, difference: decode(difference)


def _merge_map(current: Mapping[Any, Any], difference: Json) -> dict[Any, Any]:
    # A key that comes with its current value was deleted; with another value, it was set.
    merged = dict(current)
    for key, value in _decode_map(difference).items():
        if merged.get(key) == value:
            del merged[key]
        else:
            merged[key] = value
    return merged


def encode(operations: Iterable[Operation]) -> list[Json]:
    """The operations of one transaction in the form of "transact"."""
    names: _Names = {}
    return [_encode_operation(operation, names) for operation in coalesce(operations)]


_Names: TypeAlias = dict[NewRef, str]
"""The names of the rows that one transaction inserts."""


def _name(ref: NewRef, names: _Names) -> str:
    return names.setdefault(ref, f"new{len(names)}")


def _encode_operation(operation: Operation, names: _Names) -> Json:
    json: dict[str, Json] = {"op": type(operation).__name__.lower(), "table": operation.table.TABLE}
    if not isinstance(operation, Insert):
        json["where"] = [["_uuid", "==", ["uuid", operation.uuid]]]
    match operation:
        case Insert(row=row, ref=ref):
            json["row"] = _encode_row(row, names)
            if ref is not None:
                json["uuid-name"] = _name(ref, names)
        case Update(row=row):
            json["row"] = _encode_row(row, names)
        case Mutate(mutations=mutations):
            encoded = [[column, how, _encode(value, names)] for column, how, value in mutations]
            json["mutations"] = encoded
        case Wait(row=row):
            rows = [_encode_row(row, names)]
            json |= {"timeout": 0, "columns": list(row), "until": "==", "rows": rows}
    return json


def _encode_row(row: Mapping[str, Any], names: _Names) -> Json:
    return {column: _encode(value, names) for column, value in row.items()}


def _encode(value: Any, names: _Names) -> Json:
    if isinstance(value, str):  # first, since most values are strings
        return value
    if isinstance(value, Ref):
        return ["uuid", value.uuid]
    if isinstance(value, NewRef):
        return ["named-uuid", _name(value, names)]
    if isinstance(value, (dict, Mapping)):  # the check for `Mapping` alone is much slower
        return ["map", [[key, element] for key, element in value.items()]]
    if isinstance(value, (frozenset, tuple)):
        return ["set", [_encode(element, names) for element in value]]
    return value
