"""Conversion between values and OVSDB's JSON, for every column type."""

import json
from typing import Any

import ovs.db.schema
import ovs.db.types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.operations import (
    Delete,
    Insert,
    Mutate,
    NewRef,
    Operation,
    Ref,
    Update,
    Value,
    Wait,
    set_keys,
)
from isthmus.model.rows import LogicalRouter, LogicalRouterStaticRoute, RowId
from isthmus.ovsdb.codec import Column, columns_of, encode

ID, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SHAPES: dict[str, Any] = {
    "scalar": "string",
    "reference": {"key": "uuid"},
    "optional": {"key": "boolean", "min": 0, "max": 1},
    "set": {"key": "string", "min": 0, "max": "unlimited"},
    "references": {"key": "uuid", "min": 0, "max": "unlimited"},
    "map": {"key": "string", "value": "string", "min": 0, "max": "unlimited"},
}


def column(shape: str) -> Column:
    """A column's codec."""
    return Column(ovs.db.types.Type.from_json(SHAPES[shape]))


@pytest.mark.parametrize(
    ("shape", "wire", "value"),
    [
        ("scalar", "x", "x"),
        ("reference", ["uuid", ID], ID),
        ("optional", ["set", []], None),
        ("optional", True, True),
        ("optional", ["set", [False]], False),
        ("set", "x", frozenset({"x"})),
        ("set", ["set", []], frozenset()),
        ("set", ["set", ["x", "y"]], frozenset({"x", "y"})),
        ("references", ["uuid", ID], frozenset({ID})),
        ("references", ["set", [["uuid", ID], ["uuid", OTHER]]], frozenset({ID, OTHER})),
        ("map", ["map", []], {}),
        ("map", ["map", [["a", "1"], ["b", ""]]], {"a": "1", "b": ""}),
    ],
)
def test_decoding(shape: str, wire: Any, value: Any) -> None:
    """Each column type has one form in Python for all of its JSON forms."""
    assert column(shape).decode(wire) == value


@pytest.mark.parametrize(
    ("shape", "old", "difference", "new"),
    [
        ("scalar", "x", "y", "y"),
        ("optional", True, ["set", []], None),
        ("optional", None, False, False),
        ("set", frozenset({"x"}), ["set", ["x", "y"]], frozenset({"y"})),
        ("references", frozenset({ID}), ["uuid", OTHER], frozenset({ID, OTHER})),
        ("map", {"a": "1"}, ["map", [["a", "1"]]], {}),
        ("map", {"a": "1"}, ["map", [["a", "2"], ["b", "3"]]], {"a": "2", "b": "3"}),
        ("map", {"a": ""}, ["map", [["a", ""]]], {}),
    ],
)
def test_merging_differences(shape: str, old: Any, difference: Any, new: Any) -> None:
    """The difference of update2 and the old value give the new value."""
    assert column(shape).merge(old, difference) == new


MAPS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "1", "2"]))


@given(MAPS, MAPS)
def test_merging_a_map_never_changes_the_old_one(old: dict[str, str], new: dict[str, str]) -> None:
    """Differences lead from any map to any other; old rows keep their map."""
    gone = [[key, old[key]] for key in old.keys() - new.keys()]
    difference = ["map", gone + [[k, v] for k, v in new.items() if old.get(k) != v]]
    before = dict(old)
    assert column("map").merge(old, difference) == new
    assert old == before


def test_columns_are_the_servers() -> None:
    """A column that the server's schema lacks has no decoder."""
    schema = {
        "name": "OVN_Northbound",
        "version": "1.0.0",
        "tables": {"Logical_Router": {"columns": {"name": {"type": "string"}}}},
    }
    parsed = ovs.db.schema.DbSchema.from_json(schema)
    assert set(columns_of(parsed, LogicalRouter)) == {"name"}


def test_encoding() -> None:
    """Operations in the form of RFC 7047, with one name per inserted row."""
    new, uuid = NewRef(), RowId(ID)
    row: dict[str, Value] = {"ip_prefix": "10.0.0.0/8", "options": {"a": "b"}}
    operations: list[Operation] = [
        Insert(LogicalRouterStaticRoute, row, new),
        Mutate(LogicalRouter, uuid, (("static_routes", "insert", (new, Ref(RowId(OTHER)))),)),
        Insert(LogicalRouter, {"enabled": False}),
        Update(LogicalRouter, uuid, {"enabled": frozenset()}),
        Delete(LogicalRouter, uuid),
        Wait(LogicalRouter, uuid, {"name": "r"}),
    ]
    where = [["_uuid", "==", ["uuid", ID]]]
    routes = ["set", [["named-uuid", "new0"], ["uuid", OTHER]]]
    encoded = encode(operations)
    assert encoded == [
        {
            "op": "insert",
            "table": "Logical_Router_Static_Route",
            "row": {"ip_prefix": "10.0.0.0/8", "options": ["map", [["a", "b"]]]},
            "uuid-name": "new0",
        },
        {
            "op": "mutate",
            "table": "Logical_Router",
            "where": where,
            "mutations": [["static_routes", "insert", routes]],
        },
        {"op": "insert", "table": "Logical_Router", "row": {"enabled": False}},
        {
            "op": "update",
            "table": "Logical_Router",
            "where": where,
            "row": {"enabled": ["set", []]},
        },
        {"op": "delete", "table": "Logical_Router", "where": where},
        {
            "op": "wait",
            "table": "Logical_Router",
            "where": where,
            "timeout": 0,
            "columns": ["name"],
            "until": "==",
            "rows": [{"name": "r"}],
        },
    ]
    assert json.loads(json.dumps(encoded)) == encoded


def test_setting_keys_deletes_them_first() -> None:
    """Inserting an existing key does not change a map, so the key is deleted first."""
    (operation,) = encode([set_keys(LogicalRouter, RowId(ID), "options", {"a": "1"})])
    assert operation["mutations"] == [
        ["options", "delete", ["set", ["a"]]],
        ["options", "insert", ["map", [["a", "1"]]]],
    ]
