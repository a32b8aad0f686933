"""What is told of what is in the way, and when."""

import logging

import pytest

from isthmus.icdb.local.blocker_log import GRACE, JOINING_GRACE, Reasons
from isthmus.model.problems import Problem


def test_a_reason_is_told_once_and_only_if_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    """What passes by itself is not told; the end of what was told is."""
    caplog.set_level(logging.INFO)
    reasons, problem = Reasons("it"), Problem("o", "k", "v", "is bad", "mend it")
    reasons.update([problem], 0.0)
    reasons.update([], 1.0)
    reasons.update([problem], 2.0)
    reasons.update([problem], 2.0 + GRACE / 2)
    assert not caplog.records
    reasons.update([problem], 2.0 + GRACE)
    reasons.update([problem], 3.0 + GRACE)
    reasons.update([], 4.0 + GRACE)
    assert [record.getMessage() for record in caplog.records] == [
        str(problem),
        "it: nothing is in the way any more",
    ]


def test_the_end_is_told_also_after_a_reason_that_was_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was told gives way to what passes before it is told; then all is well, and said so."""
    caplog.set_level(logging.INFO)
    reasons = Reasons("it")
    told, passing = (Problem("o", "k", "v", message, "mend it") for message in ("is bad", "is odd"))
    reasons.update([told], 0.0)
    reasons.update([told], GRACE)
    reasons.update([passing], GRACE + 1)
    assert [record.getMessage() for record in caplog.records] == [str(told)]
    reasons.update([], GRACE + 2)
    reasons.update([], GRACE + 3)
    assert [record.getMessage() for record in caplog.records][1:] == [
        "it: nothing is in the way any more"
    ]


def test_one_that_joins_is_told_later(caplog: pytest.LogCaptureFixture) -> None:
    """Its server asks for admission every few seconds only: until then all may be well."""
    reasons, problem = Reasons("it"), Problem("o", "k", "v", "is bad", "mend it")
    reasons.update([problem], 0.0, joining=True)
    reasons.update([problem], GRACE, joining=True)
    assert not caplog.records
    reasons.update([problem], JOINING_GRACE, joining=True)
    assert len(caplog.records) == 1
