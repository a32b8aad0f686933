"""Convert between values and OVSDB's JSON (RFC 7047, section 5). Pure; used by replicas, sessions.

Decoding follows the *server's* schema, since the JSON of a column depends on its type there.
Whatever a server sends, a decoded value has the type that `isthmus.model.rows` gives the column.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import NoneType
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

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
        atom = _ATOMS[str(type_.key.type)]
        if type_.is_map():
            self.decode = partial(_decode_map, atom, _ATOMS[str(type_.value.type)])
            self.merge = partial(_merge_map, self.decode)
        elif type_.is_optional():
            self.decode = partial(_decode_optional, atom)
            self.merge = _replace(self.decode)
        elif type_.is_scalar():
            self.decode, self.merge = atom, _replace(atom)
        else:
            self.decode = decode = partial(decode_set, atom=atom)
            self.merge = lambda now, difference: now ^ decode(difference)


def columns_of(schema: ovs.db.schema.DbSchema, kind: type[Row]) -> dict[str, Column]:
    """Decoders for the columns that a table has in the server's schema.

    Raises:
        TypeError: a column is of another type than in the model.
    """
    hints = get_type_hints(kind)
    columns = schema.tables[kind.TABLE].columns
    for name, column in columns.items():
        if not _fits(column.type, frozenset[str] if name in kind.CHILDREN else hints.get(name)):
            raise TypeError(f"column {name} of table {kind.TABLE} has another type")
    return {name: Column(column.type) for name, column in columns.items()}


def _fits(type_: ovs.db.types.Type, hint: Any) -> bool:
    """Whether decoded values have the type of a field; True if there is no such field."""
    origin, arguments = get_origin(hint), get_args(hint)
    base = arguments[0] if arguments else hint
    atoms = _ATOM_TYPES.get(getattr(base, "__supertype__", base), set())
    if hint is None:
        return True
    if origin is Mapping:
        return type_.is_map() and {str(type_.key.type), str(type_.value.type)} <= atoms
    if type_.is_map() or str(type_.key.type) not in atoms:
        return False
    if origin is frozenset:
        return not (type_.is_optional() or type_.is_scalar())
    return bool(type_.is_scalar() or (type_.is_optional() and NoneType in arguments))


_ATOM_TYPES: dict[Any, set[str]] = {
    str: {"string", "uuid"}, int: {"integer"}, bool: {"boolean"}
}  # fmt: skip
"""The types of OVSDB that become a type of Python."""


def _atom_of(kind: type) -> Decoder:
    def decode(json: Json) -> Any:
        if type(json) is not kind:
            raise TypeError(f"not a {kind.__name__}")
        return json

    return decode


def _real(json: Json) -> float:
    return float(json)


def _uuid(json: Json) -> str:
    tag, uuid = json
    if tag != "uuid" or type(uuid) is not str:
        raise TypeError("not a UUID")
    return uuid


_ATOMS: dict[str, Decoder] = {
    "string": _atom_of(str),
    "integer": _atom_of(int),
    "boolean": _atom_of(bool),
    "real": _real,
    "uuid": _uuid,
}


def _elements(json: Json) -> Iterable[Json]:
    return json[1] if isinstance(json, (list, tuple)) and json[0] == "set" else (json,)


def decode_set(json: Json, *, atom: Decoder) -> frozenset[Any]:
    """Decode a set: ["set", […]], or a bare atom for a set of one."""
    return frozenset(map(atom, _elements(json)))


decode_references = partial(decode_set, atom=_uuid)


def _decode_optional(atom: Decoder, json: Json) -> Any:
    return next(map(atom, _elements(json)), None)


def _decode_map(key_atom: Decoder, value_atom: Decoder, json: Json) -> dict[Any, Any]:
    tag, pairs = json
    if tag != "map":
        raise TypeError("not a map")
    return {key_atom(key): value_atom(value) for key, value in pairs}


def _replace(decode: Decoder) -> Merger:
    return lambda _current, difference: decode(difference)


def _merge_map(decode: Decoder, current: Mapping[Any, Any], difference: Json) -> dict[Any, Any]:
    # A key that comes with its current value was deleted; with another value, it was set.
    merged = dict(current)
    for key, value in decode(difference).items():
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
