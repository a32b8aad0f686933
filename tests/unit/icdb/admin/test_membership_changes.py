"""When the removal of a member is complete, and when it is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.icdb.admin import membership_changes as changes
from isthmus.icdb.admin.membership_changes import Removal, majority_lost, settled_member
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_server import Directories, LocalServer
from isthmus.icdb.raft.status_parser import RaftServer, RaftStatus, parse_raft_status

SERVER = LocalServer("nb", 6645, Directories(Path("/data"), Path("/run"), Path("/schemas")))
SELF = RaftServer("aaaa", "tcp:127.0.0.1:1", itself=True, last_heard=None)
LOST = RaftServer("cccc", "tcp:127.0.0.1:2", itself=False, last_heard=None)


def raft(*servers: RaftServer, end: int = 5, uncommitted: int = 0) -> RaftStatus:
    """The status of a follower in term 2."""
    said = parse_raft_status("aaaa\nTerm: 2\nLeader: bbbb\n")
    return replace(said, servers=servers, log=(2, end), uncommitted=uncommitted)


def test_a_removal_is_complete_when_a_majority_has_it() -> None:
    """An entry of the local log alone may be reverted; the leader of a term is asked once."""
    removal = Removal(LOST)
    assert not removal.is_committed(raft(SELF, LOST))
    assert removal.is_due(raft(SELF, LOST))
    assert not removal.is_due(replace(raft(SELF, LOST), leader="unknown"))
    removal.asked = 2
    assert not removal.is_due(raft(SELF, LOST))
    assert not removal.is_committed(raft(SELF, end=6, uncommitted=1))
    assert not removal.is_committed(raft(SELF, end=7, uncommitted=2))
    assert not removal.is_committed(raft(SELF, LOST, end=6))
    assert removal.is_due(replace(raft(SELF, LOST), term=3))
    assert not removal.is_committed(raft(SELF, end=7, uncommitted=1))
    assert removal.is_committed(raft(SELF, end=9, uncommitted=2))


def test_a_missing_member_is_confirmed_by_a_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal without a majority may be reverted, so it is waited for."""
    pending, done = raft(SELF, end=6, uncommitted=1), raft(SELF, end=7, uncommitted=1)
    for states, found in (
        ([raft(SELF, LOST)], LOST),
        ([pending, raft(SELF, LOST, end=6)], LOST),
        ([pending, done], None),
    ):
        monkeypatch.setattr(changes, "raft_status", lambda _, left=states: left.pop(0))
        assert settled_member(SERVER, "cccc", 10.0) == found
    monkeypatch.setattr(changes, "raft_status", lambda _: pending)
    with pytest.raises(IcDbError, match="no majority has its newest list of members yet"):
        settled_member(SERVER, "cccc", 0.0)


@pytest.mark.parametrize(
    ("members", "silent", "leaver", "said"),
    [
        ("abc", "", "c", ""),
        ("abc", "c", "c", ""),
        ("abc", "c", "b", "majority of the members would be left: c does not answer"),
        ("abc", "c", "a", "start what does not answer first, or, if it is gone for good, run"),
        ("abc", "bc", "c", "no majority of the members answers: b, c do not answer"),
        ("ab", "", "b", ""),
        ("ab", "b", "b", "no majority of the members answers: b does not answer"),
        ("abcd", "d", "c", ""),
        ("abcde", "de", "e", ""),
        ("abcde", "de", "c", "run `isthmus ic-db kick d` and `isthmus ic-db kick e`"),
    ],
)
def test_a_majority_stays(members: str, silent: str, leaver: str, said: str) -> None:
    """A dead member can be removed, a live one only if the rest has a majority."""
    servers = {name: replace(LOST, sid=name, address=f"tcp:{name}:6647") for name in members}
    gone = [servers[name] for name in silent]
    problem = majority_lost(SERVER, list(servers.values()), gone, servers[leaver])
    assert said in str(problem) if said else problem is None
