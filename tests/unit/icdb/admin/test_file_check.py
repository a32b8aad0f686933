"""Files that cannot be looked at, and files whose last record is incomplete."""

import os
from pathlib import Path

import pytest

from isthmus.icdb.admin.file_check import check, whole
from isthmus.icdb.admin.server_control import Place

RECORDS = b'OVSDB CLUSTER 11 0123\n{"term":1}\nOVSDB CLUSTER 11 4567\n{"term":2}\n'


def place_in(directory: Path) -> Place:
    """The place of IC-NB whose data are in a directory."""
    return Place("nb", 1, directory, directory, directory)


def said_of(place: Place) -> str:
    """The one thing that is wrong with a file."""
    [problem] = check(place).problems
    assert problem.value == str(place.file)
    return f"{problem.message}; {problem.remedy}"


def test_the_end_of_a_torn_file_is_left_out() -> None:
    """Whatever the last record lacks, the ones before stay; of a whole file all stays."""
    assert whole(RECORDS) == RECORDS
    first = RECORDS[: len(RECORDS) // 2]
    for end in range(len(first), len(RECORDS)):
        assert whole(RECORDS[:end]) == first
    assert whole(b"") == b""


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither if it is the file that may not, nor if it is its directory."""
    place = place_in(tmp_path)
    assert said_of(place).startswith("does not exist, or is empty; ")
    place.file.write_bytes(RECORDS)
    wanted = "cannot be read by this user; run this as the file's owner; "
    # Root may read all, so the kernel's answers are given here.
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_, **__: False)
        assert said_of(place).startswith(wanted)

    def refused(*_: object, **__: object) -> os.stat_result:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refused)
        assert said_of(place).startswith(wanted)
