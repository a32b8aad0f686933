"""`isthmus engine`: what the engine has done, its pending work, and why a route is (not) exchanged.

`show` and `recompute` ask a running daemon over its control socket. So does `explain` with
`--unixctl`; otherwise it reads the four databases and runs the engine without writing. That needs
no daemon, but leaves out what only the inputs of `isthmus run` contain.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.common.control import OptionalSocketOption, SocketOption, ask_daemon
from isthmus.cli.common.databases import read_databases
from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, print_json, print_text
from isthmus.cli.options.remotes import IcNbRemote, IcSbRemote, NbRemote, SbRemote, TimeoutOption
from isthmus.engine.engine import Engine
from isthmus.exchange.wiring import exchange
from isthmus.inspect.engine_text import explanation_text
from isthmus.inspect.explain import explain as explain_prefix
from isthmus.model.prefixes import parse_network
from isthmus.model.problems import Subject
from isthmus.model.rows import Database

app = group("Inspect the engine: counters, and why a route is or is not exchanged.")


@app.command()
def show(unixctl: SocketOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show the counters of a running engine, and what it waits for."""
    _print_reply(unixctl, output, "engine/show")


@app.command()
def recompute(unixctl: SocketOption = None) -> None:
    """Make a running engine process all objects again."""
    ask_daemon(unixctl, "engine/recompute")


@app.command()
def explain(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="A prefix or an address.")],
    ovnnb_db: NbRemote,
    ovnsb_db: SbRemote,
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    unixctl: OptionalSocketOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Explain why a prefix is or is not exchanged.

    For each route to the prefix, shows whether this cluster advertises or learns the route, and
    the rule that decides.
    """
    network = parse_network(prefix)
    if network is None:
        subject = Subject("command engine explain", "PREFIX", prefix)
        raise CommandError(subject.problem("is not a valid prefix", "write ADDRESS/LENGTH"))
    if unixctl is not None:
        _print_reply(unixctl, output, "engine/explain", str(network))
        return
    remotes = {
        Database.NB: ovnnb_db,
        Database.SB: ovnsb_db,
        Database.IC_NB: ic_nb_db,
        Database.IC_SB: ic_sb_db,
    }
    view = read_databases(remotes, timeout)
    parts = exchange(view)
    engine = Engine(view, parts.reconcilers, parts.edges)
    engine.recompute("explain")
    # No database is writable, so this only updates derived state.
    engine.plan(0.0, writable=(), synced=remotes)
    found = explain_prefix(view, parts, network, offline=True)
    if output is Output.JSON:
        print_json(asdict(found))
    else:
        print_text(explanation_text(found))


def _print_reply(unixctl: Path | None, output: Output, command: str, *arguments: str) -> None:
    reply = ask_daemon(unixctl, command, *arguments, output)
    if output is Output.JSON:
        print_json(json.loads(reply))
    else:
        print_text(reply.removesuffix("\n"))
