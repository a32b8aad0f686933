"""What archives are taken for backups, and what is said of those that are not."""

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
    """What a manifest has of a database."""
    return {
        "database": database,
        "file": f"{database}.db",
        "schema": "1.0.0",
        "cid": "",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def refusal(directory: Path, contents: dict[str, bytes], **manifest: Any) -> str:
    """What is said of an archive; `manifest` is what is odd in its manifest, None what it lacks."""
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
    """Without a time, without databases, with others, or not made of what it should be."""
    both = {NB: b"nb", SB: b"sb"}
    assert "can be read: it has no taken; give a file" in refusal(tmp_path, both, taken=None)
    assert "it has no databases" in refusal(tmp_path, both, databases=None)
    assert "its databases are none" in refusal(tmp_path, both, databases=[])
    other = refusal(tmp_path, {"Open_vSwitch": b""})
    assert "its databases are Open_vSwitch; give a file that `ic-db backup` made" in other
    for odd in (["x"], [{"database": NB}], {"database": NB}, [entry(NB, b"nb") | {"file": []}], 1):
        assert "is not a backup that can be read" in refusal(tmp_path, both, databases=odd)


def test_another_format_is_named(tmp_path: Path) -> None:
    """One of a later Isthmus may mean other things by the same names."""
    said = refusal(tmp_path, {NB: b"nb", SB: b"sb"}, format=99)
    assert "has format 99; this Isthmus reads 1; restore it by the Isthmus that made it" in said
    assert "it has no format" in refusal(tmp_path, {NB: b"nb"}, format=None)
