"""What is logged about blockers, and when."""

import logging

import pytest

from isthmus.icdb.local.blocker_log import GRACE, JOINING_GRACE, BlockerLog
from isthmus.model.problems import Problem


def test_a_problem_is_logged_once_and_only_if_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    """A problem that passes by itself is not logged; the end of a logged one is."""
    caplog.set_level(logging.INFO)
    blockers, problem = BlockerLog("it"), Problem("o", "k", "v", "is bad", "fix it")
    blockers.update([problem], 0.0)
    blockers.update([], 1.0)
    blockers.update([problem], 2.0)
    blockers.update([problem], 2.0 + GRACE / 2)
    assert not caplog.records
    blockers.update([problem], 2.0 + GRACE)
    blockers.update([problem], 3.0 + GRACE)
    blockers.update([], 4.0 + GRACE)
    assert [record.getMessage() for record in caplog.records] == [
        str(problem),
        "it: all problems resolved",
    ]


def test_the_end_is_logged_after_a_problem_that_was_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A logged problem is followed by one that passes unlogged; the end is logged then."""
    caplog.set_level(logging.INFO)
    blockers = BlockerLog("it")
    logged, passing = (
        Problem("o", "k", "v", message, "fix it") for message in ("is bad", "is odd")
    )
    blockers.update([logged], 0.0)
    blockers.update([logged], GRACE)
    blockers.update([passing], GRACE + 1)
    assert [record.getMessage() for record in caplog.records] == [str(logged)]
    blockers.update([], GRACE + 2)
    blockers.update([], GRACE + 3)
    assert [record.getMessage() for record in caplog.records][1:] == ["it: all problems resolved"]


def test_a_joining_member_has_more_time(caplog: pytest.LogCaptureFixture) -> None:
    """Its server asks for admission only every few seconds."""
    blockers, problem = BlockerLog("it"), Problem("o", "k", "v", "is bad", "fix it")
    blockers.update([problem], 0.0, joining=True)
    blockers.update([problem], GRACE, joining=True)
    assert not caplog.records
    blockers.update([problem], JOINING_GRACE, joining=True)
    assert len(caplog.records) == 1
