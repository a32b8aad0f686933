"""One client of the authorizing proxy: its requests to the server, and the answers.

Used by `proxy`. Requests that only read are passed on. Invariant: it fails closed: a request that
is not known to be harmless is passed on only after `authorize`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.authz.database_state import DatabaseState
from isthmus.authz.follower import connect
from isthmus.authz.limits.answers import Answer, AnswerTurns
from isthmus.authz.limits.rates import ZoneTraffic
from isthmus.authz.limits.transaction import TransactionLimits
from isthmus.authz.relay import ServerBarrier, relay
from isthmus.authz.request import AuthorizationPolicy, JsonOperation, RefusedError, Request
from isthmus.model.bounds import (
    ZONE_DEPTH,
    ZONE_MESSAGE,
    ZONE_MONITORS,
    ZONE_OPERATIONS,
    ZONE_REQUEST,
    ZONE_VALUES,
    BoundExceededError,
)
from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc_asyncio import MessageLimits, read_messages

Message = Mapping[str, Any]
"""A message of JSON-RPC."""

READ_METHODS = frozenset(
    {
        "cancel", "echo", "get_schema", "get_server_id", "list_dbs", "monitor", "monitor_cancel",
        "monitor_cond", "monitor_cond_change", "monitor_cond_since", "set_db_change_aware",
    }
)  # fmt: skip
"""Methods that change nothing (RFC 7047, 4.1, and ovsdb-server(7))."""

_SIGN_INTERVAL = 0.5
"""Seconds between two `echo` requests to a zone whose request waits. Daemons leave a server that is
silent for two seconds, see `isthmus.ovsdb.session`."""

# A server takes no notice of the answer, because its own requests have the same id.
_SIGN = encode({"method": "echo", "params": [], "id": "echo"})


@dataclass(slots=True)
class ClientSession:
    """A client's connection, and the connection to the server that serves it.

    Args:
        database: the schema's name.
        socket: the server's Unix socket.
        zone: the name in the client's certificate.
        unrestricted: whether the client may write everything.
        writer: to the client.
        policy: the operator's, with the zone's limits.
        traffic: shared by all connections of this zone.
        turns: shared by all zones.
        authorize: the operations to pass on for a zone; raises `RefusedError`.
        refused: called with each refusal.
    """

    database: str
    socket: Path
    zone: str
    unrestricted: bool
    writer: asyncio.StreamWriter
    policy: AuthorizationPolicy
    traffic: ZoneTraffic
    turns: AnswerTurns
    authorize: Callable[[list[Any], str], Awaitable[list[JsonOperation]]]
    refused: Callable[[RefusedError], None]
    _between: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    """Held while an answer of the server is on its way to the client."""
    _answer: Answer | None = field(init=False, default=None)
    """The same, if it is one to a request that reads."""
    _monitors: set[str] = field(init=False, default_factory=set)

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Serve the client until either side closes its connection.

        Raises:
            OSError: a connection broke.
            ValueError: the client sent something other than JSON-RPC.
        """
        from_server, to_server = await connect(self.socket)
        barrier = ServerBarrier(to_server)
        tasks = [
            asyncio.create_task(self._forward_requests(reader, to_server, barrier)),
            asyncio.create_task(
                relay(from_server, self.writer, self._between, barrier.is_answer, self._drain)
            ),
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

    async def _forward_requests(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, barrier: ServerBarrier
    ) -> None:
        try:
            await self._forward(reader, server, barrier)
        except BoundExceededError as error:
            # Where the next message begins, and the number of this one, are unknown.
            await self._refuse(None, RefusedError.exceeding(error, self.zone))
            raise

    async def _forward(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, barrier: ServerBarrier
    ) -> None:
        async with aclosing(self._messages(reader)) as stream:
            async for message in stream:
                if not self.unrestricted and _writes(message):
                    await barrier.wait()
                passed = message if self.unrestricted else await self._passed(message)
                if passed is not None:
                    # Encoded again: the server must parse exactly what was authorized.
                    data = encode(passed)
                    if self.unrestricted or not _reads(passed):
                        server.write(data)
                        await server.drain()
                        continue
                    async with self._turn(rows=_reads_rows(passed)):
                        server.write(data)
                        await barrier.wait()

    @asynccontextmanager
    async def _turn(self, *, rows: bool) -> AsyncIterator[None]:
        """Wait until an answer may be sent: a server keeps what a client does not read in memory.

        Args:
            rows: whether it has rows of the database, so that zones take turns as well.

        Raises:
            ConnectionResetError: the client has left meanwhile.
        """
        async with AsyncExitStack() as stack:
            waiting = asyncio.create_task(self._show_life())
            try:
                await stack.enter_async_context(self.traffic.answers)
                turn = self.turns.turn() if rows else nullcontext(Answer(lambda: None))
                self._answer = await stack.enter_async_context(turn)
            finally:
                waiting.cancel()
            if self.writer.is_closing():
                raise ConnectionResetError("the client has left")
            try:
                yield
            finally:
                self._answer = None

    async def _drain(self) -> None:
        await (self.writer.drain() if self._answer is None else self._answer.drain(self.writer))

    async def _show_life(self) -> None:
        while True:
            await asyncio.sleep(_SIGN_INTERVAL)
            async with self._between:
                self.writer.write(_SIGN)

    async def _passed(self, message: Message) -> Message | None:
        """The request to pass on for a zone; None if it was refused and answered."""
        try:
            return await self._authorized(message)
        except RefusedError as error:
            await self._refuse(message, error)
            return None

    async def _refuse(self, message: Message | None, error: RefusedError) -> None:
        self.refused(error)
        async with self._between:
            self.writer.write(encode(refusal(message, str(error))))
        await self.writer.drain()

    def _messages(self, reader: asyncio.StreamReader) -> AsyncGenerator[Message, None]:
        if self.unrestricted:
            return read_messages(reader)
        bounds = (ZONE_MESSAGE, ZONE_DEPTH, ZONE_VALUES)
        limits = MessageLimits(*(self.policy.limit(self.zone, bound) for bound in bounds))
        traffic = self.traffic
        return read_messages(reader, limits, traffic.large, traffic.pace, traffic.turn)

    async def _authorized(self, message: Message) -> Message:
        zone = self.zone
        method, params = message.get("method"), message.get("params")
        if not isinstance(method, str | None):
            raise RefusedError(zone, "", "", "its method is not a string")
        if method in READ_METHODS or (method is None and "result" in message):
            self._check_request(message)
            return message
        if method != "transact" or not isinstance(params, list):
            raise RefusedError(zone, str(method), "", "")
        if params[:1] == ["_Server"] and _only_reads(params[1:]):
            limits = TransactionLimits(Request(params[1:], zone, DatabaseState(), self.policy))
            for operation in params[1:]:
                limits.check(operation)
            return message  # which member leads, and what else the server has
        if params[:1] != [self.database]:
            raise RefusedError(zone, str(method), "", f"the database is {params[:1]}")
        operations = params[1:]
        # The server takes up to 0.05 ms for each, and serves no other client meanwhile.
        most = self.policy.limit(zone, ZONE_OPERATIONS).most
        await self.traffic.pace(operations=min(len(operations), most))
        return {**message, "params": [self.database, *await self.authorize(operations, zone)]}

    def _check_request(self, message: Message) -> None:
        method, params = str(message.get("method")), message.get("params")
        monitors = set(self._monitors)
        if method == "monitor_cancel" and isinstance(params, list):
            monitors.discard(str(params[:1]))
        elif method.startswith("monitor") and isinstance(params, list):
            monitors.add(str(params[1:2] if method != "monitor_cond_change" else params[:1]))
        try:
            self.policy.limit(self.zone, ZONE_REQUEST).check(len(encode(message)))
            self.policy.limit(self.zone, ZONE_MONITORS).check(len(monitors))
        except BoundExceededError as error:
            raise RefusedError.exceeding(error, self.zone, method) from error
        self._monitors = monitors


def _reads(message: Message) -> bool:
    """Whether the answer to a request may be large."""
    method = str(message.get("method"))
    if not isinstance(message.get("params"), list):
        return False
    if method == "transact":
        return any(one.get("op") == "select" for one in message["params"][1:])
    return method.startswith(("monitor", "get_schema"))


def _reads_rows(message: Message) -> bool:
    """Whether the answer to a request that reads has rows of the database."""
    return message.get("method") != "get_schema" and "_Server" not in message["params"][:1]


def _writes(message: Message) -> bool:
    """Whether a request may do more than read."""
    if message.get("method") != "transact":
        return False
    params = message.get("params")
    return isinstance(params, list) and not _only_reads(params[1:])


def _only_reads(operations: list[Any]) -> bool:
    return all(
        isinstance(one, dict) and one.get("op") in ("select", "comment") for one in operations
    )


def refusal(message: Message | None, why: str) -> Message:
    """The answer of a server that restricts roles (RFC 7047, 4.1.3, "permission error")."""
    error = {"error": "permission error", "details": why}
    number = None if message is None else message.get("id")
    if message is not None and message.get("method") == "transact":
        return {"result": [error], "error": None, "id": number}
    return {"result": None, "error": error, "id": number}
