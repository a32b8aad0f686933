"""When the status is assessed and offered, and what the control command answers."""

import json
from collections.abc import Iterator, Sequence
from math import inf
from typing import cast

import pytest

from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.status.report import StatusReport
from isthmus.daemon.event_source import EventSource
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.daemon.status_source import INTERVAL, QUIET, StatusSource
from isthmus.daemon.unixctl_commands import status_command
from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.unixctl_client import CommandFailedError
from support.fakes.manifests import config_map, snapshot
from support.fakes.session import FakePoller, FakeSession, fake_sessions

NO_GATEWAY = Subject("ConfigMap").problem("has no gateway", "label one", Reason.NO_GATEWAY)
LASTING = Subject("Subnet a").problem("overlaps", "change it", Reason.OVERLAPPING_PREFIX)


class RecordingPublisher:
    """Records what it is offered, and has the problems that the test gives."""

    def __init__(self) -> None:
        self.offered: list[StatusReport] = []
        self.found: Sequence[Problem] = ()
        self.closed = False

    def offer(self, report: StatusReport) -> None:
        self.offered.append(report)

    def problems(self) -> Sequence[Problem]:
        return self.found

    def fileno(self) -> int:
        return 77

    def close(self) -> None:
        self.closed = True


class Reported:
    """A status source over four fake databases, and what it reports."""

    def __init__(self, publisher: RecordingPublisher | None) -> None:
        view = View()
        self.inputs = Inputs()
        self.inputs.update(snapshot(config_map()))
        self.engine = Engine(view, ())
        self.sessions = DatabaseSessions(view)
        for database in Database:
            self.sessions.use(database, f"unix:{database}", self.engine, 0.0)
        self.sessions.run(0.0)
        self.others: list[Problem] = []
        self.source = StatusSource(
            view, self.inputs, self.engine, self.sessions, (cast("EventSource", self),), publisher
        )

    def problems(self) -> Sequence[Problem]:
        """The problems of another event source."""
        return self.others

    def wakes(self, now: float) -> float:
        """How long the loop may sleep for its sake."""
        poller = FakePoller()
        self.source.wait(cast("Poller", poller), now)
        return min(poller.wakes, default=inf)

    def ask(self, *arguments: str) -> str:
        """Run the control command."""
        return status_command(self.source).run(arguments)


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingPublisher]:
    """A publisher, and fake databases to report on."""
    with fake_sessions(monkeypatch):
        yield RecordingPublisher()


@pytest.fixture
def reported(publisher: RecordingPublisher) -> Reported:
    """A status source that has not assessed anything yet."""
    return Reported(publisher)


def test_assessments_are_limited_and_none_is_lost(
    reported: Reported, publisher: RecordingPublisher
) -> None:
    """What happens within the interval is assessed at its end, for which the loop is woken."""
    reported.source.run(10.0)
    reported.others.append(LASTING)
    reported.source.run(10.0 + INTERVAL / 2)
    assert len(publisher.offered) == 1
    assert reported.wakes(10.0 + INTERVAL / 2) == pytest.approx(INTERVAL / 2)
    reported.source.run(10.0 + INTERVAL)
    assert LASTING in publisher.offered[-1].problems


def test_a_quiet_time_is_waited_for_once(reported: Reported) -> None:
    """The loop is woken when missing objects are no longer expected, and not again after that."""
    reported.source.run(10.0)
    assert reported.wakes(10.0) == pytest.approx(QUIET)
    reported.source.run(10.0 + QUIET)
    assert reported.wakes(10.0 + QUIET) == inf


def test_passing_problems_are_reported_when_they_last(
    reported: Reported, publisher: RecordingPublisher
) -> None:
    """A missing gateway is left out while labels may still be about to solve it."""
    reported.others += [NO_GATEWAY, LASTING]
    reported.source.run(10.0)
    assert set(publisher.offered[-1].problems) == {LASTING}
    reported.source.run(10.0 + QUIET)
    assert set(publisher.offered[-1].problems) == {NO_GATEWAY, LASTING}


def test_without_a_publisher_everything_is_reported_at_once(
    publisher: RecordingPublisher,
) -> None:
    """Nothing sets labels then, so nothing is about to solve the problem."""
    del publisher
    reported = Reported(None)
    reported.others.append(NO_GATEWAY)
    reported.source.run(10.0)
    assert reported.source.report is not None
    assert NO_GATEWAY in reported.source.report.problems
    assert reported.source.problems() == ()


def test_losing_the_lock_is_reported(reported: Reported, publisher: RecordingPublisher) -> None:
    """A report says whether this daemon is the active one."""
    reported.source.run(10.0)
    (sb,) = (session for session in FakeSession.opened if session.database is Database.SB)
    sb.lock_free = False
    reported.sessions.run(20.0)
    reported.source.run(20.0)
    assert [report.active for report in publisher.offered] == [True, False]


def test_problems_of_the_publisher(reported: Reported, publisher: RecordingPublisher) -> None:
    """What prevents publishing is a problem of the source and part of the report."""
    publisher.found = (LASTING,)
    reported.source.run(10.0)
    assert reported.source.problems() == (LASTING,)
    assert LASTING in publisher.offered[-1].problems
    reported.source.close()
    assert publisher.closed


def test_times_are_kept(reported: Reported, publisher: RecordingPublisher) -> None:
    """A condition that stays the same keeps the time of its last transition."""
    reported.source.run(10.0)
    reported.source.run(20.0)
    first, second = ({c.type: c.since for c in report.conditions} for report in publisher.offered)
    assert first == second


def test_the_control_command(reported: Reported) -> None:
    """The report is shown as text or JSON, and other formats are refused."""
    with pytest.raises(CommandFailedError, match="has not been assessed yet"):
        reported.ask()
    reported.source.run(10.0)
    assert json.loads(reported.ask("json"))["active"] is True
    assert reported.ask("text") == reported.ask()
    with pytest.raises(CommandFailedError, match='"xml" is not a format; use text or json'):
        reported.ask("xml")
