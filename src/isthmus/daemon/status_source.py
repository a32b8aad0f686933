"""The event source of the status: the report on this cluster, kept current.

It assesses the conditions after each event, at most once per `INTERVAL`. It has the report for the
control command `isthmus/conditions`, and offers it to a publisher, which writes it where users
look. Invariant: nothing here waits.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import inf

from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.status.cluster_state import ClusterState, ClusterStateReader
from isthmus.controller.status.conditions import StatusInput, assess, carry
from isthmus.controller.status.report import StatusReport, config_map_version
from isthmus.daemon.event_source import EventSource, Writer
from isthmus.daemon.repairs import RepairSource
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.model.problems import Problem
from isthmus.model.reasons import Reason
from isthmus.ovsdb.poller import Poller

INTERVAL = 0.1
"""Seconds between two assessments: shorter than anyone notices, longer than one takes."""

QUIET = 3.0
"""Seconds without any change after which missing objects are no longer expected to appear."""

PASSING = frozenset({Reason.NOT_INTERCONNECTING, Reason.NO_GATEWAY})
"""Reasons of problems that setting the label of a gateway Node solves within seconds."""


class StatusSource(EventSource):
    """Assesses and offers.

    Args:
        view, inputs, engine, sessions: of the loop.
        others: event sources whose problems are reported, besides those of engine and sessions.
        publisher: closed with the loop; None to have the report for the control command alone.
        repairs: what was repaired; None to report nothing about it.

    Attributes:
        report: the latest; None before the first assessment.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the composition root names each part once
        self,
        view: View,
        inputs: Inputs,
        engine: Engine,
        sessions: DatabaseSessions,
        others: Sequence[EventSource] = (),
        publisher: Writer[StatusReport] | None = None,
        repairs: RepairSource | None = None,
    ) -> None:
        self._inputs, self._engine, self._sessions = inputs, engine, sessions
        self._others, self._publisher, self._repairs = others, publisher, repairs
        self._cluster = ClusterStateReader(view, inputs)
        self._problems: Sequence[Problem] = ()
        self._last_cluster = ClusterState()
        self._quiet_since = inf
        self._assessed_quiet = False
        self._next, self._behind = -inf, True
        self.report: StatusReport | None = None

    def run(self, now: float) -> None:
        """Assess, unless the last assessment is too recent."""
        if self._publisher is not None:
            self._problems = self._publisher.problems()
        self._behind = now < self._next
        if self._behind:
            return
        self._next = now + INTERVAL
        self.report = self._assess(now)
        if self._publisher is not None:
            self._publisher.offer(self.report)

    def problems(self) -> Sequence[Problem]:
        """What prevents the publisher from writing."""
        return self._problems

    def wait(self, poller: Poller, now: float) -> None:
        """Wake for an assessment that was put off, or when a quiet time has passed."""
        if self._publisher is not None:
            poller.wait_readable(self._publisher.fileno())
        if self._behind:
            poller.wake_in(self._next - now)
        elif not self._assessed_quiet and self._quiet_since < inf:
            poller.wake_in(max(self._quiet_since + QUIET, self._next) - now)

    def close(self) -> None:
        """End the publisher."""
        if self._publisher is not None:
            self._publisher.close()

    def _assess(self, now: float) -> StatusReport:
        inputs = self._inputs
        cluster = self._cluster.read()
        settled = self._settled(cluster, now)
        away = tuple(self._sessions.problems(now))
        problems = {
            *self._engine.problems(),
            *away,
            *self._problems,
            *(problem for other in self._others for problem in other.problems()),
        }
        if self._publisher is not None and not settled:
            problems = {problem for problem in problems if problem.reason not in PASSING}
        configuration = config_map_version(inputs.config_map, inputs.manifest)
        state = StatusInput(
            wanted=inputs.wanted,
            refused=inputs.refused,
            observed=configuration.resource_version,
            synced=self._sessions.synced,
            settled=settled,
            cluster=cluster,
            problems=tuple(sorted(problems)),
            away=tuple(sorted(set(away))),
        )
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        before = self.report.conditions if self.report is not None else ()
        return StatusReport(
            active=self._sessions.active,
            config_map=configuration,
            conditions=carry(before, assess(state), moment),
            cluster=cluster,
            problems=state.problems,
            repairs=self._repairs.report if self._repairs is not None else (0, ""),
        )

    def _settled(self, cluster: ClusterState, now: float) -> bool:
        """Whether nothing has been left to do, and nothing has changed, for a while."""
        if cluster != self._last_cluster or not self._engine.settled():
            self._last_cluster, self._quiet_since = cluster, inf
        if self._engine.settled():
            self._quiet_since = min(self._quiet_since, now)
        self._assessed_quiet = now >= self._quiet_since + QUIET
        return self._assessed_quiet
