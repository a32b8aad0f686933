"""A blocking JSON-RPC client for OVSDB servers and for daemons' control sockets (RFC 7047).

Used by the differential test alone, which must write rows that Isthmus does not know, read whole
databases often, and trust neither side's code.
"""

import json
import socket
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = Any

_CHUNK = 1 << 18


class RpcError(Exception):
    """The other side refused a request; carries its answer."""


class Connection:
    """One connection to a unix socket.

    Args:
        path: of the socket.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._number = 0

    def request(self, method: str, *params: Json) -> Json:
        """Ask and wait for the answer.

        Raises:
            RpcError: the other side refused.
            OSError: it is gone, or does not answer within a minute.
        """
        self._number += 1
        self._send({"method": method, "params": list(params), "id": self._number})
        while True:
            message = self._receive()
            if message.get("method") == "echo":
                self._send({"result": message["params"], "error": None, "id": message["id"]})
            elif message.get("id") == self._number:
                if message["error"] is not None:
                    raise RpcError(message["error"])
                return message["result"]

    def transact(self, database: str, *operations: Json) -> list[Json]:
        """Run one OVSDB transaction; the results of its operations.

        Raises:
            RpcError: the transaction failed.
        """
        results: list[Json] = self.request("transact", database, *operations)
        if any(result and "error" in result for result in results):
            raise RpcError(f"{operations} gave {results}")
        return results

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, message: Json) -> None:
        self._socket.sendall(json.dumps(message).encode())

    def _receive(self) -> Json:
        while True:
            self._text = self._text.lstrip()
            try:
                message, end = self._decoder.raw_decode(self._text)
            except json.JSONDecodeError:
                data = self._socket.recv(_CHUNK)
                if not data:
                    raise ConnectionError("the other side closed the connection") from None
                self._text += data.decode()
                continue
            self._text = self._text[end:]
            return message


def insert(table: str, ref: str, /, **row: Json) -> Json:
    """Insert a row to which the same transaction refers as ["named-uuid", ref]."""
    return {"op": "insert", "table": table, "uuid-name": ref, "row": row}


def update(table: str, where: Json, /, **row: Json) -> Json:
    """Replace columns."""
    return {"op": "update", "table": table, "where": where, "row": row}


def mutate(table: str, where: Json, *mutations: Json) -> Json:
    """Insert into or delete from sets and maps."""
    return {"op": "mutate", "table": table, "where": where, "mutations": list(mutations)}


def delete(table: str, where: Json) -> Json:
    """Delete rows."""
    return {"op": "delete", "table": table, "where": where}


def named(value: str, column: str = "name") -> Json:
    """The condition that a column has a value."""
    return [[column, "==", value]]


def mapping(values: dict[str, str]) -> Json:
    """A map as OVSDB writes it."""
    return ["map", [list(item) for item in sorted(values.items())]]


def strings(values: "list[str] | tuple[str, ...]") -> Json:
    """A set of strings as OVSDB writes it."""
    return ["set", list(values)]


def new(name: str) -> Json:
    """A reference to a row that the same transaction inserts."""
    return ["set", [["named-uuid", name]]]
