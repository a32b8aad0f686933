"""`isthmus ic-db backup|restore|upgrade|check`: the data, against loss and age.

Registered with the app of `isthmus.cli.ic_db.run`. Backups are taken online, from the local
servers.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.common.errors import CommandError, raise_if_any, unconfirmed
from isthmus.cli.common.output import Output, OutputOption, console, print_json
from isthmus.cli.ic_db.members import (
    DATA_DIR,
    RUN_DIR,
    SCHEMA_DIR,
    DataDirOption,
    LimitOption,
    NbPortOption,
    RunDirOption,
    SbPortOption,
    SchemaDirOption,
    TlsDirOption,
    client_tool,
    places,
    telling,
)
from isthmus.icdb.admin import backup as backups
from isthmus.icdb.admin import membership_changes as maintenance
from isthmus.icdb.admin.file_check import Checked
from isthmus.icdb.admin.file_check import check as check_file
from isthmus.icdb.admin.server_control import Place
from isthmus.icdb.local.ovsdb_tools import ClientTool
from isthmus.icdb.server.plan import NB_PORT, SB_PORT


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    for verb in (backup, restore, upgrade, check):
        app.command()(telling(verb))


def backup(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    file: Annotated[Path, typer.Argument(help="The file to write; .tar.gz suits it.")],
    data_dir: DataDirOption = DATA_DIR,
    run_dir: RunDirOption = RUN_DIR,
    nb_port: NbPortOption = NB_PORT,
    sb_port: SbPortOption = SB_PORT,
    tls_dir: TlsDirOption = None,
    timeout: LimitOption = 30.0,
    yes: Annotated[bool, typer.Option("--yes", help="Replace the file if it exists.")] = False,
) -> None:
    """Write both databases, while they run, into one file with checksums."""
    both = places(data_dir, run_dir, nb_port, sb_port)
    taken = backups.take(both, client_tool(tls_dir, timeout), file.absolute(), _now(), replace=yes)
    for snapshot in taken:
        console().print(
            f"{snapshot.database}: {snapshot.size} bytes, schema {snapshot.schema}, in {file}"
        )


def restore(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    file: Annotated[Path, typer.Argument(help="A file that `ic-db backup` made.")],
    data_dir: DataDirOption = DATA_DIR,
    run_dir: RunDirOption = RUN_DIR,
    nb_port: NbPortOption = NB_PORT,
    sb_port: SbPortOption = SB_PORT,
    tls_dir: TlsDirOption = None,
    schema_dir: SchemaDirOption = SCHEMA_DIR,
    timeout: LimitOption = 30.0,
    yes: Annotated[bool, typer.Option("--yes", help="Overwrite what is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Bring the rows of a backup back into running databases, stand-alone or clustered.

    Refuses to overwrite zones and transit switches without --yes; with it, what is there is first
    backed up into the data directory.
    """
    both = places(data_dir, run_dir, nb_port, sb_port, schema_dir)
    client = client_tool(tls_dir, timeout)
    found, out = backups.read(file), console()
    touched = [place for place in both if place.database in found.snapshots]
    raise_if_any(backups.schema_problems(touched, client, found))
    lost = backups.in_use(touched, client, found)
    for place in both:
        if place not in touched:
            out.print(f"{place.database}: is not in this backup, and stays as it is")
    for sentence in lost:
        out.print(f"would be overwritten: {sentence}" if dry_run else f"overwrites: {sentence}")
    if dry_run:
        out.print(f"nothing was changed: --dry-run (backup of {found.taken}, checksums are right)")
        return
    if lost and not yes:
        raise CommandError(unconfirmed("IC databases", "they are not empty"))
    _keep(both, client, data_dir, "restore")
    for place in touched:
        backups.restore(place, client, found)
        out.print(f"{place.database}: restored as of {found.taken}")


def upgrade(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    data_dir: DataDirOption = DATA_DIR,
    run_dir: RunDirOption = RUN_DIR,
    nb_port: NbPortOption = NB_PORT,
    sb_port: SbPortOption = SB_PORT,
    tls_dir: TlsDirOption = None,
    schema_dir: SchemaDirOption = SCHEMA_DIR,
    timeout: LimitOption = 30.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Convert the running databases to the installed schemas, after a backup.

    Do it once, when all members run the new OVN: a cluster's members share the schema.
    """
    both = places(data_dir, run_dir, nb_port, sb_port, schema_dir)
    client, out, due = client_tool(tls_dir, timeout), console(), []
    for place in both:
        has, installed = maintenance.versions(place, client)
        if maintenance.older(has, installed):
            due.append(place)
            out.print(f"{place.database}: schema {has}, to become {installed}")
        else:
            out.print(f"{place.database}: schema {has} stays, installed is {installed}")
    if dry_run:
        out.print("nothing was changed: --dry-run")
        return
    if due:
        _keep(both, client, data_dir, "upgrade")
    for place in due:
        maintenance.upgrade(place, client)
        out.print(f"{place.database}: converted")


def check(
    others: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files of other members, copied here: ovn_ic_nb_db.db and ovn_ic_sb_db.db in"
            " these directories are checked together with this member's."
        ),
    ] = None,
    data_dir: DataDirOption = DATA_DIR,
    schema_dir: SchemaDirOption = SCHEMA_DIR,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check the database files of this member, whether its servers run or not."""
    both = places(data_dir, RUN_DIR, schema_dir=schema_dir)
    found = [
        check_file(place, [directory.absolute() for directory in others or []]) for place in both
    ]
    if output is Output.JSON:
        print_json([asdict(checked) for checked in found])
    else:
        for checked in found:
            console().print(_described(checked))
    raise_if_any(problem for checked in found for problem in (*checked.problems, *checked.copies))


def _described(checked: Checked) -> str:
    said = "NOT SOUND" if checked.problems else "sound"
    if checked.copies:
        said += ", but NOT with the copies"
    facts = [fact for fact in (checked.model, checked.cid and f"cluster {checked.cid}") if fact]
    version = f"schema {checked.schema}" if checked.schema else ""
    return ", ".join(filter(None, [f"{checked.database}: {said}", *facts, version, checked.file]))


def _keep(both: Sequence[Place], client: ClientTool, data_dir: Path, before: str) -> None:
    """Back up what is there now."""
    stamp = _now().replace(":", "").replace("-", "")
    file = data_dir.absolute() / f"before-{before}-{stamp}.tar.gz"
    backups.take(both, client, file, _now())
    console().print(f"what was there is in {file}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
