"""What is reported about members that do not answer."""

import socket
import threading
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import pytest

from isthmus.icdb.local.database_server import DatabaseServer, Directories
from isthmus.icdb.raft.bootstrap import PeerState
from isthmus.icdb.raft.peer_probe import TIMEOUT, ask_all
from isthmus.model.bounds import SERVER_ANSWER
from isthmus.ovsdb import jsonrpc_asyncio
from isthmus.ovsdb.json_stream import MessageDecoder
from support.hostile.answers import ANYWHERE, raw, result
from support.hostile.ovsdb_server import Answer

PATIENCE = 60.0
"""Seconds that a name server takes in these tests."""


def _server(port: int) -> DatabaseServer:
    """A server of IC-NB without TLS, whose other members have this port."""
    files, listen = Directories(*[Path("/x")] * 3), ip_address("127.0.0.1")
    return DatabaseServer("nb", port, files, listen=listen, raft_port=1)


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_a_refused_connection_has_the_systems_error() -> None:
    """The text is that of every other tool, with the port."""
    port = _closed_port()
    answer = ask_all(_server(port), ["127.0.0.1"])["127.0.0.1"]
    assert answer.state is PeerState.SILENT
    assert answer.detail == f"port {port}: Connection refused"


def test_a_name_that_cannot_be_resolved_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the cause; other names, and further addresses of a name, are still tried."""

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        if host == "gone.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in ("::1", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        answers = ask_all(_server(port), ["gone.example", "two.example"])
        # The connection in the backlog shows that the second address was tried.
        server.settimeout(0)
        server.accept()[0].close()
    assert answers["gone.example"].detail == "its name does not exist"
    assert answers["two.example"].detail == f"no answer within {TIMEOUT:g} s"


ROW = {
    "name": "OVN_IC_Northbound", "model": "clustered", "connected": True, "leader": True,
    "schema": "{}", "cid": ["set", []], "sid": ["set", []],
}  # fmt: skip


def _rows(*rows: Any) -> Answer:
    return result([{"rows": list(rows)}])


NOT_ROWS: dict[str, Answer] = {
    "no rows": result([{}]),
    "a number as row": _rows(5),
    "a list as name": _rows(ROW | {"name": []}),
    "a number as name": _rows(ROW | {"name": 5}, ROW),
    "a number as cid": _rows(ROW | {"cid": 5}),
    "an empty cid": _rows(ROW | {"cid": []}),
    "an object as sid": _rows(ROW | {"sid": ["uuid", {}]}),
    "terminal controls as sid": _rows(ROW | {"sid": ["uuid", "\x1b[2J"]}),
    "a text as state": _rows(ROW | {"connected": "yes"}),
}
OTHER_DATABASES: dict[str, Answer] = {
    "a long name": _rows(ROW | {"name": "x" * 100_000}),
    "many names": _rows(*(ROW | {"name": f"{number}"} for number in range(1000))),
    "terminal controls as name": _rows(ROW | {"name": "\x1b[2J\n"}),
}
LIES = {**ANYWHERE, **NOT_ROWS, **OTHER_DATABASES}


@pytest.mark.parametrize("answer", LIES.values(), ids=LIES)
def test_a_member_that_lies_counts_as_another_server(answer: Answer) -> None:
    """It is named in one short line, and the others' answers count."""
    with _Peer(answer) as liar, _Peer(_rows(ROW)) as honest:
        found = [ask_all(_server(peer.port), ["127.0.0.1"])["127.0.0.1"] for peer in (liar, honest)]
    assert found[0].state in {PeerState.OTHER, PeerState.SILENT}
    assert 0 < len(found[0].detail) < 500
    assert found[0].detail.isprintable()
    assert found[1].state is PeerState.NOTHING


def test_a_member_that_never_stops_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer may have so many characters, and not more."""
    monkeypatch.setattr(jsonrpc_asyncio, "SERVER_ANSWER", replace(SERVER_ANSWER, most=1000))
    with _Peer(raw(b'{"x":"' + b"x" * 2000)) as peer:
        [answer] = ask_all(_server(peer.port), ["127.0.0.1"]).values()
    assert answer.state is PeerState.SILENT
    assert answer.detail == "2006 characters; at most 1000 are allowed"


class _Peer:
    """A server that answers one request of one client, and keeps the connection open."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client, suppress(OSError):
            [request] = MessageDecoder().feed(client.recv(1 << 16))
            client.sendall(self._answer(request))
            while client.recv(1 << 16):
                pass


def test_a_name_server_delays_no_other_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hanging resolver costs one member's answer, and one thread for all attempts."""
    over = threading.Event()
    in_time: list[bool] = []

    def resolve(*_: Any, **__: Any) -> list[Any]:
        in_time.append(over.wait(PATIENCE))
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = _closed_port()
    for _ in range(2):
        answers = ask_all(_server(port), ["slow.example", "127.0.0.1"])
        assert answers["slow.example"].detail == f"no answer within {TIMEOUT:g} s"
        assert "Connection refused" in answers["127.0.0.1"].detail
    waiting = [t for t in threading.enumerate() if t.name == "resolve slow.example"]
    assert len(waiting) == 1
    over.set()
    waiting[0].join()
    assert in_time == [True]
