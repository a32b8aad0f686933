"""Rows that servers send, in the three forms of updates, against any schema.

An input is JSON: `{"schemas": {DATABASE: SCHEMA}, "updates": [[DATABASE, FORM, TABLES], …]}`; a
database without a schema has the one of `isthmus.model.rows`. A replica may raise anything, since
its session catches everything and starts from scratch. Promises about the rows that it accepts:
they have the types of the model; changes lead to the same view as all rows do; the engine plans for
them without an error, and finds the same problems from scratch; its operations can be sent, and are
decoded as they were meant; nothing that is printed has control characters.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from fuzz.mutation import mutate_json
from fuzz.promises import require, require_line, require_named
from isthmus.engine.engine import Engine
from isthmus.engine.transactions import Transaction
from isthmus.engine.view import View
from isthmus.exchange.wiring import exchange
from isthmus.inspect.engine_text import explanation_text, report_text
from isthmus.inspect.explain import explain
from isthmus.inspect.routes import routes, routes_text
from isthmus.inspect.topology import topology, topology_text
from isthmus.model.operations import Insert, NewRef, Ref, Update
from isthmus.model.prefixes import parse_network
from isthmus.model.rows import ROW_TYPES, Database, Row
from isthmus.model.text import printable_lines
from isthmus.ovsdb.codec import encode
from isthmus.ovsdb.ovs_patches import json_parser
from isthmus.ovsdb.replica import Replica

_NOWHERE = "unix:/nonexistent"
_ALL = frozenset(Database)
_FORMS = ("update", "update2", "update3")
_PREFIX = parse_network("10.17.0.0/16")


def _hints_of(kind: type[Row]) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


_HINTS = {kind: _hints_of(kind) for kind in ROW_TYPES}
"""The types of each table's columns, by name."""


@cache
def schema_of(database: Database) -> Mapping[str, Any]:
    """The schema of a database that has exactly the columns of the model."""
    tables = {kind.TABLE: _table(kind) for kind in ROW_TYPES if kind.DATABASE is database}
    return {"name": str(database), "version": "1.0.0", "tables": tables}


def _table(kind: type[Row]) -> Mapping[str, Any]:
    columns = {n: _column(h) for n, h in _HINTS[kind].items() if n != "uuid"}
    children = {"key": {"type": "uuid"}, "min": 0, "max": "unlimited"}
    return {"columns": columns | {name: {"type": children} for name in kind.CHILDREN}}


def _column(hint: Any) -> Mapping[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    base = arguments[0] if arguments else hint
    atom = {"RowId": "uuid", "str": "string", "int": "integer", "bool": "boolean"}[base.__name__]
    if origin is Mapping:
        return {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}
    if origin is frozenset:
        return {"type": {"key": atom, "min": 0, "max": "unlimited"}}
    return {"type": {"key": atom, "min": 0 if NoneType in arguments else 1, "max": 1}}


WORDS = (
    *Database, *_FORMS, "insert", "modify", "delete", "initial", "old", "new", "set", "map", "uuid",
    "key", "value", "type", "min", "max", "unlimited", "string", "integer", "boolean", "real",
    "enum", *sorted({kind.TABLE for kind in ROW_TYPES}),
    *sorted({name for kind in ROW_TYPES for name in (*_HINTS[kind], *kind.CHILDREN)}), "true",
    "false", "10.17.0.0/16", "0.0.0.0/0", "::/0", "fe80::1/64", "fd00::1", "169.254.100.5",
    "00:00:00:00:00:01 169.254.100.5/24", "ts", "az1", "az2", "lrp-az1", "remote", "router",
    "router-port", "requested-tnl-key", "requested-chassis", "interconn-ts", "ic-route-adv",
    "ic-route-learn", "ic-route-denylist", "is-interconn", "is-remote", "ic-learned-route", "vxlan",
    "geneve", "dst-ip", "src-ip", "169.254.100.5/24,fd00::/8", "255.255.255.255", "16777216",
)  # fmt: skip
"""Words that the fuzzer inserts."""


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Another input, for the fuzzer."""
    return mutate_json(data, longest, seed, WORDS)


def run(data: bytes) -> None:
    """Apply the updates of an input, and let the engine plan after each."""
    parser = json_parser.Parser()
    if (
        parser.feed(text := data.decode(errors="replace").strip()) != len(text)
        or not parser.is_done()
    ):
        return
    document = parser.finish()
    if not isinstance(document, dict):
        return
    schemas, updates = document.get("schemas", {}), document.get("updates", [])
    if not isinstance(schemas, dict) or not isinstance(updates, list):
        return
    world = _World(schemas)
    for update in updates[:20]:
        world.follow(update)
    world.check()


class _World:
    """The four replicas, and an engine that follows them."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self.view = View()
        self.exchange = exchange(self.view)
        self.engine = Engine(self.view, self.exchange.reconcilers, self.exchange.edges)
        self.replicas: dict[str, Replica] = {}
        for database in Database:
            schema = schemas.get(database, schema_of(database))
            kinds = [kind for kind in ROW_TYPES if kind.DATABASE is database]
            try:
                replica = Replica(database, _NOWHERE, schema, kinds)
            except Exception:  # noqa: BLE001, S112 - see above
                continue
            replica.state = replica.IDL_S_MONITORING
            self.replicas[database] = replica
            for kind, columns in replica.columns.items():
                self.view.schema.learn(kind, columns)
        self.now = 0.0
        self.engine.recompute("start")

    def follow(self, update: Any) -> None:
        """Apply one update, and plan."""
        match update:
            case [str(database), str(form), tables] if form in _FORMS:
                replica = self.replicas.get(database)
            case _:
                return
        if replica is None:
            return
        try:
            replica._Idl__parse_update(tables, form)
            changes = replica.take_changes()
        except Exception:  # noqa: BLE001 - see above
            del self.replicas[database]
            return
        for change in changes:
            if change.new is not None:
                _check_types(change.new)
        self.engine.apply(changes)
        self._plan()

    def _plan(self) -> None:
        self.now += 100.0
        reachable = {Database(name) for name in self.replicas}
        for transaction in self.engine.plan(self.now, reachable, reachable):
            self._check_operations(transaction)
            self.engine.abandon(transaction.database)

    def _check_operations(self, transaction: Transaction) -> None:
        """Require operations that can be sent, and that a replica decodes as they were meant."""
        json.dumps(encode(transaction.operations), ensure_ascii=False).encode()
        decoders = self.replicas[transaction.database]._replicated
        for operation in transaction.operations:
            if not isinstance(operation, (Insert, Update)):
                continue
            table = decoders.get(operation.table.TABLE)
            require(table is not None, f"writes {operation.table.TABLE}, which does not exist")
            assert table is not None
            [*_, encoded] = encode([operation])
            for name, value in operation.row.items():
                if name in table.fields and not _has_references(value):
                    found = table.fields[name].decode(encoded["row"][name])
                    same = found == value or found == _as_set(value)
                    require(same, f"{name}: {found!r} is not {value!r}")

    def check(self) -> None:
        """Require the same from scratch as from changes, and text that can be printed."""
        fresh = View()
        for replica in self.replicas.values():
            for change in replica.everything():
                fresh.apply(change)
        for kind in ROW_TYPES:
            if kind.DATABASE in self.replicas:
                rows = {row.uuid: row for row in self.view.table(kind)}
                again = {row.uuid: row for row in fresh.table(kind)}
                require(rows == again, f"{kind.TABLE} differs from all rows")
        before = set(self.engine.problems())
        self.engine.recompute("check")
        self._plan()
        after = set(self.engine.problems())
        require(before == after, f"other problems from scratch: {before ^ after}")
        require_named(after)
        assert _PREFIX is not None
        texts = (
            topology_text(topology(self.view)),
            routes_text(routes(self.view)),
            explanation_text(explain(self.view, self.exchange, _PREFIX)),
            report_text(self.engine.report(_ALL, _ALL)),
        )
        for text in texts:
            for line in text.split("\n"):
                require_line(printable_lines([line]))


def _check_types(row: Row) -> None:
    for name, hint in _HINTS[type(row)].items():
        require(_is(getattr(row, name), hint), f"{type(row).__name__}.{name} is no {hint}: {row!r}")


def _is(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Mapping:
        return isinstance(value, dict) and _all(value, arguments[0]) and _all(value.values(), str)
    if origin is frozenset:
        return isinstance(value, frozenset) and _all(value, arguments[0])
    if NoneType in arguments:
        return value is None or _is(value, arguments[0])
    return type(value) is getattr(hint, "__supertype__", hint)


def _all(values: Iterable[Any], hint: Any) -> bool:
    return all(_is(value, hint) for value in values)


def _has_references(value: Any) -> bool:
    elements = value if isinstance(value, (tuple, frozenset)) else (value,)
    return any(isinstance(element, (Ref, NewRef)) for element in elements)


def _as_set(value: Any) -> Any:
    return frozenset(value) if isinstance(value, tuple) else value
