"""What is told of members that do not answer."""

import socket
import threading
from typing import Any

import pytest

from isthmus.icdb.raft.bootstrap import Has
from isthmus.icdb.raft.peer_probe import TIMEOUT, ask_all
from isthmus.model.rows import Database

PATIENCE = 60.0
"""Seconds that a name server takes in these tests; nobody waits for it."""


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_a_refused_connection_is_told_in_the_systems_words() -> None:
    """People are told what every other tool tells them, and the port."""
    port = _closed_port()
    answer = ask_all(["127.0.0.1"], port, Database.IC_NB)["127.0.0.1"]
    assert answer.has is Has.SILENT
    assert answer.detail == f"port {port}: Connection refused"


def test_a_name_that_stands_for_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's own words; another name is not held up by it, nor by its other addresses."""

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        if host == "gone.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in ("::1", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        answers = ask_all(["gone.example", "two.example"], port, Database.IC_NB)
        # Whoever connected is in the backlog: the second address was tried after the first.
        server.settimeout(0)
        server.accept()[0].close()
    assert "cannot be resolved: Name or service not known" in answers["gone.example"].detail
    assert answers["two.example"].detail == f"nothing within {TIMEOUT:g} s"


def test_nobody_waits_for_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that hangs costs its own member's answer, and one thread however often asked."""
    over = threading.Event()
    in_time: list[bool] = []

    def resolve(*_: Any, **__: Any) -> list[Any]:
        in_time.append(over.wait(PATIENCE))
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = _closed_port()
    for _ in range(2):
        answers = ask_all(["slow.example", "127.0.0.1"], port, Database.IC_NB)
        assert answers["slow.example"].detail == f"nothing within {TIMEOUT:g} s"
        assert "Connection refused" in answers["127.0.0.1"].detail
    waiting = [t for t in threading.enumerate() if t.name == "resolve slow.example"]
    assert len(waiting) == 1
    over.set()
    waiting[0].join()
    assert in_time == [True]
