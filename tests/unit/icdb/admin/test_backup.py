"""Which archives are accepted as backups, and how others are reported."""

import gzip
import hashlib
import io
import json
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from isthmus.icdb.admin.backup import read
from isthmus.icdb.errors import IcDbError
from isthmus.model.rows import Database

NB, SB = Database.IC_NB.value, Database.IC_SB.value


def entry(database: str, content: bytes) -> dict[str, Any]:
    """A database's entry in a manifest."""
    return {
        "database": database,
        "file": f"{database}.db",
        "schema": "1.0.0",
        "cid": "",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def refusal(directory: Path, contents: dict[str, bytes], **manifest: Any) -> str:
    """The error for an archive; `manifest` replaces keys of its manifest, None removes one."""
    whole = {
        "format": 1,
        "taken": "2026-11-27T10:00:00.000Z",
        "databases": [entry(database, content) for database, content in contents.items()],
    } | manifest
    text = json.dumps({key: value for key, value in whole.items() if value is not None})
    members = {f"{name}.db": content for name, content in contents.items()}
    file = directory / "odd.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for name, content in ({"manifest.json": text.encode()} | members).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with pytest.raises(IcDbError) as raised:
        read(file)
    return str(raised.value)


def test_what_a_manifest_lacks_is_named(tmp_path: Path) -> None:
    """No time, no databases, other databases, or values of the wrong type."""
    both = {NB: b"nb", SB: b"sb"}
    assert "is not a readable backup: it has no taken; give a file" in refusal(
        tmp_path, both, taken=None
    )
    assert "it has no databases" in refusal(tmp_path, both, databases=None)
    assert "its databases are none" in refusal(tmp_path, both, databases=[])
    other = refusal(tmp_path, {"Open_vSwitch": b""})
    assert (
        "its databases are Open_vSwitch; give a file that `isthmus ic-db backup` created" in other
    )
    for odd in (["x"], [{"database": NB}], {"database": NB}, [entry(NB, b"nb") | {"file": []}], 1):
        assert "is not a readable backup" in refusal(tmp_path, both, databases=odd)
    for key in ("schema", "cid", "sha256", "size"):
        odd = [entry(NB, b"nb") | {key: [5]}]
        assert "it does not have the right structure" in refusal(tmp_path, both, databases=odd)
    assert "it does not have the right structure" in refusal(tmp_path, both, taken=5)


def test_another_format_is_named(tmp_path: Path) -> None:
    """A later version may give the same keys another meaning."""
    said = refusal(tmp_path, {NB: b"nb", SB: b"sb"}, format=99)
    assert "has format 99, and this version of Isthmus reads 1; restore it with the" in said
    assert "it has no format" in refusal(tmp_path, {NB: b"nb"}, format=None)


def hostile(file: Path, *members: tuple[tarfile.TarInfo, bytes], tail: int = 0) -> str:
    """The error for an archive of these members and `tail` more bytes of zeros."""
    with gzip.open(file, "wb", compresslevel=1) as packed:
        for info, content in members:
            packed.write(info.tobuf(tarfile.USTAR_FORMAT) + content)
            packed.write(bytes(-len(content) % tarfile.BLOCKSIZE))
        for _ in range(tail >> 20):
            packed.write(bytes(1 << 20))
    with pytest.raises(IcDbError) as raised:
        read(file)
    return str(raised.value)


def member(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """The header of a file in an archive."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """A small file that claims, or has, far more contents is refused by its header."""
    bomb = tmp_path / "bomb.tar.gz"
    tracemalloc.start()
    said = hostile(bomb, (member("manifest.json", 3 << 30), b""), tail=64 << 20)
    assert "is not a readable backup: 3221225472 bytes; at most" in said
    # The same as an extended header, which tarfile reads whole.
    said = hostile(bomb, (member("pax", 3 << 30, tarfile.XHDTYPE), b""), tail=64 << 20)
    assert "is not a readable backup: 3221225472 bytes; at most" in said
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["../manifest.json", "/etc/passwd", "a/b", "..", "\x1b[2J"])
def test_a_backup_holds_plain_files_only(tmp_path: Path, name: str) -> None:
    """Names of other directories, links, devices and repeated names are refused."""
    file = tmp_path / "odd.tar.gz"
    said = hostile(file, (member(name, 0, tarfile.SYMTYPE), b""))
    assert "is not a plain, single file" in said
    assert said.isprintable()
    if "/" in name:
        assert "is not a plain, single file" in hostile(file, (member(name, 1), b"x"))
    twice = (member("manifest.json", 1), b"1")
    assert "is not a plain, single file" in hostile(file, twice, twice)
    many = [(member(f"file{number}", 0), b"") for number in range(17)]
    assert "17 files; at most 16 are allowed" in hostile(file, *many)


def test_a_deep_or_long_manifest_is_refused(tmp_path: Path) -> None:
    """A manifest that ends a parser is a backup that cannot be read."""
    file = tmp_path / "deep.tar.gz"
    deep = b"[" * 60_000
    assert "nested too deeply" in hostile(
        file, (member("manifest.json", len(deep)), deep), tail=1 << 20
    )
    long = b" " * 70_000
    assert "70000 bytes; at most" in hostile(
        file, (member("manifest.json", len(long)), long), tail=1 << 20
    )
    oddities: tuple[Any, ...] = ([], {"a": 1}, "\x1b]0;title\x07", int("9" * 4000))
    for odd in oddities:
        assert refusal(tmp_path, {NB: b""}, format=odd).isprintable()


def test_a_truncated_archive_is_damaged(tmp_path: Path) -> None:
    """An archive that ends within a file or a header is reported as damaged."""
    file = tmp_path / "cut.tar.gz"
    assert "the archive is damaged" in hostile(file, (member("manifest.json", 5000), b"{"))
    file.write_bytes(b"")
    with pytest.raises(IcDbError, match="the archive is damaged"):
        read(file)
