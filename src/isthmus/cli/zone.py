"""`isthmus zone`: lists availability zones, removes dead ones, and moves a zone's name."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from isthmus.cli.common.confirm import DryRunOption, YesOption, confirmed
from isthmus.cli.common.databases import read_databases, write_database
from isthmus.cli.common.errors import CommandError, raise_if_any
from isthmus.cli.common.groups import group
from isthmus.cli.common.output import Output, OutputOption, print_json, print_lines
from isthmus.cli.options.remotes import IcNbRemote, IcSbRemote, NbRemote, TimeoutOption
from isthmus.exchange.zones.heartbeat_watch import WATCHED, HeartbeatWatch
from isthmus.exchange.zones.prune import PrunePlan, looks_dead, plan_pruning, zones
from isthmus.exchange.zones.take_over import TakeOver, plan_take_over
from isthmus.inspect.layout import table
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database
from isthmus.model.text import counted

_ATTEMPTS = 5

_READING = 60.0
"""Seconds from one reading of the heartbeats to the next."""

app = group("Manage availability zones.")


@app.command("list")
def list_zones(
    ic_sb_db: IcSbRemote, timeout: TimeoutOption = 5.0, output: OutputOption = Output.TEXT
) -> None:
    """List zones with the age of their last heartbeat.

    Zones run by Isthmus write a heartbeat every 10 minutes. Zones run by ovn-ic write none; their
    state is "unknown".
    """
    found = zones(read_databases({Database.IC_SB: ic_sb_db}, timeout), int(time.time()))
    if output is Output.JSON:
        print_json([asdict(zone) for zone in found])
        return
    heading = ("ZONE", "STATE", "LAST HEARTBEAT", "GATEWAYS", "PORTS", "ROUTES")
    rows = (
        (z.name, z.state, _age(z.silent_for), *map(str, (z.gateways, z.ports, z.routes)))
        for z in found
    )
    print_lines(*table(heading, rows))


@app.command("take-over")
def take_over(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Zone; must be this cluster's az-name.")
    ],
    ovnnb_db: NbRemote,
    ic_sb_db: IcSbRemote,
    timeout: TimeoutOption = 5.0,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Move a zone's name from another cluster to this one.

    For a cluster whose northbound database was recreated, or that replaces another cluster. The
    cluster that loses the name stops exchanging routes; if it runs ovn-ic, stop ovn-ic first.
    """
    remotes = {Database.NB: ovnnb_db, Database.IC_SB: ic_sb_db}
    plan = plan_take_over(read_databases(remotes, timeout), name)
    if isinstance(plan, Problem):
        raise CommandError(plan)
    if not plan.operations:
        print_lines(f"zone {name} already belongs to this cluster ({plan.cluster})")
        return
    print_lines(*_describe_take_over(plan))
    consequence = "taking over the name ends the other cluster's exchange of routes"
    remedy = "stop the daemon of the other cluster"
    if confirmed(f"zone {name}", consequence, remedy, yes=yes, dry_run=dry_run):
        write_database(Database.IC_SB, ic_sb_db, plan.operations, timeout)
        print_lines(f"zone {name} now belongs to this cluster; its daemon registers the zone")


def _describe_take_over(plan: TakeOver) -> Iterator[str]:
    holder = f"the cluster with NB_Global {plan.holder}" if plan.holder else "no cluster"
    yield f"zone {plan.zone} is claimed by {holder}"
    yield f"  new holder: this cluster, with NB_Global {plan.cluster}"
    ports, routes = counted(plan.ports, "port"), counted(plan.routes, "route")
    yield f"  replaced by those of this cluster: {ports}, {routes},"
    yield f"  and the gateways of other clusters among: {', '.join(plan.gateways) or 'none'}"


@app.command("forget", hidden=True)
@app.command()
def prune(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    ic_nb_db: IcNbRemote,
    ic_sb_db: IcSbRemote,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Zone that will not come back.")
    ] = None,
    all_dead: Annotated[
        bool,
        typer.Option(
            "--all-dead",
            help=f"Prune all dead zones, after watching heartbeats for {WATCHED // 60} minutes; for"
            " timers.",
        ),
    ] = False,
    silent_for: Annotated[
        int,
        typer.Option(
            min=0, metavar="SECONDS", help="Minimum heartbeat age before a zone counts as dead."
        ),
    ] = 86400,
    alive_too: Annotated[
        bool, typer.Option("--alive-too", help="Prune NAME even if its heartbeat is more recent.")
    ] = False,
    timeout: TimeoutOption = 5.0,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Remove a dead zone's gateways, ports, routes and claims.

    All other zones then remove what they learned from the zone. If a daemon of the zone still
    runs, it registers the zone again.
    """
    if (name is None) is not all_dead:
        message, remedy = "takes either the name of a zone or --all-dead", "give one of them"
        raise CommandError(Subject("command zone prune", "NAME").problem(message, remedy))
    remotes = {Database.IC_NB: ic_nb_db, Database.IC_SB: ic_sb_db}
    names = (name,) if name is not None else _dead(remotes, silent_for, timeout)
    view, now = read_databases(remotes, timeout), int(time.time())
    plans = [plan_pruning(view, each, now, silent_for, alive_too=alive_too) for each in names]
    raise_if_any(plan for plan in plans if isinstance(plan, Problem))
    chosen = [plan for plan in plans if isinstance(plan, PrunePlan)]
    if not chosen:
        print_lines("nothing was changed: no zone is known to be dead")
        return
    for plan in chosen:
        print_lines(*_describe_pruning(plan))
    subject = ", ".join(f"zone {plan.zone.name}" for plan in chosen)
    consequence = "pruning ends all exchange with it"
    remedy = "check that its cluster is gone for good"
    if confirmed(subject, consequence, remedy, yes=yes, dry_run=dry_run):
        for plan in chosen:
            _prune(remotes, plan.zone.name, silent_for, timeout, alive_too=alive_too)


def _dead(remotes: Mapping[Database, str], silent_for: int, timeout: float) -> tuple[str, ...]:
    """The zones that are dead by heartbeats that were watched for longer than an interval.

    Returns at once if no heartbeat is old. An error ends it, since it ends the watch.
    """
    watch = HeartbeatWatch()
    while True:
        view, now = read_databases(remotes, timeout), int(time.time())
        watch.observe(view, time.monotonic())
        old = looks_dead(view, now, silent_for)
        if not old or not watch.left():
            return watch.dead(now, silent_for)
        print_lines(f"watching the heartbeats of {', '.join(old)}: {watch.left():.0f} s left")
        time.sleep(min(_READING, watch.left()))


def _prune(
    remotes: Mapping[Database, str], name: str, silent_for: int, timeout: float, *, alive_too: bool
) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        view, now = read_databases(remotes, timeout), int(time.time())
        plan = plan_pruning(view, name, now, silent_for, alive_too=alive_too)
        if isinstance(plan, Problem):
            raise CommandError(plan)
        try:
            # IC-SB first: the write is refused if the zone has written a heartbeat since.
            write_database(Database.IC_SB, remotes[Database.IC_SB], plan.ic_sb, timeout)
            write_database(Database.IC_NB, remotes[Database.IC_NB], plan.ic_nb, timeout)
            break
        except CommandError:
            # All zones write their heartbeats to the same row, so another one may be the reason.
            if attempt == _ATTEMPTS:
                raise
    print_lines(f"zone {name} has been pruned")


def _describe_pruning(plan: PrunePlan) -> Iterator[str]:
    zone = plan.zone
    yield f"zone {zone.name} is {zone.state}; last heartbeat: {_age(zone.silent_for)}"
    if zone.silent_for is None:
        yield "  without a heartbeat a zone may be alive: check that its daemon is stopped for good"
    counts = {"gateway": zone.gateways, "port": zone.ports, "route": zone.routes}
    counts["address claim"] = plan.addresses
    removed = ", ".join(counted(number, noun) for noun, number in counts.items())
    yield f"  to be removed: {removed}"


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "none"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
