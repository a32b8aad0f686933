"""Control commands that show what a running engine does, and why.

Registered by the composition root. `isthmus engine` asks for JSON; `ovs-appctl -t` shows text.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from isthmus.daemon.sessions import DatabaseSessions
from isthmus.engine.engine import Engine
from isthmus.exchange.wiring import Exchange
from isthmus.inspect.engine_text import explanation_text, report_text
from isthmus.inspect.explain import explain
from isthmus.model.prefixes import parse_network
from isthmus.ovsdb.unixctl import Command
from isthmus.ovsdb.unixctl_client import CommandFailedError

FORMATS = "[text|json]"


def engine_commands(
    engine: Engine, exchange: Exchange, sessions: DatabaseSessions
) -> list[Command]:
    """`engine/show`, `engine/explain`, `engine/refused` and `engine/recompute`."""

    def show(arguments: Sequence[str]) -> str:
        report = engine.report(sessions.writable(), sessions.synced)
        return _formatted(report, report_text, arguments)

    def explain_prefix(arguments: Sequence[str]) -> str:
        prefix = parse_network(arguments[0])
        if prefix is None:
            raise CommandFailedError(f'"{arguments[0]}" is not a prefix; write ADDRESS/LENGTH')
        found = explain(engine.view, exchange, prefix)
        return _formatted(found, explanation_text, arguments[1:])

    def refused(_arguments: Sequence[str]) -> str:
        return json.dumps([asdict(entry) for entry in exchange.routes.refused.refused()])

    def recompute(_arguments: Sequence[str]) -> str:
        engine.recompute("control command engine/recompute")
        return ""

    return [
        Command("engine/show", show, FORMATS, 0, 1),
        Command("engine/explain", explain_prefix, f"PREFIX {FORMATS}", 1, 2),
        Command("engine/refused", refused),
        Command("engine/recompute", recompute),
    ]


def _formatted(value: Any, text: Callable[[Any], str], arguments: Sequence[str]) -> str:
    form = arguments[0] if arguments else "text"
    if form not in {"text", "json"}:
        raise CommandFailedError(f'"{form}" is not a format; use text or json')
    return json.dumps(asdict(value)) if form == "json" else text(value)
