"""All control commands of a daemon (ovs-appctl(8)), registered by the composition root.

The commands of `ovn-ic` are those of ovn-ic(8), "Runtime Management Commands". `isthmus engine` and
`isthmus status` ask for JSON; `ovs-appctl -t` shows text.
"""

import json
import resource
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any

from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.status.report import sections
from isthmus.daemon.loop import Loop
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.daemon.status_source import StatusSource
from isthmus.daemon.vlog import DaemonLog
from isthmus.engine.engine import Engine
from isthmus.exchange.wiring import Exchange
from isthmus.inspect.engine_text import explanation_text, report_text
from isthmus.inspect.explain import explain
from isthmus.inspect.status_text import status_text
from isthmus.model.prefixes import parse_network
from isthmus.model.rows import Database
from isthmus.ovsdb.unixctl import Command
from isthmus.ovsdb.unixctl_client import CommandFailedError

_FORMATS = "[text|json]"

_CONNECTIONS = {
    "nb-connection-status": Database.NB,
    "sb-connection-status": Database.SB,
    "ic-nb-connection-status": Database.IC_NB,
    "ic-sb-connection-status": Database.IC_SB,
}


def process_commands(loop: Loop, sessions: DatabaseSessions) -> list[Command]:
    """Stop, pause and inspect the process.

    `pause` releases the lock and stops writing; the daemon still follows the databases.
    """

    def memory(_arguments: Sequence[str]) -> str:
        return f"peak-rss-kb:{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}"

    def connection(database: Database) -> Callable[[Sequence[str]], str]:
        return lambda _: "connected" if sessions.connected(database) else "not connected"

    return [
        Command("exit", _silent(lambda: loop.stop("control command exit"))),
        Command("pause", _silent(sessions.pause)),
        Command("resume", _silent(sessions.resume)),
        Command("is-paused", lambda _: "true" if sessions.paused else "false"),
        Command("status", lambda _: f"Status: {loop.status}"),
        Command("memory/show", memory),
        *(Command(name, connection(database)) for name, database in _CONNECTIONS.items()),
    ]


def version_command(text: str) -> Command:
    """`version`: the same text as `--version`."""
    return Command("version", lambda _: text)


def log_commands(log: DaemonLog) -> list[Command]:
    """`vlog/*`, as far as it makes sense: nothing limits the rate of messages here."""

    def set_levels(specs: Sequence[str]) -> str:
        for spec in specs:
            log.set(spec)
        return ""

    return [
        Command("vlog/set", set_levels, "{spec | PATTERN:destination:pattern}", 1, None),
        Command("vlog/list", lambda _: log.levels()),
        Command("vlog/list-pattern", lambda _: log.patterns()),
        Command("vlog/reopen", _silent(log.reopen_file)),
        Command("vlog/close", _silent(log.close_file)),
        Command("vlog/disable-rate-limit", lambda _: "", "[module]...", 0, None),
    ]


def engine_commands(
    engine: Engine, exchange: Exchange, sessions: DatabaseSessions
) -> list[Command]:
    """Show what a running engine does, and why; have it recompute everything."""

    def show(arguments: Sequence[str]) -> str:
        report = engine.report(sessions.writable(), sessions.synced)
        return _formatted(asdict(report), lambda _: report_text(report), arguments)

    def explain_prefix(arguments: Sequence[str]) -> str:
        prefix = parse_network(arguments[0])
        if prefix is None:
            raise CommandFailedError(f'"{arguments[0]}" is not a prefix; write ADDRESS/LENGTH')
        found = explain(engine.view, exchange, prefix)
        return _formatted(asdict(found), lambda _: explanation_text(found), arguments[1:])

    def refused(_arguments: Sequence[str]) -> str:
        return json.dumps([asdict(entry) for entry in exchange.routes.refused.refused()])

    return [
        Command("engine/show", show, _FORMATS, 0, 1),
        Command("engine/explain", explain_prefix, f"PREFIX {_FORMATS}", 1, 2),
        Command("engine/refused", refused),
        Command(
            "engine/recompute",
            _silent(lambda: engine.recompute("control command engine/recompute")),
        ),
    ]


def status_command(status: StatusSource) -> Command:
    """`isthmus/conditions`: the report on this cluster."""

    def show(arguments: Sequence[str]) -> str:
        report = status.report
        if report is None:
            raise CommandFailedError("the status has not been assessed yet; try again")
        values = {"zone": report.cluster.zone, "active": report.active, **sections(report)}
        return _formatted(values, status_text, arguments)

    return Command("isthmus/conditions", show, _FORMATS, 0, 1)


def ready_command(
    sessions: DatabaseSessions, inputs: Inputs, needed: Collection[Database]
) -> Command:
    """`ready`: fails with a list of what is missing; `isthmus-health` asks for it.

    A standby daemon is ready when it could take over at once. The IC databases are not needed:
    without them routes stay in place, and a restart of the daemon would not bring them back.

    Args:
        sessions, inputs: of the loop.
        needed: the databases that must have been read in full and answer.
    """

    def ready(_arguments: Sequence[str]) -> str:
        missing = [
            f"{database} has not been read or does not answer"
            for database in needed
            if not (database in sessions.synced and sessions.connected(database))
        ]
        if not inputs.complete:
            missing.append("not all manifests could be read")
        if missing:
            raise CommandFailedError("not ready: " + "; ".join(missing))
        return "ready"

    return Command("ready", ready)


def _silent(action: Callable[[], None]) -> Callable[[Sequence[str]], str]:
    """A command without arguments and without output."""

    def run(_arguments: Sequence[str]) -> str:
        action()
        return ""

    return run


def _formatted(
    values: dict[str, Any], text: Callable[[dict[str, Any]], str], arguments: Sequence[str]
) -> str:
    form = arguments[0] if arguments else "text"
    if form not in {"text", "json"}:
        raise CommandFailedError(f'"{form}" is not a format; use text or json')
    return json.dumps(values) if form == "json" else text(values)
