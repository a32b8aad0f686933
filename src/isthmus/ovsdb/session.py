"""One connection to one database: replica, transactions, lock.

It first asks the server for its schema, so that any version's tables and columns serve, then
replicates. Used by the daemon's loop and, through `snapshot`, by the tools that only look.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import ovs.db.idl
import ovs.jsonrpc
import ovs.stream

from isthmus.model.changes import Change
from isthmus.model.operations import Operation
from isthmus.model.rows import ROW_TYPES, Database, Row
from isthmus.ovsdb import tls
from isthmus.ovsdb.codec import Json, encode
from isthmus.ovsdb.ovs_patches import json_parser as json_stream
from isthmus.ovsdb.ovs_patches import utf8 as characters
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.replica import Replica

json_stream.install()
characters.install()

CONNECTION_METHODS = ("tcp:", "unix:", "ssl:")
"""What remotes begin with (ovsdb(7)); "ssl:" only if there is a certificate to show."""

RETRY_INTERVAL = 1000
"""Milliseconds within which every server of a remote is tried once. The library's own backoff grows
to 8 s, which is then how much longer an outage, or the election of a Raft leader, lasts for us."""


DEFAULT_PROBE = 5000
"""Milliseconds between keepalive probes, except on unix sockets, which need none."""

CLUSTER_PROBE = 1000
"""The same for IC databases with several members: one that is cut off or hangs is given up after
two intervals, and another one can be asked. They are small; a server of NB or SB may well be busy
for longer, and would be left by all its clients at once."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How a transaction ended.

    Args:
        committed: it took effect.
        retry: it did not, but only because of the connection, the lock or a lost race.
        error: otherwise, the error of RFC 7047.
        details: the server's explanation.
    """

    committed: bool = False
    retry: bool = False
    error: str = ""
    details: str = ""


class _Transaction(ovs.db.idl.Transaction):
    """Raw operations over the IDL's session; the IDL routes the reply here."""

    def __init__(self, idl: Replica, operations: list[Json]) -> None:
        super().__init__(idl)
        idl.txn = None  # nothing is built row by row, so nothing stays open
        self._raw = operations
        self.reply: Reply | None = None

    def send(self) -> None:
        """Send it, or find at once that it cannot be sent."""
        idl = self.idl
        operations = list(self._raw)
        if idl.lock_name:
            operations.insert(0, {"op": "assert", "lock": idl.lock_name})
        params = [idl._db.name, *operations]  # noqa: SLF001 - as the IDL's own commit() does
        message = ovs.jsonrpc.Message.create_request("transact", params)
        if idl._session.send(message):  # noqa: SLF001 - as the IDL's own commit() does
            self.reply = Reply(retry=True)
        else:
            idl._outstanding_txns[message.id] = self  # noqa: SLF001 - as commit() does

    def result(self) -> Reply | None:
        """The reply, once there is one."""
        if self.reply is None and self._status == self.TRY_AGAIN:
            return Reply(retry=True)  # the connection broke
        return self.reply

    def _process_reply(self, message: ovs.jsonrpc.Message) -> None:
        if message.type == ovs.jsonrpc.Message.T_ERROR:
            self.reply = Reply(error="request refused", details=str(message.error))
        else:
            self.reply = _judge(message.result)


def _judge(results: list[Json]) -> Reply:
    """RFC 7047, section 4.1.3: one result per operation, and an extra one if commit failed."""
    for result in results:
        error = result.get("error") if isinstance(result, dict) else None
        if error in {"timed out", "not owner", "aborted"}:
            return Reply(retry=True)
        if error is not None:
            return Reply(error=error, details=result.get("details", ""))
    return Reply(committed=True)


@dataclass(slots=True)
class Session:
    """A connection that is kept up.

    Args:
        database: which of the four.
        remote: OVSDB connection methods, comma-separated (ovsdb(7)).
        kinds: the tables to replicate.
        lock: an OVSDB lock that every transaction asserts, or "".
        probe_interval, leader_only: see `Replica`.

    Attributes:
        generation: raised whenever the contents start anew from nothing, first by connecting,
            then by each change of the server's schema: the first changes after that are all rows.
    """

    database: Database
    remote: str
    kinds: tuple[type[Row], ...] = ()
    lock: str = ""
    probe_interval: int | None = None
    leader_only: bool = True
    generation: int = field(init=False, default=0)
    _schema: "_SchemaRequest | None" = field(init=False, default=None)
    _replica: Replica | None = field(init=False, default=None)
    _transactions: deque[_Transaction] = field(init=False, default_factory=deque)
    _lock_wanted: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        if not self.kinds:
            self.kinds = tuple(kind for kind in ROW_TYPES if kind.DATABASE is self.database)
        tls.assign(self.database, _split(self.remote))
        if not self._bad_remotes():
            interval = self._interval(self.probe_interval)
            self._schema = _SchemaRequest(self.database, self.remote, interval)

    @property
    def synced(self) -> bool:
        """Whether the database's contents are complete and current."""
        return self._replica is not None and self._replica.monitoring and self.connected

    @property
    def has_lock(self) -> bool:
        """Whether the lock is held; True if none is wanted.

        The server gives away the lock of a connection that broke.
        """
        return not self.lock or (
            self._replica is not None and self.connected and bool(self._replica.has_lock)
        )

    @property
    def connected(self) -> bool:
        """Whether a server answers at the moment."""
        session = self._replica or self._schema
        return session is not None and bool(session._session.is_connected())  # noqa: SLF001 - ours

    @property
    def hopeless(self) -> bool:
        """Whether the address is of no kind that can be connected to."""
        return bool(self._bad_remotes())

    @property
    def facts(self) -> Mapping[type[Row], Mapping[str, frozenset[str]]]:
        """What the server's schema has of the tables, see `Replica`; empty until it is known."""
        return self._replica.facts if self._replica is not None else {}

    @property
    def last_error(self) -> str:
        """Why the last schema request was turned down or not even made; empty if it was not."""
        if bad := self._bad_remotes():
            methods = " or ".join(f"{method}…" for method in CONNECTION_METHODS)
            if bad[0].startswith("ssl:"):
                return (
                    f"{bad[0]!r} cannot be connected to: give a private key, a certificate and the"
                    " CA's certificate"
                )
            return f"{', '.join(map(repr, bad))} cannot be connected to: write {methods}"
        return self._schema.error if self._schema is not None else ""

    @property
    def tls_fault(self) -> tuple[str, str] | None:
        """Why TLS fails, and what to do about it; None if it does not."""
        return None if self.synced else tls.fault(_split(self.remote))

    @property
    def clear_text_hint(self) -> str:
        """What to add to a remedy if the server does not answer in clear text; may be empty."""
        return tls.clear_text_hint(_split(self.remote))

    @property
    def writable(self) -> bool:
        """Whether a transaction can be sent now; the server takes them in order."""
        return self.synced and self.has_lock

    def run(self) -> list[Change]:
        """Do what can be done without waiting; the changes that came in, if complete."""
        if self._schema is not None:
            schema = self._schema.run()
            if schema is None:
                return []
            self._schema.close()
            self._schema = None
            self._start(schema)
        if self._replica is None:
            return []
        self._replica.run()
        if (schema := self._replica.other_schema()) is not None:
            self._replica.close()
            self._start(schema)
            for transaction in self._transactions:
                transaction.reply = transaction.reply or Reply(retry=True)
        return self._replica.take_changes() if self._replica.monitoring else []

    def wait(self, poller: Poller) -> None:
        """Have the poller wake when `run` has something to do."""
        if self._schema is not None:
            self._schema.wait(poller)
        elif self._replica is not None:
            self._replica.wait(poller.raw)

    def transact(self, operations: Iterable[Operation], comment: str) -> None:
        """Send a transaction; its end is told by `reply`, in order. Only while `writable`."""
        assert self._replica is not None  # noqa: S101 - `writable` was true
        encoded = encode(operations)
        encoded.append({"op": "comment", "comment": comment})
        self._transactions.append(_Transaction(self._replica, encoded))
        self._transactions[-1].send()

    def reply(self) -> Reply | None:
        """How the first transaction in flight ended, told once; None while it has not."""
        reply = self._transactions[0].result() if self._transactions else None
        if reply is not None:
            self._transactions.popleft()
        return reply

    def want_lock(self, wanted: bool) -> None:
        """Release the lock, or ask for it again. Only while no transaction is in flight."""
        self._lock_wanted = wanted
        if self.lock and self._replica is not None:
            self._replica.set_lock(self.lock if wanted else None)

    def set_probe_interval(self, milliseconds: int | None) -> None:
        """Change the interval of keepalive probes, also of the connection that there is.

        Args:
            milliseconds: 0 is off; None the default, which is off on unix sockets.
        """
        self.probe_interval = milliseconds
        part = self._replica or self._schema
        if part is not None:
            interval = self._interval(milliseconds)
            part._session.reconnect.set_probe_interval(interval)  # noqa: SLF001 - ours

    def close(self) -> None:
        """Give the connection up; a lock is released by the server."""
        for part in (self._schema, self._replica):
            if part is not None:
                part.close()
        self._schema = self._replica = None
        self._transactions.clear()

    def _bad_remotes(self) -> list[str]:
        # The library raises whatever comes on what it cannot connect to.
        remotes = _split(self.remote)
        methods = CONNECTION_METHODS if tls.configured(self.database) else CONNECTION_METHODS[:2]
        return [remote for remote in remotes if not remote.startswith(methods)]

    def _interval(self, milliseconds: int | None) -> int:
        """Milliseconds between probes: those that are asked for, or the default."""
        remotes = _split(self.remote)
        if milliseconds is not None:
            return milliseconds
        if not ovs.stream.stream_or_pstream_needs_probes(remotes[0]):
            return 0
        shared = self.database in {Database.IC_NB, Database.IC_SB}
        return CLUSTER_PROBE if shared and len(remotes) > 1 else DEFAULT_PROBE

    def _start(self, schema: Json) -> None:
        self.generation += 1
        interval = self._interval(self.probe_interval)
        self._replica = Replica(
            self.database,
            self.remote,
            schema,
            self.kinds,
            interval,
            leader_only=self.leader_only,
        )
        _limit_backoff(self._replica._session)  # noqa: SLF001 - ours
        # Given to its constructor, it would not count on unix sockets.
        self.set_probe_interval(self.probe_interval)
        self.want_lock(self._lock_wanted)


def _limit_backoff(session: ovs.jsonrpc.Session) -> None:
    interval = RETRY_INTERVAL // session.get_num_of_remotes()
    # Its own function for this takes no less than a second.
    session.reconnect.min_backoff = session.reconnect.max_backoff = interval


def _split(remote: str) -> list[str]:
    return list(ovs.db.idl.Idl._parse_remotes(None, remote))  # noqa: SLF001 - uses no state


class _SchemaRequest:
    """Asks one server after the other for the schema until one gives it."""

    def __init__(self, database: Database, remote: str, probe_interval: int | None) -> None:
        self._database = database
        self._session = ovs.jsonrpc.Session.open_multiple(
            _split(remote), probe_interval=probe_interval
        )
        _limit_backoff(self._session)
        self._seqno: int | None = None
        self._id: object = None
        self.error = ""

    def run(self) -> Json | None:
        """The schema, once it is there."""
        self._session.run()
        if not self._session.is_connected():
            return None
        if self._session.get_seqno() != self._seqno:
            self._seqno = self._session.get_seqno()
            request = ovs.jsonrpc.Message.create_request("get_schema", [str(self._database)])
            self._id = request.id
            self._session.send(request)
        while (message := self._session.recv()) is not None:
            if message.id != self._id:
                continue
            if message.type == ovs.jsonrpc.Message.T_REPLY:
                return message.result
            self.error = f"the server has no database {self._database}: {message.error}"
            self._session.force_reconnect()
        return None

    def wait(self, poller: Poller) -> None:
        self._session.wait(poller.raw)
        self._session.recv_wait(poller.raw)

    def close(self) -> None:
        self._session.close()
