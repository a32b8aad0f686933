"""The client of control sockets, with daemons that answer and daemons that do not."""

import json
import socket
import threading
from pathlib import Path

import pytest

from isthmus.ovsdb.unixctl_client import TIMEOUT, CommandFailedError, ask

REPLY = b'{"id":"status","result":"Status: active\\n","error":null}'


def serve_once(path: Path, *pieces: bytes) -> threading.Thread:
    """Answer one request, in pieces."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def answer() -> None:
        with listener, listener.accept()[0] as connection:
            connection.settimeout(TIMEOUT)
            assert json.loads(connection.recv(4096)) == {
                "id": "status",
                "method": "status",
                "params": ["a"],
            }
            for piece in filter(None, pieces):
                connection.sendall(piece)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


@pytest.mark.parametrize("cut", [len(REPLY), 20, len(REPLY) - 1])
def test_a_reply_is_put_together(tmp_path: Path, cut: int) -> None:
    """A reply is read as a whole, also if it comes in two pieces."""
    path = tmp_path / "ctl"
    thread = serve_once(path, REPLY[:cut], REPLY[cut:])
    assert ask(str(path), "status", "a") == "Status: active\n"
    thread.join()


def test_a_refusal_is_raised(tmp_path: Path) -> None:
    """The reason of a daemon that refuses the command is the error's text."""
    path = tmp_path / "ctl"
    thread = serve_once(path, b'{"id":"status","result":null,"error":"not today\\n"}')
    with pytest.raises(CommandFailedError, match="not today"):
        ask(str(path), "status", "a")
    thread.join()


@pytest.mark.parametrize("pieces", [(), (b'{"id":0',), (b"[]",)], ids=["none", "half", "no object"])
def test_no_reply_is_an_error(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    """A connection that ends before a complete reply, and a missing socket, are `OSError`s."""
    path = tmp_path / "ctl"
    thread = serve_once(path, *pieces)
    with pytest.raises(ConnectionError, match=r"server (closed|sent)"):
        ask(str(path), "status", "a")
    thread.join()
    with pytest.raises(FileNotFoundError):
        ask(str(tmp_path / "none"), "status")


def test_a_daemon_that_hangs_is_an_error(tmp_path: Path) -> None:
    """A daemon that accepts the connection and does not answer in time is an `OSError`."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "ctl"))
        listener.listen()
        with pytest.raises(TimeoutError):
            ask(str(tmp_path / "ctl"), "status", timeout=0.05)
