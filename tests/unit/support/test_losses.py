"""What tests report about packets lost during an edit."""

import pytest

from support.lab.live_edits import FLOWS, SingleLossError, check
from support.lab.load import PingReport, StreamReport
from support.lab.traffic import Loss

FINE = StreamReport(1000, 0.01, 0, "")


def loss(pings: int, segments: int = 0) -> Loss:
    """No flow lost anything, except the first."""
    lost = {FLOWS[0]: PingReport(100, pings, (pings + 1) * 0.01 if pings else 0.0)}
    stream = {FLOWS[0]: StreamReport(1000, 0.1, segments, "")}
    return Loss(
        {flow: PingReport(100, 0, 0.0) for flow in FLOWS} | lost,
        dict.fromkeys(FLOWS, FINE) | stream,
    )


def test_nothing_is_lost() -> None:
    """No losses are accepted."""
    check(loss(0), FLOWS, 0.0)


@pytest.mark.parametrize(("pings", "segments"), [(1, 0), (0, 1)])
def test_one_packet_may_be_lost_by_chance(pings: int, segments: int) -> None:
    """A single loss has its own error, so that the edit can be repeated."""
    with pytest.raises(SingleLossError):
        check(loss(pings, segments), FLOWS, 0.0)


@pytest.mark.parametrize(("pings", "segments"), [(2, 0), (0, 2), (1, 1)])
def test_more_is_no_chance(pings: int, segments: int) -> None:
    """Two losses count as caused by the edit."""
    with pytest.raises(AssertionError) as caught:
        check(loss(pings, segments), FLOWS, 0.0)
    assert not isinstance(caught.value, SingleLossError)


def test_one_of_each_of_two_flows_is_no_chance() -> None:
    """The losses of all flows are added."""
    two = loss(1)
    both = Loss({**two.pings, FLOWS[1]: two.pings[FLOWS[0]]}, two.streams)
    with pytest.raises(AssertionError) as caught:
        check(both, FLOWS, 0.0)
    assert not isinstance(caught.value, SingleLossError)


def test_those_concerned_may_lose_for_so_long() -> None:
    """Where losses are allowed, their duration counts, not their number."""
    check(loss(4, 3), FLOWS, 0.1)
    with pytest.raises(AssertionError):
        check(loss(40), FLOWS, 0.1)
