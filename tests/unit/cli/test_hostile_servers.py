"""Verbs that ask a server once: whatever it answers, they end in time with a named error."""

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.cli.main import main
from isthmus.model.bounds import SERVER_MESSAGE
from isthmus.ovsdb import session
from isthmus.ovsdb.ovs_patches import json_parser
from support.hostile.answers import ANYWHERE, AT_STEPS
from support.hostile.ovsdb_server import OTHER_HONEST, Answer, HostileServer

STEPS = ("get_schema", "monitor_cond_since")
CASES = {f"{step}: {name}": (step, lie) for step in STEPS for name, lie in ANYWHERE.items()} | {
    f"{step}: {name}": (step, lie) for step in STEPS for name, lie in AT_STEPS[step].items()
}
SB = "OVN_IC_Southbound"
HONEST_SB = json.loads(json.dumps(OTHER_HONEST).replace("OVN_Northbound", SB))


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[HostileServer]]:
    """IC-NB of a server that will lie, and IC-SB of an honest one, in a thread."""
    monkeypatch.setattr(session, "RETRY_INTERVAL", 10)
    monkeypatch.setattr(json_parser, "SERVER_MESSAGE", replace(SERVER_MESSAGE, most=1 << 17))
    both = [HostileServer(tmp_path / "nb"), HostileServer(tmp_path / "sb", HONEST_SB)]
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.wait(0.001):
            for server in both:
                server.turn()

    thread = threading.Thread(target=serve)
    thread.start()
    yield both
    stopping.set()
    thread.join()
    for server in both:
        server.close()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of `isthmus ARGUMENTS…`."""
    monkeypatch.setattr(sys, "argv", ["isthmus", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(("step", "lie"), CASES.values(), ids=CASES)
def test_show_names_the_server_that_lies(
    servers: list[HostileServer],
    step: str,
    lie: Answer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Database, address, what is wrong and what to do; every line is short and printable."""
    nb, sb = servers
    nb.lies = {step: lie}
    remotes = (f"--ic-nb-db={nb.remote}", f"--ic-sb-db={sb.remote}")
    status = run(monkeypatch, "show", *remotes, "--timeout=0.1")
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    for line in (printed.out + printed.err).split("\n"):
        assert line.isprintable()
        assert len(line) < 1000
    if status:
        assert status == 1
        assert f"database OVN_IC_Northbound: remote = '{nb.remote}'" in printed.err
        assert "remedy: " in printed.err
