"""OVSDB's framing for asyncio, and a follower of one database: what `guard` is built of.

A message is passed on only whole, so that answers of the guard's own never fall into the middle
of one.
"""

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from isthmus.icdb.guard_known import COLUMNS, Known
from isthmus.ovsdb.json_stream import Parser

LONGEST = 64 << 20
"""Characters in a message; the contents of a database with 100,000 routes are a third of that."""

_RETRY = 0.2
"""Seconds until a server that is gone is tried again."""

_PIECE = 1 << 16


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """The messages of a stream, as text.

    Raises:
        ValueError: it is not UTF-8, or a message is longer than `LONGEST`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    parser, pieces, size = Parser(), list[str](), 0
    while data := await reader.read(_PIECE):
        text = decoder.decode(data)
        while text:
            used = parser.feed(text)
            pieces.append(text[:used])
            text, size = text[used:], size + used
            if parser.is_done():
                yield "".join(pieces)
                parser, pieces, size = Parser(), [], 0
            elif size > LONGEST:
                raise ValueError(f"a message is longer than {LONGEST} characters")


def encode(message: Any) -> bytes:
    """A message for the wire."""
    return json.dumps(message, separators=(",", ":")).encode()


class Follower:
    """Keeps `Known` as one database is.

    Args:
        database: its schema's name.
        socket: the server's Unix socket.
        known: what to keep.
        lost: called when the server is gone, and nothing is known any more.

    Attributes:
        ready: everything has been read, and nothing lost since.
        begun: set when that was so for the first time.
    """

    def __init__(self, database: str, socket: Path, known: Known, lost: Callable[[], None]) -> None:
        self._database, self._socket, self._known, self._lost = database, socket, known, lost
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self.ready = False
        self.begun = asyncio.Event()

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                await self._follow()
            except (OSError, ValueError, KeyError, EOFError):
                pass  # gone, or going: it is asked again from the beginning
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
        reader, self._writer = await asyncio.open_unix_connection(self._socket)
        begin = asyncio.create_task(self._begin())
        try:
            async for text in frames(reader):
                self._take(json.loads(text))
                if begin.done():
                    begin.result()
        finally:
            begin.cancel()

    async def _begin(self) -> None:
        schema = await self._call("get_schema", [self._database])
        have = schema["tables"]
        wanted = {
            table: {"columns": [name for name in columns if name in have[table]["columns"]]}
            for table, columns in COLUMNS[self._database].items()
            if table in have
        }
        self._known.apply(await self._call("monitor", [self._database, None, wanted]))
        self.ready = True
        self.begun.set()

    async def _call(self, method: str, params: list[Any]) -> Any:
        if self._writer is None:
            raise ConnectionResetError("the server is gone")
        self._number += 1
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = answer
        self._send({"method": method, "params": params, "id": self._number})
        return await answer

    def _take(self, message: Any) -> None:
        method = message.get("method")
        if method == "update":
            self._known.apply(message["params"][1])
        elif method == "echo":
            self._send({"result": message["params"], "error": None, "id": message["id"]})
        elif (answer := self._waiting.pop(message.get("id"), None)) and not answer.done():
            if message.get("error"):
                answer.set_exception(ValueError(str(message["error"])))
            else:
                answer.set_result(message["result"])

    def _send(self, message: Any) -> None:
        if self._writer is not None:
            self._writer.write(encode(message))

    def _drop(self) -> None:
        self.ready = False
        self._known.forget(self._database)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the server is gone"))
        self._waiting.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._lost()
