"""What is reported about members that do not answer."""

import socket
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from isthmus.icdb.local.database_server import DatabaseServer, Directories
from isthmus.icdb.raft.bootstrap import PeerState
from isthmus.icdb.raft.peer_probe import TIMEOUT, ask_all

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
