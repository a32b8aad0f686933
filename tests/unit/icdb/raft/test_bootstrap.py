"""The decision of the bootstrap member, and the problems reported meanwhile."""

import pytest

from isthmus.icdb.raft.bootstrap import (
    NO_ANSWER,
    Blocked,
    CreateCluster,
    JoinCluster,
    PeerAnswer,
    PeerState,
    decide_bootstrap,
    foreign_members,
    joining_problems,
    out_of_contact,
    unlisted_members,
)
from isthmus.model.rows import Database

NB = Database.IC_NB
NOTHING = PeerAnswer(PeerState.NOTHING)
IN_C1 = PeerAnswer(PeerState.CLUSTER, "c1", "s1")


def test_the_cluster_is_created_when_no_other_member_has_data() -> None:
    """No member can be in a cluster, so there is none."""
    assert decide_bootstrap(NB, {"b": NOTHING, "c": NOTHING}) == CreateCluster()
    assert decide_bootstrap(NB, {}) == CreateCluster()


def test_an_existing_cluster_is_joined() -> None:
    """One member of a cluster is enough, whatever the others answer."""
    assert decide_bootstrap(NB, {"b": NO_ANSWER, "c": IN_C1}) == JoinCluster("c1", ("c",))


@pytest.mark.parametrize(
    "has", [PeerState.SILENT, PeerState.WAITS, PeerState.STANDALONE, PeerState.OTHER]
)
def test_it_waits_for_those_that_may_know_of_a_cluster(has: PeerState) -> None:
    """Each member that may be in a cluster is named, with a remedy."""
    decision = decide_bootstrap(NB, {"b": NOTHING, "c": PeerAnswer(has, detail="why")})
    assert isinstance(decision, Blocked)
    [problem] = decision.problems
    assert problem.value == "c"
    assert problem.message == f"{has.value}: why"
    assert problem.remedy


def test_an_operator_can_vouch_for_a_member_that_is_gone() -> None:
    """Only for a member that does not answer; an answer takes precedence."""
    assert decide_bootstrap(NB, {"b": NOTHING, "c": NO_ANSWER}, vouched={"c"}) == CreateCluster()
    assert isinstance(decide_bootstrap(NB, {"b": NOTHING, "c": IN_C1}, vouched={"c"}), JoinCluster)
    assert isinstance(
        decide_bootstrap(NB, {"b": NO_ANSWER, "c": NO_ANSWER}, vouched={"c"}), Blocked
    )


def test_two_clusters_are_named() -> None:
    """Neither is joined; an operator decides which to keep."""
    decision = decide_bootstrap(NB, {"b": IN_C1, "c": PeerAnswer(PeerState.CLUSTER, "c2")})
    assert isinstance(decision, Blocked)
    assert [problem.value for problem in decision.problems] == ["b", "c"]


def test_stand_alone_data_does_not_vanish_in_a_cluster() -> None:
    """A bootstrap member converts its own data, but does not join a cluster with it."""
    assert decide_bootstrap(NB, {"b": NOTHING}, has_data=True) == CreateCluster()
    decision = decide_bootstrap(NB, {"b": IN_C1}, has_data=True)
    assert isinstance(decision, Blocked)
    [problem] = decision.problems
    assert "a cluster exists: c1, with members b" in problem.message


def test_a_joining_member_names_what_it_waits_for() -> None:
    """The bootstrap member, the members that it waits for, or the cluster's majority."""
    [silent] = joining_problems(NB, {"a": NO_ANSWER, "c": NOTHING}, "a")
    assert (silent.value, silent.message) == ("a", "does not answer")
    assert "--found-without" not in silent.remedy  # It does not help without the bootstrap member.
    assert "--founder" in silent.remedy
    [blocker] = joining_problems(NB, {"a": PeerAnswer(PeerState.WAITS), "c": NO_ANSWER}, "a")
    assert blocker.value == "c"
    assert joining_problems(NB, {"a": PeerAnswer(PeerState.WAITS), "c": NOTHING}, "a") == []
    [differs] = joining_problems(NB, {"a": NOTHING, "c": NOTHING}, "a")
    assert "was started with another --founder" in differs.message
    [admission] = joining_problems(NB, {"a": IN_C1, "c": NO_ANSWER}, "a")
    assert admission.message == "the cluster has not admitted this member yet; no answer from c"


def test_why_a_member_is_alone() -> None:
    """No majority; a majority without this member; rejected certificates."""
    file = "/var/lib/ovn/ovn_ic_nb_db.db"
    alone = out_of_contact(
        NB, "c1", file, {"a": NO_ANSWER, "b": PeerAnswer(PeerState.CLUSTER, "c2")}
    )
    assert alone.message.endswith("so writes fail; no answer from a")
    cut_off = PeerAnswer(PeerState.CLUSTER, "c1", connected=False)
    assert out_of_contact(NB, "c1", file, {"a": cut_off}).key == ""
    out = out_of_contact(NB, "c1", file, {"a": IN_C1, "b": NO_ANSWER})
    assert out.message == "a and a majority are in contact, but not with this member"
    assert (out.value, "move the file away" in out.remedy) == (file, True)
    untrusted = PeerAnswer(PeerState.SILENT, detail="why", untrusted=True)
    assert "CA" in out_of_contact(NB, "c1", file, {"a": untrusted}).remedy


def test_rejected_certificates_have_their_own_remedy() -> None:
    """For the bootstrap member and for one that joins."""
    untrusted = PeerAnswer(PeerState.SILENT, detail="why", untrusted=True)
    decision = decide_bootstrap(NB, {"b": untrusted})
    assert isinstance(decision, Blocked)
    [joins] = joining_problems(NB, {"a": untrusted}, "a")
    for problem in (*decision.problems, joins):
        assert problem.message == "does not answer: why"
        assert "isthmus pki show" in problem.remedy


def test_foreign_members_are_named() -> None:
    """Members of another cluster and other servers, but not those without an answer."""
    answers = {
        "a": IN_C1,
        "b": PeerAnswer(PeerState.CLUSTER, "c2"),
        "c": PeerAnswer(PeerState.OTHER),
        "d": NO_ANSWER,
    }
    assert [problem.value for problem in foreign_members(NB, "c1", answers)] == ["b", "c"]


def test_lists_that_differ_are_named() -> None:
    """A member of the cluster that is not listed; one that has not joined yet is not a fault."""
    [problem] = unlisted_members(NB, ["a", "b"], ["a", "c"])
    assert (problem.key, problem.value) == ("--members", "c")
