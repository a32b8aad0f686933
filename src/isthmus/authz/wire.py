"""OVSDB's framing for asyncio, and a follower of one database: what `guard` is built of."""

import asyncio
import codecs
import json
import secrets
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from isthmus.authz.database_state import COLUMNS, Known
from isthmus.ovsdb.ovs_patches.json_parser import Scanner

LONGEST = 32 << 20
"""Characters in a client's message; one that makes 100,000 routes has two thirds of that."""

SHORT = 256
"""Characters below which a message may be one of the guard's own."""

LARGE = 1 << 20
"""Characters from which on a message is large: of one sender's, one at a time is kept."""

_RETRY = 0.2
"""Seconds until a server that is gone is tried again."""

_FULL = 0.01
"""Seconds until a server's socket is tried again whose queue is full."""

_PIECE = 1 << 16


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a server's Unix socket, when it is our turn.

    asyncio takes the answer that the socket's queue is full for a connection that will come.

    Raises:
        OSError: nobody listens there.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)
        while True:
            try:
                connection.connect(str(path))
                break
            except BlockingIOError:
                await asyncio.sleep(_FULL)
        return await asyncio.open_unix_connection(sock=connection)
    except BaseException:
        connection.close()
        raise


async def pieces(reader: asyncio.StreamReader) -> AsyncGenerator[tuple[str, bool], None]:
    """A stream's text as it comes; with each piece, whether a message ends with it.

    No piece holds parts of two messages.

    Raises:
        ValueError: it is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    scanner, begun = Scanner(), False
    while data := await reader.read(_PIECE):
        text = decoder.decode(data)
        while text := text if begun else text.lstrip():
            used = scanner.feed(text)
            piece, text, begun = text[:used], text[used:], not scanner.is_done()
            if not begun:
                scanner = Scanner()
            yield piece, not begun


async def messages(
    reader: asyncio.StreamReader, large: asyncio.Semaphore | None = None
) -> AsyncGenerator[Any, None]:
    """The messages of a stream; of those that are large only one while the semaphore allows.

    Raises:
        ValueError: it is no JSON, or a message is longer than `LONGEST`.
    """
    parts, size, held = list[str](), 0, False
    try:
        async with aclosing(pieces(reader)) as stream:
            async for piece, ends in stream:
                parts.append(piece)
                size += len(piece)
                if size > LARGE and large is not None and not held:
                    held = await large.acquire()
                if size > LONGEST and large is not None:
                    raise ValueError(f"a message is longer than {LONGEST} characters")
                if ends:
                    text, parts, size = "".join(parts), [], 0
                    yield json.loads(text)
                    if held and large is not None:
                        large.release()
                        held = False
    finally:
        if held and large is not None:
            large.release()


async def relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    between: asyncio.Lock,
    kept: Callable[[str], bool] = lambda _: False,
) -> None:
    """Pass a stream on until it ends, no faster than it is taken, and keep none of it.

    Args:
        reader, writer: from where to where.
        between: held in the midst of a message; whoever has it may write one of its own.
        kept: whether a message, of less than `SHORT` characters, is not to be passed on.
    """
    begun, piece = False, ""
    async with aclosing(pieces(reader)) as stream:
        async for more, ends in stream:
            piece += more
            if not begun and not ends and len(piece) < SHORT:
                continue  # It may become one that is kept.
            if not begun and ends and len(piece) < SHORT and kept(piece):
                piece = ""
                continue
            if not begun:
                await between.acquire()
            writer.write(piece.encode())
            piece = ""
            begun = not ends
            if ends:
                between.release()
            await writer.drain()


class Turn:
    """Tells when a server has no more answers for a client, by a question of its own.

    A server reads no request of a client that does not take what it was sent before, and writes
    what was judged meanwhile whenever the client pleases.

    Args:
        server: the connection to it.
    """

    def __init__(self, server: asyncio.StreamWriter) -> None:
        self._server = server
        self._mark = ""
        self._reached = asyncio.Event()

    async def comes(self) -> None:
        """Return when the server reads the client's next request at once."""
        # Not to be guessed: whoever answered it before the server would be believed.
        self._mark = secrets.token_hex(16)
        self._reached.clear()
        self._server.write(encode({"method": "echo", "params": [], "id": self._mark}))
        await self._server.drain()
        await self._reached.wait()

    def is_answer(self, text: str) -> bool:
        """Whether a message of the server's is the answer to that question."""
        if not self._mark or self._mark not in text:
            return False
        self._mark = ""
        self._reached.set()
        return True


def encode(message: Any) -> bytes:
    """A message for the wire."""
    return json.dumps(message, separators=(",", ":")).encode()


class Follower:
    """Keeps `Known` as one database is.

    Args:
        database: its schema's name.
        socket: the server's Unix socket.
        known: what to keep.

    Attributes:
        ready: set while everything has been read, and nothing lost since.
        clustered: whether other servers may know more for a moment.
    """

    def __init__(self, database: str, socket: Path, known: Known) -> None:
        self._database, self._socket, self._known = database, socket, known
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._monitor = 0
        self.ready = asyncio.Event()
        self.clustered = True

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                await self._follow()
            except (OSError, ValueError, KeyError, EOFError):
                pass  # gone, going, or without the database yet: asked again from the beginning
            finally:
                self._drop()
            await asyncio.sleep(_RETRY)

    async def caught_up(self) -> None:
        """Return when all that the server has committed by now is known.

        A server sends what has changed before it answers a later request on a connection.

        Raises:
            OSError: it is gone.
        """
        await self._call("transact", [self._database])

    async def _follow(self) -> None:
        reader, self._writer = await connect(self._socket)
        both = {asyncio.create_task(self._begin()), asyncio.create_task(self._read(reader))}
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        async with aclosing(messages(reader)) as stream:
            async for message in stream:
                self._take(message)
        raise EOFError

    async def _begin(self) -> None:
        schema = await self._call("get_schema", [self._database])
        have = schema["tables"]
        wanted = {
            table: {"columns": [name for name in columns if name in have[table]["columns"]]}
            for table, columns in COLUMNS[self._database].items()
            if table in have
        }
        [models] = await self._call("transact", ["_Server", _model_of(self._database)])
        self.clustered = models["rows"] != [{"model": "standalone"}]
        self._monitor = self._send("monitor", [self._database, None, wanted])

    async def _call(self, method: str, params: list[Any]) -> Any:
        if self._writer is None:
            raise ConnectionResetError("the server is gone")
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._send(method, params)] = answer
        return await answer

    def _take(self, message: Any) -> None:
        method, number = message.get("method"), message.get("id")
        if method == "update":
            self._known.apply(message["params"][1])
        elif method == "echo":
            self._write({"result": message["params"], "error": None, "id": number})
        elif message.get("error"):
            answer = self._waiting.pop(number, None)
            if answer is None or answer.done():
                raise ValueError(str(message["error"]))
            answer.set_exception(ValueError(str(message["error"])))
        elif number == self._monitor:
            # At once: updates may have come with it, and are about what it says.
            self._known.apply(message["result"])
            self.ready.set()
        elif (answer := self._waiting.pop(number, None)) and not answer.done():
            answer.set_result(message["result"])

    def _send(self, method: str, params: list[Any]) -> int:
        self._number += 1
        self._write({"method": method, "params": params, "id": self._number})
        return self._number

    def _write(self, message: Any) -> None:
        if self._writer is not None:
            self._writer.write(encode(message))

    def _drop(self) -> None:
        self.ready.clear()
        self._known.forget(self._database)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the server is gone"))
        self._waiting.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _model_of(database: str) -> dict[str, Any]:
    where = [["name", "==", database]]
    return {"op": "select", "table": "Database", "where": where, "columns": ["model"]}
