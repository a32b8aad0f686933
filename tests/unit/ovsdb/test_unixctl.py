"""The control socket, with correct and incorrect clients."""

import json
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.unixctl import Command, ControlServer
from isthmus.ovsdb.unixctl_client import CommandFailedError


def fail(_arguments: object) -> str:
    """A command that fails."""
    raise CommandFailedError("not today")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ControlServer]:
    """A server with three commands of its own."""
    found = ControlServer(str(tmp_path / "test.ctl"))
    found.register(
        Command("echo", " ".join, "[WORD]...", 0, None),
        Command("one", lambda words: words[0], "WORD", 1, 1),
        Command("fail", fail),
    )
    yield found
    found.close()


Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(server: ControlServer, tmp_path: Path) -> Iterator[Connect]:
    """Makes connections, closed after the test."""
    made: list[socket.socket] = []

    def make() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(tmp_path / "test.ctl"))
        client.settimeout(5)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def ask(server: ControlServer, client: socket.socket, method: str, *params: Any) -> dict[str, Any]:
    """Send a request and let the server answer."""
    request = {"id": 7, "method": method, "params": list(params)}
    client.sendall(json.dumps(request).encode())
    server.run(0.0)
    reply: dict[str, Any] = json.loads(client.recv(65536))
    assert reply["id"] == 7
    return reply


def test_commands_are_executed(server: ControlServer, connect: Connect) -> None:
    """Replies end with a line feed, since clients print them unchanged; empty ones stay empty."""
    client = connect()
    assert ask(server, client, "echo", "a", "b")["result"] == "a b\n"
    assert ask(server, client, "echo")["result"] == ""
    assert ask(server, client, "one", "x")["result"] == "x\n"
    assert "  echo                    [WORD]...\n" in ask(server, client, "list-commands")["result"]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (("nonsense",), '"nonsense" is not a valid command'),
        (("one",), '"one" command requires at least 1 arguments'),
        (("one", "a", "b"), '"one" command takes at most 1 arguments'),
        (("one", 5), '"one" command has non-string argument'),
        (("fail",), "not today"),
    ],
)
def test_errors_are_replies(
    server: ControlServer, connect: Connect, request_: tuple[Any, ...], error: str
) -> None:
    """Errors are replies with the reason, and the connection stays open."""
    client = connect()
    reply = ask(server, client, *request_)
    assert reply["result"] is None
    assert reply["error"].startswith(error)
    assert ask(server, client, "echo", "on")["result"] == "on\n"


@pytest.mark.parametrize(
    "garbage",
    [b"not json at all", b'{"method": 5}', b'{"id":1,"result":{},"error":null}', b"\xff{"],
)
def test_garbage_ends_its_connection_alone(
    server: ControlServer, connect: Connect, garbage: bytes
) -> None:
    """A client with another protocol is disconnected; others are served."""
    bad, good = connect(), connect()
    bad.sendall(garbage)
    server.run(0.0)
    assert ask(server, good, "echo", "on")["result"] == "on\n"
    bad.close()
    server.run(0.0)
    assert ask(server, good, "echo", "still")["result"] == "still\n"


def test_clients_may_leave_and_wait(server: ControlServer, connect: Connect) -> None:
    """A client that sends nothing, or disconnects without reading, does not delay others."""
    silent, gone = connect(), connect()
    gone.sendall(b'{"id":1,"method":"echo","params":["x"]}')
    gone.close()
    for _ in range(3):
        server.run(0.0)
    assert ask(server, silent, "echo", "awake")["result"] == "awake\n"


def test_the_socket_is_removed(server: ControlServer, tmp_path: Path) -> None:
    """Closing removes the socket."""
    assert (tmp_path / "test.ctl").is_socket()
    server.close()
    assert not (tmp_path / "test.ctl").exists()


def test_clients_wait_while_descriptors_run_out(
    server: ControlServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop neither spins nor fills the log, and the client is served afterwards."""
    client = connect()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    poller = Poller()
    try:
        for tick in range(100):
            server.run(tick / 100)
        server.wait(poller, 0.99)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(caplog.records) == 1
    assert "control connections have to wait: Too many open files" in caplog.text
    started = time.monotonic()
    poller.block()
    assert time.monotonic() - started > 0.5, "the waiting client wakes the loop at once"
    server.run(3.0)
    assert ask(server, client, "echo", "x")["result"] == "x\n"


def test_replies_are_printable(server: ControlServer, connect: Connect) -> None:
    """Values from the databases in a reply cannot control the terminal of `ovs-appctl`."""
    hostile = "a\x1b]0;title\x07\x9b31m\u202e"
    reply = ask(server, connect(), "echo", hostile)["result"]
    assert reply.rstrip("\n").isprintable()
    assert ask(server, connect(), hostile)["error"].rstrip("\n").isprintable()
