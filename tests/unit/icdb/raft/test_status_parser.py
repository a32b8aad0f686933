"""Parsing `cluster/status`."""

from isthmus.icdb.raft.status_parser import RaftServer, parse_raft_status

LEADER = """\
d54e
Name: OVN_IC_Southbound
Cluster ID: c174 (c17429a7-aed2-4bab-8733-7f1c762b0e1d)
Server ID: d54e (d54e4b6c-7b3b-44e3-aa7b-9e317667951a)
Address: ssl:[2001:db8::1]:6648
Status: cluster member
Role: leader
Term: 7
Leader: self
Vote: self

Last Election started 955 ms ago, reason: timeout
Election timer: 1000
Log: [2, 5]
Entries not yet committed: 1
Entries not yet applied: 2
Connections: <-a90e ->a90e
Disconnections: 0
Servers:
    d54e (d54e at ssl:[2001:db8::1]:6648) (self) next_index=2 match_index=4
    a90e (a90e at ssl:[2001:db8::2]:6648) next_index=5 match_index=3 last msg 301 ms ago
"""


def test_a_leader_is_read() -> None:
    """All fields are parsed, also with IPv6 addresses."""
    found = parse_raft_status(LEADER)
    assert found.cid == "c17429a7-aed2-4bab-8733-7f1c762b0e1d"
    assert found.sid == "d54e4b6c-7b3b-44e3-aa7b-9e317667951a"
    assert (found.role, found.term, found.leader) == ("leader", 7, "self")
    assert (found.log, found.uncommitted) == ((2, 5), 1)
    assert found.committed == 4
    assert found.servers == (
        RaftServer("d54e", "ssl:[2001:db8::1]:6648", itself=True, last_heard=None),
        RaftServer("a90e", "ssl:[2001:db8::2]:6648", itself=False, last_heard=301),
    )


def test_what_is_not_known_yet_is_empty() -> None:
    """A joining server has no cluster, leader or servers; unknown lines are ignored."""
    found = parse_raft_status("d54e\nStatus: joining cluster\nTerm: ?\nNew: thing\n")
    assert found.status == "joining cluster"
    assert (found.cid, found.term, found.leader, found.servers) == ("", 0, "unknown", ())
