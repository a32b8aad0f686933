"""Files that cannot be read, and the records of database files."""

import hashlib
import os
from pathlib import Path

import pytest

from isthmus.icdb.admin.file_check import check
from isthmus.icdb.local.database_server import Directories, LocalServer


def server_in(directory: Path) -> LocalServer:
    """The server of IC-NB whose data are in a directory."""
    return LocalServer("nb", 1, Directories(directory, directory, directory))


def problem_of(server: LocalServer) -> str:
    """The only problem with a server's file."""
    [problem] = check(server).problems
    assert problem.value == str(server.database_file)
    return f"{problem.message}; {problem.remedy}"


def test_an_unreadable_file_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither if the file itself cannot be read, nor if its directory cannot be entered."""
    server = server_in(tmp_path)
    assert problem_of(server).startswith("does not exist, or is empty; ")
    data = b'{"term":1}\n'
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    server.database_file.write_bytes(f"OVSDB CLUSTER {len(data)} {digest}\n".encode() + data)

    def refused(*_: object, **__: object) -> os.stat_result:
        raise PermissionError

    # Root may read everything, so the kernel's answers are simulated.
    for method in ("read_bytes", "stat"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, refused)
            assert problem_of(server).startswith("cannot be read by this user; run this command")
