"""`isthmus engine`: what the engine has done, what it waits for, and why a route is as it is.

`show` and `recompute` ask a running daemon over its control socket. `explain` reads the four
databases and lets the engine decide without writing, so that it needs no daemon.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.databases import read_databases
from isthmus.cli.errors import CommandError
from isthmus.cli.output import Output, OutputOption, print_json
from isthmus.cli.remotes import (
    IcNbRemote,
    IcSbRemote,
    NbRemote,
    SbRemote,
    TimeoutOption,
    run_dir,
)
from isthmus.exchange.wiring import exchange
from isthmus.model.prefixes import Network, parse_network
from isthmus.model.problems import Problem
from isthmus.model.rows import Database
from isthmus.observe.engine_text import explanation_text
from isthmus.observe.explain import explain as explain_prefix
from isthmus.ovsdb.control import CommandFailedError, ask
from isthmus.reconcile.engine import Engine

app = typer.Typer(no_args_is_help=True)

SocketOption = Annotated[
    Path | None,
    typer.Option(
        "--unixctl",
        metavar="SOCKET",
        help="The daemon's control socket; relative names are in $OVN_RUNDIR.",
        show_default="that of the daemon in $OVN_RUNDIR/ovn-ic.pid",
    ),
]


@app.command()
def show(unixctl: SocketOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show a running engine's counters, and what it waits for."""
    reply = _ask(unixctl, "engine/show", output)
    if output is Output.JSON:
        print_json(json.loads(reply))
    else:
        typer.echo(reply, nl=False)


@app.command()
def recompute(unixctl: SocketOption = None) -> None:
    """Have a running engine look at everything again."""
    _ask(unixctl, "engine/recompute")


@app.command()
def explain(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    prefix: Annotated[str, typer.Argument(help="A prefix or an address.")],
    ovnnb_db: NbRemote,
    ovnsb_db: SbRemote,
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say which rule lets this cluster advertise or learn a prefix, or keeps it from it."""
    network = _network(prefix)
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
            Problem("engine explain", "PREFIX", text, "is no prefix", "write ADDRESS/LENGTH")
        )
    return network


def _ask(unixctl: Path | None, command: str, *arguments: str) -> str:
    path = _socket(unixctl)
    try:
        return ask(str(path), command, *arguments)
    except OSError as error:
        message = f"no daemon answers: {error.strerror or error}"
    except CommandFailedError as error:
        message = str(error)
    remedy = "see that the daemon runs and was started with a control socket (--unixctl)"
    raise CommandError(Problem("control socket", "--unixctl", str(path), message, remedy))


def _socket(unixctl: Path | None) -> Path:
    """As ovn-appctl finds it: by the pidfile of the daemon that is named ovn-ic."""
    if unixctl is not None:
        return run_dir() / unixctl
    pidfile = run_dir() / "ovn-ic.pid"
    try:
        return run_dir() / f"ovn-ic.{int(pidfile.read_text())}.ctl"
    except (OSError, ValueError) as error:
        raise CommandError(
            Problem(
                object="control socket",
                key="--unixctl",
                value="",
                message=f"{pidfile} does not name a daemon: {error}",
                remedy="give the daemon's control socket, as it was given to the daemon",
            )
        ) from error
