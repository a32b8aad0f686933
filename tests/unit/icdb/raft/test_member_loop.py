"""Which servers are old selves, what rows of `_Server` mean, and telling people once."""

import pytest

from isthmus.icdb.raft.bootstrap import SILENCE, Answer, Has
from isthmus.icdb.raft.member_loop import old_selves
from isthmus.icdb.raft.peer_probe import read_rows
from isthmus.icdb.raft.status_parser import RaftServer
from isthmus.model.rows import Database

NB = Database.IC_NB
NONE: list[object] = ["set", []]
CID, SID = "1c7378e2-a41f-4e6d-b5b3-11849fdc102a", "963008f8-cc2c-4955-9f37-391b14030f45"
NO_ID = "00000000-0000-0000-0000-000000000000"


def server(sid: str, host: str) -> RaftServer:
    """A server as `cluster/status` tells of it."""
    return RaftServer(sid, f"tcp:{host}:6647", itself=False, match_index=None, last_heard=None)


def test_the_one_that_answers_is_alive() -> None:
    """Others at its address are old selves; one that is alone, or silent, is left alone."""
    servers = [server("9630", "b"), server("10c0", "b"), server("aaaa", "a"), server("cccc", "c")]
    alive = Answer(Has.CLUSTER, CID, SID)
    assert old_selves(servers, {"b": alive}) == ["10c0"]
    assert old_selves(servers, {"b": SILENCE}) == []
    assert old_selves(servers, {"c": alive}) == []


def row(name: str, **columns: object) -> dict[str, object]:
    """A row of `_Server`'s `Database`, as one that joins has it."""
    ids: dict[str, object] = {"cid": NONE, "sid": ["uuid", SID]}
    joins = {"model": "clustered", **ids, "schema": NONE, "connected": True}
    return {"name": name, **joins, **columns}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(NB, cid=["uuid", CID], schema="{}")], Answer(Has.CLUSTER, CID, SID)),
        ([row(NB)], Answer(Has.NOTHING, sid=SID)),
        ([row(NB, cid=["uuid", NO_ID])], Answer(Has.NOTHING, sid=SID)),
        ([row(NB, model="standalone", schema="{}")], Answer(Has.STANDALONE)),
        ([row("_Server"), row("Isthmus_Founder")], Answer(Has.WAITS)),
        ([row(NB, model="standalone"), row("Isthmus_Founder")], Answer(Has.WAITS)),
        ([row("_Server"), row("X")], Answer(Has.OTHER, detail="it has X")),
        ([], Answer(Has.OTHER, detail="it has none")),
    ],
)  # fmt: skip
def test_rows_say_what_a_member_has(rows: list[dict[str, object]], expected: Answer) -> None:
    """Every state that a server can be in is told from the others."""
    assert read_rows(NB, rows) == expected
