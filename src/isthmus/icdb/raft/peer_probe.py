"""Asks the other members what they have, all at once, each within the same short time.

Called by `supervisor`. Members talk to each other by nothing but OVSDB: the database `_Server`
(ovsdb-server(5)), which every server has and everyone may read, says what else it has.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from isthmus.icdb.raft.bootstrap import WAITING_DATABASE, Answer, Has
from isthmus.icdb.raft.name_resolution import addresses_of
from isthmus.model.rows import Database
from isthmus.ovsdb.jsonrpc import SERVER_DATABASES, RpcError
from isthmus.ovsdb.jsonrpc_asyncio import call

TIMEOUT = 1.0
"""Seconds for a member to answer. Rows of `_Server` are few; one that is slower is asked again."""

_NO_ID = "00000000-0000-0000-0000-000000000000"

_NOT_BELIEVED = frozenset({"TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_ACCESS_DENIED"})
"""What OpenSSL calls the other side's refusal, beside those with CERT in their names."""


def ask_all(
    hosts: Iterable[str],
    port: int,
    database: Database,
    wake: Iterable[int] = (),
    context: Callable[[], ssl.SSLContext] | None = None,
) -> dict[str, Answer]:
    """Ask members what they have.

    Args:
        hosts: whom.
        port: for clients, the same for all.
        database: which one.
        wake: descriptors; if one becomes readable, those that have not answered yet count as
            silent.
        context: makes what TLS takes; None for plain TCP.

    Returns:
        an answer for each host.
    """
    return asyncio.run(_ask_all(tuple(hosts), port, database, tuple(wake), context))


async def _ask_all(
    hosts: tuple[str, ...],
    port: int,
    database: Database,
    wake: tuple[int, ...],
    context: Callable[[], ssl.SSLContext] | None,
) -> dict[str, Answer]:
    woken = asyncio.Event()
    loop = asyncio.get_running_loop()
    for descriptor in wake:
        loop.add_reader(descriptor, woken.set)
    asking = {host: asyncio.create_task(_ask(host, port, database, context)) for host in hosts}
    waking = asyncio.create_task(woken.wait())
    everyone: asyncio.Future[Any] = asyncio.gather(*asking.values(), return_exceptions=True)
    try:
        either: set[asyncio.Future[Any]] = {waking, everyone}
        await asyncio.wait(either, timeout=TIMEOUT, return_when="FIRST_COMPLETED")
        return {host: _answer(task, port) for host, task in asking.items()}
    finally:
        for descriptor in wake:
            loop.remove_reader(descriptor)
        waking.cancel()
        everyone.cancel()
        await asyncio.gather(waking, everyone, *asking.values(), return_exceptions=True)


def _answer(task: "asyncio.Task[Answer]", port: int) -> Answer:
    if not task.done():
        return Answer(Has.SILENT, detail=f"nothing within {TIMEOUT:g} s")
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, (OSError, ValueError, EOFError)):
        raise error
    untrusted = isinstance(error, ssl.SSLError) and "CERT" in (error.reason or "")
    untrusted |= isinstance(error, ssl.SSLError) and error.reason in _NOT_BELIEVED
    return Answer(Has.SILENT, detail=_why(error, port), untrusted=untrusted)


async def _ask(
    host: str, port: int, database: Database, context: Callable[[], ssl.SSLContext] | None
) -> Answer:
    reader, writer = await _connect(host, port, context)
    try:
        [result] = await call(reader, writer, "transact", "_Server", SERVER_DATABASES)
        return read_rows(database, result["rows"])
    except (RpcError, LookupError, TypeError):
        return Answer(Has.OTHER, detail="it is not an OVSDB server that lists its databases")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _connect(
    host: str, port: int, context: Callable[[], ssl.SSLContext] | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    made = context() if context else None
    name = host if made else None
    *others, last = await addresses_of(host)
    for address in others:
        with suppress(OSError):
            return await asyncio.open_connection(address, port, ssl=made, server_hostname=name)
    return await asyncio.open_connection(last, port, ssl=made, server_hostname=name)


def read_rows(database: Database, rows: Iterable[Mapping[str, Any]]) -> Answer:
    """What rows of `_Server`'s `Database` say of one database."""
    by_name = {row["name"]: row for row in rows}
    row = by_name.get(database)
    if WAITING_DATABASE in by_name:
        return Answer(Has.WAITS)
    if row is None:
        names = sorted(set(by_name) - {"_Server"})
        return Answer(Has.OTHER, detail=f"it has {', '.join(names) or 'none'}")
    if row["model"] != "clustered":
        return Answer(Has.STANDALONE)
    cid, sid = _optional(row["cid"]), _optional(row["sid"])
    if row["schema"] == ["set", []] or cid in {"", _NO_ID}:
        return Answer(Has.NOTHING, sid=sid)
    return Answer(Has.CLUSTER, cid, sid, connected=bool(row["connected"]))


def _optional(value: Any) -> str:
    """An optional UUID: ["uuid", X], or ["set", []]."""
    return str(value[1]) if value[0] == "uuid" else ""


def _why(error: BaseException, port: int) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved: {error.strerror}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        # In place of the system's own words asyncio has a Python tuple.
        return f"port {port}: {os.strerror(error.errno)}"
    said = error.strerror if isinstance(error, OSError) else ""
    # Who is spoken to by TLS and speaks none closes the connection without a word.
    return said or str(error) or "the connection was closed, as by one without TLS"
