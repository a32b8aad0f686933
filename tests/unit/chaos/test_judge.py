"""The judge of histories accepts correct results and finds violations."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.history import Key, Outcome, Value, Write, from_lines, to_line
from chaos.judge import (
    Claim,
    claims_in_log,
    different_members,
    refused_but_done,
    rival_leaders,
    wrong_rows,
)

DONE, REFUSED, UNKNOWN = Outcome.ACKNOWLEDGED, Outcome.REFUSED, Outcome.UNKNOWN
ROW = ("nb", Key("c0-1"))


def history(*writes: tuple[Value, Value, Outcome]) -> list[Write]:
    """Writes of one row: the expected value, the written value, and the outcome."""
    return [
        Write(
            "nb", "c0", number, ROW[1], before, after, "tcp:192.0.2.1:6645", number, number, result
        )
        for number, (before, after, result) in enumerate(writes)
    ]


def judge(found: Value, *writes: tuple[Value, Value, Outcome]) -> list[str]:
    """The violations if one member has this value; None for no row."""
    return wrong_rows(history(*writes), {"m0": {} if found is None else {ROW: found}})


def test_an_acknowledged_row_is_there() -> None:
    """An acknowledged insertion that is missing, or has another value, is a loss."""
    assert judge(1, (None, 1, DONE)) == []
    [lost] = judge(None, (None, 1, DONE))
    assert lost.startswith("m0 has None for ('nb', 'c0-1'), not 1; the last acknowledged was write")
    assert judge(2, (None, 1, DONE))


def test_an_acknowledged_change_stays() -> None:
    """An old value is a violation, whether or not its write was acknowledged."""
    assert judge(2, (None, 1, DONE), (1, 2, DONE)) == []
    assert judge(1, (None, 1, DONE), (1, 2, DONE))
    assert judge(2, (None, 1, DONE), (1, 2, UNKNOWN), (1, 3, DONE))


def test_an_acknowledged_deletion_stays() -> None:
    """A row that exists after its acknowledged deletion is a violation."""
    assert judge(None, (None, 1, DONE), (1, None, DONE)) == []
    assert judge(1, (None, 1, DONE), (1, None, DONE))


@pytest.mark.parametrize("result", [UNKNOWN, REFUSED])
def test_what_was_not_acknowledged_may_have_happened(result: Outcome) -> None:
    """With an unknown outcome, both values are correct, and no other."""
    writes = ((None, 1, DONE), (1, 2, result))
    assert judge(1, *writes) == judge(2, *writes) == []
    assert judge(3, *writes)
    assert judge(None, *writes)


def test_a_change_upon_what_was_lost_is_seen() -> None:
    """An acknowledged update of a replaced value is a violation: the server had gone back."""
    [surprise] = judge(3, (None, 1, DONE), (1, 2, DONE), (1, 3, DONE))
    assert "acknowledged upon 1, but the row was one of 2" in surprise


def test_each_member_is_judged() -> None:
    """A row missing on one of two members is found; so is a row that no client wrote."""
    writes = history((None, 1, DONE))
    [fault] = wrong_rows(writes, {"m0": {ROW: 1}, "m1": {}})
    assert fault.startswith("m1 has None")
    [fault] = wrong_rows(writes, {"m0": {ROW: 1, ("sb", Key("x")): 7}})
    assert "which no client wrote" in fault


def test_members_are_compared() -> None:
    """The member that differs from the first is reported."""
    assert different_members({"m0": [1], "m1": [1]}) == []
    assert different_members({"m0": [1], "m1": [1], "m2": []}) == ["m2 does not have what m0 has"]


def test_refused_writes_that_were_executed_are_reported() -> None:
    """Only refused writes whose value exists are reported."""
    writes = [*history((None, 1, REFUSED)), *history((None, 2, REFUSED))]
    assert refused_but_done(writes, {ROW: 2}) == writes[1:]


LOG = """\
2026-11-24T04:26:23.296Z|00001|vlog|INFO|opened log file /tmp/a.log
2026-11-24T04:26:23.300Z|00003|raft|INFO|term 1: elected leader by 1+ of 1 servers
2026-11-24T04:26:23.300Z|00004|raft|INFO|local server ID is 0c83
2026-11-24T04:26:24.300Z|00005|raft|INFO|term 2: 2944533 ms timeout expired, starting election
2026-11-24T04:26:26.367Z|00001|vlog|INFO|opened log file /tmp/a.log
2026-11-24T04:26:26.377Z|00002|raft|INFO|local server ID is 77ab
2026-11-24T04:26:28.046Z|00007|raft|INFO|server 674e is leader for term 3
2026-11-24T04:26:29.046Z|00008|raft|INFO|term 4: elected leader by 2+ of 3 servers
"""


def test_claims_are_read_from_logs() -> None:
    """Also the leader that was elected before it logged its ID, and one with a new disk."""
    claims = claims_in_log("nb", "m0", LOG.splitlines())
    assert [(claim.term, claim.leader) for claim in claims] == [
        (1, "0c83"),
        (3, "674e"),
        (4, "77ab"),
    ]


def test_two_leaders_in_a_term_are_found() -> None:
    """Repeated claims of one leader are fine; another leader in the same term is a violation."""
    claims = [Claim("nb", 3, "0c83", "m0"), Claim("nb", 3, "0c83", "m1")]
    assert (
        rival_leaders([*claims, Claim("sb", 3, "674e", "m1"), Claim("nb", 4, "674e", "m1")]) == []
    )
    [rivals] = rival_leaders([*claims, Claim("nb", 3, "674e", "m2")])
    assert rivals == "nb, term 3: 0c83 leads according to m0, m1; 674e leads according to m2"


def test_a_history_survives_its_file() -> None:
    """The end of a write replaces its start, and a truncated line is ignored."""
    [begun] = history((None, 1, UNKNOWN))
    done = begun.end(7.0, DONE)
    lines = [to_line(begun) + "\n", to_line(done) + "\n", to_line(begun)[:20]]
    assert from_lines(lines) == [done]
    assert from_lines(lines[:1]) == [begun]


@st.composite
def true_histories(draw: st.DrawFn) -> tuple[list[Write], Value]:
    """What a database without losses does to one row, and its final value."""
    value: Value = None
    writes: list[tuple[Value, Value, Outcome]] = []
    for number in range(draw(st.integers(1, 8))):
        after = draw(st.sampled_from([number, None]))
        result = draw(st.sampled_from(Outcome))
        if result is DONE or draw(st.booleans()):
            writes.append((value, after, result))
            value = after
        else:
            writes.append((value, after, result))
    return history(*writes), value


@settings(deadline=None)
@given(true_histories())
def test_a_true_history_is_acquitted(case: tuple[list[Write], Value]) -> None:
    """Any unacknowledged write may or may not have been executed."""
    writes, value = case
    assert wrong_rows(writes, {"m0": {} if value is None else {ROW: value}}) == []


@settings(deadline=None)
@given(true_histories(), st.randoms(use_true_random=False))
def test_a_lost_acknowledged_write_is_found(
    case: tuple[list[Write], Value], chance: random.Random
) -> None:
    """A database that goes back to before its last acknowledged write is detected."""
    writes, _ = case
    settled = [number for number, write in enumerate(writes) if write.outcome is DONE]
    if not settled:
        return
    last = settled[-1]
    before = {write.value for write in writes[:last]} | {None}
    after = {write.value for write in writes[last:]}
    for value in before - after:
        assert wrong_rows(writes, {"m0": {} if value is None else {ROW: value}}), _text(writes)


def _text(writes: Sequence[Write]) -> str:
    return "\n".join(map(to_line, (replace(write) for write in writes)))
