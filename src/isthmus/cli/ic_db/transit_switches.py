"""`isthmus ic-db transit-switch list|add|remove`: transit switches of running databases.

Registered by `isthmus.cli.ic_db.run`. Runs wherever the IC databases can be reached.
"""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from isthmus.cli.common.confirm import DryRunOption, confirmed
from isthmus.cli.common.databases import read_databases, write_database
from isthmus.cli.common.errors import raise_if_any
from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, print_json, print_lines
from isthmus.cli.ic_db.options import verb
from isthmus.cli.options.remotes import IcNbRemote, IcSbRemote, TimeoutOption
from isthmus.engine.view import View
from isthmus.icdb.transit_switches.changes import addition, list_transit_switches, removal
from isthmus.icdb.transit_switches.spec import parse_transit_switches
from isthmus.inspect.layout import table
from isthmus.model.rows import Database

app = group("List, add and remove transit switches.")


@dataclass(frozen=True, kw_only=True)
class RemoteOptions:
    """Where the IC databases are."""

    ic_nb_db: IcNbRemote
    ic_sb_db: IcSbRemote
    timeout: TimeoutOption = 5.0

    def view(self) -> View:
        """The contents of both databases."""
        remotes = {Database.IC_NB: self.ic_nb_db, Database.IC_SB: self.ic_sb_db}
        return read_databases(remotes, self.timeout)


@dataclass(frozen=True, kw_only=True)
class ListOptions(RemoteOptions):
    """Options of `list`."""

    output: OutputOption = Output.TEXT


@dataclass(frozen=True, kw_only=True)
class AddOptions(RemoteOptions):
    """Options of `add`."""

    switches: Annotated[list[str], typer.Argument(metavar="NAME=CIDR[,CIDR6][@NETWORK]...")]
    zones: Annotated[
        int, typer.Option(min=2, help="Number of zones that the subnet must have room for.")
    ] = 2
    dry_run: DryRunOption = False


@dataclass(frozen=True, kw_only=True)
class RemoveOptions(RemoteOptions):
    """Options of `remove`."""

    name: Annotated[str, typer.Argument(help="The transit switch.")]
    yes: Annotated[
        bool, typer.Option("--yes", help="Skip the confirmation, also if zones are attached.")
    ] = False
    dry_run: DryRunOption = False


def list_switches(options: ListOptions) -> None:
    """List the transit switches, including other vendors', and the zones on them."""
    found = list_transit_switches(options.view())
    if options.output is Output.JSON:
        print_json([asdict(switch) for switch in found])
        return
    rows = []
    for switch in found:
        room = "-" if switch.room is None else str(switch.room)
        network = switch.network if switch.ours else "(another vendor's)"
        rows.append((switch.name, switch.subnet, network, room, " ".join(switch.zones)))
    print_lines(*table(("NAME", "SUBNET", "NETWORK", "ROOM", "ZONES"), rows))


def add(options: AddOptions) -> None:
    """Add transit switches while zones run; those that exist as given stay."""
    specs, problems = parse_transit_switches(options.switches)
    raise_if_any(problems)
    view = options.view()
    planned = [addition(view, spec, options.zones) for spec in specs]
    raise_if_any(problem for _, found in planned for problem in found)
    for spec, (operations, _) in zip(specs, planned, strict=True):
        print_lines(f"{spec}: {'will be added' if operations else 'exists'}")
    inserts = [each for operations, _ in planned for each in operations]
    if options.dry_run or not inserts:
        print_lines("nothing was changed" + (": --dry-run" if options.dry_run else ""))
        return
    write_database(Database.IC_NB, options.ic_nb_db, inserts, options.timeout)
    print_lines("done; the zones will follow")


def remove(options: RemoveOptions) -> None:
    """Remove a transit switch; zones remove their ports on it and their routes over it."""
    operations, problems = removal(options.view(), options.name, attached_too=options.yes)
    raise_if_any(problems)
    print_lines(f"{options.name}: will be removed")
    subject, remedy = f"transit switch {options.name}", "check that no zone needs it"
    consequence = "the removal is final"
    if confirmed(subject, consequence, remedy, yes=options.yes, dry_run=options.dry_run):
        write_database(Database.IC_NB, options.ic_nb_db, operations, options.timeout)
        print_lines("done; the zones will follow")


app.command("list")(verb(list_switches))
app.command()(verb(add))
app.command()(verb(remove))
