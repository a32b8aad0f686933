"""What a server that lies or breaks may answer: one list, for unit tests and for a live fleet."""

import json
from collections.abc import Mapping
from typing import Any

from support.hostile.ovsdb_server import OTHER_ROW, ROW, SCHEMA, SWITCH, Answer, reply

DEEP = b"[" * 100_000 + b"]" * 100_000


def result(value: Any) -> Answer:
    """A reply with a result."""
    return lambda request: reply(request, value)


def error(value: Any) -> Answer:
    """An error reply."""
    return lambda request: json.dumps(
        {"id": request["id"], "result": None, "error": value}
    ).encode()


def literal(text: bytes) -> Answer:
    """A reply whose result is this text."""
    head = b'{"error":null,"result":%s,"id":' % text
    return lambda request: head + json.dumps(request["id"]).encode() + b"}"


def raw(data: bytes) -> Answer:
    """Bytes that are no reply."""
    return lambda _: data


def changed(**tables: Any) -> Answer:
    """A schema with other tables."""
    return result(SCHEMA | {"tables": SCHEMA["tables"] | tables})


def columns(**types: Any) -> Answer:
    """A schema in which columns of Transit_Switch have other types."""
    known = SCHEMA["tables"]["Transit_Switch"]["columns"]
    return changed(Transit_Switch={"columns": known | {n: {"type": t} for n, t in types.items()}})


def contents(value: Any) -> Answer:
    """A reply to the monitor request."""
    return result([False, ROW, value])


def switch(**values: Any) -> Answer:
    """Contents with one transit switch, whose columns have wrong values."""
    return contents({"Transit_Switch": {ROW: {"initial": SWITCH | values}}})


ANYWHERE: Mapping[str, Answer] = {
    "null": result(None),
    "true": result(True),
    "zero": result(0),
    "text": result("x"),
    "list": result([]),
    "object": result({}),
    "lists": result([[], [], []]),
    "deep": literal(DEEP),
    "deep objects": literal(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "huge number": literal(b"9" * 100_000),
    "half a character": literal(b'{"name":"\\ud800"}'),
    "not UTF-8": raw(b'{"id":"\xff\xfe"}'),
    "cut UTF-8": raw(b'{"id":"\xe4\xbd'),
    "not JSON": raw(b"{]}"),
    "a list as message": raw(b"[1]"),
    "a number as message": raw(b"1 "),
    "an unknown member": raw(b'{"id":1,"result":1,"error":null,"more":1}'),
    "a method that is a number": raw(b'{"method":1,"params":[],"id":null}'),
    "an endless text": raw(b'{"x":"' + b"x" * (1 << 18)),
    "an endless list": raw(b'{"x":[' + b"[]," * (1 << 17)),
    "an error text": error("no"),
    "an error list": error([[]]),
    "an error object": error({"error": {"a": []}, "details": 5}),
}
"""Answers that are wrong at every step."""

AT_STEPS: Mapping[str, Mapping[str, Answer]] = {
    "get_schema": {
        "no tables": result({"name": SCHEMA["name"], "version": "1.0.0"}),
        "tables are a list": result(SCHEMA | {"tables": []}),
        "a table is null": changed(Transit_Switch=None),
        "columns are null": changed(Transit_Switch={"columns": None}),
        "no column types": changed(Transit_Switch={"columns": {"name": {}}}),
        "an integer as name": columns(name="integer"),
        "names are a set": columns(name={"key": "string", "min": 0, "max": "unlimited"}),
        "a map of numbers": columns(
            external_ids={"key": "integer", "value": "string", "min": 0, "max": "unlimited"}
        ),
        "a text as map": columns(external_ids="string"),
        "an unknown type": columns(name="colour"),
        "an enum that is null": columns(name={"key": {"type": "string", "enum": None}}),
        "another database's": result(SCHEMA | {"name": "Other"}),
        "a name that is a number": result(SCHEMA | {"name": 5}),
        "a version that is none": result(SCHEMA | {"version": [1]}),
    },
    "monitor_cond_since": {
        "no members": result([]),
        "too few members": result([False]),
        "contents are null": contents(None),
        "contents are a list": contents([1]),
        "a table is null": contents({"Transit_Switch": None}),
        "a table is a list": contents({"Transit_Switch": [1]}),
        "an unknown table": contents({"Other": {ROW: {"initial": {}}}}),
        "a row is null": contents({"Transit_Switch": {ROW: None}}),
        "a row is a text": contents({"Transit_Switch": {ROW: "initial"}}),
        "a row without a kind": contents({"Transit_Switch": {ROW: {"other": {}}}}),
        "a change of an unknown row": contents({"Transit_Switch": {ROW: {"modify": {}}}}),
        "an initial row that is null": contents({"Transit_Switch": {ROW: {"initial": None}}}),
        "a number as name": switch(name=5),
        "null as name": switch(name=None),
        "a list as name": switch(name=["set", ["a", "b"]]),
        "an empty list as name": switch(name=[]),
        "an object as name": switch(name={"a": 1}),
        "a text as map": switch(external_ids="a"),
        "a set as map": switch(external_ids=["set", []]),
        "pairs of three": switch(external_ids=["map", [["a", "b", "c"]]]),
        "pairs of numbers": switch(external_ids=["map", [[1, 2]]]),
        "pairs of lists": switch(external_ids=["map", [[[], []]]]),
        "a map without pairs": switch(external_ids=["map"]),
        "a name that ends a line": contents({"Transit_Switch": {"x\n" * 1000: {"initial": 5}}}),
    },
    "lock": {"a list of locks": result([{"locked": True}]), "locked is a text": result({})},
}
"""Answers that are wrong at one step."""


def notification(method: str, *params: Any) -> bytes:
    """A message that no one has asked for."""
    return json.dumps({"method": method, "params": params, "id": None}).encode()


AFTERWARDS: Mapping[str, bytes] = {
    "update3 of nothing": notification("update3", None, None, None),
    "update3 of an unknown table": notification("update3", "x", ROW, {"Other": {ROW: {}}}),
    "update3 of an unknown row": notification(
        "update3", "x", ROW, {"Transit_Switch": {OTHER_ROW: {"modify": {"name": "x"}}}}
    ),
    "update3 with a wrong value": notification(
        "update3", "x", ROW, {"Transit_Switch": {ROW: {"modify": {"name": 5}}}}
    ),
    "update3 with half a map": notification(
        "update3", "x", ROW, {"Transit_Switch": {ROW: {"modify": {"external_ids": ["map"]}}}}
    ),
    "update3 with too few members": notification("update3", 1),
    "update2 of nothing": notification("update2", "x", None),
    "update of nothing": notification("update", "x", None),
    "update of lists": notification("update", "x", {"Transit_Switch": {ROW: {"new": [1]}}}),
    "update of a list as monitor": notification("update2", [], {"Transit_Switch": []}),
    "locked without a name": notification("locked"),
    "locked with an object": notification("locked", {"a": 1}),
    "stolen with null": notification("stolen", None),
    "monitor_canceled of nothing": notification("monitor_canceled"),
    "monitor_canceled of a list": notification("monitor_canceled", []),
    "an unknown method": notification("x" * 10_000),
    "an echo without an id": notification("echo"),
    "a request": b'{"method":"steal","params":[],"id":{"a":[]}}',
    "a reply to nothing": b'{"id":["a"],"result":1,"error":null}',
    "an error of nothing": b'{"id":{},"result":null,"error":{}}',
    "deep": b'{"id":1,"error":null,"result":' + DEEP + b"}",
    "half a character": notification("update2", "x", {"\ud800": {}}),
    "bytes": b"\x00\xff\x00",
    "an endless text": b'{"x":"' + b"x" * (1 << 18),
}
"""What a server sends once the client has its contents."""
