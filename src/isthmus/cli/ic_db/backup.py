"""`isthmus ic-db backup|restore|upgrade|check`: protecting, converting and checking the data.

Registered by `isthmus.cli.ic_db.run`. Backups are made online, from the local servers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.common.confirm import DryRunOption, YesOption, confirmed
from isthmus.cli.common.errors import raise_if_any
from isthmus.cli.common.output import Output, OutputOption, print_json, print_lines
from isthmus.cli.ic_db.options import MemberOptions, ServerOptions
from isthmus.icdb.admin import backup as backups
from isthmus.icdb.admin import file_check, schema_upgrade
from isthmus.icdb.admin.ovsdb_client import OvsdbClient
from isthmus.icdb.local.database_server import LocalServer
from isthmus.icdb.local.ovsdb_tools import is_older


@dataclass(frozen=True, kw_only=True)
class BackupOptions(MemberOptions):
    """Options of `backup`."""

    file: Annotated[Path, typer.Argument(help="The file to write, usually a .tar.gz.")]
    yes: Annotated[bool, typer.Option("--yes", help="Replace the file if it exists.")] = False


@dataclass(frozen=True, kw_only=True)
class RestoreOptions(MemberOptions):
    """Options of `restore`."""

    file: Annotated[Path, typer.Argument(help="A file that `isthmus ic-db backup` created.")]
    yes: YesOption = False
    dry_run: DryRunOption = False


@dataclass(frozen=True, kw_only=True)
class UpgradeOptions(MemberOptions):
    """Options of `upgrade`."""

    dry_run: DryRunOption = False


@dataclass(frozen=True, kw_only=True)
class CheckOptions(ServerOptions):
    """Options of `check`."""

    others: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Directories with copies of other members' files (ovn_ic_nb_db.db and"
            " ovn_ic_sb_db.db), to be compared with this member's."
        ),
    ] = None
    output: OutputOption = Output.TEXT


def backup(options: BackupOptions) -> None:
    """Write both databases into one file with checksums, while they run."""
    servers, file = options.servers(), options.file.absolute()
    taken = backups.take(servers, options.client(), file, _now(), replace=options.yes)
    for snapshot in taken:
        size, schema = snapshot.size, snapshot.schema
        print_lines(f"{snapshot.database}: {size} bytes, schema {schema}, in {options.file}")


def restore(options: RestoreOptions) -> None:
    """Restore the rows of a backup into running databases, stand-alone or clustered.

    Without --yes it does not overwrite zones or transit switches. What exists is backed up into the
    data directory first.
    """
    servers, client = options.servers(), options.client()
    found = backups.read(options.file)
    restored = [server for server in servers if server.database in found.snapshots]
    raise_if_any(backups.schema_problems(restored, client, found))
    lost = backups.in_use(restored, client, found)
    for server in servers:
        if server not in restored:
            print_lines(f"{server.database}: is not in this backup, and stays as it is")
    for sentence in lost:
        prefix = "would be overwritten" if options.dry_run else "overwrites"
        print_lines(f"{prefix}: {sentence}")
    if options.dry_run:
        print_lines(
            f"nothing was changed: --dry-run (backup of {found.taken}, checksums are right)"
        )
        return
    if lost:
        consequence = "restoring overwrites their contents, after a backup"
        remedy = "check what is overwritten"
        confirmed("IC databases", consequence, remedy, yes=options.yes, dry_run=False)
    _back_up_first(servers, client, options.data_dir, "restore")
    for server in restored:
        backups.restore(server, client, found)
        print_lines(f"{server.database}: restored as of {found.taken}")


def upgrade(options: UpgradeOptions) -> None:
    """Convert the running databases to the installed schemas, after a backup.

    Run it once, when all members have the new OVN: the members of a cluster share the schema.
    """
    servers, client, due = options.servers(), options.client(), []
    for server in servers:
        has = schema_upgrade.schema_in_use(server, client)
        installed = schema_upgrade.installed_schema(server)
        if is_older(has, installed):
            due.append(server)
            print_lines(f"{server.database}: schema {has}, to become {installed}")
        else:
            print_lines(f"{server.database}: schema {has} stays, installed is {installed}")
    if options.dry_run:
        print_lines("nothing was changed: --dry-run")
        return
    if due:
        _back_up_first(servers, client, options.data_dir, "upgrade")
    for server in due:
        schema_upgrade.upgrade(server, client)
        print_lines(f"{server.database}: converted")


def check(options: CheckOptions) -> None:
    """Check the database files of this member, whether or not its servers run."""
    copies = [directory.absolute() for directory in options.others or []]
    found = [file_check.check(server, copies) for server in options.servers()]
    if options.output is Output.JSON:
        print_json([asdict(checked) for checked in found])
    else:
        for checked in found:
            print_lines(_described(checked))
    raise_if_any(problem for checked in found for problem in (*checked.problems, *checked.copies))


def _described(checked: file_check.CheckedFile) -> str:
    verdict = "INVALID" if checked.problems else "valid"
    if checked.copies:
        verdict += ", but NOT with the copies"
    details = (
        checked.model,
        checked.cid and f"cluster {checked.cid}",
        checked.schema and f"schema {checked.schema}",
        checked.file,
    )
    return ", ".join(filter(None, [f"{checked.database}: {verdict}", *details]))


def _back_up_first(
    servers: Sequence[LocalServer], client: OvsdbClient, data_dir: Path, before: str
) -> None:
    """Back up the present contents into the data directory."""
    stamp = _now().replace(":", "").replace("-", "")
    file = data_dir.absolute() / f"before-{before}-{stamp}.tar.gz"
    backups.take(servers, client, file, _now())
    print_lines(f"previous contents saved in {file}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
