"""A blocking client of OVSDB's JSON-RPC (RFC 7047, section 4), with a time limit.

Used by everything that asks a server or a control socket a few questions. The clients of the `ovs`
package have no time limit. Sessions that replicate whole databases are in `isthmus.ovsdb.session`.
Invariant: imports only light modules, see `json_stream`.
"""

import socket
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


_NO_RESULTS = "the server's answer does not have the right structure"


def result_rows(results: Any) -> list[dict[str, Any]]:
    """The rows that a transaction of one "select" has read.

    Raises:
        ConnectionResetError: the results are not those of a select.
    """
    match results:
        case [{"rows": list(rows)}] if all(isinstance(row, dict) for row in rows):
            return rows
    raise ConnectionResetError(_NO_RESULTS)


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
        self.send(request(method, *params))
        while (reply := self.receive()).get("id") != method or reply.get("method"):
            if echo := echo_reply(reply):
                self.send(echo)
        return result_of(reply)

    def transact(self, database: str, *operations: Any) -> list[Any]:
        """The results of a transaction's operations.

        Raises:
            RpcError: an operation or the commit failed.
        """
        results = self.call("transact", database, *operations)
        if not isinstance(results, list):
            raise ConnectionResetError(_NO_RESULTS)
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
        rows = result_rows(self.transact("_Server", SERVER_DATABASES))
        if not all(row.keys() >= set(SERVER_DATABASES["columns"]) for row in rows):
            raise ConnectionResetError(_NO_RESULTS)
        return rows

    def send(self, message: Mapping[str, Any]) -> None:
        """Send any message."""
        self._socket.sendall(encode(message))

    def receive(self) -> dict[str, Any]:
        """The next message of any kind.

        Raises:
            ConnectionResetError: the server closed the connection, or what it sends is not JSON.
        """
        while not self._received:
            data = self._socket.recv(_READ_SIZE)
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
