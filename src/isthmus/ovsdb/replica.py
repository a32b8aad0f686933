"""A replica of one database, with frozen rows and changes instead of the IDL's `Row` objects.

`ovs.db.idl.Idl` handles the connection: reconnecting, choosing the Raft leader, monitoring of
`_Server`, `monitor_cond_since`, locks, replies to transactions. Only the hooks that store rows are
replaced. A row then takes some hundred bytes instead of some thousand, and a change of a column
with 100,000 references costs as much as the difference
(docs/decisions/0003-idl-without-its-rows.md). Used only by `isthmus.ovsdb.session`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import ovs.db.idl
import ovs.db.schema
import ovs.jsonrpc

from isthmus.model.changes import Change
from isthmus.model.rows import Database, IcRoute, LogicalRouterStaticRoute, Row, RowId
from isthmus.ovsdb.codec import Column, Json, columns_of, decode_references, decode_set

MONITORED_PORT_TYPES = ("patch", "l3gateway", "chassisredirect", "remote")
"""Types of SB Port_Binding that interconnection needs; pods have far more ports of other types."""


COMMON: Mapping[type[Row], tuple[str, ...]] = {
    IcRoute: (
        "transit_switch", "availability_zone", "route_table", "nexthop", "origin", "external_ids",
    ),
    LogicalRouterStaticRoute: ("nexthop", "route_table", "options"),
}  # fmt: skip
"""Columns of the largest tables in which many rows have the same values."""


class _CommonValues:
    """Equal values of one column as one object, so that each row does not have its own."""

    __slots__ = ("_known",)

    _MOST, _LONGEST = 1024, 512

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def share(self, value: Any) -> Any:
        """The value, or an equal one from before; long ones are not kept for later."""
        key = tuple(value.items()) if isinstance(value, dict) else value
        found = self._known.get(key)
        if found is None:
            if len(str(key)) > self._LONGEST:
                return value
            if len(self._known) == self._MOST:
                self._known.clear()
            found = self._known[key] = value
        return found


class _ReplicatedTable:
    """The rows of one table, with the decoders of its columns."""

    def __init__(self, kind: type[Row], columns: Mapping[str, Column]) -> None:
        self.kind = kind
        self.fields = {n: c for n, c in columns.items() if n not in kind.CHILDREN}
        self._common = {n: _CommonValues() for n in COMMON.get(kind, ()) if n in self.fields}
        self.children = [name for name in kind.CHILDREN if name in columns]
        self.rows: dict[RowId, Row] = {}
        self.held: dict[str, dict[RowId, set[RowId]]] = {name: {} for name in self.children}
        # While the server sends everything again, the rows that it has not sent yet.
        self.unconfirmed: set[RowId] = set()

    def put(self, uuid: RowId, json: Json) -> Change | None:
        """Take a complete row: a new one, or one that is sent again after a reconnection."""
        if not isinstance(json, dict):
            raise TypeError("a row is not an object")
        self.unconfirmed.discard(uuid)
        old = self.rows.get(uuid)
        values = {n: c.decode(json[n]) for n, c in self.fields.items() if n in json}
        for name, common in self._common.items():
            if name in values:
                values[name] = common.share(values[name])
        new = self.kind(uuid=uuid, **values)
        joined: dict[str, frozenset[RowId]] = {}
        left: dict[str, frozenset[RowId]] = {}
        for name in self.children:
            held = decode_references(json[name]) if name in json else frozenset()
            before = self.held[name].get(uuid, set())
            self._note(joined, left, name, held - before, frozenset(before - held))
            self.held[name][uuid] = set(held)
        self.rows[uuid] = new
        return Change(old, new, joined, left) if old != new or joined or left else None

    def modify(self, uuid: RowId, json: Json) -> Change | None:
        """Take the difference to a known row."""
        old = self.rows[uuid]
        merged = {
            name: column.merge(getattr(old, name), json[name])
            for name, column in self.fields.items()
            if name in json
        }
        new = replace(old, **merged) if merged else old
        joined: dict[str, frozenset[RowId]] = {}
        left: dict[str, frozenset[RowId]] = {}
        for name in self.children:
            if name in json:
                difference = decode_references(json[name])
                held = self.held[name].setdefault(uuid, set())
                gone = frozenset(difference & held)
                self._note(joined, left, name, difference - gone, gone)
                held ^= difference
        self.rows[uuid] = new
        return Change(old, new, joined, left) if old != new or joined or left else None

    def drop(self, uuid: RowId) -> Change | None:
        """Remove a row."""
        self.unconfirmed.discard(uuid)
        old = self.rows.pop(uuid, None)
        if old is None:
            return None
        left = {name: frozenset(self.held[name].pop(uuid, ())) for name in self.children}
        return Change(old, None, {}, {name: held for name, held in left.items() if held})

    @staticmethod
    def _note(
        joined: dict[str, frozenset[RowId]],
        left: dict[str, frozenset[RowId]],
        name: str,
        came: frozenset[RowId],
        went: frozenset[RowId],
    ) -> None:
        if came:
            joined[name] = came
        if went:
            left[name] = went


def _columns(
    schema: Json, kinds: Iterable[type[Row]]
) -> dict[type[Row], dict[str, frozenset[str]]]:
    """The tables' columns in the server's schema, each with the values that it is limited to."""
    columns = {kind: schema["tables"].get(kind.TABLE, {"columns": {}})["columns"] for kind in kinds}
    return {
        kind: {name: _enum(column["type"]) for name, column in found.items()}
        for kind, found in columns.items()
    }


def _enum(type_: Json) -> frozenset[str]:
    key = type_.get("key") if isinstance(type_, dict) else None
    if isinstance(key, dict) and "enum" in key:
        return decode_set(key["enum"], atom=str)
    return frozenset()


class _SchemaReply:
    """Receives the reply to "get_schema", which the IDL handles like a transaction's."""

    def __init__(self) -> None:
        self.schema: Json | None = None
        self._status = ""  # the IDL writes it when the connection breaks

    def _process_reply(self, message: ovs.jsonrpc.Message) -> None:
        if message.type == ovs.jsonrpc.Message.T_REPLY:
            self.schema = message.result


class Replica(ovs.db.idl.Idl):
    """The current rows of one database; `take_changes` returns what changed.

    Args:
        database: which of the four.
        remote: OVSDB connection methods, comma-separated, e.g. "tcp:10.0.0.1:6645".
        schema_json: the server's answer to "get_schema".
        kinds: the tables to replicate; those missing in the schema are skipped.
        probe_interval: milliseconds between keepalive probes; 0 is off, None the library's.
        leader_only: whether to connect only to the leader of a cluster.

    Attributes:
        columns: for each table, the columns in the server's schema and the values that each is
            limited to; no columns for a table that the schema lacks.
    """

    _outstanding_txns: dict[Json, Json]  # the library's; declared, as it has no types

    def __init__(  # noqa: PLR0913 - what it replicates, and how it connects
        self,
        database: Database,
        remote: str,
        schema_json: Json,
        kinds: Iterable[type[Row]],
        probe_interval: int | None = None,
        *,
        leader_only: bool = True,
    ) -> None:
        kinds = tuple(kinds)
        self._requested = kinds
        self._began = False
        self._schema_reply: _SchemaReply | None = None
        if schema_json["name"] != database:
            raise ValueError("the schema is another database's")
        self.columns = _columns(schema_json, kinds)
        helper = ovs.db.idl.SchemaHelper(schema_json=schema_json)
        self.kinds = [kind for kind in kinds if kind.TABLE in schema_json["tables"]]
        for kind in self.kinds:
            known = schema_json["tables"][kind.TABLE]["columns"]
            wanted = [*kind.__dataclass_fields__, *kind.CHILDREN]
            helper.register_columns(kind.TABLE, [name for name in wanted if name in known])
        super().__init__(remote, helper, probe_interval=probe_interval, leader_only=leader_only)
        self._replicated = {
            k.TABLE: _ReplicatedTable(k, columns_of(self._db, k)) for k in self.kinds
        }
        self._changes: list[Change] = []
        if database is Database.SB and "Port_Binding" in self.tables:
            self.tables["Port_Binding"].condition = [
                ["type", "==", type_] for type_ in MONITORED_PORT_TYPES
            ]
            # Makes it part of the first request. While a later change is unsent and the connection
            # down, the IDL would keep the poller from waiting.
            self.sync_conditions()

    @property
    def monitoring(self) -> bool:
        """Whether the replica is complete and up to date."""
        return bool(self.state == self.IDL_S_MONITORING)

    def take_changes(self) -> list[Change]:
        """The changes since the last call; complete only while `monitoring`."""
        if self.monitoring:
            # Rows that the server did not send again were deleted meanwhile.
            for table in self._replicated.values():
                for uuid in list(table.unconfirmed):
                    self._note_change(table.drop(uuid))
        changes, self._changes = self._changes, []
        return changes

    def restart_fsm(self) -> None:
        """Start again after a reconnection, or when the server has cancelled our monitors.

        The schema may have changed in both cases: a database can be converted while it is served
        (ovsdb-client(1)), and a server can be upgraded.
        """
        super().restart_fsm()
        if self._began:
            request = ovs.jsonrpc.Message.create_request("get_schema", [self._db.name])
            self._session.send(request)
            # The IDL passes other replies to the entry with their id.
            self._outstanding_txns[request.id] = self._schema_reply = _SchemaReply()
        self._began = True

    def set_lock(self, lock_name: str | None) -> None:
        """Request a lock, or release it; a schema request may be in flight, a transaction not."""
        in_flight, self._outstanding_txns = self._outstanding_txns, {}
        super().set_lock(lock_name)
        self._outstanding_txns = in_flight

    def changed_schema(self) -> Json | None:
        """The server's schema, returned once, if it has changed since this replica was created."""
        reply, schema = self._schema_reply, None
        if reply is not None and reply.schema is not None:
            self._schema_reply = None
            schema = reply.schema
        if schema is None or _columns(schema, self._requested) == self.columns:
            return None
        return schema

    def everything(self) -> Iterator[Change]:
        """All rows, as if they had just been inserted."""
        for table in self._replicated.values():
            for uuid, row in table.rows.items():
                held = {name: frozenset(table.held[name].get(uuid, ())) for name in table.children}
                yield Change(None, row, {name: rows for name, rows in held.items() if rows})

    def _note_change(self, change: Change | None) -> None:
        if change is not None:
            self._changes.append(change)

    # The IDL's private hooks, by their mangled names. tests/contract/test_replica.py fails if a
    # new version of the package no longer has them.

    def _Idl__clear(self) -> None:  # noqa: N802 - overrides the IDL's
        for table in self._replicated.values():
            table.unconfirmed = set(table.rows)
        self.cond_seqno = 0

    def _Idl__do_parse_update(  # noqa: N802 - overrides the IDL's
        self, table_updates: Json, version: str, tables: Any
    ) -> None:
        if tables is not self.tables:
            super()._Idl__do_parse_update(table_updates, version, tables)
            return
        # A server without a _Server database is monitored as in RFC 7047.
        follow = self._follow_rfc if version == ovs.db.idl.OVSDB_UPDATE else self._follow
        for name, updates in table_updates.items():
            table = self._replicated.get(name)
            if table is None:
                # Not the library's error, which it would only log.
                raise ValueError(f"an update of table {name}, which is not monitored")
            for uuid in tuple(updates.keys()):
                # The first update has all rows: what has been converted is not kept as well.
                self._note_change(follow(table, uuid, updates.pop(uuid)))
        self.change_seqno += 1

    @staticmethod
    def _follow(table: _ReplicatedTable, uuid: RowId, update: Json) -> Change | None:
        """Apply a row of an "update2" or "update3" (ovsdb-server(7))."""
        if "delete" in update:
            return table.drop(uuid)
        if "modify" in update:
            return table.modify(uuid, update["modify"])
        return table.put(uuid, update["insert"] if "insert" in update else update["initial"])

    @staticmethod
    def _follow_rfc(table: _ReplicatedTable, uuid: RowId, update: Json) -> Change | None:
        """Apply a row of an "update" (RFC 7047, section 4.1.6)."""
        return table.put(uuid, update["new"]) if update.get("new") else table.drop(uuid)
