"""Archives that are restored, and database files.

An input is read as the file of a backup; as what is compressed in it, with valid checksums in its
headers; as a manifest and, after zero bytes, the snapshots that the manifest names, with valid
checksums; and as a database file whose records have valid checksums. `ovsdb-tool` is replaced by a
reader of the file's first record. Promises: what is not valid raises `IcDbError` or `DamagedError`,
printable; what is accepted keeps its contents when it is packed again, and is within the bounds.
"""

import gzip
import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fuzz.mutation import mutate_json
from fuzz.promises import require, require_named
from isthmus.icdb.admin import backup
from isthmus.icdb.admin.backup_archive import packed
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_file import DamagedError, DatabaseModel, Records, read_records
from isthmus.icdb.local.ovsdb_tools import ToolError
from isthmus.icdb.raft.cluster_files import MemberRecords
from isthmus.model.bounds import BACKUP_FILES, BACKUP_SIZE
from isthmus.model.rows import Database
from isthmus.model.text import printable

WORDS = (
    "format", "taken", "databases", "database", "file", "schema", "cid", "size", "sha256",
    "manifest.json", Database.IC_NB, Database.IC_SB, f"{Database.IC_NB}.db", "null", "true", "-1",
    "{}", "[]", "\x00", "OVSDB JSON ", "OVSDB CLUSTER ", '{"name":"', '"server_id":"',
    '"remote_addresses":[', '"servers":{', '"local_address":"', "../", "\x1b[2J", "1e999",
    "[" * 100, "ustar", "0000000", "\x1f\x8b\x08",
)  # fmt: skip
"""Words that the fuzzer inserts."""

_BLOCK = tarfile.BLOCKSIZE


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Another input, in which the JSON of a manifest or of a record differs."""
    parts = re.split(rb"([\n\0])", data)
    documents = [number for number, part in enumerate(parts) if part[:1] == b"{"]
    if not documents:
        return data[: seed % (len(data) + 1)]
    number = documents[seed % len(documents)]
    parts[number] = mutate_json(parts[number], longest, seed, WORDS)
    return b"".join(parts)[:longest]


def run(data: bytes) -> None:
    """Read an input in all ways."""
    for content in (data, gzip.compress(_with_checksums(data), 1, mtime=0), _archive(data)):
        _restore(content)
    for content in (data, _with_hashes(data)):
        _read_database(content)


def _restore(content: bytes) -> None:
    with _file(content) as file, patch.object(backup, "ovsdb_tool", _tool):
        try:
            found = backup.read(file)
        except IcDbError as error:
            require_named(error.problems)
            return
    total = sum(map(len, found.contents.values()))
    require(total <= BACKUP_SIZE.most and len(found.contents) <= BACKUP_FILES.most, "too large")
    require(isinstance(found.taken, str), f"taken: {found.taken!r}")
    for name, snapshot in found.snapshots.items():
        for value in (snapshot.database, snapshot.file, snapshot.schema, snapshot.cid):
            require(isinstance(value, str), f"{name}: {value!r} instead of text")
        require(isinstance(snapshot.size, int), f"{name}: {snapshot.size!r} bytes")


def _read_database(content: bytes) -> None:
    with _file(content) as file:
        try:
            records = read_records(file)
        except DamagedError as error:
            require(str(error).isprintable(), f"not printable: {error}")
            return
    if records.model is DatabaseModel.STANDALONE:
        return
    member = MemberRecords(records)
    texts = (member.name, member.address, member.sid, member.cid, *member.contacts)
    require(bool(member.state), "no state")
    for text in texts:
        printable(text).encode()


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    memory = os.memfd_create("input")
    try:
        os.write(memory, content)
        yield Path(f"/proc/self/fd/{memory}")
    finally:
        os.close(memory)


def _tool(command: str, file: str, *_: str) -> str:
    """The answers of `ovsdb-tool` about a file: the name and the version in its schema."""
    try:
        schema = _first(read_records(Path(file)))
    except DamagedError as error:
        raise ToolError(str(error)) from error
    return str(schema.get("name" if command == "db-name" else "version"))


def _first(records: Records) -> Mapping[str, Any]:
    return records.contents[0]


def _with_checksums(data: bytes) -> bytes:
    """An archive whose blocks that look like headers have valid checksums."""
    blocks = [data[i : i + _BLOCK].ljust(_BLOCK, b"\0") for i in range(0, len(data), _BLOCK)]
    return b"".join(map(_with_checksum, blocks)) + bytes(2 * _BLOCK)


def _with_checksum(block: bytes) -> bytes:
    if block[257:262] != b"ustar":
        return block
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def _archive(data: bytes) -> bytes:
    """A backup with a manifest and snapshots, whose sizes and checksums are valid."""
    manifest, *snapshots = data.split(b"\0")
    members = []
    try:
        value = json.loads(manifest)
        for entry, snapshot in zip(value["databases"], snapshots, strict=False):
            content = _with_hashes(snapshot)
            entry |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            members.append((str(entry["file"]).encode(errors="replace")[:90].decode(), content))
        manifest = json.dumps(value).encode()
    except (ValueError, TypeError, KeyError, RecursionError, UnicodeError):
        pass
    try:
        return packed([("manifest.json", manifest), *members])
    except ValueError:
        return b""


def _with_hashes(data: bytes) -> bytes:
    """A database file whose lines are its records."""
    kind, *records = data.split(b"\n")
    word = b"CLUSTER" if kind.startswith(b"C") else b"JSON"
    head = b"OVSDB %s %d %s\n"
    return b"".join(
        head % (word, len(one), hashlib.sha1(one, usedforsecurity=False).hexdigest().encode()) + one
        for one in records
    )
