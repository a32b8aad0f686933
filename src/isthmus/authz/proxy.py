"""The guard: stands before the IC databases' servers, and lets zones write only what is theirs.

Called by `isthmus ic-db guard`. Clients come with TLS; the name in their certificate is their
zone's. What only reads is passed on; every transaction is judged by `guard_rules`. Invariant: it
fails closed. What is not known to be harmless is refused, and while a database's contents are
not known, nobody's writes are passed on.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, aclosing, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.authz.audit_log import Record
from isthmus.authz.authorizer import Judge
from isthmus.authz.database_state import COLUMNS, Known
from isthmus.authz.listener import Accept, Entrance, is_operator, keep_open, peer, watch_over
from isthmus.authz.request import Operation, Policy, RefusedError
from isthmus.authz.status import control
from isthmus.authz.wire import Follower, Turn, connect, encode, messages, relay
from isthmus.pki.files import TlsFiles

READING = frozenset(
    {
        "cancel", "echo", "get_schema", "get_server_id", "list_dbs", "monitor", "monitor_cancel",
        "monitor_cond", "monitor_cond_change", "monitor_cond_since", "set_db_change_aware",
    }
)  # fmt: skip
"""Methods that change nothing (RFC 7047, 4.1, and ovsdb-server(7))."""

CONNECTIONS = 64
"""Connections that one zone may have; a daemon has two."""

_READY_LIMIT = 3.0
"""Seconds that a write waits for the databases' contents to be known."""

_LAG = 0.5
"""Seconds after which what was refused is judged once more: in a cluster, what a zone has written
by one member takes a moment to be with the others."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One database: where clients come in, and where its server is.

    Args:
        database: its schema's name.
        port: that clients connect to.
        socket: the server's Unix socket.
    """

    database: str
    port: int
    socket: Path


@dataclass(slots=True)
class _Client:
    """A client, and the connection to the server that was made for it.

    Args:
        entry: which database.
        zone: the name in its certificate.
        free: whether it may do all.
        writer: to the client.
        between: held while a message of the server's is on its way to the client.
    """

    entry: Entry
    zone: str
    free: bool
    writer: asyncio.StreamWriter
    between: asyncio.Lock = field(default_factory=asyncio.Lock)


class Guard:
    """Serves clients of both databases.

    Args:
        entries: one for IC-NB and one for IC-SB.
        policy: the operator's.
        operators: names in certificates that may do everything, besides those that `isthmus pki`
            has issued to members and operators.
        record: where refusals are kept.
        socket: the control socket.
    """

    def __init__(
        self,
        entries: tuple[Entry, ...],
        policy: Policy,
        operators: frozenset[str],
        record: Record,
        socket: Path,
    ) -> None:
        self._entries, self._operators = entries, operators
        self._record, self._socket = record, socket
        self._known = Known()
        self._followers = [Follower(entry.database, entry.socket, self._known) for entry in entries]
        self._clients: set[asyncio.Task[None]] = set()
        self._connections: Counter[str] = Counter()
        self._large: dict[str, asyncio.Semaphore] = {}
        self._judge = Judge(self._known, policy, self._see_that_it_is_known, self._refuse)
        self._unsaved: asyncio.TimerHandle | None = None

    @property
    def ready(self) -> bool:
        """Whether both databases are known."""
        return all(follower.ready.is_set() for follower in self._followers)

    async def until_ready(self) -> None:
        """Return when writes are judged."""
        while not self.ready:
            await asyncio.gather(*(follower.ready.wait() for follower in self._followers))

    async def serve(self, listen: str, files: TlsFiles, end: Callable[[], object]) -> None:
        """Serve until cancelled.

        Args:
            listen: the address.
            files: read again when they change.
            end: called if the control socket is told to end.

        Raises:
            OSError: a port is in use, or a file cannot be read.
        """
        following = [asyncio.create_task(follower.run()) for follower in self._followers]
        with ExitStack() as opened:
            try:
                entrances = tuple(
                    opened.enter_context(closing(Entrance(listen, entry.port, self._accept(entry))))
                    for entry in self._entries
                )
                opened.enter_context(closing(await control(self._socket, self._status, end)))
                opened.callback(self._socket.unlink, missing_ok=True)
                await keep_open(entrances, files)
            finally:
                tasks = [*following, *self._clients]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if self._unsaved is not None:
                    self._unsaved.cancel()
                    self._save()

    def _status(self) -> Mapping[str, Any]:
        clients = {name: number for name, number in self._connections.items() if number}
        return {"ready": self.ready, "clients": clients}

    def _accept(self, entry: Entry) -> Accept:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A task of our own: that of the stream server tells of it if it is cancelled.
            task = asyncio.create_task(self._admit(entry, reader, writer))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

        return accept

    async def _admit(
        self, entry: Entry, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        found = peer(writer)
        free = is_operator(found) or found.name in self._operators
        if not found.name or (self._connections[found.name] >= CONNECTIONS and not free):
            why = f"without a name, or more than {CONNECTIONS} times"
            self._refuse(RefusedError(found.name, "connect", "", why))
            writer.transport.abort()
            return
        self._connections[found.name] += 1
        try:
            watch_over(writer)
            await self._serve(_Client(entry, found.name, free, writer), reader)
        except (OSError, ValueError, RecursionError) as error:
            _log.debug("%s: connection of %r ended: %s", entry.database, found.name, error)
        finally:
            self._connections[found.name] -= 1
            writer.close()

    async def _serve(self, client: _Client, reader: asyncio.StreamReader) -> None:
        from_server, to_server = await connect(client.entry.socket)
        turn = Turn(to_server)
        tasks = [
            asyncio.create_task(self._requests(client, reader, to_server, turn)),
            asyncio.create_task(relay(from_server, client.writer, client.between, turn.is_answer)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            to_server.close()

    async def _requests(
        self,
        client: _Client,
        reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        turn: Turn,
    ) -> None:
        large = self._large.setdefault(client.zone, asyncio.Semaphore())
        async with aclosing(messages(reader, large)) as stream:
            async for message in stream:
                if not client.free and _writes(message):
                    await turn.comes()
                passed = message if client.free else await self._passed(client, message)
                if passed is not None:
                    # Written anew: the server gets what was judged, not what it may read in it.
                    server.write(encode(passed))
                    await server.drain()

    async def _passed(self, client: _Client, message: Any) -> Any:
        """What to pass on for a zone; None if that is nothing, and it has been told."""
        try:
            return await self._judged(client, message)
        except RefusedError as error:
            self._refuse(error)
            async with client.between:
                client.writer.write(encode(_refusal(message, str(error))))
            await client.writer.drain()
            return None

    async def _judged(self, client: _Client, message: Any) -> Any:
        """What to pass on for a zone."""
        zone, database = client.zone, client.entry.database
        if not isinstance(message, dict):
            raise RefusedError(zone, "", "", "send what is no message")
        method, params = message.get("method"), message.get("params")
        if not isinstance(method, str | None):
            raise RefusedError(zone, "", "", "send a method that is no name")
        if method in READING or (method is None and "result" in message):
            return message
        if method != "transact" or not isinstance(params, list):
            raise RefusedError(zone, str(method), "", "")
        if params[:1] == ["_Server"] and _harmless(params[1:]):
            return message  # who leads, and what else the server has
        if params[:1] != [database]:
            raise RefusedError(zone, str(method), "", f"in database {params[:1]}")
        operations = params[1:]
        try:
            passed = await self._check(operations, zone)
        except RefusedError:
            passed = await self._check_later(operations, zone)
        return {**message, "params": [database, *passed]}

    async def _check(self, operations: list[Any], zone: str) -> list[Operation]:
        if not self.ready:
            try:
                await asyncio.wait_for(self.until_ready(), _READY_LIMIT)
            except TimeoutError:
                raise ConnectionResetError("the databases are not known") from None
        return await self._judge.check(operations, zone)

    async def _check_later(self, operations: list[Any], zone: str) -> list[Operation]:
        """Judge again: perhaps it is about what was committed a moment ago."""
        for follower in self._followers:
            await follower.caught_up()
        try:
            return await self._check(operations, zone)
        except RefusedError:
            if not any(follower.clustered for follower in self._followers):
                raise
            await asyncio.sleep(_LAG)
        return await self._check(operations, zone)

    def _see_that_it_is_known(self) -> None:
        if not self.ready:
            raise ConnectionResetError("a database was lost while it was asked")

    def _refuse(self, refused: RefusedError) -> None:
        if self._record.add(refused, time.time()):
            _log.warning("refused: %s", refused)
        if self._unsaved is None:
            self._unsaved = asyncio.get_running_loop().call_later(0.1, self._save)

    def _save(self) -> None:
        self._unsaved = None
        try:
            self._record.save()
        except OSError as error:
            _log.error("%s: %s", self._record.file, error.strerror)


def entries(run_dir: Path, nb_port: int, sb_port: int) -> tuple[Entry, Entry]:
    """Both databases, with the sockets that `isthmus ic-db run` has in its run directory."""
    nb, sb = COLUMNS
    return (
        Entry(nb, nb_port, run_dir / "ovn_ic_nb_db.sock"),
        Entry(sb, sb_port, run_dir / "ovn_ic_sb_db.sock"),
    )


def _writes(message: Any) -> bool:
    """Whether a message may be about more than reading."""
    if not isinstance(message, dict) or message.get("method") != "transact":
        return False
    params = message.get("params")
    return isinstance(params, list) and not _harmless(params[1:])


def _harmless(operations: list[Any]) -> bool:
    return all(
        isinstance(one, dict) and one.get("op") in ("select", "comment") for one in operations
    )


def _refusal(message: Any, why: str) -> Any:
    """What a server with roles would answer (RFC 7047, 4.1.3, "permission error")."""
    error = {"error": "permission error", "details": why}
    number = message.get("id") if isinstance(message, dict) else None
    if isinstance(message, dict) and message.get("method") == "transact":
        return {"result": [error], "error": None, "id": number}
    return {"result": None, "error": error, "id": number}
