"""What is printed and logged about databases in which every string of every table is hostile."""

import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest

from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.exchange.wiring import exchange
from isthmus.inspect.engine_text import explanation_text, report_text
from isthmus.inspect.explain import explain
from isthmus.inspect.routes import routes, routes_text
from isthmus.inspect.topology import topology, topology_text
from isthmus.model.changes import Change
from isthmus.model.prefixes import parse_network
from isthmus.model.rows import ROW_TYPES, Database, Row, RowId

EVIL = "x\x1b[2J\x9b1m\r\n\u2028forged\u202e\x00"
ZONE = RowId("AvailabilityZone")
ADDRESSES = {"ip_prefix": "10.9.0.0/16", "nexthop": "169.254.100.9"}


def hostile(kind: type[Row]) -> Row:
    """A row with hostile text in every column of strings; references lead to rows that exist."""
    values: dict[str, Any] = {}
    for column in fields(kind):
        shape = str(column.type)
        if column.name == "availability_zone":
            values[column.name] = ZONE
        elif "RowId" in shape:
            continue
        elif column.name in {"ip_prefix", "nexthop"}:
            values[column.name] = {"ip_prefix": "10.9.0.0/16", "nexthop": "169.254.100.9"}[
                column.name
            ]
        elif "Mapping[str, str]" in shape:
            values[column.name] = {EVIL: EVIL, f"isthmus-zone-{EVIL}": EVIL, "subnet": EVIL}
        elif "frozenset[str]" in shape:
            values[column.name] = frozenset({EVIL})
        elif "str" in shape:
            values[column.name] = EVIL
    return kind(uuid=RowId(kind.__name__), **values)


def texts(view: View) -> Mapping[str, str]:
    """What the verbs that look print, and the problems."""
    parts = exchange(view)
    engine = Engine(view, parts.reconcilers, parts.edges)
    engine.recompute(EVIL)
    every = tuple(Database)
    engine.plan(0.0, writable=every, synced=every)
    prefix = parse_network("10.9.0.0/16")
    assert prefix is not None
    return {
        "show": topology_text(topology(view)),
        "routes": routes_text(routes(view)),
        "explain": explanation_text(explain(view, parts, prefix)),
        "engine show": report_text(engine.report(every, every)),
        "problems": "\n".join(map(str, engine.problems())),
    }


def test_every_string_column_is_printed_safely(caplog: pytest.LogCaptureFixture) -> None:
    """No text of any table reaches a terminal or a log without escapes, and no line is forged."""
    view = View()
    for kind in ROW_TYPES:
        view.apply(Change(None, hostile(kind), {}))
    with caplog.at_level(logging.DEBUG):
        found = texts(view)
    assert "forged" in found["show"]
    for name, text in found.items():
        for line in text.split("\n"):
            assert line.isprintable(), name
            assert not line.startswith("forged"), name
