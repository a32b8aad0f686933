"""A session with one database: replica, transactions, lock.

A session first requests the server's schema, so that it works with any version's tables and
columns, then replicates. Used by the daemon's loop and, through `oneshot`, by the verbs.
"""

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import ovs.db.idl
import ovs.jsonrpc
import ovs.stream
import ovs.timeval

from isthmus.engine.transactions import Committed, Failed, Result, TryAgain
from isthmus.model.changes import Change
from isthmus.model.operations import Operation
from isthmus.model.rows import ROW_TYPES, Database, Row
from isthmus.model.text import failure_text, quoted
from isthmus.ovsdb.codec import Json, encode
from isthmus.ovsdb.ovs_patches import json_parser, utf8
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.replica import Replica
from isthmus.ovsdb.streams import tcp, tls
from isthmus.ovsdb.streams.addresses import FORMS, is_valid, split

json_parser.install()
utf8.install()

RETRY_INTERVAL = 1000
"""Milliseconds within which every server of a remote is tried once. The library's own backoff grows
to 8 s, by which an outage, or the election of a Raft leader, would last longer for us."""

MOST_DISTRUST = 30_000
"""Most milliseconds until a server whose data was invalid is asked again: each time twice as many,
from RETRY_INTERVAL on, and from the start after `MOST_DISTRUST` of valid data."""

STALLED = 30_000
"""Milliseconds after which a server that does not continue to send its contents is left."""

DEFAULT_PROBE = 5000
"""Milliseconds between keepalive probes."""

UNIX_PROBE = 10_000
"""The same for Unix sockets, whose other end cannot be cut off: a server that hangs is noticed."""

CLUSTER_PROBE = 1000
"""The same for IC databases with several members: a member that is cut off or hangs is replaced
after two intervals. A busy server of NB or SB may take longer to answer, and would lose all its
clients at once."""


_LONGEST_REASON = 200
"""Characters of a server's own words that are repeated."""

_log = logging.getLogger(__name__)

_CLEAR_TEXT_HINT = (
    "; if the server requires TLS, use an ssl: address and certificates"
    " (`isthmus run --ic-tls-dir`)"
)


class _RawTransaction(ovs.db.idl.Transaction):
    """Raw operations on the IDL's connection; the IDL passes the reply to this object."""

    def __init__(self, idl: Replica, operations: list[Json]) -> None:
        super().__init__(idl)
        idl.txn = None  # no rows are built, so no transaction stays open
        self._raw = operations
        self.reply: Result | None = None

    def send(self) -> None:
        """Send the transaction; the reply is `TryAgain` if that is impossible."""
        idl = self.idl
        operations = list(self._raw)
        if idl.lock_name:
            operations.insert(0, {"op": "assert", "lock": idl.lock_name})
        params = [idl._db.name, *operations]  # noqa: SLF001 - as in the IDL's commit()
        message = ovs.jsonrpc.Message.create_request("transact", params)
        if idl._session.send(message):  # noqa: SLF001 - as in the IDL's commit()
            self.reply = TryAgain()
        else:
            idl._outstanding_txns[message.id] = self  # noqa: SLF001 - as in commit()

    def result(self) -> Result | None:
        """The reply; None while there is none."""
        if self.reply is None and self._status == self.TRY_AGAIN:
            return TryAgain()  # the connection broke
        return self.reply

    def _process_reply(self, message: ovs.jsonrpc.Message) -> None:
        if message.type == ovs.jsonrpc.Message.T_ERROR:
            error = message.error
            self.reply = _failed(error if isinstance(error, dict) else {"error": str(error)})
        else:
            self.reply = _reply_of(message.result)


def _reply_of(results: list[Json]) -> Result:
    """One result per operation, and another one if the commit failed (RFC 7047, section 4.1.3)."""
    if not isinstance(results, list):
        raise TypeError("the results are not a list")
    for result in results:
        error = result.get("error") if isinstance(result, dict) else None
        if error in {"timed out", "not owner", "aborted"}:
            return TryAgain()
        if error is not None:
            return _failed(result)
    return Committed()


def _failed(error: dict[str, Json]) -> Failed:
    """An error of a server, with what its operating system says (ovsdb/error.c)."""
    details = (error.get("details"), error.get("io-error"))
    return Failed(str(error.get("error")), ": ".join(str(one) for one in details if one))


@dataclass(slots=True)
class _Distrust:
    """What invalid data of the servers leads to; times in milliseconds.

    Args:
        error: what was invalid; empty once the contents are complete.
        delay: until the next connection.
        since: when it was found.
    """

    error: str = ""
    delay: int = 0
    since: int = 0

    def found(self, error: Exception) -> None:
        """Note invalid data."""
        now, delay = ovs.timeval.msec(), self.delay
        remembered = now - self.since < delay + MOST_DISTRUST
        self.delay = min(2 * delay, MOST_DISTRUST) if delay and remembered else RETRY_INTERVAL
        self.since = now
        if not isinstance(error, TimeoutError):  # its phase says that nothing comes
            self.error = f"sent invalid data, so the connection was closed: {failure_text(error)}"

    @property
    def due(self) -> float:
        """Seconds until the next connection."""
        return float(max(0, self.since + self.delay - ovs.timeval.msec()) / 1000)


@dataclass(slots=True)
class Session:
    """A connection that is re-established whenever it breaks, or its server's data is invalid.

    Invariant: no data of a server makes `run` raise. Whatever is made of them fails there, and then
    the session starts from scratch, after a delay.

    Args:
        database: which of the four.
        remote: OVSDB connection methods, comma-separated (ovsdb(7)), with any white space.
        kinds: the tables to replicate.
        lock: an OVSDB lock that every transaction asserts; empty for none.
        probe_interval, leader_only: see `Replica`.

    Attributes:
        generation: increases whenever replication starts from scratch: at first, and after each
            change of the server's schema. The next changes are then all rows.
    """

    database: Database
    remote: str
    kinds: tuple[type[Row], ...] = ()
    lock: str = ""
    probe_interval: int | None = None
    leader_only: bool = True
    generation: int = field(init=False, default=0)
    _remotes: list[str] = field(init=False)
    _bad_remotes: list[str] = field(init=False)
    _schema: "_SchemaRequest | None" = field(init=False, default=None)
    _replica: Replica | None = field(init=False, default=None)
    _transactions: deque[_RawTransaction] = field(init=False, default_factory=deque)
    _lock_wanted: bool = field(init=False, default=True)
    _distrust: _Distrust = field(init=False, default_factory=_Distrust)
    _progress: object = field(init=False, default=None)
    _progressed: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if not self.kinds:
            self.kinds = tuple(kind for kind in ROW_TYPES if kind.DATABASE is self.database)
        self._remotes, with_tls = split(self.remote), tls.configured(self.database)
        tls.register_addresses(self.database, self._remotes)
        # The library raises exceptions of various types for invalid addresses.
        self._bad_remotes = [r for r in self._remotes or [""] if not is_valid(r, tls=with_tls)]
        if not self._bad_remotes:
            self._request_schema()

    @property
    def synced(self) -> bool:
        """Whether the database's contents are complete and up to date."""
        return self._replica is not None and self._replica.monitoring and self.connected

    @property
    def has_lock(self) -> bool:
        """Whether the lock is held; True if the session needs none.

        When a connection breaks, its server passes the lock on.
        """
        return not self.lock or (
            self._replica is not None and self.connected and bool(self._replica.has_lock)
        )

    @property
    def connected(self) -> bool:
        """Whether the connection is up."""
        session = self._replica or self._schema
        return session is not None and bool(session._session.is_connected())  # noqa: SLF001 - ours

    @property
    def has_invalid_address(self) -> bool:
        """Whether an address has no supported connection method."""
        return bool(self._bad_remotes)

    @property
    def columns(self) -> Mapping[type[Row], Mapping[str, frozenset[str]]]:
        """The tables' columns in the server's schema, see `Replica`; empty before it arrives."""
        return self._replica.columns if self._replica is not None else {}

    @property
    def last_error(self) -> str:
        """Why a server was refused, or refused the last schema request; empty if neither."""
        if bad := self._bad_remotes:
            if bad[0].startswith("ssl:") and not tls.configured(self.database):
                needed = "a private key, a certificate and the CA's certificate"
                return f"{quoted(bad[0])} requires {needed}"
            forms = " or ".join(FORMS)
            return f"{', '.join(map(quoted, bad))} is not a valid address: write {forms}"
        return self._distrust.error or (self._schema.error if self._schema is not None else "")

    @property
    def fault(self) -> tls.Fault | None:
        """Why TLS or the resolution of a name fails; None if neither does."""
        return None if self.synced else tls.fault(self._remotes) or tcp.fault(self._remotes)

    @property
    def ip_addresses(self) -> str:
        """The IP addresses of host names, to continue "cannot be reached"; may be empty."""
        return tcp.ip_addresses(self._remotes)

    @property
    def clear_text_hint(self) -> str:
        """An addition to the remedy if the server does not answer in clear text; may be empty.

        A server that requires TLS accepts the connection and closes it without an error.
        """
        clear_text = any(remote.startswith("tcp:") for remote in self._remotes)
        return _CLEAR_TEXT_HINT if clear_text else ""

    @property
    def writable(self) -> bool:
        """Whether a transaction can be sent now; the server executes them in order."""
        return self.synced and self.has_lock

    def run(self) -> list[Change]:
        """Process what has arrived; the changes, once the contents are complete. Never blocks."""
        try:
            return self._run()
        except Exception as error:  # noqa: BLE001 - of whatever kind: see the invariant
            _log.debug("%s: invalid data", self.remote, exc_info=True)
            self._distrust.found(error)
            self._disconnect()
            for transaction in self._transactions:
                transaction.reply = transaction.reply or TryAgain()
            return []

    def _run(self) -> list[Change]:
        if self._schema is self._replica is None and not self._bad_remotes:
            if self._distrust.due:
                return []
            self._request_schema()
        self._check_progress()
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
        if (schema := self._replica.changed_schema()) is not None:
            self._replica.close()
            self._start(schema)
            for transaction in self._transactions:
                transaction.reply = transaction.reply or TryAgain()
        if not self._replica.monitoring:
            return []
        self._distrust.error = ""
        return self._replica.take_changes()

    def _check_progress(self) -> None:
        """Note whether the contents make progress; probes alone are none.

        Raises:
            TimeoutError: they do not.
        """
        part = self._replica or self._schema
        session = part._session if part is not None else None  # noqa: SLF001 - ours
        if session is None or not session.is_connected() or self.synced:
            self._progress = None
            return
        progress = (self.generation, session.get_seqno(), session.rpc.get_received_bytes() >> 16)
        if progress != self._progress:
            self._progress, self._progressed = progress, ovs.timeval.msec()
        elif ovs.timeval.msec() >= self._progressed + STALLED:
            raise TimeoutError

    def wait(self, poller: Poller) -> None:
        """Make the poller wake when `run` has something to do."""
        if self._schema is not None:
            self._schema.wait(poller)
        elif self._replica is not None:
            self._replica.wait(poller.raw)
        if self.connected and not self.synced:
            poller.wake_in((self._progressed + STALLED - ovs.timeval.msec()) / 1000)
        if self._schema is self._replica is None and not self._bad_remotes:
            poller.wake_in(self._distrust.due)

    def transact(self, operations: Iterable[Operation], comment: str) -> None:
        """Send a transaction. Only while `writable`; `reply` returns the results in order."""
        assert self._replica is not None  # noqa: S101 - `writable` was true
        encoded = encode(operations)
        encoded.append({"op": "comment", "comment": comment})
        self._transactions.append(_RawTransaction(self._replica, encoded))
        self._transactions[-1].send()

    def reply(self) -> Result | None:
        """The result of the oldest transaction in flight, returned once; None until it arrives."""
        reply = self._transactions[0].result() if self._transactions else None
        if reply is not None:
            self._transactions.popleft()
        return reply

    def want_lock(self, wanted: bool) -> None:
        """Release the lock or request it again. Only while no transaction is in flight."""
        self._lock_wanted = wanted
        if self.lock and self._replica is not None:
            self._replica.set_lock(self.lock if wanted else None)

    def set_probe_interval(self, milliseconds: int | None) -> None:
        """Change the interval of keepalive probes, also for the current connection.

        Args:
            milliseconds: 0 is off; None is the default.
        """
        self.probe_interval = milliseconds
        part = self._replica or self._schema
        if part is not None:
            interval = self._interval(milliseconds)
            part._session.reconnect.set_probe_interval(interval)  # noqa: SLF001 - ours

    def close(self) -> None:
        """Close the connection; the server releases the lock."""
        self._disconnect()
        self._transactions.clear()

    def _disconnect(self) -> None:
        for part in (self._schema, self._replica):
            if part is not None:
                part.close()
        self._schema = self._replica = None

    def _interval(self, milliseconds: int | None) -> int:
        """Milliseconds between probes: as configured, or the default."""
        if milliseconds is not None:
            return milliseconds
        if not ovs.stream.stream_or_pstream_needs_probes(self._remotes[0]):
            return UNIX_PROBE
        shared = self.database in {Database.IC_NB, Database.IC_SB}
        several = tcp.server_count(self._remotes) > 1
        return CLUSTER_PROBE if shared and several else DEFAULT_PROBE

    def _request_schema(self) -> None:
        interval = self._interval(self.probe_interval)
        self._schema = _SchemaRequest(self.database, self._remotes, interval)
        self.set_probe_interval(self.probe_interval)  # see `_start`

    def _start(self, schema: Json) -> None:
        self.generation += 1
        interval = self._interval(self.probe_interval)
        remote = ",".join(self._remotes)
        self._replica = Replica(
            self.database, remote, schema, self.kinds, interval, leader_only=self.leader_only
        )
        _limit_backoff(self._replica._session, self._remotes)  # noqa: SLF001 - ours
        # The constructor ignores its argument for Unix sockets.
        self.set_probe_interval(self.probe_interval)
        self.want_lock(self._lock_wanted)


def _limit_backoff(session: ovs.jsonrpc.Session, remotes: list[str]) -> None:
    interval = RETRY_INTERVAL // tcp.server_count(remotes)
    # The library's setter does not accept less than a second.
    session.reconnect.min_backoff = session.reconnect.max_backoff = interval


class _SchemaRequest:
    """Requests the schema from one server after the other until one returns it."""

    def __init__(self, database: Database, remotes: list[str], probe_interval: int | None) -> None:
        self._database = database
        self._session = ovs.jsonrpc.Session.open_multiple(remotes, probe_interval=probe_interval)
        _limit_backoff(self._session, remotes)
        self._seqno: int | None = None
        self._id: object = None
        self.error = ""

    def run(self) -> Json | None:
        """The schema; None before it has arrived."""
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
            reason = message.error.get("error", "") if isinstance(message.error, dict) else ""
            reason = str(reason)[:_LONGEST_REASON]
            self.error = f"the server does not serve database {self._database}: {reason}"
            self._session.force_reconnect()
        return None

    def wait(self, poller: Poller) -> None:
        self._session.wait(poller.raw)
        self._session.recv_wait(poller.raw)

    def close(self) -> None:
        self._session.close()
