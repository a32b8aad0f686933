"""Backups of both IC databases in one file, and their restoration.

Called by `isthmus ic-db backup|restore|upgrade`. The file is a tar archive of `manifest.json` and,
for each database, a snapshot that `ovsdb-server` could serve. Invariants: a backup appears complete
or not at all; a backup with a wrong checksum is not restored; nothing is overwritten without a
backup of it. The two snapshots are taken one after the other, not at one moment.
"""

import gzip
import hashlib
import json
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from isthmus.icdb.admin.backup_archive import packed, unpacked
from isthmus.icdb.admin.ovsdb_client import OvsdbClient
from isthmus.icdb.admin.schema_upgrade import schema_in_use, server_row
from isthmus.icdb.admin.status import database_status
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_file import sync_directory
from isthmus.icdb.local.database_server import LocalServer
from isthmus.icdb.local.ovsdb_tools import ToolError, is_older, ovsdb_tool
from isthmus.icdb.raft.peer_probe import optional_uuid
from isthmus.model.bounds import BACKUP_MANIFEST
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import AvailabilityZone, Database, Row, TransitSwitch
from isthmus.model.text import failure_text
from isthmus.pki.files import write_file

FORMAT = 1
_POLL = 0.05
_MANIFEST = "manifest.json"
_DATABASES = {Database.IC_NB, Database.IC_SB}
_ANOTHER = "give another backup file; nothing was changed"
_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError)
_UNREADABLE = (*_DAMAGED, OSError, KeyError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class DatabaseSnapshot:
    """One database in a backup.

    Args:
        database: its name.
        file: its name in the archive.
        schema: the schema's version.
        cid: the cluster that it was taken from; empty if the database stood alone.
        size: in bytes.
        sha256: of the contents, in hexadecimal.
    """

    database: str
    file: str
    schema: str
    cid: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that has been read, and is valid.

    Args:
        taken: when, in ISO 8601.
        snapshots: by database; at least one.
        contents: the snapshots' bytes, by database.
    """

    taken: str
    snapshots: Mapping[str, DatabaseSnapshot]
    contents: Mapping[str, bytes]


def take(
    servers: Sequence[LocalServer],
    client: OvsdbClient,
    file: Path,
    taken: str,
    *,
    replace: bool = False,
) -> tuple[DatabaseSnapshot, ...]:
    """Write a backup of running databases, after the local servers catch up with the others.

    Args:
        servers, client: the local servers.
        file: to write; its directory must exist.
        taken: the time now, in ISO 8601.
        replace: whether an existing file may be replaced.

    Raises:
        IcDbError: a server does not answer, the file exists, or cannot be written.
    """
    if file.exists() and not replace:
        raise IcDbError(_bad(file, "exists", "give another name, or --yes to replace it"))
    for server in servers:
        _catch_up(server, client)
    taken_now = [_snapshot(server, client) for server in servers]
    manifest = {
        "format": FORMAT,
        "taken": taken,
        "databases": [asdict(snapshot) for snapshot, _ in taken_now],
    }
    members = [(_MANIFEST, json.dumps(manifest, indent=2).encode())]
    members += [(snapshot.file, content) for snapshot, content in taken_now]
    try:
        write_file(file, packed(members), secret=True)
        sync_directory(file.parent)
    except OSError as error:
        message = f"cannot be written: {failure_text(error)}"
        raise IcDbError(_bad(file, message, "free space, or give another directory")) from error
    return tuple(snapshot for snapshot, _ in taken_now)


def read(file: Path) -> Backup:
    """Read a backup; `IcDbError` if it cannot be read, is not a backup, or is damaged."""
    try:
        found = _parsed(file, unpacked(file))
    except _UNREADABLE as error:
        why = "the archive is damaged" if isinstance(error, _DAMAGED) else failure_text(error)
        message = f"is not a readable backup: {why}"
        remedy = "give a file that `isthmus ic-db backup` created"
        raise IcDbError(_bad(file, message, remedy)) from error
    for name, snapshot in found.snapshots.items():
        if hashlib.sha256(found.contents[name]).hexdigest() != snapshot.sha256:
            message = f"is damaged: the checksum of {name} is wrong"
            raise IcDbError(_bad(file, message, _ANOTHER))
    # Some manifests name the schema before an upgrade; the contents have the right one.
    snapshots = {
        name: replace(snapshot, schema=_schema_of(file, snapshot, found.contents[name]))
        for name, snapshot in found.snapshots.items()
    }
    return replace(found, snapshots=snapshots)


def in_use(servers: Sequence[LocalServer], client: OvsdbClient, backup: Backup) -> tuple[str, ...]:
    """Sentences about what of value a restoration would overwrite.

    Transit switches that the backup has too do not count, since a new cluster starts with some.
    """
    found = []
    for server in servers:
        kind: type[Row] = TransitSwitch if server.database is Database.IC_NB else AvailabilityZone
        names = _names(server, client, kind)
        if kind is TransitSwitch:
            text = backup.contents[server.database].decode(errors="replace")
            names = [name for name in names if json.dumps(name) not in text]
        if names:
            found.append(f"{server.database} has {kind.TABLE} {', '.join(names)}")
    return tuple(found)


def schema_problems(
    servers: Sequence[LocalServer], client: OvsdbClient, backup: Backup
) -> tuple[Problem, ...]:
    """The databases whose schema in use is not the backup's."""
    found = []
    for server in servers:
        wanted = backup.snapshots[server.database].schema
        has = schema_in_use(server, client)
        if has != wanted:
            message = f"differs from the backup's schema version, {wanted}"
            remedy = _way_to(wanted, has, server)
            found.append(replace(server.subject, key="schema", value=has).problem(message, remedy))
    return tuple(found)


def restore(server: LocalServer, client: OvsdbClient, backup: Backup) -> None:
    """Replace all rows of a running database, in one transaction, by those of a backup.

    The rows get new UUIDs, and the references between them are kept.

    Raises:
        IcDbError: the server refuses, or no majority is in contact; nothing was changed.
    """
    try:
        client.restore(server.remote, server.database, backup.contents[server.database])
    except ToolError as error:
        message = f"was not restored: {error}"
        remedy = "check with `isthmus ic-db status` that a majority answers, and try again"
        raise IcDbError(server.subject.problem(message, remedy)) from error


def _catch_up(server: LocalServer, client: OvsdbClient) -> None:
    """Wait until the local server has applied what any member that answers has applied by now.

    A follower learns of a commit up to a Raft heartbeat later than the client that made it.
    """
    members = database_status(server, client).members
    ahead = max(members, key=lambda member: member.index or 0)
    deadline = time.monotonic() + client.timeout
    while members[0].index is not None and (ahead.index or 0) > server_row(server, client)["index"]:
        if time.monotonic() > deadline:
            message = f"this member lacks data that {ahead.address} has"
            remedy = f"make the backup on host {ahead.address}, and check `isthmus ic-db status`"
            raise IcDbError(server.subject.problem(message, remedy))
        time.sleep(_POLL)  # another member's index has no event


def _snapshot(server: LocalServer, client: OvsdbClient) -> tuple[DatabaseSnapshot, bytes]:
    row = server_row(server, client)
    schema = schema_in_use(server, client)
    try:
        content = client.backup(server.remote, server.database)
    except ToolError as error:
        raise IcDbError(_unread(server, error)) from error
    snapshot = DatabaseSnapshot(
        database=server.database,
        file=f"{server.database}.db",
        schema=schema,
        cid=optional_uuid(row["cid"]),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return snapshot, content


def _way_to(wanted: str, has: str, server: LocalServer) -> str:
    """How to give the database in use the schema of a backup."""
    if is_older(wanted, has):
        return f"serve the databases with an OVN that has schema {wanted}, then upgrade"
    try:
        too_old = is_older(ovsdb_tool("schema-version", server.schema), wanted)
    except ToolError:  # There is none, which `upgrade` reports.
        too_old = False
    if too_old:
        return f"install the OVN that has schema {wanted}, then run `isthmus ic-db upgrade`"
    return "run `isthmus ic-db upgrade` first"


def _names(server: LocalServer, client: OvsdbClient, kind: type[Row]) -> list[str]:
    select = {"op": "select", "table": kind.TABLE, "where": [], "columns": ["name"]}
    try:
        [result] = client.query(server.remote, server.database, select)
    except ToolError as error:
        raise IcDbError(_unread(server, error)) from error
    return sorted(row["name"] for row in result["rows"])


def _unread(server: LocalServer, error: ToolError) -> Problem:
    return Subject(f"database {server.database}", value=server.remote).problem(
        f"cannot be read: {error}",
        "check `isthmus ic-db status`, or run this on the host of another member",
    )


def _parsed(file: Path, members: Mapping[str, bytes]) -> Backup:
    BACKUP_MANIFEST.check(len(members[_MANIFEST]))
    manifest = json.loads(members[_MANIFEST])
    if manifest["format"] != FORMAT:
        form = json.dumps(manifest["format"])[:40]
        message = f"has format {form}, and this version of Isthmus reads {FORMAT}"
        raise IcDbError(_bad(file, message, "restore it with the version that created it"))
    snapshots = {entry["database"]: DatabaseSnapshot(**entry) for entry in manifest["databases"]}
    _check_types(manifest["taken"], snapshots.values())
    if not snapshots or not snapshots.keys() <= _DATABASES:
        raise ValueError(f"its databases are {', '.join(snapshots) or 'none'}")
    contents = {name: members[snapshot.file] for name, snapshot in snapshots.items()}
    return Backup(manifest["taken"], snapshots, contents)


def _check_types(taken: Any, snapshots: Iterable[DatabaseSnapshot]) -> None:
    """Raise `TypeError` unless the values in a manifest have the types of their fields."""
    for one in snapshots:
        texts = (taken, one.database, one.file, one.schema, one.cid, one.sha256)
        if not all(isinstance(text, str) for text in texts) or type(one.size) is not int:
            raise TypeError


def _schema_of(file: Path, snapshot: DatabaseSnapshot, content: bytes) -> str:
    """The version of a snapshot's schema, after a check that its contents are of its database."""
    name = snapshot.database
    with tempfile.NamedTemporaryFile() as made:
        made.write(content)
        made.flush()
        try:
            has = ovsdb_tool("db-name", made.name)
            if has != name:
                message = f"is damaged: its part {name} is the database {has}"
                raise IcDbError(_bad(file, message, _ANOTHER))
            ovsdb_tool("query", made.name, json.dumps([name]))  # reads all records
            return ovsdb_tool("db-version", made.name)
        except ToolError as error:
            reason = str(error).replace(made.name, snapshot.file)
            message = f"is damaged: its part {name} is not a valid database: {reason}"
            raise IcDbError(_bad(file, message, _ANOTHER)) from error


def _bad(file: Path, message: str, remedy: str) -> Problem:
    return Subject("backup", "file", str(file)).problem(message, remedy)
