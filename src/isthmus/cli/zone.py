"""`isthmus zone`: which zones live, and what an operator decides about a zone's name."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from isthmus.cli.common.databases import read_databases
from isthmus.cli.common.errors import CommandError, raise_if_any
from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, console, print_json
from isthmus.cli.options.remotes import IcNbRemote, IcSbRemote, NbRemote, TimeoutOption
from isthmus.exchange.zones.prune import Forgetting, dead, zones
from isthmus.exchange.zones.prune import forget as plan_forget
from isthmus.exchange.zones.take_over import NotToBeTakenError, TakeOver
from isthmus.exchange.zones.take_over import take_over as plan_take_over
from isthmus.model.operations import Operation
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database, IcSbGlobal
from isthmus.ovsdb.write import NotWrittenError, write

_ATTEMPTS = 5

app = group()


@app.callback()
def zone() -> None:
    """Decide about availability zones."""


@app.command("take-over")
def take_over(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    name: Annotated[str, typer.Argument(help="The availability zone; this cluster's az-name.")],
    ovnnb_db: NbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Take over a zone's name that another cluster holds.

    For a cluster whose northbound database was made anew, or one that replaces another. The
    cluster that loses the name stops exchanging anything; stop its daemon first if that is ovn-ic.
    """
    remotes = {Database.NB: ovnnb_db, Database.IC_SB: ic_sb_db}
    try:
        plan = plan_take_over(read_databases(remotes, timeout), name)
    except NotToBeTakenError as error:
        raise CommandError(error.problem) from error
    out = console()
    if not plan.operations:
        out.print(f"zone {name} is this cluster's already ({plan.cluster})")
        return
    _describe(plan)
    if dry_run:
        out.print("nothing was changed: --dry-run")
        return
    if not yes:
        raise CommandError(_unconfirmed(plan))
    try:
        write(Database.IC_SB, ic_sb_db, (IcSbGlobal,), plan.operations, timeout)
    except NotWrittenError as error:
        raise CommandError(error.problem) from error
    out.print(f"zone {name} is this cluster's now; its daemon does the rest")


@app.command("list")
def list_zones(
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show every zone with the time since its last sign of life.

    Zones run by Isthmus give one every 10 minutes. Those run by ovn-ic give none: "unknown".
    """
    found = zones(read_databases({Database.IC_SB: ic_sb_db}, timeout), int(time.time()))
    if output is Output.JSON:
        print_json([asdict(zone) for zone in found])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("ZONE", "STATE", "LAST SIGN OF LIFE", "GATEWAYS", "PORTS", "ROUTES"):
        table.add_column(heading, no_wrap=True)
    for zone in found:
        counts = (zone.gateways, zone.ports, zone.routes)
        table.add_row(zone.name, zone.state, _ago(zone.silent_for), *map(str, counts))
    console().print(table)


@app.command()
def forget(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    name: Annotated[str | None, typer.Argument(help="The zone that is gone for good.")] = None,
    all_dead: Annotated[
        bool,
        typer.Option("--all-dead", help="All zones that are silent for so long; for timers."),
    ] = False,
    silent_for: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="Silence before which a zone sleeps.")
    ] = 86400,
    alive_too: Annotated[
        bool, typer.Option("--alive-too", help="Also if it gave a sign of life since.")
    ] = False,
    timeout: TimeoutOption = 5.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Remove a dead zone's gateways, ports, routes and claims; every other zone then follows.

    A zone that lives comes back by itself: its daemon registers it again.
    """
    if (name is None) is not all_dead:
        raise CommandError(_one_or_all())
    remotes = {Database.IC_NB: ic_nb_db, Database.IC_SB: ic_sb_db}
    view, now = read_databases(remotes, timeout), int(time.time())
    names = (name,) if name is not None else dead(view, now, silent_for)
    plans = [plan_forget(view, each, now, silent_for, alive_too=alive_too) for each in names]
    raise_if_any(plan for plan in plans if isinstance(plan, Problem))
    chosen = [plan for plan in plans if isinstance(plan, Forgetting)]
    for plan in chosen:
        _describe_forgetting(plan)
    if dry_run or not chosen:
        console().print("nothing was changed" + (": --dry-run" if dry_run else ": no zone is dead"))
        return
    if not yes:
        raise CommandError(_not_forgotten(chosen[0].zone.name))
    for plan in chosen:
        _forget(remotes, plan.zone.name, silent_for, timeout, alive_too=alive_too)


def _forget(
    remotes: Mapping[Database, str],
    name: str,
    silent_for: int,
    timeout: float,
    *,
    alive_too: bool,
) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        view, now = read_databases(remotes, timeout), int(time.time())
        plan = plan_forget(view, name, now, silent_for, alive_too=alive_too)
        if isinstance(plan, Problem):
            raise CommandError(plan)
        try:
            # IC-SB first: it is refused if the zone has come back to life.
            _write(Database.IC_SB, remotes, plan.ic_sb, timeout)
            _write(Database.IC_NB, remotes, plan.ic_nb, timeout)
            break
        except NotWrittenError as error:
            # Any zone may have given a sign of life since, in the same row.
            if attempt == _ATTEMPTS:
                raise CommandError(error.problem) from error
    console().print(f"zone {name} is forgotten")


def _write(
    database: Database,
    remotes: Mapping[Database, str],
    operations: Sequence[Operation],
    timeout: float,
) -> None:
    if operations:
        kinds = {operation.table for operation in operations}
        write(database, remotes[database], kinds, operations, timeout)


def _describe_forgetting(plan: Forgetting) -> None:
    zone, out = plan.zone, console()
    out.print(f"zone {zone.name} is {zone.state}; last sign of life: {_ago(zone.silent_for)}")
    if zone.silent_for is None:
        out.print("  whether it lives cannot be told: see that its daemon is stopped for good")
    out.print(
        f"  removed: {zone.gateways} gateways, {zone.ports} ports, {zone.routes} routes,"
        f" {plan.addresses} claims to addresses"
    )


def _ago(seconds: int | None) -> str:
    if seconds is None:
        return "none"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _one_or_all() -> Problem:
    return Subject("command zone forget", "NAME").problem(
        "takes either a zone's name or --all-dead", "give one of them"
    )


def _not_forgotten(name: str) -> Problem:
    return Subject(f"zone {name}", "--yes").problem(
        "forgetting ends what it exchanges, and was not confirmed",
        "see that its cluster is gone for good, and give --yes",
    )


def _describe(plan: TakeOver) -> None:
    out = console()
    holder = f"the cluster whose NB_Global is {plan.holder}" if plan.holder else "no cluster"
    out.print(f"zone {plan.zone} is claimed by {holder}")
    out.print(f"  new holder: this cluster, whose NB_Global is {plan.cluster}")
    gateways = ", ".join(plan.gateways) or "none"
    out.print(f"  replaced by this cluster's own: {plan.ports} ports, {plan.routes} routes,")
    out.print(f"  and the gateways that are not this cluster's, of: {gateways}")


def _unconfirmed(plan: TakeOver) -> Problem:
    return Subject(f"zone {plan.zone}", "--yes").problem(
        "taking over ends the other cluster's exchange, and was not confirmed",
        "stop the other cluster's daemon, and give --yes",
    )
