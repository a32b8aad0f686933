"""Asks the other members which databases they have, all at once, with one short time limit.

Called by `member_loop`. Members need nothing but OVSDB for that: the database `_Server`
(ovsdb-server(5)), which every server has and any client can read, lists the server's databases.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from isthmus.icdb.local.database_server import DatabaseServer
from isthmus.icdb.raft.bootstrap import WAITING_DATABASE, PeerAnswer, PeerState
from isthmus.model.rows import Database
from isthmus.model.text import failure_text, listed, printable
from isthmus.ovsdb.jsonrpc import (
    SERVER_DATABASES,
    InvalidAnswerError,
    RpcError,
    database_rows,
)
from isthmus.ovsdb.jsonrpc_asyncio import call
from isthmus.ovsdb.streams.name_resolution import addresses_of
from isthmus.ovsdb.streams.tls import Tls
from isthmus.pki.files import TlsFiles

TIMEOUT = 1.0
"""Seconds for a member to answer. `_Server` has few rows; a slower member is asked again later."""

_LONGEST_NAME = 60
"""Characters of a database's name that are repeated."""

_NO_ID = "00000000-0000-0000-0000-000000000000"

_REJECTED = frozenset({"TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_ACCESS_DENIED"})
"""OpenSSL's names for a certificate that the other side rejects, besides those with CERT."""


def ask_all(
    server: DatabaseServer, hosts: Iterable[str], wake: Iterable[int] = ()
) -> dict[str, PeerAnswer]:
    """The answer of each member about a database.

    Args:
        server: of the database; the members have the same port and use TLS if it does.
        hosts: the members.
        wake: descriptors; when one becomes readable, members that have not answered yet count as
            silent.
    """
    return asyncio.run(_ask_all(server, tuple(hosts), tuple(wake)))


async def _ask_all(
    server: DatabaseServer, hosts: tuple[str, ...], wake: tuple[int, ...]
) -> dict[str, PeerAnswer]:
    woken = asyncio.Event()
    loop = asyncio.get_running_loop()
    for descriptor in wake:
        loop.add_reader(descriptor, woken.set)
    asking = {host: asyncio.create_task(_ask(server, host)) for host in hosts}
    waking = asyncio.create_task(woken.wait())
    everyone: asyncio.Future[Any] = asyncio.gather(*asking.values(), return_exceptions=True)
    try:
        either: set[asyncio.Future[Any]] = {waking, everyone}
        await asyncio.wait(either, timeout=TIMEOUT, return_when="FIRST_COMPLETED")
        return {host: _answer(task, server.port) for host, task in asking.items()}
    finally:
        for descriptor in wake:
            loop.remove_reader(descriptor)
        waking.cancel()
        everyone.cancel()
        await asyncio.gather(waking, everyone, *asking.values(), return_exceptions=True)


def _answer(task: "asyncio.Task[PeerAnswer]", port: int) -> PeerAnswer:
    if not task.done():
        return PeerAnswer(PeerState.SILENT, detail=f"no answer within {TIMEOUT:g} s")
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, (OSError, ValueError, EOFError)):
        raise error
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    untrusted = "CERT" in reason or reason in _REJECTED
    return PeerAnswer(PeerState.SILENT, detail=_why(error, port), untrusted=untrusted)


async def _ask(server: DatabaseServer, host: str) -> PeerAnswer:
    reader, writer = await _connect(server, host)
    try:
        results = await call(reader, writer, "transact", "_Server", SERVER_DATABASES)
        return read_rows(server.database, database_rows(results))
    except (RpcError, InvalidAnswerError):
        detail = "it is not an OVSDB server that lists its databases"
        return PeerAnswer(PeerState.OTHER, detail=detail)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _connect(
    server: DatabaseServer, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = tls_context(server.tls) if server.tls else None
    open_connection = partial(
        asyncio.open_connection,
        port=server.port,
        ssl=context,
        server_hostname=host if context else None,
    )
    *others, last = await addresses_of(host)
    for address in others:
        # An address that does not answer must leave time for the next.
        with suppress(OSError):
            async with asyncio.timeout(TIMEOUT / 2 / len(others)):
                return await open_connection(address)
    return await open_connection(last)


def read_rows(database: Database, rows: Iterable[Mapping[str, Any]]) -> PeerAnswer:
    """The state of one database according to the rows of `_Server`'s `Database`."""
    by_name = {row["name"]: row for row in rows}
    row = by_name.get(database)
    if WAITING_DATABASE in by_name:
        return PeerAnswer(PeerState.WAITS)
    if row is None:
        names = [printable(name[:_LONGEST_NAME]) for name in sorted(set(by_name) - {"_Server"})]
        return PeerAnswer(PeerState.OTHER, detail=f"it has {listed(names) or 'none'}")
    if row["model"] != "clustered":
        return PeerAnswer(PeerState.STANDALONE)
    cid, sid = optional_uuid(row["cid"]), optional_uuid(row["sid"])
    if row["schema"] == ["set", []] or cid in {"", _NO_ID}:
        return PeerAnswer(PeerState.NOTHING, sid=sid)
    return PeerAnswer(PeerState.CLUSTER, cid, sid, connected=bool(row["connected"]))


def optional_uuid(value: Any) -> str:
    """The value of an optional UUID: ["uuid", X], or empty for ["set", []]."""
    return str(value[1]) if value[0] == "uuid" else ""


def _why(error: BaseException, port: int) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name {failure_text(error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {failure_text(error)}"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        # asyncio's text has a Python tuple in it.
        return f"port {port}: {os.strerror(error.errno)}"
    if not error.args:  # a server without TLS closes the connection without a message
        return "the connection was closed; the server may not use TLS"
    return failure_text(error)


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """The context for a connection to one of the members.

    The files are read every time, since they may have been replaced. Raises `OSError` if they
    cannot be read or do not match.
    """
    return Tls(str(files.private_key), str(files.certificate), str(files.ca_cert)).context()
