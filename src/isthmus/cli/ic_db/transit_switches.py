"""`isthmus ic-db transit-switch list|add|remove`: transit switches of running databases.

Registered with the app of `isthmus.cli.ic_db.run`. Runs wherever the IC databases can be reached.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from isthmus.cli.common.databases import read_databases
from isthmus.cli.common.errors import CommandError, raise_if_any, unconfirmed
from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, console, print_json
from isthmus.cli.options.remotes import IcNbRemote, IcSbRemote, TimeoutOption
from isthmus.engine.view import View
from isthmus.icdb.transit_switches.changes import addition, removal, shown
from isthmus.icdb.transit_switches.spec import parse_transit_switches
from isthmus.model.operations import Operation
from isthmus.model.rows import Database, TransitSwitch
from isthmus.ovsdb.oneshot import NotWrittenError, write

app = group("List, add and remove transit switches.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")]


@app.callback()
def transit_switch() -> None:
    """List, add and remove transit switches."""


@app.command("list")
def list_switches(
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the transit switches, also other vendors', and who is on them."""
    found = shown(_view(ic_nb_db, ic_sb_db, timeout))
    if output is Output.JSON:
        print_json([asdict(switch) for switch in found])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "SUBNET", "NETWORK", "ROOM", "ZONES"):
        table.add_column(heading, no_wrap=True)
    for switch in found:
        room = "-" if switch.room is None else str(switch.room)
        network = switch.network if switch.ours else "(another vendor's)"
        table.add_row(switch.name, switch.subnet, network, room, " ".join(switch.zones))
    console().print(table)


@app.command()
def add(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    switches: Annotated[list[str], typer.Argument(metavar="NAME=CIDR[,CIDR6][@NETWORK]...")],
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    zones: Annotated[int, typer.Option(min=2, help="How many zones there must be room for.")] = 2,
    timeout: TimeoutOption = 5.0,
    dry_run: DryRun = False,
) -> None:
    """Add transit switches while zones are running; those that are there as given stay."""
    specs, problems = parse_transit_switches(switches)
    raise_if_any(problems)
    view = _view(ic_nb_db, ic_sb_db, timeout)
    planned = [addition(view, spec, zones) for spec in specs]
    raise_if_any(problem for _, found in planned for problem in found)
    for spec, (operations, _) in zip(specs, planned, strict=True):
        console().print(f"{spec}: {'to be added' if operations else 'is there'}")
    _write(ic_nb_db, [each for operations, _ in planned for each in operations], timeout, dry_run)


@app.command()
def remove(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    name: Annotated[str, typer.Argument(help="The transit switch.")],
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, also under attached zones.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove a transit switch; zones drop their ports on it and the routes over it."""
    view = _view(ic_nb_db, ic_sb_db, timeout)
    operations, problems = removal(view, name, attached_too=yes)
    raise_if_any(problems)
    console().print(f"{name}: to be removed")
    if not (yes or dry_run):
        raise CommandError(unconfirmed(f"transit switch {name}", "removing it is for good"))
    _write(ic_nb_db, operations, timeout, dry_run)


def _view(ic_nb_db: str, ic_sb_db: str, timeout: float) -> View:
    return read_databases({Database.IC_NB: ic_nb_db, Database.IC_SB: ic_sb_db}, timeout)


def _write(remote: str, operations: Sequence[Operation], timeout: float, dry_run: bool) -> None:
    if dry_run or not operations:
        console().print("nothing was changed" + (": --dry-run" if dry_run else ""))
        return
    try:
        write(Database.IC_NB, remote, (TransitSwitch,), operations, timeout)
    except NotWrittenError as error:
        raise CommandError(error.problem) from error
    console().print("done; the zones follow")
