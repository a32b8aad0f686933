"""The records of database files: what is torn, and what is damaged."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.icdb.local.database_file import DamagedError, DatabaseModel, read_records
from isthmus.icdb.raft.cluster_files import FileState, MemberRecords

SID, OTHER = "8dd15b6d-5d80-4526-9a54-df560abe18bf", "d54e4b6c-7b3b-44e3-aa7b-9e317667951a"
HEADER = {"name": "OVN_IC_Northbound", "server_id": SID, "local_address": "tcp:192.0.2.1:6647"}
MEMBERS = {SID: "tcp:192.0.2.1:6647", OTHER: "tcp:192.0.2.2:6647"}


def content(*records: object, magic: str = "CLUSTER") -> bytes:
    """A database file (ovsdb(5))."""
    made = b""
    for record in records:
        data = json.dumps(record).encode() + b"\n"
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        made += f"OVSDB {magic} {len(data)} {digest}\n".encode() + data
    return made


RECORDS = ({**HEADER, "term": 1}, {"term": 2, "note": "ä"})
FIRST = len(content(RECORDS[0]))


@given(st.integers(FIRST, len(content(*RECORDS))))
def test_a_torn_last_record_is_left_out(tmp_path_factory: pytest.TempPathFactory, end: int) -> None:
    """Wherever the file ends, the complete records are read, and it is known to be torn."""
    file = tmp_path_factory.mktemp("torn") / "file.db"
    whole = content(*RECORDS)
    file.write_bytes(whole[:end])
    records = read_records(file)
    complete = end == len(whole)
    assert records.contents == (RECORDS if complete else RECORDS[:1])
    assert records.size == (end if complete else FIRST)
    assert records.torn == (not complete and end > FIRST)
    assert records.model is DatabaseModel.CLUSTERED


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"OVSDB CLU",
        content(*RECORDS).replace(b'"term": 1', b'"term": 7'),
        content(*RECORDS).replace(b'"term": 2', b'"term": 7'),
        content(*RECORDS) + b"garbage",
        content(*RECORDS) + b"\0" * 100,
        b"XX" + content(*RECORDS)[2:],
        content(*RECORDS[:1]) + b"OVSDB CLUSTER x\n" + content(*RECORDS[1:]),
    ],
)
def test_anything_else_is_damage(tmp_path: Path, damaged: bytes) -> None:
    """A wrong checksum, bytes that begin no record, no complete record at all."""
    file = tmp_path / "file.db"
    file.write_bytes(damaged)
    with pytest.raises(DamagedError, match="no valid record at byte"):
        read_records(file)


@pytest.mark.parametrize(
    "records",
    [
        [{"server_id": SID, "local_address": ""}],
        [{**HEADER, "server_id": 5}],
        [{**HEADER, "cluster_id": None}],
        [{**HEADER, "remote_addresses": "x"}],
        [{**HEADER, "remote_addresses": [[]]}],
        [HEADER, [1]],
        [HEADER, {"servers": [SID]}],
        [HEADER, {"prev_servers": None}],
    ],
)
def test_records_of_another_structure_are_damage(tmp_path: Path, records: list[object]) -> None:
    """Their checksums are right, but what is read from them is missing or of another type."""
    file = tmp_path / "file.db"
    file.write_bytes(content(*records))
    with pytest.raises(DamagedError, match=r"record \d does not have the right structure"):
        read_records(file)


def test_a_record_that_is_nested_too_deeply_is_damage(tmp_path: Path) -> None:
    """As any other text that is not JSON."""
    file, data = tmp_path / "file.db", b"[" * 100_000
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    file.write_bytes(f"OVSDB JSON {len(data)} {digest}\n".encode() + data)
    with pytest.raises(DamagedError, match="no valid record at byte 0"):
        read_records(file)


@pytest.mark.parametrize(
    ("records", "state"),
    [
        ([{**HEADER, "remote_addresses": ["tcp:192.0.2.2:6647"]}], FileState.JOINING),
        ([{**HEADER, "prev_servers": MEMBERS}], FileState.MEMBER),
        ([{**HEADER, "prev_servers": {OTHER: ""}}], FileState.NOT_ADMITTED),
        ([{**HEADER, "prev_servers": {OTHER: ""}}, {"servers": MEMBERS}], FileState.MEMBER),
        ([{**HEADER, "prev_servers": MEMBERS}, {"servers": {OTHER: ""}}], FileState.MEMBER),
        ([{**HEADER, "prev_servers": MEMBERS}, {"note": "left"}], FileState.LEFT),
    ],
)
def test_records_give_the_state_of_a_member(
    tmp_path: Path, records: list[object], state: FileState
) -> None:
    """A server in no list of members has not been admitted; the note "left" is final."""
    file = tmp_path / "file.db"
    file.write_bytes(content(*records))
    member = MemberRecords(read_records(file))
    assert (member.state, member.sid, member.name) == (state, SID, "OVN_IC_Northbound")
