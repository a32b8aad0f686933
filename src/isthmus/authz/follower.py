"""Keep `DatabaseState` up to date with one database.

Used by the authorizing proxy, once per database.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

from isthmus.authz.database_state import DatabaseState, JsonRow
from isthmus.authz.monitor_updates import Columns, checked_rows, columns_of, is_clustered
from isthmus.authz.slices import in_slices
from isthmus.model.text import failure_text
from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc import echo_reply
from isthmus.ovsdb.jsonrpc_asyncio import read_messages

_log = logging.getLogger(__name__)

_LONGEST_REASON = 200
"""Characters of what is wrong that are logged."""

_RETRY_INTERVAL = 0.2
"""Seconds between two attempts to connect to a server."""

_MOST_DISTRUST = 30.0
"""Most seconds until a server whose data was invalid is asked again: each time twice as many, and
from the start after as long a connection without invalid data."""

_ANSWER_LIMIT = 60.0
"""Seconds that a server has to answer that it has committed everything."""

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
        self._columns: Columns = {}
        self._reported = ""
        self.ready = asyncio.Event()
        self.clustered = True

    async def run(self) -> None:
        """Follow the database until cancelled, whatever its server sends."""
        delay, loop = _RETRY_INTERVAL, asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._follow()
            except OSError:
                pass  # the server is down, stopping or still without the database
            except Exception as error:  # noqa: BLE001 - of whatever kind: it is made of the data
                self._report(error)
                remembered = loop.time() - began < _MOST_DISTRUST
                delay = min(2 * delay, _MOST_DISTRUST) if remembered else _RETRY_INTERVAL
            finally:
                self._disconnected()
            await asyncio.sleep(delay)

    def _report(self, error: Exception) -> None:
        """Log once why a server's data are invalid."""
        reason = failure_text(error)[:_LONGEST_REASON]
        if reason != self._reported:
            self._reported = reason
            _log.warning(
                "%s: the server at %s sent invalid data, so the connection was closed: %s; zones"
                " cannot write meanwhile; restart `isthmus ic-db run` on this host, and if that"
                " does not help, move the database file away or restore a backup",
                self.database,
                self.socket,
                reason,
            )

    async def caught_up(self) -> None:
        """Wait until `state` holds everything that the server has committed by now.

        A server sends changes before it answers a later request on the same connection.

        Raises:
            OSError: the connection is down, or the server hangs.
        """
        if self._writer is None:
            raise ConnectionResetError("the connection to the server is down")
        self._number += 1
        reached = self._barriers[self._number] = asyncio.get_running_loop().create_future()
        self._request("transact", [self.database], self._number)
        async with asyncio.timeout(_ANSWER_LIMIT):
            await reached

    async def _follow(self) -> None:
        reader, self._writer = await connect(self.socket)
        self._request("transact", ["_Server", _select_model(self.database)], "model")
        self._request("get_schema", [self.database], "get_schema")
        async with aclosing(read_messages(reader)) as stream:
            async for message in stream:
                await self._received(message)

    async def _received(self, message: Mapping[str, Any]) -> None:
        if message.get("method") == "update":
            _, updates = message["params"]
            await self._apply(updates)
        elif echo := echo_reply(message):
            self._write(echo)
        elif message.get("error"):
            raise ConnectionRefusedError(str(message["error"]))  # it lacks the database
        else:
            await self._answered(message["id"], message["result"])

    async def _answered(self, number: Any, result: Any) -> None:
        if number == "model":
            self.clustered = is_clustered(result)
        elif number == "get_schema":
            self._columns = columns_of(self.database, result)
            wanted = {table: {"columns": names} for table, names in self._columns.items()}
            self._request("monitor", [self.database, None, wanted], "monitor")
        elif number == "monitor":
            await self._apply(result)
            self.ready.set()
            self._reported = ""
        elif not (reached := self._barriers.pop(number)).done():
            reached.set_result(None)

    async def _apply(self, updates: Any) -> None:
        async for _ in in_slices(checked_rows(self._columns, updates)):
            pass  # nothing is applied before all of it is checked
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
