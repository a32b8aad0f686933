"""Whose turn it is to go over to TLS, and what is in the way."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from isthmus.icdb.raft.bootstrap import SILENCE, Answer, Has
from isthmus.icdb.raft.membership import Membership
from isthmus.icdb.raft.status_parser import RaftServer
from isthmus.icdb.raft.tls_migration_order import in_the_way
from isthmus.model.rows import Database

NB = Database.IC_NB
ALL = ("a", "b", "c")
IN = Answer(Has.CLUSTER, "c1", "s1")
Config = dict[str, str]


def membership(own: str) -> Membership:
    """Three members; the first is the founder."""
    return Membership(own, ALL, "a")


def servers(config: Config) -> list[RaftServer]:
    """A cluster's servers, by host and method."""
    return [
        RaftServer("9630", f"{method}:{host}:6647", itself=False, match_index=None, last_heard=None)
        for host, method in config.items()
    ]


def why(own: str, config: Config, **answers: Answer) -> list[str] | None:
    """What is in the way of a member; the others answer well unless it is said."""
    others = {host: IN for host in ALL if host != own} | answers
    found = in_the_way(NB, membership(own), servers(config), others)
    return None if found is None else [str(problem) for problem in found]


def test_turns_are_those_of_the_list_the_founder_s_last() -> None:
    """One at a time, and nobody twice."""
    config = dict.fromkeys(ALL, "tcp")
    assert (why("a", config), why("b", config), why("c", config)) == (None, [], None)
    config["b"] = "ssl"
    assert (why("a", config), why("c", config)) == (None, [])
    config["c"] = "ssl"
    assert why("a", config) == []


def test_who_is_missing_or_without_certificates_is_waited_for() -> None:
    """Named, with the remedy; also one that has lost contact."""
    config = dict.fromkeys(ALL, "tcp")
    [silent] = why("b", config, c=SILENCE) or []
    assert "member = 'c': does not answer; until then, members go on in clear text" in silent
    assert "start it again with --tls-dir and --from-clear-text" in silent
    [alone] = why("b", config, a=replace(IN, connected=False)) or []
    assert "member = 'a': is not in contact with a majority" in alone
    [outside] = why("b", {"a": "tcp", "b": "tcp"}) or []
    assert "in the cluster are a, b, in the list of members a, b, c" in outside
    [stranger] = why("b", {**config, "d": "tcp"}) or []
    assert "in the cluster are a, b, c, d" in stranger


@given(st.lists(st.tuples(st.sampled_from(ALL), st.integers(0, 9)), max_size=60))
def test_at_most_one_is_outside_at_any_moment(events: list[tuple[str, int]]) -> None:
    """Even if members act on what they knew and were told some time ago, all at the same moment."""
    past: list[Config] = [dict.fromkeys(ALL, "tcp")]
    outside = ""
    for own, age in events:
        now = past[-1]
        if own == outside:
            past.append({**now, own: "ssl"})
            outside = ""
            continue
        if now[own] == "ssl":
            continue
        known = past[max(0, len(past) - 1 - age)]
        if why(own, known) == []:
            assert outside == ""
            outside = own
            past.append({host: method for host, method in now.items() if host != own})
    assert len(past[-1]) >= len(ALL) - 1
