"""No value from outside can forge a line or control the terminal, whichever way it is printed."""

import ast
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import isthmus
from isthmus.cli import health
from isthmus.cli.common.logs import log_to_stderr
from isthmus.cli.common.output import print_json, print_lines, print_problems
from isthmus.cli.main import app
from isthmus.cli.options.environment import CONTROL_SOCKET
from isthmus.daemon.loop import ProblemLog
from isthmus.daemon.vlog import DaemonLog
from isthmus.engine.report import EngineReport, ReconcilerReport, TransactionReport
from isthmus.engine.view import View
from isthmus.inspect.clear_text import weakness_lines
from isthmus.inspect.engine_text import explanation_text, report_text
from isthmus.inspect.explain import Explanation, RouteVerdict, Verdict
from isthmus.inspect.layout import table, tree
from isthmus.inspect.routes import routes, routes_text
from isthmus.inspect.status_text import status_text
from isthmus.inspect.topology import topology, topology_text
from isthmus.model.changes import Change
from isthmus.model.problems import Subject
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    Gateway,
    IcEncap,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    NbGlobal,
    Row,
    RowId,
    TransitSwitch,
)
from isthmus.ovsdb.unixctl_client import CommandFailedError

EVIL = "x\x1b[2J\x9b1m\r\n\u2028forged\u202e\x00"

PROBLEM = Subject(EVIL, EVIL, EVIL).problem(EVIL, EVIL)


def view() -> View:
    """A view in which every name and address is hostile."""
    zone, encap = RowId("zone"), RowId("encap")
    rows: list[Row] = [
        NbGlobal(uuid=RowId("nb"), name=EVIL),
        IcSbGlobal(uuid=RowId("sb"), external_ids={f"isthmus-zone-{EVIL}": EVIL}),
        AvailabilityZone(uuid=zone, name=EVIL),
        IcEncap(uuid=encap, type=EVIL, ip=EVIL),
        Gateway(
            uuid=RowId("gateway"), name=EVIL, hostname=EVIL, availability_zone=zone,
            encaps=frozenset({encap}),
        ),
        IcPortBinding(
            uuid=RowId("port"), logical_port=EVIL, transit_switch=EVIL, availability_zone=zone,
            gateway=EVIL, address=EVIL,
        ),
        IcRoute(
            uuid=RowId("route"), transit_switch=EVIL, availability_zone=zone, ip_prefix=EVIL,
            nexthop=EVIL, origin=EVIL, route_table=EVIL,
        ),
        TransitSwitch(
            uuid=RowId("ts"), name=EVIL, external_ids={"subnet": EVIL, "isthmus-network": EVIL}
        ),
    ]  # fmt: skip
    found = View()
    for row in rows:
        found.apply(Change(None, row, {}))
    return found


def explanation() -> Explanation:
    verdict = RouteVerdict(Verdict.REFUSED, *[EVIL] * 10)
    return Explanation(EVIL, EVIL, (verdict,), (verdict,), (EVIL,))


def report() -> EngineReport:
    reconciler = ReconcilerReport(EVIL, Database.NB, 1, 1, 0.0, EVIL, 1, 1, 1, 1, (EVIL,))
    return EngineReport(
        settled=False,
        recomputes=1,
        last_recompute=EVIL,
        in_flight=(TransactionReport(Database.NB, EVIL, 1),),
        reconcilers=(reconciler,),
    )


def conditions() -> dict[str, Any]:
    texts = dict.fromkeys(("reason", "lastTransitionTime", "message", "remedy"), EVIL)
    return {
        "active": False,
        "routes": {"advertised": 1, "learned": 1, "onOffer": 1},
        "conditions": [
            {"type": "Joined", "status": "True", **texts},
            {"type": "Degraded", "status": "True", **texts},
        ],
    }


def refused() -> list[dict[str, Any]]:
    return [{"count": 9, "examples": [EVIL, EVIL], "zone": EVIL, "router": EVIL, "rule": EVIL}]


TEXTS: dict[str, Callable[[], tuple[str, int]]] = {
    "a problem": lambda: (str(PROBLEM), 1),
    "show": lambda: (topology_text(topology(view())), 5),
    "routes": lambda: (routes_text(routes(view()), refused()), 10),
    "status": lambda: (status_text(conditions()), 8),
    "weaknesses": lambda: ("\n".join(weakness_lines([PROBLEM])), 2),
    "engine explain": lambda: (explanation_text(explanation()), 8),
    "engine show": lambda: (report_text(report()), 9),
    "tables": lambda: ("\n".join(table([EVIL], [[EVIL]])), 2),
    "trees": lambda: ("\n".join(tree((EVIL, [(EVIL, [])]))), 2),
}
"""Every renderer of text, and the number of lines that it renders."""


@pytest.mark.parametrize("name", TEXTS)
def test_rendered_text_is_safe(name: str) -> None:
    """Each line is printable, and hostile values add no lines."""
    text, lines = TEXTS[name]()
    assert all(map(str.isprintable, text.split("\n")))
    assert "forged" in text
    assert len(text.split("\n")) == lines


def fake_reply(_unixctl: object, command: str, *_arguments: str) -> str:
    """The replies of a hostile daemon."""
    if command == "isthmus/conditions":
        return json.dumps(conditions())
    if command == "remotes":
        return json.dumps({EVIL: f"tcp:192.0.2.1:6645{EVIL}"})
    return report_text(report()) if command == "engine/show" else json.dumps(refused())


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("routes",),
        ("status",),
        ("engine", "show"),
        ("engine", "explain", "10.0.0.0/8"),
        ("engine", "explain", EVIL),
        ("zone", "list"),
        ("zone", "take-over", EVIL, "--dry-run"),
        ("zone", "take-over", f"other{EVIL}"),
        ("zone", "prune", EVIL, "--dry-run"),
        ("zone", "prune", EVIL),
        ("zone", "prune", f"other{EVIL}"),
    ],
    ids=" ".join,
)
def test_verbs_print_safely(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a verb prints to either stream is printable, and no line is forged."""
    for module in ("show", "routes", "status", "engine", "zone"):
        for name, fake in (
            ("read_databases", lambda *_: view()),
            ("ask_daemon", fake_reply),
        ):
            monkeypatch.setattr(f"isthmus.cli.{module}.{name}", fake, raising=False)
    done = CliRunner().invoke(app, list(arguments))
    printed = done.output + "".join(map(str, getattr(done.exception, "problems", ())))
    assert "forged" in printed
    for line in printed.split("\n"):
        assert line.isprintable()
        assert not line.startswith("forged")


def test_problems_and_lines_print_safely(capsys: pytest.CaptureFixture[str]) -> None:
    """Problems and lines that verbs print are safe whatever they hold."""
    print_problems([PROBLEM])
    print_lines(EVIL)
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 2
    assert len(out.splitlines()) == 1
    assert all(map(str.isprintable, [*err.splitlines(), *out.splitlines()]))


def use_log_to_stderr() -> None:
    log_to_stderr()


def use_daemon_log() -> None:
    log = DaemonLog("ovn-ic", ())
    log.install()


@pytest.mark.parametrize("install", [use_log_to_stderr, use_daemon_log])
def test_log_records_are_safe(
    install: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log record is one printable line, and the lines of a traceback look like no record."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    try:
        install()
        ProblemLog().update([PROBLEM], 0.0)
        logging.getLogger("isthmus").warning("zone %s", EVIL)
        try:
            raise ValueError(f"{EVIL}\n2026-11-28T00:00:00Z|isthmus|INFO|forged")
        except ValueError:
            logging.getLogger("isthmus").exception("zone %s", EVIL)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    lines = capsys.readouterr().err.rstrip("\n").split("\n")
    assert [line.startswith("  ") for line in lines[:3]] == [False] * 3
    assert all(line.startswith("  ") for line in lines[3:])
    assert all(map(str.isprintable, lines))


def test_json_is_safe_and_equal(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON for programs controls no terminal either, and parses to the same value."""
    value = {"zone 可用区": f"{EVIL}\x7f\udc80\U000e0001"}
    print_json(value)
    out = capsys.readouterr().out
    assert all(map(str.isprintable, out.split("\n")))
    assert "可用区" in out
    assert json.loads(out) == value


def test_a_probe_prints_safely(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`isthmus-health` prints what a daemon replies or refuses."""
    monkeypatch.setenv(CONTROL_SOCKET, "/nowhere")
    monkeypatch.setattr("sys.argv", ["isthmus-health", "ready"])
    monkeypatch.setattr(health, "ask", lambda *_: EVIL)
    health.main()

    def refuse(*_: str) -> str:
        raise CommandFailedError(EVIL)

    monkeypatch.setattr(health, "ask", refuse)
    with pytest.raises(SystemExit):
        health.main()
    out, err = capsys.readouterr()
    assert all(map(str.isprintable, [*out.split("\n"), *err.split("\n")]))


PRINTERS = {"echo", "secho", "print", "confirm", "prompt", "write"}
LOGGERS = {"Formatter", "StreamHandler", "FileHandler", "basicConfig", "SysLogHandler"}
EDGES = {
    "cli/common/output.py": PRINTERS,
    "cli/common/logs.py": LOGGERS,
    "cli/common/confirm.py": {"confirm"},
    "cli/health.py": {"write"},
    "daemon/vlog.py": LOGGERS | {"write"},
}
"""The modules in which text reaches a terminal or a log; the tests above cover each."""


def test_no_other_module_prints() -> None:
    """Every output path goes through the functions that make text printable."""
    package = Path(isthmus.__file__).parent
    found = []
    for file in package.rglob("*.py"):
        name = file.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            last = called.rpartition(".")[2]
            terminal = last in PRINTERS - {"write"} or called.startswith("sys.std")
            constant = all(isinstance(argument, ast.Constant) for argument in node.args)
            if (
                (terminal and not constant) or (last in LOGGERS and "logging" in called)
            ) and last not in EDGES.get(name, ()):
                found.append(f"{name}:{node.lineno}: {called}")
    assert found == []
