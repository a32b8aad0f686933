"""A replica of one database, as frozen rows and changes instead of the IDL's `Row` objects.

`ovs.db.idl.Idl` keeps the connection: reconnecting, choosing the Raft leader, `_Server`
monitoring, `monitor_cond_since`, locks, replies to transactions. Only the hooks through which it
stores rows are replaced, so that a row costs some hundred bytes instead of some thousand, and
a change of a column with 100,000 references costs as much as its difference
(docs/decisions/0003-idl-without-its-rows.md). Used by `isthmus.ovsdb.session` alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import ovs.db.error
import ovs.db.idl
import ovs.db.schema
import ovs.jsonrpc

from isthmus.model.changes import Change
from isthmus.model.rows import Database, Row, RowId
from isthmus.ovsdb.codec import Column, Json, columns_of, decode_set

MONITORED_PORT_TYPES = ("patch", "l3gateway", "chassisredirect", "remote")
"""Types of SB Port_Binding that interconnection needs; a cluster's pods, far more, are not."""


class _Table:
    """The rows of one table, and how to decode and extend them."""

    def __init__(self, kind: type[Row], columns: Mapping[str, Column]) -> None:
        self.kind = kind
        self.fields = {n: c for n, c in columns.items() if n not in kind.CHILDREN}
        self.children = [name for name in kind.CHILDREN if name in columns]
        self.rows: dict[RowId, Row] = {}
        self.held: dict[str, dict[RowId, set[RowId]]] = {name: {} for name in self.children}
        # While the server sends everything anew, the rows that it has not mentioned yet.
        self.unconfirmed: set[RowId] = set()

    def put(self, uuid: RowId, json: Json) -> Change | None:
        """A complete row: new, or known and sent again after a reconnection."""
        self.unconfirmed.discard(uuid)
        old = self.rows.get(uuid)
        values = {n: c.decode(json[n]) for n, c in self.fields.items() if n in json}
        new = self.kind(uuid=uuid, **values)
        joined: dict[str, frozenset[RowId]] = {}
        left: dict[str, frozenset[RowId]] = {}
        for name in self.children:
            held = decode_set(json[name]) if name in json else frozenset()
            before = self.held[name].get(uuid, set())
            self._note(joined, left, name, held - before, frozenset(before - held))
            self.held[name][uuid] = set(held)
        self.rows[uuid] = new
        return Change(old, new, joined, left) if old != new or joined or left else None

    def modify(self, uuid: RowId, json: Json) -> Change | None:
        """The difference of a known row."""
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
                difference = decode_set(json[name])
                held = self.held[name].setdefault(uuid, set())
                gone = frozenset(difference & held)
                self._note(joined, left, name, difference - gone, gone)
                held ^= difference
        self.rows[uuid] = new
        return Change(old, new, joined, left) if old != new or joined or left else None

    def drop(self, uuid: RowId) -> Change | None:
        """A row that is gone."""
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


def _facts(schema: Json, kinds: Iterable[type[Row]]) -> dict[type[Row], dict[str, frozenset[str]]]:
    """The tables' columns, and the values that each is limited to, from the server's schema."""
    columns = {kind: schema["tables"].get(kind.TABLE, {"columns": {}})["columns"] for kind in kinds}
    return {
        kind: {name: _enum(column["type"]) for name, column in found.items()}
        for kind, found in columns.items()
    }


def _enum(type_: Json) -> frozenset[str]:
    key = type_.get("key") if isinstance(type_, dict) else None
    return decode_set(key["enum"]) if isinstance(key, dict) and "enum" in key else frozenset()


class _SchemaReply:
    """Waits for the answer to a "get_schema" in the place of a transaction."""

    def __init__(self) -> None:
        self.schema: Json | None = None
        self._status = ""  # the IDL marks what a broken connection has cost

    def _process_reply(self, message: ovs.jsonrpc.Message) -> None:
        if message.type == ovs.jsonrpc.Message.T_REPLY:
            self.schema = message.result


class Replica(ovs.db.idl.Idl):
    """One database's rows, kept current; `take_changes` hands over what happened.

    Args:
        database: which of the four.
        remote: OVSDB connection methods, comma-separated, e.g. "tcp:10.0.0.1:6645".
        schema_json: the server's answer to "get_schema".
        kinds: the tables to replicate; those that the schema lacks are left out.
        probe_interval: milliseconds between keepalive probes; 0 is off, None the library's.
        leader_only: whether a member of a cluster that does not lead is no good.

    Attributes:
        facts: for each of the tables, the columns of the server's schema and the values that
            each is limited to; no columns for a table that the server lacks.
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
        self._asked_for = kinds
        self._has_begun = False
        self._schema_reply: _SchemaReply | None = None
        self.facts = _facts(schema_json, kinds)
        helper = ovs.db.idl.SchemaHelper(schema_json=schema_json)
        self.kinds = [kind for kind in kinds if kind.TABLE in schema_json["tables"]]
        for kind in self.kinds:
            known = schema_json["tables"][kind.TABLE]["columns"]
            wanted = [*kind.__dataclass_fields__, *kind.CHILDREN]
            helper.register_columns(kind.TABLE, [name for name in wanted if name in known])
        super().__init__(remote, helper, probe_interval=probe_interval, leader_only=leader_only)
        self._replicated = {k.TABLE: _Table(k, columns_of(self._db, k)) for k in self.kinds}
        self._changes: list[Change] = []
        if database is Database.SB and "Port_Binding" in self.tables:
            self.tables["Port_Binding"].condition = [
                ["type", "==", type_] for type_ in MONITORED_PORT_TYPES
            ]
            # Part of the first request, not a change still to be sent: for that the IDL would
            # keep the poller from waiting until it is connected.
            self.sync_conditions()

    @property
    def monitoring(self) -> bool:
        """Whether the replica is complete and follows the server."""
        return bool(self.state == self.IDL_S_MONITORING)

    def take_changes(self) -> list[Change]:
        """What happened since the last call; complete only while `monitoring`."""
        if self.monitoring:
            # The rows that a resynchronisation did not mention have vanished meanwhile.
            for table in self._replicated.values():
                for uuid in list(table.unconfirmed):
                    self._note_change(table.drop(uuid))
        changes, self._changes = self._changes, []
        return changes

    def restart_fsm(self) -> None:
        """Begin anew after a reconnection, or when the server has dropped our monitors.

        Either may mean another schema: a database can be converted while it is served
        (ovsdb-client(1)), and a server can come back with another version's.
        """
        super().restart_fsm()
        if self._has_begun:
            request = ovs.jsonrpc.Message.create_request("get_schema", [self._db.name])
            self._session.send(request)
            # The IDL hands replies that it did not ask for itself to whoever waits under the id.
            self._outstanding_txns[request.id] = self._schema_reply = _SchemaReply()
        self._has_begun = True

    def set_lock(self, lock_name: str | None) -> None:
        """Want a lock, or none; a request for the schema may be under way, a transaction not."""
        waiting, self._outstanding_txns = self._outstanding_txns, {}
        super().set_lock(lock_name)
        self._outstanding_txns = waiting

    def other_schema(self) -> Json | None:
        """The server's schema, told once, if it is no longer the one this replica is made for."""
        reply, schema = self._schema_reply, None
        if reply is not None and reply.schema is not None:
            self._schema_reply = None
            schema = reply.schema
        if schema is None or _facts(schema, self._asked_for) == self.facts:
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

    # The private hooks of the IDL, by their mangled names; tests/contract/test_replica.py
    # fails if a new version of the package has them no longer.

    def _Idl__clear(self) -> None:  # noqa: N802 - overrides the IDL's
        for table in self._replicated.values():
            table.unconfirmed = set(table.rows)
        self.cond_seqno = 0

    def _Idl__do_parse_update(  # noqa: N802 - overrides the IDL's
        self,
        table_updates: Json,
        version: str,
        tables: Any,
    ) -> None:
        if tables is not self.tables:
            super()._Idl__do_parse_update(table_updates, version, tables)
            return
        # A server without a _Server database is monitored in the way of RFC 7047.
        follow = self._follow_rfc if version == ovs.db.idl.OVSDB_UPDATE else self._follow
        for name, updates in table_updates.items():
            table = self._replicated.get(name)
            if table is None:
                raise ovs.db.error.Error(f"an update of table {name}, which was not asked for")
            for uuid, update in updates.items():
                self._note_change(follow(table, uuid, update))
        self.change_seqno += 1

    @staticmethod
    def _follow(table: _Table, uuid: RowId, update: Json) -> Change | None:
        """Take in a row of an "update2" or "update3" (ovsdb-server(7))."""
        if "delete" in update:
            return table.drop(uuid)
        if "modify" in update and uuid in table.rows:
            return table.modify(uuid, update["modify"])
        return table.put(uuid, update.get("insert") or update.get("initial") or {})

    @staticmethod
    def _follow_rfc(table: _Table, uuid: RowId, update: Json) -> Change | None:
        """Take in a row of an "update" (RFC 7047, section 4.1.6)."""
        return table.put(uuid, update["new"]) if update.get("new") else table.drop(uuid)
