"""A blocking client of OVSDB's JSON-RPC (RFC 7047, section 4), with a time limit.

Used by everything that asks a server or a control socket a few questions. The clients of the `ovs`
package have no time limit. Sessions that replicate whole databases are in `isthmus.ovsdb.session`.
Invariant: imports only light modules, see `json_stream`.
"""

import re
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from isthmus.model.bounds import SERVER_MESSAGE
from isthmus.model.text import failure_text, foreign_line
from isthmus.ovsdb.json_stream import MessageDecoder, encode

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address
    from pathlib import PurePath
    from ssl import SSLContext

TIMEOUT = 5.0
"""Seconds for each operation on a connection to a server on this machine."""

_READ_SIZE = 1 << 16
_SHORTEST = 0.001
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SERVER_DATABASES: dict[str, Any] = {
    "op": "select",
    "table": "Database",
    "where": [],
    "columns": ["name", "model", "cid", "sid", "schema", "connected", "leader"],
}
"""Reads from `_Server` (ovsdb-server(5)) which databases a server has, and in which state."""


class RpcError(Exception):
    """The server refused a request, with a code (RFC 7047, section 3.1) and maybe details."""

    def __init__(self, error: str, details: str = "") -> None:
        super().__init__(error, details)
        self.error = error
        self.details = details

    def __str__(self) -> str:
        return foreign_line(f"{self.error}: {self.details}" if self.details else self.error)


class InvalidAnswerError(ConnectionResetError):
    """An answer of the server is not what was asked for; nothing that it sends can be used."""

    def __init__(self) -> None:
        super().__init__("the server's answer does not have the right structure")


def result_rows(results: Any) -> list[dict[str, Any]]:
    """The rows that a transaction of one "select" has read.

    Raises:
        InvalidAnswerError: the results are not those of a select.
    """
    match results:
        case [{"rows": list(rows)}] if all(isinstance(row, dict) for row in rows):
            return rows
    raise InvalidAnswerError


def database_rows(results: Any) -> list[dict[str, Any]]:
    """The rows that `SERVER_DATABASES` has read, maybe with the column "index".

    Raises:
        InvalidAnswerError: they lack a column, or a value has another type.
    """
    rows = result_rows(results)
    for row in rows:
        valid = (
            all(isinstance(row.get(name), str) for name in ("name", "model"))
            and all(isinstance(row.get(name), bool) for name in ("connected", "leader"))
            and all(_is_optional_uuid(row.get(name)) for name in ("cid", "sid"))
            and (isinstance(row.get("schema"), str) or row.get("schema") == _NONE)
            and (type(row.get("index", 0)) is int or row["index"] == _NONE)
        )
        if not valid:
            raise InvalidAnswerError
    return rows


_NONE = ["set", []]
"""No value, in OVSDB's JSON."""


def _is_optional_uuid(value: Any) -> bool:
    match value:
        case ["uuid", str(uuid)]:
            return bool(_UUID.fullmatch(uuid))
        case _:
            return bool(value == _NONE)


def request(method: str, *params: Any) -> dict[str, Any]:
    """A request; its id is the method, so a connection can have one of each method in flight."""
    return {"method": method, "params": params, "id": method}


def echo_reply(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """The reply to the other side's inactivity probe; None if `message` is not one.

    A server closes connections that leave its probes unanswered.
    """
    if message.get("method") != "echo":
        return None
    return {"result": message.get("params"), "error": None, "id": message.get("id")}


def result_of(reply: Mapping[str, Any]) -> Any:
    """The result in a reply.

    Raises:
        RpcError: the reply is an error.
    """
    error = reply.get("error")
    if not error:
        return reply.get("result")
    if isinstance(error, dict):
        raise RpcError(str(error.get("error", "error")), str(error.get("details", "")))
    raise RpcError(str(error).strip())  # a control socket's


class JsonRpcClient:
    """A connection to one server, with its time limit set, for requests one after the other.

    Raises:
        OSError: the connection cannot be made, broke or timed out; from all methods.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._decoder = MessageDecoder()
        self._received: list[dict[str, Any]] = []
        self._unfinished = 0

    @classmethod
    def over_unix(cls, path: "PurePath | str", timeout: float = TIMEOUT) -> Self:
        """Connect to a Unix socket; the timeout, in seconds, holds for each operation."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            raise
        return cls(connection)

    @classmethod
    def over_tcp(
        cls, address: "IPv4Address | IPv6Address", port: int, context: "SSLContext | None" = None
    ) -> Self:
        """Connect to a TCP port; with TLS if there is a context."""
        plain = socket.create_connection((str(address), port), TIMEOUT)
        if context is None:
            return cls(plain)
        try:
            return cls(context.wrap_socket(plain))
        except OSError:
            plain.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def call(self, method: str, *params: Any) -> Any:
        """The result of a request.

        Raises:
            RpcError: the server refused the request.
        """
        limit = self._socket.gettimeout()
        deadline = None if limit is None else time.monotonic() + limit
        self.send(request(method, *params))
        try:
            while (reply := self.receive(deadline)).get("id") != method or reply.get("method"):
                if echo := echo_reply(reply):
                    self.send(echo)
        finally:
            self._socket.settimeout(limit)
        return result_of(reply)

    def transact(self, database: str, *operations: Any) -> list[Any]:
        """The results of a transaction's operations.

        Raises:
            RpcError: an operation or the commit failed.
        """
        results = self.call("transact", database, *operations)
        if not isinstance(results, list):
            raise InvalidAnswerError
        for result in results:
            # A failed operation leaves null in place of those after it; a failed commit adds one.
            if isinstance(result, dict) and "error" in result:
                result_of({"error": result})
        return results

    def server_id(self) -> str:
        """The UUID that this run of the server chose for itself."""
        return str(self.call("get_server_id"))

    def databases(self) -> list[dict[str, Any]]:
        """Rows of `_Server`'s `Database`; see `SERVER_DATABASES`."""
        return database_rows(self.transact("_Server", SERVER_DATABASES))

    def send(self, message: Mapping[str, Any]) -> None:
        """Send any message."""
        self._socket.sendall(encode(message))

    def receive(self, deadline: float | None = None) -> dict[str, Any]:
        """The next message of any kind.

        Args:
            deadline: monotonic seconds; a server that sends a little again and again gets no more
                time. Without one, the time limit holds for each piece that arrives.

        Raises:
            TimeoutError: the message is not complete in time.
            ConnectionResetError: the server closed the connection, or what it sends is not JSON.
        """
        while not self._received:
            if deadline is not None:
                # Zero would make the socket non-blocking.
                self._socket.settimeout(max(deadline - time.monotonic(), _SHORTEST))
            data = self._socket.recv(_READ_SIZE)
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
            if not data:
                raise ConnectionResetError("the server closed the connection")
            self._unfinished += len(data)
            try:
                SERVER_MESSAGE.check(self._unfinished)
                self._received.extend(self._decoder.feed(data))
            except ValueError as error:
                raise ConnectionResetError(
                    f"the server sent no JSON-RPC: {failure_text(error)}"
                ) from error
        self._unfinished = 0
        return self._received.pop(0)
