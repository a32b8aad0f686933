"""Just enough of OVSDB's protocol (RFC 7047) to ask a server on this machine a few questions.

Called by `supervisor` and `tending` to see that a server answers, what it has and how its cluster
fares, and to create transit switches. Unlike the `ovs` package's client of control sockets, it
never waits for longer than `TIMEOUT` for a server that hangs. The daemon's
sessions are in `isthmus.ovsdb`; they replicate whole databases, which is not needed here.
"""

import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePath
from typing import Any

from isthmus.icdb.raft.peer_probe import SELECT
from isthmus.icdb.transit_switches.spec import TransitSwitchSpec
from isthmus.model.rows import AvailabilityZone, Database, IcRoute, RowId, TransitSwitch

TIMEOUT = 5.0
"""Seconds to wait for a server on this machine before giving up on a request."""


class RpcError(Exception):
    """The server refused a request.

    Args:
        error: the code, e.g. "constraint violation" (RFC 7047, section 3.1).
        details: the server's explanation; may be empty.
    """

    def __init__(self, error: str, details: str) -> None:
        super().__init__(error, details)
        self.error = error
        self.details = details

    def __str__(self) -> str:
        return f"{self.error}: {self.details}" if self.details else self.error


class Client:
    """A connection to one server, for requests one after the other.

    Raises:
        OSError: nobody listens, or the connection broke; from the constructor and all methods.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._received = b""

    @classmethod
    def over_unix(cls, path: PurePath) -> "Client":
        """Connect to a Unix socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            raise
        return cls(connection)

    @classmethod
    def over_tcp(
        cls, address: IPv4Address | IPv6Address, port: int, context: ssl.SSLContext | None = None
    ) -> "Client":
        """Connect to a TCP port; with a context, by TLS."""
        plain = socket.create_connection((str(address), port), TIMEOUT)
        if context is None:
            return cls(plain)
        try:
            return cls(context.wrap_socket(plain))
        except OSError:
            plain.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def server_id(self) -> str:
        """The UUID that this run of the server has chosen for itself."""
        return str(self._call("get_server_id", []))

    def databases(self) -> list[dict[str, Any]]:
        """Rows of `_Server`'s `Database`: name, model, cid, sid, schema, connected, leader."""
        [result] = self._call("transact", ["_Server", SELECT])
        return list(result["rows"])

    def control(self, command: str, *arguments: str) -> str:
        """Have a daemon carry out a command, if the connection is to its control socket.

        Raises:
            RpcError: it refuses.
        """
        return str(self._call(command, list(arguments)))

    def transit_switches(self) -> list[TransitSwitch]:
        """All rows of IC-NB's `Transit_Switch`."""
        columns = ["_uuid", "name", "other_config", "external_ids"]
        select = {"op": "select", "table": TransitSwitch.TABLE, "where": [], "columns": columns}
        [result] = self._transact([select])
        return [
            TransitSwitch(
                uuid=RowId(row["_uuid"][1]),
                name=row["name"],
                other_config=dict(row["other_config"][1]),
                external_ids=dict(row["external_ids"][1]),
            )
            for row in result["rows"]
        ]

    def zones_and_routes(self) -> list[AvailabilityZone | IcRoute]:
        """All rows of IC-SB's `Availability_Zone` and `Route`, as far as they say who is where."""
        columns = ["_uuid", "name"]
        zones = {"op": "select", "table": AvailabilityZone.TABLE, "where": [], "columns": columns}
        columns = ["_uuid", "transit_switch", "availability_zone", "ip_prefix"]
        routes = {"op": "select", "table": IcRoute.TABLE, "where": [], "columns": columns}
        names, prefixes = self._transact([zones, routes], AvailabilityZone.DATABASE)
        return [
            *(
                AvailabilityZone(uuid=RowId(row["_uuid"][1]), name=row["name"])
                for row in names["rows"]
            ),
            *(
                IcRoute(
                    uuid=RowId(row["_uuid"][1]),
                    transit_switch=row["transit_switch"],
                    availability_zone=RowId(row["availability_zone"][1]),
                    ip_prefix=row["ip_prefix"],
                )
                for row in prefixes["rows"]
            ),
        ]

    def create_transit_switches(self, specs: Iterable[TransitSwitchSpec]) -> None:
        """Insert transit switches, all or none.

        Raises:
            RpcError: "constraint violation" if one of the names has been taken meanwhile.
        """
        self._transact([_insertion(spec) for spec in specs])

    def _transact(
        self, operations: list[Mapping[str, Any]], database: Database = TransitSwitch.DATABASE
    ) -> list[Any]:
        results: list[Any] = self._call("transact", [database, *operations])
        for result in results:
            # A failed operation leaves null in place of those after it; a failed commit adds one.
            if result is not None and "error" in result:
                raise RpcError(result["error"], result.get("details", ""))
        return results

    def _call(self, method: str, params: list[Any]) -> Any:
        request = {"method": method, "params": params, "id": method}
        self._socket.sendall(json.dumps(request).encode())
        while (reply := self._receive()).get("id") != method:
            # The server's inactivity probe; unanswered, it would drop us.
            if reply.get("method") == "echo":
                answer = {"result": reply["params"], "error": None, "id": reply["id"]}
                self._socket.sendall(json.dumps(answer).encode())
        if reply.get("error"):
            error = reply["error"]
            if isinstance(error, str):  # As control sockets have it.
                raise RpcError(error.strip(), "")
            raise RpcError(error.get("error", "error"), error.get("details", ""))
        return reply["result"]

    def _receive(self) -> dict[str, Any]:
        """One message; the stream has no separators, so a message ends where JSON is complete."""
        decoder = json.JSONDecoder()
        while True:
            try:
                message, end = decoder.raw_decode(self._received.decode())
            except ValueError:
                more = self._socket.recv(65536)
                if not more:
                    raise ConnectionResetError("the server closed the connection") from None
                self._received += more
            else:
                self._received = self._received.decode()[end:].encode()
                return dict(message)


def _insertion(spec: TransitSwitchSpec) -> Mapping[str, Any]:
    external_ids = [[key, value] for key, value in spec.external_ids.items()]
    return {
        "op": "insert",
        "table": TransitSwitch.TABLE,
        "row": {"name": spec.name, "external_ids": ["map", external_ids]},
    }
