"""An OVSDB server that can answer any step of a client's start with anything.

It has no thread: a test calls `turn` between the turns of its client.
"""

import json
import selectors
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isthmus.ovsdb.json_stream import MessageDecoder

ROW = "11111111-1111-4111-8111-111111111111"
OTHER_ROW = "22222222-2222-4222-8222-222222222222"
STRING_MAP = {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}
SCHEMA: dict[str, Any] = {
    "name": "OVN_IC_Northbound",
    "version": "1.0.0",
    "tables": {
        "Transit_Switch": {
            "columns": {
                "name": {"type": "string"},
                "other_config": STRING_MAP,
                "external_ids": STRING_MAP,
            },
            "isRoot": True,
        },
        "IC_NB_Global": {
            "columns": {
                "nb_ic_cfg": {"type": "integer"},
                "sb_ic_cfg": {"type": "integer"},
                "external_ids": STRING_MAP,
            },
            "isRoot": True,
        },
    },
}
"""What an honest server of IC-NB says, as far as it matters."""

_TEXT, _FLAG = {"type": "string"}, {"type": "boolean"}
SERVER_SCHEMA: dict[str, Any] = {
    "name": "_Server",
    "version": "1.2.0",
    "tables": {
        "Database": {
            "columns": {
                "name": _TEXT,
                "model": _TEXT,
                "connected": _FLAG,
                "leader": _FLAG,
                "schema": {"type": {"key": "string", "min": 0}},
                "cid": {"type": {"key": "uuid", "min": 0}},
                "sid": {"type": {"key": "uuid", "min": 0}},
                "index": {"type": {"key": "integer", "min": 0}},
            }
        }
    },
}
_DATABASE = {"name": SCHEMA["name"], "model": "standalone", "connected": True, "leader": True}
SWITCH = {"name": "ts", "other_config": ["map", []], "external_ids": ["map", [["a", "b"]]]}
CONTENTS = {"Transit_Switch": {ROW: {"initial": SWITCH}}}

Request = dict[str, Any]
Answer = Callable[[Request], bytes]
"""What is sent in reply to a request, as bytes."""


def step_of(request: Request) -> str:
    """A request's method, with "_Server" if it concerns that database."""
    params = request.get("params") or [""]
    server = " _Server" if params[0] == "_Server" else ""
    return f"{request['method']}{server}"


HONEST: Mapping[str, Any] = {
    "get_schema": SCHEMA,
    "get_schema _Server": SERVER_SCHEMA,
    "monitor_cond _Server": {"Database": {OTHER_ROW: {"initial": _DATABASE}}},
    "monitor_cond_since": [False, ROW, CONTENTS],
    "set_db_change_aware": {},
    "lock": {"locked": True},
    "transact": [{}, {"uuid": ["uuid", OTHER_ROW]}, {}],
}
"""The results by step."""
OTHER_HONEST: Mapping[str, Any] = HONEST | {  # type: ignore[operator]
    "get_schema": SCHEMA | {"name": "OVN_Northbound"},
    "monitor_cond _Server": {
        "Database": {OTHER_ROW: {"initial": _DATABASE | {"name": "OVN_Northbound"}}}
    },
    "monitor_cond_since": [False, ROW, {}],
}
"""Those of another database, which is empty."""


def reply(request: Request, result: Any) -> bytes:
    """A reply as bytes."""
    return json.dumps({"id": request["id"], "result": result, "error": None}).encode()


class HostileServer:
    """A server on a Unix socket.

    Args:
        path: of the socket.
        honest: the results of an honest server, by step.

    Attributes:
        lies: what it answers to a step in place of the honest result.
        after: what it sends once the client has the contents; it closes nothing by itself.
        hangs: whether it does nothing, as when it is stopped.
        connections: how many clients have connected so far.
    """

    def __init__(self, path: Path, honest: Mapping[str, Any] = HONEST) -> None:
        self.remote = f"unix:{path}"
        self._honest = honest
        self.lies: dict[str, Answer] = {}
        self.after = b""
        self.hangs = False
        self.connections = 0
        self._unsent: dict[socket.socket, bytes] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def turn(self) -> None:
        """Accept, read and answer what has come."""
        if self.hangs:
            return
        for key, _ in self._selector.select(0):
            if key.fileobj is self._listener:
                self._accept()
            else:
                self._read(key.fileobj, key.data)  # type: ignore[arg-type]
        for client in list(self._unsent):
            self._send(client)

    def drop_clients(self) -> None:
        """Close all connections, as when the server is restarted."""
        for client in list(self._unsent):
            self._close(client)

    def close(self) -> None:
        """Close everything."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.connections += 1
        client.setblocking(False)
        self._unsent[client] = b""
        self._selector.register(client, selectors.EVENT_READ, MessageDecoder())

    def _read(self, client: socket.socket, decoder: MessageDecoder) -> None:
        try:
            data = client.recv(1 << 16)
            for request in decoder.feed(data):
                self._answer(client, request)
        except OSError:
            data = b""
        if not data:
            self._close(client)

    def _close(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._unsent[client]
        client.close()

    def _send(self, client: socket.socket) -> None:
        try:
            sent = client.send(self._unsent[client]) if self._unsent[client] else 0
        except BlockingIOError:
            return
        except OSError:
            self._close(client)
            return
        self._unsent[client] = self._unsent[client][sent:]

    def _answer(self, client: socket.socket, request: Request) -> None:
        step = step_of(request)
        honest = self._honest.get(step)
        answer = self.lies[step](request) if step in self.lies else reply(request, honest)
        self._unsent[client] += answer
        if step in {"monitor_cond_since", "monitor"} and self.after:
            self._unsent[client] += self.after
