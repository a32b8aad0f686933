"""Keep `DatabaseState` up to date with one database.

Used by the authorizing proxy, once per database.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from isthmus.authz.database_state import COLUMNS, DatabaseState, JsonRow
from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc_asyncio import read_messages

_RETRY_INTERVAL = 0.2
"""Seconds between two attempts to connect to a server."""

_QUEUE_FULL_INTERVAL = 0.01
"""Seconds until the next attempt when the queue of a server's socket is full."""


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a server's Unix socket, waiting while the socket's queue is full.

    asyncio treats the error for a full queue as a connection in progress, which never completes.

    Raises:
        OSError: no server listens there.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)
        while True:
            try:
                connection.connect(str(path))
                break
            except BlockingIOError:
                await asyncio.sleep(_QUEUE_FULL_INTERVAL)
        return await asyncio.open_unix_connection(sock=connection)
    except BaseException:
        connection.close()
        raise


class DatabaseFollower:
    """Monitors one database.

    Args:
        database: its schema's name.
        socket: the server's Unix socket.
        state: what to keep up to date.
        route_written: called with each committed route that is new or changed.

    Attributes:
        ready: set while `state` holds the complete database and the connection is up.
        clustered: whether other servers may have newer contents for a moment.
    """

    def __init__(
        self,
        database: str,
        socket: Path,
        state: DatabaseState,
        route_written: Callable[[JsonRow], None],
    ) -> None:
        self._database, self._socket, self._state = database, socket, state
        self._route_written = route_written
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._monitor = 0
        self.ready = asyncio.Event()
        self.clustered = True

    async def run(self) -> None:
        """Follow the database until cancelled."""
        while True:
            try:
                await self._follow()
            except (OSError, ValueError, KeyError, EOFError):
                pass  # the server is down, stopping or still without the database: start again
            finally:
                self._disconnected()
            await asyncio.sleep(_RETRY_INTERVAL)

    async def caught_up(self) -> None:
        """Wait until `state` holds everything that the server has committed by now.

        A server sends changes before it answers a later request on the same connection.

        Raises:
            OSError: the connection is down.
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
        async with aclosing(read_messages(reader)) as stream:
            async for message in stream:
                self._received(message)
        raise EOFError

    async def _begin(self) -> None:
        schema = await self._call("get_schema", [self._database])
        tables = schema["tables"]
        wanted = {
            table: {"columns": [name for name in columns if name in tables[table]["columns"]]}
            for table, columns in COLUMNS[self._database].items()
            if table in tables
        }
        [models] = await self._call("transact", ["_Server", _select_model(self._database)])
        self.clustered = models["rows"] != [{"model": "standalone"}]
        self._monitor = self._send("monitor", [self._database, None, wanted])

    async def _call(self, method: str, params: list[Any]) -> Any:
        if self._writer is None:
            raise ConnectionResetError("the connection to the server is down")
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._send(method, params)] = answer
        return await answer

    def _received(self, message: Any) -> None:
        method, number = message.get("method"), message.get("id")
        if method == "update":
            self._apply(message["params"][1])
        elif method == "echo":
            self._write({"result": message["params"], "error": None, "id": number})
        elif message.get("error"):
            answer = self._waiting.pop(number, None)
            if answer is None or answer.done():
                raise ValueError(str(message["error"]))
            answer.set_exception(ValueError(str(message["error"])))
        elif number == self._monitor:
            # Applied here and not in a task: updates may follow in the same packet.
            self._apply(message["result"])
            self.ready.set()
        elif (answer := self._waiting.pop(number, None)) and not answer.done():
            answer.set_result(message["result"])

    def _apply(self, updates: Any) -> None:
        for route in self._state.apply(updates):
            self._route_written(route)

    def _send(self, method: str, params: list[Any]) -> int:
        self._number += 1
        self._write({"method": method, "params": params, "id": self._number})
        return self._number

    def _write(self, message: Any) -> None:
        if self._writer is not None:
            self._writer.write(encode(message))

    def _disconnected(self) -> None:
        self.ready.clear()
        self._state.clear(self._database)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the connection to the server is down"))
        self._waiting.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _select_model(database: str) -> dict[str, Any]:
    where = [["name", "==", database]]
    return {"op": "select", "table": "Database", "where": where, "columns": ["model"]}
