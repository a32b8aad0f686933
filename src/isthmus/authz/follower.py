"""Keep `DatabaseState` up to date with one database.

Used by the authorizing proxy, once per database.
"""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

from isthmus.authz.database_state import COLUMNS, DatabaseState, JsonRow
from isthmus.authz.slices import in_slices
from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc import echo_reply
from isthmus.ovsdb.jsonrpc_asyncio import read_messages

_RETRY_INTERVAL = 0.2
"""Seconds between two attempts to connect to a server."""

_QUEUE_FULL_INTERVAL = 0.01
"""Seconds until the next attempt when the queue of a server's socket is full."""


class RouteReceiver(Protocol):
    """Receives committed routes that are new or changed."""

    def route_applied(self, row: JsonRow) -> None:
        """Receive a route as soon as it is in the state."""

    def route_written(self, row: JsonRow) -> None:
        """Receive a route once all of its transaction is in the state."""


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
        routes: receives the committed routes that are new or changed.

    Attributes:
        ready: set while `state` holds the complete database and the connection is up.
        clustered: whether other servers may have newer contents for a moment.
    """

    def __init__(
        self,
        database: str,
        socket: Path,
        state: DatabaseState,
        routes: RouteReceiver,
    ) -> None:
        self.database, self.socket, self._state = database, socket, state
        self._routes = routes
        self._writer: asyncio.StreamWriter | None = None
        self._barriers: dict[int, asyncio.Future[None]] = {}
        self._number = 0
        self.ready = asyncio.Event()
        self.clustered = True

    async def run(self) -> None:
        """Follow the database until cancelled."""
        while True:
            try:
                await self._follow()
            except (OSError, ValueError, KeyError):
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
        if self._writer is None:
            raise ConnectionResetError("the connection to the server is down")
        self._number += 1
        reached = self._barriers[self._number] = asyncio.get_running_loop().create_future()
        self._request("transact", [self.database], self._number)
        await reached

    async def _follow(self) -> None:
        reader, self._writer = await connect(self.socket)
        self._request("transact", ["_Server", _select_model(self.database)], "model")
        self._request("get_schema", [self.database], "get_schema")
        async with aclosing(read_messages(reader)) as stream:
            async for message in stream:
                await self._received(message)

    async def _received(self, message: Any) -> None:
        if message.get("method") == "update":
            await self._apply(message["params"][1])
        elif echo := echo_reply(message):
            self._write(echo)
        elif message.get("error"):
            raise ValueError(str(message["error"]))
        else:
            await self._answered(message["id"], message["result"])

    async def _answered(self, number: Any, result: Any) -> None:
        if number == "model":
            self.clustered = result[0]["rows"] != [{"model": "standalone"}]
        elif number == "get_schema":
            self._request("monitor", [self.database, None, self._wanted(result)], "monitor")
        elif number == "monitor":
            await self._apply(result)
            self.ready.set()
        elif not (reached := self._barriers.pop(number)).done():
            reached.set_result(None)

    def _wanted(self, schema: Any) -> Mapping[str, Any]:
        tables = schema["tables"]
        return {
            table: {"columns": [name for name in columns if name in tables[table]["columns"]]}
            for table, columns in COLUMNS[self.database].items()
            if table in tables
        }

    async def _apply(self, updates: Any) -> None:
        written = list[JsonRow]()
        async for route in in_slices(self._state.apply(updates)):
            if route is not None:
                self._routes.route_applied(route)
                written.append(route)
        async for route in in_slices(written):
            self._routes.route_written(route)

    def _request(self, method: str, params: list[Any], number: int | str) -> None:
        self._write({"method": method, "params": params, "id": number})

    def _write(self, message: Any) -> None:
        if self._writer is not None:
            self._writer.write(encode(message))

    def _disconnected(self) -> None:
        self.ready.clear()
        self._state.clear(self.database)
        for reached in self._barriers.values():
            if not reached.done():
                reached.set_exception(ConnectionResetError("the connection to the server is down"))
        self._barriers.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _select_model(database: str) -> dict[str, Any]:
    where = [["name", "==", database]]
    return {"op": "select", "table": "Database", "where": where, "columns": ["model"]}
