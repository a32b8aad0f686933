"""The guard: stands before the IC databases' servers, and lets zones write only what is theirs.

Called by `isthmus ic-db guard`. Clients come with TLS; the name in their certificate is their
zone's. What only reads is passed on; every transaction is judged by `guard_rules`. Invariant: it
fails closed. What is not known to be harmless is refused, and while a database's contents are
not known, nobody is served.
"""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from isthmus.icdb.guard_known import COLUMNS, Known
from isthmus.icdb.guard_rules import Policy, RefusedError, check
from isthmus.icdb.guard_wire import Follower, encode, frames
from isthmus.pki.files import TlsFiles

READING = frozenset(
    {
        "cancel", "echo", "get_schema", "get_server_id", "list_dbs", "monitor", "monitor_cancel",
        "monitor_cond", "monitor_cond_change", "monitor_cond_since", "set_db_change_aware",
    }
)  # fmt: skip
"""Methods that change nothing (RFC 7047, 4.1, and ovsdb-server(7))."""

_AGAIN = 60.0
"""Seconds until the same refusal is logged again."""

_RELOAD = 5.0
"""Seconds between looks at whether the certificate has been renewed."""

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
class Refusals:
    """What one zone has been refused: how often, and the last time (seconds since 1970)."""

    count: int = 0
    last: str = ""
    at: float = 0.0


@dataclass(slots=True)
class Record:
    """All refusals by zone, kept in a file for `status`; counts go on after a restart.

    Args:
        file: a JSON object: zone to count, last and at.
    """

    file: Path
    zones: dict[str, Refusals] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with suppress(OSError, ValueError, TypeError):
            self.zones = {
                zone: Refusals(**one) for zone, one in json.loads(self.file.read_text()).items()
            }

    def add(self, zone: str, why: str, now: float) -> bool:
        """Note a refusal; whether it is news."""
        refusals = self.zones.setdefault(zone, Refusals())
        news = refusals.last != why or now - refusals.at > _AGAIN
        refusals.count, refusals.last, refusals.at = refusals.count + 1, why, now
        return news

    def save(self) -> None:
        """Write the file."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({zone: asdict(one) for zone, one in self.zones.items()}))
        new.replace(self.file)


class Guard:
    """Serves clients of both databases.

    Args:
        entries: one for IC-NB and one for IC-SB.
        policy: the operator's.
        operators: names in certificates that may do everything, e.g. of the other members.
        record: where refusals are kept.
    """

    def __init__(
        self, entries: tuple[Entry, ...], policy: Policy, operators: frozenset[str], record: Record
    ) -> None:
        self._entries, self._policy, self._operators = entries, policy, operators
        self._record = record
        self._known = Known()
        self._clients: set[asyncio.Task[None]] = set()
        self._followers = [
            Follower(entry.database, entry.socket, self._known, self._disconnect)
            for entry in entries
        ]
        self._unsaved = False

    @property
    def ready(self) -> bool:
        """Whether both databases are known."""
        return all(follower.ready for follower in self._followers)

    async def until_ready(self) -> None:
        """Return when zones are served."""
        await asyncio.gather(*(follower.begun.wait() for follower in self._followers))

    async def serve(self, listen: str, files: TlsFiles) -> None:
        """Serve until cancelled.

        Args:
            listen: the address.
            files: read again when they change.

        Raises:
            OSError: a port is in use, or a file cannot be read.
        """
        context = _context(files)
        async with asyncio.TaskGroup() as group:
            for follower in self._followers:
                group.create_task(follower.run())
            for entry in self._entries:
                server = await asyncio.start_server(
                    self._accept(entry), listen, entry.port, ssl=context
                )
                group.create_task(server.serve_forever())
            group.create_task(_renew(context, files))

    def _accept(self, entry: Entry) -> Any:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            name = _common_name(writer.get_extra_info("peercert") or {})
            if not name or not self.ready:
                writer.close()
                return
            if (task := asyncio.current_task()) is not None:
                self._clients.add(task)
            try:
                await self._client(entry, name, reader, writer)
            except (OSError, ValueError, RecursionError, asyncio.CancelledError) as error:
                _log.info("%s: connection of %s ended: %s", entry.database, name, error)
            finally:
                if task is not None:
                    self._clients.discard(task)
                writer.close()

        return accept

    async def _client(
        self,
        entry: Entry,
        name: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        from_server, to_server = await asyncio.open_unix_connection(entry.socket)
        tasks = [
            asyncio.create_task(self._requests(entry, name, reader, to_server, writer)),
            asyncio.create_task(_replies(from_server, writer)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            to_server.close()

    async def _requests(
        self,
        entry: Entry,
        name: str,
        reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
    ) -> None:
        async for text in frames(reader):
            message = json.loads(text)
            if name not in self._operators:
                try:
                    message = await self._judged(entry.database, name, message)
                except RefusedError as error:
                    self._refuse(name, str(error))
                    client.write(encode(_refusal(message, str(error))))
                    await client.drain()
                    continue
            # Written anew: the server gets what was judged, not what it may read in it.
            server.write(encode(message))
            await server.drain()

    async def _judged(self, database: str, zone: str, message: Any) -> Any:
        if not isinstance(message, dict):
            raise RefusedError(f"zone {zone} sent what is no message")
        method = message.get("method")
        if method in READING or (method is None and "result" in message):
            return message
        params = message.get("params")
        if method != "transact" or not isinstance(params, list) or params[:1] != [database]:
            raise RefusedError(f"zone {zone} may not: {method}")
        try:
            operations = check(params[1:], zone, self._known, self._policy)
        except RefusedError:
            # Perhaps it is about what was committed a moment ago.
            for follower in self._followers:
                await follower.caught_up()
            operations = check(params[1:], zone, self._known, self._policy)
        return {**message, "params": [database, *operations]}

    def _refuse(self, zone: str, why: str) -> None:
        if self._record.add(zone, why, time.time()):
            _log.warning("refused: %s", why)
        if not self._unsaved:
            self._unsaved = True
            asyncio.get_running_loop().call_later(0.1, self._save)

    def _save(self) -> None:
        self._unsaved = False
        try:
            self._record.save()
        except OSError as error:
            _log.error("%s: %s", self._record.file, error.strerror)

    def _disconnect(self) -> None:
        for task in self._clients:
            task.cancel()


def entries(run_dir: Path, nb_port: int, sb_port: int) -> tuple[Entry, Entry]:
    """Both databases, with the sockets that `isthmus ic-db run` has in its run directory."""
    nb, sb = COLUMNS
    return (
        Entry(nb, nb_port, run_dir / "ovn_ic_nb_db.sock"),
        Entry(sb, sb_port, run_dir / "ovn_ic_sb_db.sock"),
    )


async def _replies(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    async for text in frames(server):
        client.write(text.encode())
        await client.drain()


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(files.ca_cert)
    context.load_cert_chain(files.certificate, files.private_key)
    return context


async def _renew(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Have new connections get the certificate that is in the files."""
    read = None
    while True:
        with suppress(OSError):  # half-way through a renewal; looked at again soon
            now = [p.stat().st_mtime_ns for p in (files.private_key, files.certificate)]
            if now != read:
                context.load_cert_chain(files.certificate, files.private_key)
                read = now
        await asyncio.sleep(_RELOAD)


def _common_name(certificate: Mapping[str, Any]) -> str:
    """The subject's only common name; empty if there is none, or several."""
    subject = certificate.get("subject", ())
    names = [value for part in subject for key, value in part if key == "commonName"]
    return str(names[0]) if len(names) == 1 else ""


def _refusal(message: Any, why: str) -> Any:
    """What a server with roles would answer (RFC 7047, 4.1.3, "permission error")."""
    error = {"error": "permission error", "details": why}
    number = message.get("id") if isinstance(message, dict) else None
    if isinstance(message, dict) and message.get("method") == "transact":
        return {"result": [error], "error": None, "id": number}
    return {"result": None, "error": error, "id": number}
