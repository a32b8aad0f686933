"""Which servers are replaced, and what rows of `_Server` mean."""

import pytest

from isthmus.icdb.raft.bootstrap import NO_ANSWER, PeerAnswer, PeerState
from isthmus.icdb.raft.member_loop import replaced_servers
from isthmus.icdb.raft.peer_probe import read_rows
from isthmus.icdb.raft.status_parser import RaftServer
from isthmus.model.rows import Database

NB = Database.IC_NB
NONE: list[object] = ["set", []]
CID, SID = "1c7378e2-a41f-4e6d-b5b3-11849fdc102a", "963008f8-cc2c-4955-9f37-391b14030f45"
NO_ID = "00000000-0000-0000-0000-000000000000"


def server(sid: str, host: str) -> RaftServer:
    """A server of `cluster/status`."""
    return RaftServer(sid, f"tcp:{host}:6647", itself=False, last_heard=None)


def test_the_one_that_answers_is_alive() -> None:
    """Other servers at its address are replaced; one that is alone or silent is kept."""
    servers = [server("9630", "b"), server("10c0", "b"), server("aaaa", "a"), server("cccc", "c")]
    alive = PeerAnswer(PeerState.CLUSTER, CID, SID)
    assert replaced_servers(servers, {"b": alive}) == ["10c0"]
    assert replaced_servers(servers, {"b": NO_ANSWER}) == []
    assert replaced_servers(servers, {"c": alive}) == []


def row(name: str, **columns: object) -> dict[str, object]:
    """A row of `_Server`'s `Database`, by default that of a member that joins."""
    ids: dict[str, object] = {"cid": NONE, "sid": ["uuid", SID]}
    joins = {"model": "clustered", **ids, "schema": NONE, "connected": True}
    return {"name": name, **joins, **columns}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(NB, cid=["uuid", CID], schema="{}")], PeerAnswer(PeerState.CLUSTER, CID, SID)),
        ([row(NB)], PeerAnswer(PeerState.NOTHING, sid=SID)),
        ([row(NB, cid=["uuid", NO_ID])], PeerAnswer(PeerState.NOTHING, sid=SID)),
        ([row(NB, model="standalone", schema="{}")], PeerAnswer(PeerState.STANDALONE)),
        ([row("_Server"), row("Isthmus_Founder")], PeerAnswer(PeerState.WAITS)),
        ([row(NB, model="standalone"), row("Isthmus_Founder")], PeerAnswer(PeerState.WAITS)),
        ([row("_Server"), row("X")], PeerAnswer(PeerState.OTHER, detail="it has X")),
        ([], PeerAnswer(PeerState.OTHER, detail="it has none")),
    ],
)  # fmt: skip
def test_rows_give_the_state_of_a_member(
    rows: list[dict[str, object]], expected: PeerAnswer
) -> None:
    """Each state of a server is distinguished from the others."""
    assert read_rows(NB, rows) == expected
