"""Database files on the disk: their records (ovsdb(5)), and those that stand alone.

Called by `server.supervisor`, `raft.cluster_files` and `admin.file_check`. Invariant: what holds
data is never removed or overwritten; a file appears complete or not at all.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_server import LocalServer
from isthmus.icdb.local.ovsdb_tools import ToolError, is_older, ovsdb_tool
from isthmus.model.problems import Problem
from isthmus.model.text import failure_text

MIN_FREE_SPACE = 8 * 1024 * 1024
"""Bytes that should be free on a database's disk: room for a new log next to the old one."""

RESTORE = (
    "restore it from a backup; or move it away and start again: a new database is created, and the"
    " clusters register again"
)

_TO_STANDALONE = (
    "give --members and --address (or NODE_IPS and LOCAL_IP); to make it stand alone again,"
    " convert a copy with `ovsdb-tool cluster-to-standalone`"
)

_RECORD_HEAD = re.compile(rb"OVSDB (JSON|CLUSTER) (\d+) ([0-9a-f]{40})\n")
_RECORD_START = b"OVSDB "

_log = logging.getLogger(__name__)


class DatabaseModel(StrEnum):
    """The kind of a database, as `_Server` has it (ovsdb-server(5))."""

    STANDALONE = "standalone"
    CLUSTERED = "clustered"


_MODELS = {b"JSON": DatabaseModel.STANDALONE, b"CLUSTER": DatabaseModel.CLUSTERED}


class DamagedError(Exception):
    """A file is damaged; the text says where."""


@dataclass(frozen=True, slots=True)
class Records:
    """The contents of a database file.

    Args:
        model: the kind of database.
        contents: the complete records; at least one.
        size: of the complete records together, in bytes.
        torn: whether the file ends within another record, as after a power failure.
    """

    model: DatabaseModel
    contents: tuple[Mapping[str, Any], ...]
    size: int
    torn: bool


def read_records(file: Path) -> Records:
    """Read a file, of which each record is a line with length and checksum, then JSON (ovsdb(5)).

    Raises:
        DamagedError: more is wrong than that the last record is incomplete.
        OSError: it cannot be read.
    """
    content = file.read_bytes()
    found = list(_complete_records(content))
    size = found[-1][2] if found else 0
    torn = size < len(content)
    if not found or (torn and not _is_incomplete(content[size:])):
        raise DamagedError(f"no valid record at byte {size}")
    records = Records(found[0][0], tuple(record for _, record, _ in found), size, torn)
    _check_structure(records)
    return records


def _complete_records(content: bytes) -> Iterator[tuple[DatabaseModel, Mapping[str, Any], int]]:
    position = 0
    while head := _RECORD_HEAD.match(content, position):
        end = head.end() + int(head[2])
        data = content[head.end() : end]
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()  # what ovsdb(5) specifies
        if end > len(content) or digest.encode() != head[3]:
            return
        try:
            yield _MODELS[head[1]], json.loads(data), end
        except (ValueError, RecursionError):
            return
        position = end


_HEADER, _ADDRESSES, _MEMBERS = (
    ("name", "local_address", "server_id"), "remote_addresses", ("servers", "prev_servers")
)  # fmt: skip
"""What is read from the records of a clustered database: texts, a list of texts, and objects."""


def _check_structure(records: Records) -> None:
    """Raise `DamagedError` unless all that is read from the records has the right type.

    `ovsdb-tool` checks only the checksums when it reads a member's header.
    """
    clustered = records.model is DatabaseModel.CLUSTERED
    for number, record in enumerate(records.contents):
        valid = isinstance(record, dict)
        if valid and clustered:
            valid = all(isinstance(record.get(key, {}), dict) for key in _MEMBERS)
        if valid and clustered and not number:
            addresses = record.get(_ADDRESSES, [])
            texts = [record.get(key) for key in _HEADER] + [record.get("cluster_id", "")]
            texts += addresses if isinstance(addresses, list) else [None]
            valid = all(isinstance(text, str) for text in texts)
        if not valid:
            raise DamagedError(f"record {number + 1} does not have the right structure")


def _is_incomplete(rest: bytes) -> bool:
    """Whether a record begins here that the end of the file cuts short."""
    if head := _RECORD_HEAD.match(rest):
        return head.end() + int(head[2]) > len(rest)
    return b"\n" not in rest and (rest.startswith(_RECORD_START) or _RECORD_START.startswith(rest))


def is_empty(server: LocalServer) -> bool:
    """Whether there is no database file; an empty one is left by an interrupted creation."""
    file = server.database_file
    return not file.exists() or not file.stat().st_size


def checked_records(server: LocalServer, remedy: str) -> Records:
    """The contents of a server's file; an incomplete last record is logged.

    `ovsdb-server` would serve what precedes any damage, and say nothing. The file must exist.

    Raises:
        IcDbError: the file is damaged.
        OSError: it cannot be read.
    """
    try:
        records = read_records(server.database_file)
    except DamagedError as error:
        raise IcDbError(server.file_subject.problem(f"is damaged: {error}", remedy)) from error
    if records.torn:
        message = "the last transaction is incomplete, as after a power failure, and is dropped"
        _log.warning("%s: %s", server.database_file, message)
    return records


def check_access(server: LocalServer) -> None:
    """Raise `IcDbError` unless this user may read and write the database's file, which exists."""
    if not os.access(server.database_file, os.R_OK | os.W_OK, effective_ids=True):
        message = "cannot be read and written by this user"
        remedy = "make this user the file's owner (chown), with write permission (chmod)"
        raise IcDbError(server.file_subject.problem(message, remedy))


def prepare_database(server: LocalServer) -> None:
    """Create a stand-alone database, or check that the existing file can be served.

    A file whose schema is older than the installed one is converted, as OVN's scripts do.

    Raises:
        IcDbError: the file is damaged, clustered, or another database's.
    """
    try:
        if is_empty(server):
            server.database_file.unlink(missing_ok=True)
            create_file(server, "create", server.schema)
            return
        check_access(server)
        if checked_records(server, RESTORE).model is DatabaseModel.CLUSTERED:
            message = "is a member of a Raft cluster, but no members are given"
            raise IcDbError(server.file_subject.problem(message, _TO_STANDALONE))
        check_standalone(server)
        _convert(server)
    except OSError as error:
        raise IcDbError(unusable(server, error)) from error


def check_standalone(server: LocalServer) -> None:
    """Check the contents of a stand-alone database, whose records are complete.

    Raises `IcDbError` if the file is another database's, or does not fit its schema.
    """
    file = server.database_file
    try:
        check_name(server, ovsdb_tool("db-name", file))
        ovsdb_tool("query", file, json.dumps([server.database]))  # reads all records
    except ToolError as error:
        # Of an incomplete last record it says the same, but that was judged before.
        if not read_records(file).torn:
            message = f"is damaged: {error}"
            raise IcDbError(server.file_subject.problem(message, RESTORE)) from error


def check_name(server: LocalServer, name: str) -> None:
    """Raise `IcDbError` unless a file's database is the server's."""
    if name != server.database:
        message = f"holds the database {name}, not {server.database}"
        remedy = "give --data-dir the right directory"
        raise IcDbError(server.file_subject.problem(message, remedy))


def create_file(server: LocalServer, command: str, *arguments: str | PurePath) -> None:
    """Run `ovsdb-tool COMMAND FILE ARGUMENTS…`, which creates the server's database file.

    The file is put in place when it is complete. Raises `IcDbError` if that fails.
    """
    file = server.database_file
    directory = file.with_suffix(".new")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o750)
    created = directory / file.name
    try:
        ovsdb_tool(command, created, *arguments)
        created.rename(file)
    except ToolError as error:
        message, remedy = f"cannot be created: {error}", "free space, or repair the installation"
        raise IcDbError(server.file_subject.problem(message, remedy)) from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    sync_directory(file.parent)


def sync_directory(directory: Path) -> None:
    """Write the names of a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_space(server: LocalServer) -> int:
    """Bytes that are free on the disk of a server's database; the largest number if unknown."""
    try:
        return shutil.disk_usage(server.files.data_dir).free
    except OSError:
        return sys.maxsize


def nearly_full(server: LocalServer) -> list[Problem]:
    """The problem that the disk of a server's database is nearly full, if it is."""
    if free_space(server) >= MIN_FREE_SPACE:
        return []
    message = f"its disk is nearly full; {space_left(server)}"
    remedy = "free space or enlarge the disk; `isthmus ic-db compact` makes the file smaller"
    return [server.file_subject.problem(message, remedy)]


def space_left(server: LocalServer) -> str:
    """How much is free on the disk, for messages."""
    return f"{free_space(server) // 1024} KiB are free on its disk"


def unusable(server: LocalServer, error: OSError) -> Problem:
    """The problem that the operating system refuses access to a server's files."""
    return server.file_subject.problem(
        f"cannot be used: {failure_text(error)}",
        "give --data-dir a directory that this user may read and write, with free space",
    )


def _convert(server: LocalServer) -> None:
    """Convert a stand-alone database to the installed schema, if that is newer."""
    file = server.database_file
    has, installed = ovsdb_tool("db-version", file), ovsdb_tool("schema-version", server.schema)
    if is_older(installed, has):
        newer = f"its schema version, {has}, is newer than the installed one, {installed}"
        remedy = "it is served unchanged; install the OVN version that created it"
        _log.warning("%s: %s; %s", file, newer, remedy)
    if not is_older(has, installed):
        return
    _log.info("%s: converting from schema version %s to %s", file, has, installed)
    try:
        ovsdb_tool("convert", file, server.schema)
    except ToolError as error:
        message = f"cannot be converted to schema version {installed}: {error}"
        remedy = "install the OVN version that created it"
        raise IcDbError(server.file_subject.problem(message, remedy)) from error
