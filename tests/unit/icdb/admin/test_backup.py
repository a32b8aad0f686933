"""Which archives are accepted as backups, and how others are reported."""

import hashlib
import io
import json
import tarfile
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


def test_another_format_is_named(tmp_path: Path) -> None:
    """A later version may give the same keys another meaning."""
    said = refusal(tmp_path, {NB: b"nb", SB: b"sb"}, format=99)
    assert "has format 99, and this version of Isthmus reads 1; restore it with the" in said
    assert "it has no format" in refusal(tmp_path, {NB: b"nb"}, format=None)
