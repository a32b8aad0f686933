"""How an attacker reaches the IC databases: through the authorizing proxy, or without it."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from isthmus.model.rows import Database
from isthmus.ovsdb.jsonrpc import JsonRpcClient
from isthmus.ovsdb.streams.tls import Tls
from isthmus_lab.system.netns import inside

PATIENCE_S = 5.0
"""Seconds that an attacker waits for anything."""

SB, NB = Database.IC_SB, Database.IC_NB


@dataclass(frozen=True, slots=True)
class Door:
    """One way to the databases.

    Args:
        zone: the attacker's.
        netns: the namespace from which to connect.
        address, ports: where the databases listen.
        tls: the attacker's certificate; None for clear text.
        most: the largest number of characters of a message. Without the proxy, nothing but the
            size of the machine limits what a client costs a server.
    """

    zone: str
    netns: str
    address: str
    ports: Mapping[Database, int]
    tls: Tls | None
    most: int

    @property
    def guarded(self) -> bool:
        """Whether the authorizing proxy is behind it."""
        return self.tls is not None

    def knock(self, database: Database = SB) -> socket.socket:
        """A TCP connection on which nothing was sent."""
        with inside(self.netns):
            return socket.create_connection((self.address, self.ports[database]), PATIENCE_S)

    def connect(self, database: Database = SB) -> socket.socket:
        """A connection that is ready for requests."""
        plain = self.knock(database)
        if self.tls is None:
            return plain
        try:
            return self.tls.context().wrap_socket(plain)
        except OSError:
            plain.close()
            raise

    @contextmanager
    def asking(self, database: Database = SB) -> Iterator["Asking"]:
        """A client that can transact."""
        with self.connect(database) as connection:
            yield Asking(JsonRpcClient(connection), database)

    def send(self, data: bytes, database: Database = SB) -> None:
        """Send bytes on a new connection, and wait for an answer or the end."""
        with suppress(OSError), self.connect(database) as connection:
            connection.sendall(data)
            connection.recv(1 << 16)


@dataclass(frozen=True, slots=True)
class Asking:
    """A client for requests one after the other."""

    client: JsonRpcClient
    database: str

    def transact(self, *operations: Any) -> list[Any]:
        """The results of a transaction, errors among them."""
        return list(self.client.call("transact", self.database, *operations))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        [found] = self.transact({"op": "select", "table": table, "where": []})
        rows: list[dict[str, Any]] = found["rows"]
        return rows


def message(method: str, *params: Any) -> bytes:
    """A request."""
    return json.dumps({"method": method, "id": 1, "params": params}).encode()


def transact(*operations: Any, database: Database = SB) -> bytes:
    """A transaction."""
    return message("transact", database, *operations)


def insert(table: str, own: str = "", /, **row: Any) -> dict[str, Any]:
    """An insert, optionally with a name for the row within the transaction."""
    return {"op": "insert", "table": table, "row": row, **({"uuid-name": own} if own else {})}


def by_uuid(row: Mapping[str, Any]) -> list[Any]:
    """The condition that selects one row."""
    return [["_uuid", "==", row["_uuid"]]]
