"""Backups of both IC databases in one file, and bringing them back.

Called by `isthmus ic-db backup|restore|upgrade`. The file is a tar archive: `manifest.json`, then
for each database a snapshot that ovsdb-server itself could serve. Invariants: a backup appears
complete or not at all; what fails its checksum is not restored; nothing is overwritten without a
backup of it. The two snapshots are taken one after the other, not at one moment.
"""

import hashlib
import io
import json
import os
import tarfile
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from isthmus.icdb.admin.membership_changes import older
from isthmus.icdb.admin.server_control import Place
from isthmus.icdb.admin.status import database_status, schema_in_use, server_row
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.ovsdb_tools import ClientTool, ToolError, tool
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import AvailabilityZone, Database, Row, TransitSwitch

FORMAT = 1
_POLL = 0.05
_MANIFEST = "manifest.json"
_DATABASES = {Database.IC_NB, Database.IC_SB}
_ANOTHER = "take another backup file; nothing was changed"
_UNREADABLE = (OSError, EOFError, zlib.error, tarfile.TarError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Snapshot:
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
    """A backup that has been read, and is sound.

    It is of both databases, or of one: members make such before they go over to TLS.

    Args:
        taken: when, as ISO 8601 has it.
        snapshots: by database; at least one.
        contents: the snapshots' bytes, by database.
    """

    taken: str
    snapshots: Mapping[str, Snapshot]
    contents: Mapping[str, bytes]


def take(
    places: Sequence[Place], client: ClientTool, file: Path, taken: str, *, replace: bool = False
) -> tuple[Snapshot, ...]:
    """Write a backup of running databases.

    Args:
        places: the local servers, which first get what other members have already.
        client: for the requests.
        file: where to; the directory must exist.
        taken: the time now, as ISO 8601 has it.
        replace: whether an existing file may be replaced.

    Raises:
        IcDbError: a server does not answer, the file exists, or cannot be written.
    """
    if file.exists() and not replace:
        message = "exists"
        raise IcDbError(_bad(file, message, "give another name, or --yes to replace it"))
    for place in places:
        _catch_up(place, client)
    taken_now = [_snapshot(place, client) for place in places]
    manifest = {
        "format": FORMAT,
        "taken": taken,
        "databases": [asdict(snapshot) for snapshot, _ in taken_now],
    }
    members = [(_MANIFEST, json.dumps(manifest, indent=2).encode())]
    members += [(snapshot.file, content) for snapshot, content in taken_now]
    try:
        _write(file, _archive(members))
    except OSError as error:
        message = f"cannot be written: {error.strerror}"
        raise IcDbError(_bad(file, message, "free space, or give another directory")) from error
    return tuple(snapshot for snapshot, _ in taken_now)


def read(file: Path) -> Backup:
    """Read a backup, and check it.

    Raises:
        IcDbError: it cannot be read, is no backup, or is damaged.
    """
    try:
        found = _parsed(file, dict(_members(file)))
    except _UNREADABLE as error:
        why = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        message = f"is not a backup that can be read: {why}"
        raise IcDbError(_bad(file, message, "give a file that `ic-db backup` made")) from error
    for name, snapshot in found.snapshots.items():
        if hashlib.sha256(found.contents[name]).hexdigest() != snapshot.sha256:
            message = f"is damaged: the checksum of {name} is wrong"
            raise IcDbError(_bad(file, message, _ANOTHER))
    # The contents know their schema best: there are manifests that have the one before an upgrade.
    snapshots = {
        name: replace(snapshot, schema=_schema_of(file, snapshot, found.contents[name]))
        for name, snapshot in found.snapshots.items()
    }
    return replace(found, snapshots=snapshots)


def in_use(places: Sequence[Place], client: ClientTool, backup: Backup) -> tuple[str, ...]:
    """What restoring would overwrite.

    Transit switches that the backup has too do not count: a new cluster starts with some.

    Returns:
        sentences for people; none if the databases are as good as empty.
    """
    found = []
    for place in places:
        kind: type[Row] = TransitSwitch if place.database is Database.IC_NB else AvailabilityZone
        names = _names(place, client, kind)
        if kind is TransitSwitch:
            text = backup.contents[place.database].decode(errors="replace")
            names = [name for name in names if json.dumps(name) not in text]
        if names:
            found.append(f"{place.database} has {kind.TABLE} {', '.join(names)}")
    return tuple(found)


def schema_problems(
    places: Sequence[Place], client: ClientTool, backup: Backup
) -> tuple[Problem, ...]:
    """Where the schema in use is not the backup's.

    Raises:
        IcDbError: a server does not answer.
    """
    found = []
    for place in places:
        wanted = backup.snapshots[place.database].schema
        has = schema_in_use(place, client)
        if has != wanted:
            message = f"the backup was taken from schema version {wanted}"
            remedy = _way_to(wanted, has, place)
            found.append(
                Subject(f"database {place.database}", "schema", has).problem(message, remedy)
            )
    return tuple(found)


def restore(place: Place, client: ClientTool, backup: Backup) -> None:
    """Replace all rows of a running database, in one transaction, by those of a backup.

    The rows get new UUIDs, and refer to each other as before.

    Raises:
        IcDbError: the server refuses, or no majority is in contact; nothing was changed.
    """
    try:
        client.restore(place.remote, place.database, backup.contents[place.database])
    except ToolError as error:
        raise IcDbError(
            Subject(f"database {place.database}").problem(
                f"was not restored: {error}",
                "see by `isthmus ic-db status` that a majority answers, and repeat this",
            )
        ) from error


def _catch_up(place: Place, client: ClientTool) -> None:
    """Wait until the local server has what any member that answers had applied by now.

    A follower learns of a commit up to a heartbeat after the client that made it.
    """
    members = database_status(place, client).members
    ahead = max(members, key=lambda member: member.index or 0)
    deadline = time.monotonic() + client.timeout
    while members[0].index is not None and (ahead.index or 0) > _index(place, client):
        if time.monotonic() > deadline:
            message = f"this member lacks what {ahead.address} has"
            remedy = f"take the backup on the host {ahead.address}, and see `isthmus ic-db status`"
            raise IcDbError(Subject(f"database {place.database}").problem(message, remedy))
        time.sleep(_POLL)  # an index of another member has no event


def _index(place: Place, client: ClientTool) -> int:
    index = server_row(place, client)["index"]
    return index if isinstance(index, int) else 0


def _snapshot(place: Place, client: ClientTool) -> tuple[Snapshot, bytes]:
    row = server_row(place, client)
    schema = schema_in_use(place, client)
    try:
        content = client.backup(place.remote, place.database)
    except ToolError as error:
        raise IcDbError(_unread(place, error)) from error
    snapshot = Snapshot(
        database=place.database,
        file=f"{place.database}.db",
        schema=schema,
        cid=row["cid"][1] if row["cid"][0] == "uuid" else "",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return snapshot, content


def _way_to(wanted: str, has: str, place: Place) -> str:
    """How the database in use gets the schema of a backup."""
    if older(wanted, has):
        return f"serve the databases by an OVN with schema {wanted}, then upgrade"
    try:
        too_old = older(tool("schema-version", place.schema), wanted)
    except ToolError:  # There is none; `upgrade` says so, and what to do.
        too_old = False
    if too_old:
        return f"install the OVN that has schema {wanted}, then run `isthmus ic-db upgrade`"
    return "run `isthmus ic-db upgrade` first"


def _names(place: Place, client: ClientTool, kind: type[Row]) -> list[str]:
    select = {"op": "select", "table": kind.TABLE, "where": [], "columns": ["name"]}
    try:
        [result] = client.query(place.remote, place.database, select)
    except ToolError as error:
        raise IcDbError(_unread(place, error)) from error
    return sorted(row["name"] for row in result["rows"])


def _unread(place: Place, error: ToolError) -> Problem:
    return Subject(f"database {place.database}", value=place.remote).problem(
        f"cannot be read: {error}",
        "see `isthmus ic-db status`; run this on the host of another member",
    )


def _parsed(file: Path, members: Mapping[str, bytes]) -> Backup:
    manifest = json.loads(members[_MANIFEST])
    if manifest["format"] != FORMAT:
        message = f"has format {manifest['format']}; this Isthmus reads {FORMAT}"
        raise IcDbError(_bad(file, message, "restore it by the Isthmus that made it"))
    snapshots = {entry["database"]: Snapshot(**entry) for entry in manifest["databases"]}
    if not snapshots or not snapshots.keys() <= _DATABASES:
        raise ValueError(f"its databases are {', '.join(snapshots) or 'none'}")
    contents = {name: members[snapshot.file] for name, snapshot in snapshots.items()}
    return Backup(manifest["taken"], snapshots, contents)


def _schema_of(file: Path, snapshot: Snapshot, content: bytes) -> str:
    """The version of a snapshot's schema, once it is seen to be the database that it should be."""
    name = snapshot.database
    with tempfile.NamedTemporaryFile() as made:
        made.write(content)
        made.flush()
        try:
            has = tool("db-name", made.name)
            if has != name:
                message = f"is damaged: what it has as {name} is {has}"
                raise IcDbError(_bad(file, message, _ANOTHER))
            tool("query", made.name, json.dumps([name]))  # reads all records
            return tool("db-version", made.name)
        except ToolError as error:
            said = str(error).replace(made.name, snapshot.file)
            message = f"is damaged: what it has as {name} is no such database: {said}"
            raise IcDbError(_bad(file, message, _ANOTHER)) from error


def _archive(members: Sequence[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def _members(file: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(file, "r:gz") as archive:
        return [(info.name, _content(archive, info)) for info in archive if info.isfile()]


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    extracted: Any = archive.extractfile(info)
    return bytes(extracted.read())


def _write(file: Path, content: bytes) -> None:
    """Write beside the file, to the disk, then rename."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as made:
            made.write(content)
            made.flush()
            os.fsync(made.fileno())
        Path(name).replace(file)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _bad(file: Path, message: str, remedy: str) -> Problem:
    return Subject("backup", "file", str(file)).problem(message, remedy)
