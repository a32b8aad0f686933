"""`isthmus-health`: what the probes of Kubernetes run."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from isthmus.cli.health import PATIENCE, ask, main


def serve_once(path: Path, *pieces: bytes) -> threading.Thread:
    """Answer one request, in pieces."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def answer() -> None:
        with listener, listener.accept()[0] as connection:
            connection.settimeout(PATIENCE)
            assert json.loads(connection.recv(4096))["method"] in {"status", "ready"}
            for piece in pieces:
                connection.sendall(piece)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def run(monkeypatch: pytest.MonkeyPatch, path: Path, *arguments: str) -> object:
    """Run the program; its exit status."""
    monkeypatch.setattr(sys, "argv", ["isthmus-health", *arguments])
    monkeypatch.setenv("ISTHMUS_UNIXCTL", str(path))
    try:
        main()
    except SystemExit as ending:
        return ending.code
    return 0


def test_an_answer_in_pieces_is_put_together(tmp_path: Path) -> None:
    """A reply that comes in two pieces is read whole."""
    path = tmp_path / "ctl"
    thread = serve_once(path, b'{"id":0,"result":"Status: ', b'active\\n","error":null}')
    assert ask(str(path), "status")["result"] == "Status: active\n"
    thread.join()


def test_a_refusal_is_shown_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the daemon says is missing goes to standard error, with exit status 1."""
    path = tmp_path / "ctl"
    thread = serve_once(path, b'{"id":0,"result":null,"error":"not ready: this and that\\n"}')
    assert run(monkeypatch, path, "ready") == 1
    assert capsys.readouterr().err == "not ready: this and that\n"
    thread.join()


@pytest.mark.parametrize("pieces", [(), (b'{"id":0',), (b"[]",)], ids=["none", "half", "no object"])
def test_no_answer_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...]
) -> None:
    """A daemon that hangs up, half-way or at once, is not well."""
    path = tmp_path / "ctl"
    thread = serve_once(path, *pieces)
    assert run(monkeypatch, path, "live") == 1
    thread.join()


def test_no_daemon_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody on the socket is exit status 1, wrong usage 2."""
    assert run(monkeypatch, tmp_path / "none", "live") == 1
    assert run(monkeypatch, tmp_path / "none", "well") == 2
    assert run(monkeypatch, tmp_path / "none") == 2


def test_it_is_light() -> None:
    """It is started every few seconds, so it brings neither typer nor the ovs package."""
    code = "import sys, isthmus.cli.health; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "isthmus.cli.health" in loaded
    assert not {"typer", "ovs", "rich", "yaml", "kubernetes"} & set(loaded)
