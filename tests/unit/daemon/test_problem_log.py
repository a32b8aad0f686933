"""The log of problems: each once, whatever their details do."""

from dataclasses import replace

import pytest

from isthmus.daemon.loop import RESOLVED_AFTER, ProblemLog
from isthmus.model.problems import Subject

EXPIRES = Subject("TLS files in /tls", "certificate", "tls.crt").problem("in 9 days", "renew it")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What has been logged since the last call."""
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_a_problem_whose_details_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line when it appears, and one with the last details when it is resolved."""
    caplog.set_level("INFO")
    log = ProblemLog()
    log.update([EXPIRES], 0.0)
    assert lines(caplog) == [str(EXPIRES)]
    later = replace(EXPIRES, message="in 8 days")
    log.update([later], 1.0)
    log.update([], 2.0)
    assert lines(caplog) == []
    assert log.next_wakeup() == 2.0 + RESOLVED_AFTER
    log.update([], 2.0 + RESOLVED_AFTER)
    assert lines(caplog) == [f"resolved: {later}"]
    assert log.next_wakeup() is None


def test_a_problem_that_comes_and_goes_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is resolved only when it has been absent for a while."""
    caplog.set_level("INFO")
    log = ProblemLog()
    for second in range(40):
        log.update([EXPIRES] if second % 2 else [], float(second))
    assert lines(caplog) == [str(EXPIRES)]
    log.update([EXPIRES], 100.0)
    log.update([], 200.0)
    assert lines(caplog) == []
    log.update([], 200.0 + RESOLVED_AFTER)
    assert lines(caplog) == [f"resolved: {EXPIRES}"]


def test_another_remedy_is_another_problem(caplog: pytest.LogCaptureFixture) -> None:
    """A cause that is replaced by another one is logged."""
    log = ProblemLog()
    log.update([EXPIRES], 0.0)
    lines(caplog)
    other = replace(EXPIRES, message="cannot be read", remedy="make it readable")
    log.update([other], 1.0)
    assert lines(caplog) == [str(other)]
