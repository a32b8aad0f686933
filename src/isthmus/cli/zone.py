"""`isthmus zone`: what an operator decides about a zone's name."""

from typing import Annotated

import typer

from isthmus.cli.databases import read_databases
from isthmus.cli.errors import CommandError
from isthmus.cli.output import console
from isthmus.cli.remotes import IcSbRemote, NbRemote, TimeoutOption
from isthmus.model.problems import Problem
from isthmus.model.rows import Database, IcSbGlobal
from isthmus.observe.take_over import NotToBeTakenError, TakeOver
from isthmus.observe.take_over import take_over as plan_take_over
from isthmus.ovsdb.write import NotWrittenError, write

app = typer.Typer(help="Decide about availability zones.", no_args_is_help=True)


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


def _describe(plan: TakeOver) -> None:
    out = console()
    holder = f"the cluster whose NB_Global is {plan.holder}" if plan.holder else "no cluster"
    out.print(f"zone {plan.zone} is claimed by {holder}")
    out.print(f"  new holder: this cluster, whose NB_Global is {plan.cluster}")
    gateways = ", ".join(plan.gateways) or "none"
    out.print(f"  replaced by this cluster's own: {plan.ports} ports, {plan.routes} routes,")
    out.print(f"  and the gateways that are not this cluster's, of: {gateways}")


def _unconfirmed(plan: TakeOver) -> Problem:
    return Problem(
        object=f"zone {plan.zone}",
        key="--yes",
        value="",
        message="taking over ends the other cluster's exchange, and was not confirmed",
        remedy="stop the other cluster's daemon, and give --yes",
    )
