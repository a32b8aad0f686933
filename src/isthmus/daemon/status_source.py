"""Publishing's place in the loop: what this cluster reports of itself, kept current.

A feed of the loop. It assesses the conditions when something has happened, at most once per
`INTERVAL`, keeps the report for the control command `isthmus/conditions`, and offers it to a sink,
which writes it where users look. Invariant: nothing here waits for anybody.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Protocol

from isthmus.controller.gateway_labels import gateway_labels
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.inputs.snapshot import Snapshot
from isthmus.controller.status.cluster_state import ClusterState, ClusterStateReader
from isthmus.controller.status.conditions import StatusInput, assess, carry
from isthmus.controller.status.report import StatusReport, config_map_version, sections
from isthmus.daemon.controller_source import Controller
from isthmus.daemon.sessions import Databases
from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.inspect.status_text import status_text
from isthmus.model.problems import Problem
from isthmus.model.reasons import Reason
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.unixctl import Command
from isthmus.ovsdb.unixctl_client import CommandFailedError

INTERVAL = 0.1
"""Seconds between two assessments: much shorter than people notice, much longer than one takes."""

QUIET = 3.0
"""Seconds without any change after which what is missing is no longer expected by itself."""

PASSING = frozenset({Reason.NOT_INTERCONNECTING, Reason.NO_GATEWAY})
"""Reasons of problems that the label of a gateway node solves within seconds, where it is set."""


class Sink(Protocol):
    """Who writes reports where users look; works on its own, and keeps the latest only."""

    def offer(self, report: StatusReport, labels: Mapping[str, str]) -> None:
        """Take over a report, and the gateway labels to set by Node; never blocks."""

    def problems(self) -> Sequence[Problem]:
        """What keeps it from writing."""

    def fileno(self) -> int:
        """Readable when `problems` has changed; reading them makes it unreadable."""

    def close(self) -> None:
        """End."""


Problems = Callable[[float], Iterable[Problem]]
"""Someone's problems at a moment (monotonic seconds)."""


class Publishing:
    """Assesses and offers.

    Args:
        view, inputs, engine, databases: of the loop.
        controller: whose snapshots say how nodes are labelled.
        others: whose problems are reported beside those of engine, databases and controller.
        sink: who writes; None to keep the report for the control command alone.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the composition root names each part once
        self,
        view: View,
        inputs: Inputs,
        engine: Engine,
        databases: Databases,
        controller: Controller,
        others: Sequence[Problems] = (),
        sink: Sink | None = None,
    ) -> None:
        self._inputs, self._engine, self._databases = inputs, engine, databases
        self._controller, self._others, self._sink = controller, others, sink
        self._cluster = ClusterStateReader(view, inputs)
        self._labelled: tuple[Snapshot | None, object] = (None, None)
        self._labels: dict[str, str] = {}
        self._sink_problems: Sequence[Problem] = ()
        self._last_cluster = ClusterState()
        self._quiet_since = inf
        self._assessed_quiet = False
        self._next, self._behind = -inf, True
        self.report: StatusReport | None = None

    def run(self, now: float) -> None:
        """Assess, unless that was done a moment ago."""
        if self._sink is not None:
            self._sink_problems = self._sink.problems()
        self._behind = now < self._next
        if self._behind:
            return
        self._next = now + INTERVAL
        self.report = self._assess(now)
        if self._sink is not None:
            self._sink.offer(self.report, self._gateway_labels())

    def problems(self) -> Sequence[Problem]:
        """What keeps the sink from writing."""
        return self._sink_problems

    def wait(self, poller: Poller, now: float) -> None:
        """Wake for an assessment that was put off, or that may find what is still missing."""
        if self._sink is not None:
            poller.wait_readable(self._sink.fileno())
        if self._behind:
            poller.wake_in(self._next - now)
        elif not self._assessed_quiet and self._quiet_since < inf:
            poller.wake_in(max(self._quiet_since + QUIET, self._next) - now)

    def close(self) -> None:
        """End the sink."""
        if self._sink is not None:
            self._sink.close()

    def commands(self) -> list[Command]:
        """The control command by which the report is asked for."""
        return [Command("isthmus/conditions", self._shown, "[text|json]", 0, 1)]

    def _shown(self, arguments: Sequence[str]) -> str:
        if self.report is None:
            raise CommandFailedError("nothing has been assessed yet; ask again in a moment")
        wanted = arguments[0] if arguments else "text"
        if wanted not in {"text", "json"}:
            raise CommandFailedError(f'"{wanted}" is no format; use text or json')
        said = {
            "zone": self.report.cluster.zone,
            "active": self.report.active,
            **sections(self.report),
        }
        return json.dumps(said) if wanted == "json" else status_text(said)

    def _assess(self, now: float) -> StatusReport:
        inputs = self._inputs
        cluster = self._cluster.read()
        found = {
            *self._engine.problems(),
            *self._databases.problems(now),
            *self._controller.problems(),
            *self._sink_problems,
            *(problem for other in self._others for problem in other(now)),
        }
        settled = self._settled(cluster, now)
        if self._sink is not None and not settled:
            found = {problem for problem in found if problem.reason not in PASSING}
        seen = config_map_version(inputs.config_map, inputs.manifest)
        state = StatusInput(
            wanted=inputs.wanted,
            refused=inputs.refused,
            observed=seen.resource_version,
            synced=self._databases.synced,
            settled=settled,
            cluster=cluster,
            problems=tuple(sorted(found)),
        )
        before = self.report.conditions if self.report is not None else ()
        conditions = carry(before, assess(state), _moment())
        return StatusReport(
            active=self._databases.active,
            config_map=seen,
            conditions=conditions,
            cluster=cluster,
            problems=state.problems,
        )

    def _settled(self, cluster: ClusterState, now: float) -> bool:
        """Whether nothing has been left to do, and nothing has changed, for a while."""
        if cluster != self._last_cluster or not self._engine.settled():
            self._last_cluster, self._quiet_since = cluster, inf
        if self._engine.settled():
            self._quiet_since = min(self._quiet_since, now)
        self._assessed_quiet = now >= self._quiet_since + QUIET
        return self._assessed_quiet

    def _gateway_labels(self) -> dict[str, str]:
        snapshot, wanted = self._controller.snapshot, self._inputs.wanted
        if snapshot is None or wanted is None:
            return {}
        if self._labelled[0] is not snapshot or self._labelled[1] is not wanted:
            self._labelled = (snapshot, wanted)
            config = self._inputs.config
            gateways = config.gateways if config is not None else ()
            self._labels = gateway_labels(snapshot, gateways)
        return self._labels


def _moment() -> str:
    """Now, as Kubernetes' conditions have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
