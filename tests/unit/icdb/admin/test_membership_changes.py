"""When the removal of a member is done, and when one may not go."""

from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.icdb.admin.membership_changes import Removal, majority_lost, settled_member
from isthmus.icdb.admin.server_control import Place
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.raft.status_parser import RaftServer, RaftStatus, parse_raft_status

PLACE = Place("nb", 6645, Path("/data"), Path("/run"), Path("/schemas"))
SELF = RaftServer("aaaa", "tcp:127.0.0.1:1", itself=True, match_index=None, last_heard=None)
LOST = RaftServer("cccc", "tcp:127.0.0.1:2", itself=False, match_index=None, last_heard=None)


def raft(*servers: RaftServer, end: int = 5, uncommitted: int = 0) -> RaftStatus:
    """What a server says that follows in term 2."""
    said = parse_raft_status("aaaa\nTerm: 2\nLeader: bbbb\n")
    return replace(said, servers=servers, log=(2, end), uncommitted=uncommitted)


def test_a_removal_is_done_when_a_majority_has_it() -> None:
    """What the local log alone has may be taken back; the leader of a term is asked once."""
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


def test_that_nobody_is_there_is_agreed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal that a majority does not have yet may be taken back: the member is looked for."""
    pending, done = raft(SELF, end=6, uncommitted=1), raft(SELF, end=7, uncommitted=1)
    for states, found in (
        ([raft(SELF, LOST)], LOST),
        ([pending, raft(SELF, LOST, end=6)], LOST),
        ([pending, done], None),
    ):
        monkeypatch.setattr(Place, "raft", lambda _, said=states: said.pop(0))
        assert settled_member(PLACE, "cccc", 10.0) == found
    monkeypatch.setattr(Place, "raft", lambda _: pending)
    with pytest.raises(IcDbError, match="no majority has its newest list of members yet"):
        settled_member(PLACE, "cccc", 0.0)


@pytest.mark.parametrize(
    ("members", "silent", "leaver", "said"),
    [
        ("abc", "", "c", ""),
        ("abc", "c", "c", ""),
        ("abc", "c", "b", "majority of the members would be left: c does not answer"),
        ("abc", "c", "a", "first start what does not answer, or, if it is gone for good, do"),
        ("abc", "bc", "c", "no majority of the members answers: b, c do not"),
        ("ab", "", "b", ""),
        ("ab", "b", "b", "no majority of the members answers: b does not"),
        ("abcd", "d", "c", ""),
        ("abcde", "de", "e", ""),
        ("abcde", "de", "c", "do `isthmus ic-db kick d` and `isthmus ic-db kick e`"),
    ],
)
def test_a_majority_stays(members: str, silent: str, leaver: str, said: str) -> None:
    """A dead member may go, a living one only if those that stay can still agree."""
    servers = {name: replace(LOST, sid=name, address=f"tcp:{name}:6647") for name in members}
    gone = [servers[name] for name in silent]
    problem = majority_lost(PLACE, list(servers.values()), gone, servers[leaver])
    assert said in str(problem) if said else problem is None
