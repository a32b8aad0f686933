"""`isthmus-health`, the program that Kubernetes runs as probes."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from isthmus.cli.health import main


def serve_once(path: Path, reply: bytes) -> threading.Thread:
    """Answer one request."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def answer() -> None:
        with listener, listener.accept()[0] as connection:
            connection.settimeout(60)
            assert json.loads(connection.recv(4096))["method"] in {"status", "ready"}
            connection.sendall(reply)

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


def test_a_healthy_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The daemon's reply goes to standard output, with exit status 0."""
    path = tmp_path / "ctl"
    thread = serve_once(path, b'{"id":"status","result":"Status: active\\n","error":null}')
    assert run(monkeypatch, path, "live") == 0
    assert capsys.readouterr().out == "Status: active\n"
    thread.join()


def test_an_unhealthy_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason of a daemon that is not ready goes to standard error, with exit status 1."""
    path = tmp_path / "ctl"
    thread = serve_once(path, b'{"id":"ready","result":null,"error":"not ready: this and that\\n"}')
    assert run(monkeypatch, path, "ready") == 1
    assert capsys.readouterr().err == "not ready: this and that\n"
    thread.join()


def test_no_daemon_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a daemon the exit status is 1; after wrong usage it is 2."""
    assert run(monkeypatch, tmp_path / "none", "live") == 1
    assert run(monkeypatch, tmp_path / "none", "healthy") == 2
    assert run(monkeypatch, tmp_path / "none") == 2


def test_it_is_light() -> None:
    """The probe starts every few seconds, so it imports neither typer nor the ovs package."""
    code = "import sys, isthmus.cli.health; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "isthmus.cli.health" in loaded
    assert not {"typer", "ovs", "rich", "yaml", "kubernetes", "pathlib"} & set(loaded)
