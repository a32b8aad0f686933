"""`isthmus engine`: what the engine has done, what it waits for, and why a route is as it is.

`show` and `recompute` ask a running daemon over its control socket. `explain` does so if it is
given one; otherwise it reads the four databases and lets the engine decide without writing, which
needs no daemon, but leaves out what only the inputs of `isthmus run` say.
"""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from isthmus.cli.common.control import OptionalSocketOption, SocketOption, ask_daemon
from isthmus.cli.common.databases import read_databases
from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, print_json
from isthmus.cli.options.remotes import (
    IcNbRemote,
    IcSbRemote,
    NbRemote,
    SbRemote,
    TimeoutOption,
)
from isthmus.engine.engine import Engine
from isthmus.exchange.wiring import exchange
from isthmus.inspect.engine_text import explanation_text
from isthmus.inspect.explain import explain as explain_prefix
from isthmus.model.prefixes import Network, parse_network
from isthmus.model.problems import Subject
from isthmus.model.rows import Database

app = group()


@app.command()
def show(unixctl: SocketOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show a running engine's counters, and what it waits for."""
    reply = ask_daemon(unixctl, "engine/show", output)
    if output is Output.JSON:
        print_json(json.loads(reply))
    else:
        typer.echo(reply, nl=False)


@app.command()
def recompute(unixctl: SocketOption = None) -> None:
    """Have a running engine look at everything again."""
    ask_daemon(unixctl, "engine/recompute")


@app.command()
def explain(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    prefix: Annotated[str, typer.Argument(help="A prefix or an address.")],
    ovnnb_db: NbRemote,
    ovnsb_db: SbRemote,
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    unixctl: OptionalSocketOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say which rule lets this cluster advertise or learn a prefix, or keeps it from it."""
    network = _network(prefix)
    if unixctl is not None:
        reply = ask_daemon(unixctl, "engine/explain", str(network), output)
        if output is Output.JSON:
            print_json(json.loads(reply))
        else:
            typer.echo(reply, nl=False)
        return
    remotes = {
        Database.NB: ovnnb_db,
        Database.SB: ovnsb_db,
        Database.IC_NB: ic_nb_db,
        Database.IC_SB: ic_sb_db,
    }
    view = read_databases(remotes, timeout)
    parts = exchange(view)
    engine = Engine(view, parts.reconcilers)
    engine.recompute("explain")
    # Nothing can be written, so only what is derived is worked out.
    engine.plan(0.0, writable=(), synced=remotes)
    found = explain_prefix(view, parts, network)
    if output is Output.JSON:
        print_json(asdict(found))
    else:
        typer.echo(explanation_text(found))


def _network(text: str) -> Network:
    network = parse_network(text)
    if network is None:
        raise CommandError(
            Subject("engine explain", "PREFIX", text).problem(
                "is no prefix", "write ADDRESS/LENGTH"
            )
        )
    return network
