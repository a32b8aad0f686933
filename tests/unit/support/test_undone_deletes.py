"""The search for deletions that a later transaction undoes reads logs of both formats."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.ovn.undone_deletes import UndoneDeletes

SCHEMA = {"name": "OVN_Northbound", "tables": {"Logical_Switch_Port": {}}}


class Log:
    """A database file to which the test appends transactions on switch ports."""

    def __init__(self, file: Path, kind: str) -> None:
        self._file, self._kind = file, kind
        self.append(SCHEMA)

    def append(self, record: dict[str, Any]) -> None:
        """Append a transaction as a server does."""
        raft = {"data": [record, None] if "tables" in record else [None, record]}
        line = json.dumps(record if self._kind == "JSON" else raft)
        with self._file.open("a") as file:
            file.write(f"OVSDB {self._kind} {len(line)} 0\n{line}\n")

    def ports(self, **rows: str | None) -> None:
        """Change ports: a name by row, or None to delete the row."""
        columns = {row: None if name is None else {"name": name} for row, name in rows.items()}
        self.append({"Logical_Switch_Port": columns, "_comment": " ".join(rows)})


@pytest.fixture(params=["JSON", "CLUSTER"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Log, UndoneDeletes]:
    """A log with a port `a` in row `u1`, and the search from there on."""
    log = Log(tmp_path / "nb.db", request.param)
    log.ports(u1="a")
    return log, UndoneDeletes(tmp_path / "nb.db")


def test_a_row_that_comes_back_is_found(log: tuple[Log, UndoneDeletes]) -> None:
    """Both transactions are named, and the object."""
    log[0].ports(u1=None)
    log[0].ports(u2="a")
    (undone,) = log[1].found()
    assert undone.identity == ("switch port", "a")
    assert (undone.deleted, undone.inserted) == ("u1", "u2")


def test_a_change_of_name_and_back_is_found(log: tuple[Log, UndoneDeletes]) -> None:
    """It is the object that was missing, not the row."""
    log[0].ports(u1="b")
    log[0].ports(u1="a")
    assert [undone.identity for undone in log[1].found()] == [("switch port", "a")]


def test_what_is_replaced_or_only_deleted_is_not_found(log: tuple[Log, UndoneDeletes]) -> None:
    """One transaction leaves no gap, nor do two if the new row comes first."""
    log[0].ports(u1=None, u2="a")
    log[0].ports(u3="a")
    log[0].ports(u2=None)
    log[0].ports(u3=None)
    assert log[1].found() == []
