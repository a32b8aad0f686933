"""The founder's decision, and what people are told meanwhile."""

import pytest

from isthmus.icdb.raft.bootstrap import (
    SILENCE,
    Answer,
    Found,
    Has,
    Join,
    Wait,
    decide,
    joining,
    list_differs,
    out_of_contact,
    strangers,
)
from isthmus.model.rows import Database

NB = Database.IC_NB
NOTHING = Answer(Has.NOTHING)
IN_C1 = Answer(Has.CLUSTER, "c1", "s1")


def test_it_founds_when_all_others_have_nothing() -> None:
    """Nobody can be in a cluster, so there is none."""
    assert decide(NB, {"b": NOTHING, "c": NOTHING}) == Found()
    assert decide(NB, {}) == Found()


def test_it_joins_whoever_is_in_a_cluster() -> None:
    """One member that knows of a cluster is enough, whatever the others say."""
    assert decide(NB, {"b": SILENCE, "c": IN_C1}) == Join("c1", ("c",))


@pytest.mark.parametrize("has", [Has.SILENT, Has.WAITS, Has.STANDALONE, Has.OTHER])
def test_it_waits_for_those_that_may_know_of_a_cluster(has: Has) -> None:
    """Each of them is named, with a remedy."""
    decision = decide(NB, {"b": NOTHING, "c": Answer(has, detail="why")})
    assert isinstance(decision, Wait)
    [problem] = decision.reasons
    assert problem.value == "c"
    assert problem.message == f"{has.value}: why"
    assert problem.remedy


def test_people_may_vouch_for_a_member_that_is_gone() -> None:
    """Only for one that does not answer: what it says itself counts for more."""
    assert decide(NB, {"b": NOTHING, "c": SILENCE}, vouched={"c"}) == Found()
    assert isinstance(decide(NB, {"b": NOTHING, "c": IN_C1}, vouched={"c"}), Join)
    assert isinstance(decide(NB, {"b": SILENCE, "c": SILENCE}, vouched={"c"}), Wait)


def test_two_clusters_are_named() -> None:
    """It joins neither; people decide which to keep."""
    decision = decide(NB, {"b": IN_C1, "c": Answer(Has.CLUSTER, "c2")})
    assert isinstance(decision, Wait)
    assert [problem.value for problem in decision.reasons] == ["b", "c"]


def test_stand_alone_data_does_not_vanish_in_a_cluster() -> None:
    """A founder with data of its own converts it, but does not join with it."""
    assert decide(NB, {"b": NOTHING}, has_data=True) == Found()
    decision = decide(NB, {"b": IN_C1}, has_data=True)
    assert isinstance(decision, Wait)
    [problem] = decision.reasons
    assert "a cluster exists: c1, of b" in problem.message


def test_one_that_joins_says_what_it_waits_for() -> None:
    """The founder's silence, those that the founder waits for, or the cluster's majority."""
    [silent] = joining(NB, {"a": SILENCE, "c": NOTHING}, "a")
    assert (silent.value, silent.message) == ("a", "does not answer")
    assert "--found-without" not in silent.remedy  # Nobody can found without the founder.
    assert "--founder" in silent.remedy
    [blocker] = joining(NB, {"a": Answer(Has.WAITS), "c": SILENCE}, "a")
    assert blocker.value == "c"
    assert joining(NB, {"a": Answer(Has.WAITS), "c": NOTHING}, "a") == []
    [differs] = joining(NB, {"a": NOTHING, "c": NOTHING}, "a")
    assert "has been given another founder" in differs.message
    [admission] = joining(NB, {"a": IN_C1, "c": SILENCE}, "a")
    assert admission.message == "the cluster has not admitted this member yet; silent: c"


def test_why_a_member_is_alone() -> None:
    """Nobody has a majority; or others have one without it; or they do not believe each other."""
    file = "/var/lib/ovn/ovn_ic_nb_db.db"
    alone = out_of_contact(NB, "c1", file, {"a": SILENCE, "b": Answer(Has.CLUSTER, "c2")})
    assert alone.message.endswith("nothing can be written; silent: a")
    cut_off = Answer(Has.CLUSTER, "c1", connected=False)
    assert out_of_contact(NB, "c1", file, {"a": cut_off}).key == ""
    out = out_of_contact(NB, "c1", file, {"a": IN_C1, "b": SILENCE})
    assert out.message == "a and a majority are in contact, but not with this member"
    assert (out.value, "move the file away" in out.remedy) == (file, True)
    untrusted = Answer(Has.SILENT, detail="why", untrusted=True)
    assert "CA" in out_of_contact(NB, "c1", file, {"a": untrusted}).remedy


def test_one_that_is_not_believed_needs_no_start() -> None:
    """Certificates are in the way, for a founder and for one that joins."""
    untrusted = Answer(Has.SILENT, detail="why", untrusted=True)
    decision = decide(NB, {"b": untrusted})
    assert isinstance(decision, Wait)
    [joins] = joining(NB, {"a": untrusted}, "a")
    for problem in (*decision.reasons, joins):
        assert problem.message == "does not answer: why"
        assert "isthmus pki show" in problem.remedy


def test_strangers_are_named() -> None:
    """Members of another cluster, and what is no member at all; not those that are silent."""
    answers = {"a": IN_C1, "b": Answer(Has.CLUSTER, "c2"), "c": Answer(Has.OTHER), "d": SILENCE}
    assert [problem.value for problem in strangers(NB, "c1", answers)] == ["b", "c"]


def test_lists_that_differ_are_named() -> None:
    """Who is in the cluster but not in the list; one that has not joined yet is no fault."""
    [problem] = list_differs(NB, ["a", "b"], ["a", "c"])
    assert (problem.key, problem.value) == ("--members", "c")
