"""`isthmus ic-db`: the shared databases that clusters meet in."""

import logging
import os
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.errors import CommandError
from isthmus.cli.logs import log_to_stderr
from isthmus.cli.notify import notify_ready
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.plan import NB_PORT, SB_PORT, Files, Plan, default_dirs, make_plan, parse_listen
from isthmus.icdb.supervisor import serve
from isthmus.icdb.transit import DEFAULT, TransitSwitchSpec, parse_transit_switches
from isthmus.model.problems import Problem

SCHEMA_DIR = Path("/usr/share/ovn")

_log = logging.getLogger(__name__)
_DATA_DIR, _RUN_DIR = default_dirs(os.environ)

app = typer.Typer(help="Serve the interconnection databases.", no_args_is_help=True)


@app.callback()
def ic_db() -> None:
    """Serve the interconnection databases."""


@app.command()
def run(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    data_dir: Annotated[
        Path,
        typer.Option(
            help="Directory of the database files.", show_default="$OVN_DBDIR, or /var/lib/ovn"
        ),
    ] = Path(_DATA_DIR),
    run_dir: Annotated[
        Path,
        typer.Option(
            help="Directory of sockets, logs and pid files.",
            show_default="$OVN_RUNDIR, or /var/run/ovn",
        ),
    ] = Path(_RUN_DIR),
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS", help="IP address to listen on.")
    ] = "127.0.0.1",
    nb_port: Annotated[
        int, typer.Option(min=1, max=65535, help="TCP port of the northbound database.")
    ] = NB_PORT,
    sb_port: Annotated[
        int, typer.Option(min=1, max=65535, help="TCP port of the southbound database.")
    ] = SB_PORT,
    transit_switch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=CIDR[,CIDR6]",
            help="Transit switch to create, with its subnet; repeatable.",
            show_default=f"{DEFAULT.name}={DEFAULT.subnet} if there is none yet",
        ),
    ] = None,
    schema_dir: Annotated[
        Path, typer.Option(help="Directory of OVN's database schemas.")
    ] = SCHEMA_DIR,
) -> None:
    """Serve the IC-NB and IC-SB databases in the foreground, until SIGTERM or Ctrl-C.

    Started again on the same data directory, it comes back with its data. When both databases
    answer, it prints their addresses, and tells systemd (NOTIFY_SOCKET).
    """
    log_to_stderr()
    address, switches = _parsed(listen, transit_switch or [])
    files = Files(data_dir.absolute(), run_dir.absolute(), schema_dir.absolute())
    plan = make_plan(files, address, nb_port, sb_port, switches or None)

    def on_ready(problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            _log.warning("%s", problem)
        _announce(plan)

    try:
        serve(plan, on_ready)
    except IcDbError as error:
        raise CommandError(*error.problems) from error


def _parsed(
    listen: str, transit_switches: list[str]
) -> tuple[IPv4Address | IPv6Address, tuple[TransitSwitchSpec, ...]]:
    address = parse_listen(listen)
    switches, problems = parse_transit_switches(transit_switches)
    if isinstance(address, Problem):
        raise CommandError(address, *problems)
    if problems:
        raise CommandError(*problems)
    return address, switches


def _announce(plan: Plan) -> None:
    typer.echo(f"ready: {plan.nb.database} {plan.nb.address}, {plan.sb.database} {plan.sb.address}")
    notify_ready()
