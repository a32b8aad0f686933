"""When to write the status ConfigMap, and what: a state machine. Pure: time is an argument.

`isthmus.kube.publish.status_publisher` gives it reports and the states of the ConfigMap in the API,
and makes the writes. At most one write per `INTERVAL` also bounds what two writers that undo each
other's changes cost the API server.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from isthmus.controller.status.conditions import Condition, carry
from isthmus.controller.status.report import StatusReport
from isthmus.kube.publish.status_configmap import published_conditions, status_data

INTERVAL = 0.5
"""Seconds from one write to the next."""


@dataclass(frozen=True, slots=True)
class StatusWrite:
    """A write of the status ConfigMap.

    Args:
        data: of the ConfigMap.
        conditions: those in it.
        before: those that were published before.
    """

    data: Mapping[str, str]
    conditions: tuple[Condition, ...]
    before: tuple[Condition, ...]


@dataclass(slots=True)
class StatusWrites:
    """What is published, from the moment at which this daemon became active.

    Args:
        by: who publishes, see `status_data`.
    """

    by: str
    _published: Mapping[str, Any] | None = None
    _conditions: tuple[Condition, ...] = ()
    _due: float = -inf

    def observe(self, data: Mapping[str, Any]) -> None:
        """Take in a state of the ConfigMap in the API, each state once; empty if there is none.

        A watch that is behind shows an earlier state, which costs one more write.
        """
        if self._published is None:
            self._conditions = published_conditions(data)
        self._published = data

    def next(
        self, report: StatusReport, now: float, moment: str
    ) -> tuple[StatusWrite | None, float]:
        """The write to make now, and when to ask again.

        Args:
            report: the latest.
            now: monotonic seconds.
            moment: the time in the format of RFC 3339.

        Returns:
            The write, or None; and when the next may be due even if nothing happens: monotonic
            seconds, or inf.
        """
        if self._published is None:
            return None, inf
        conditions = carry(self._conditions, report.conditions, moment)
        data = status_data(report, conditions, self.by)
        # Keys that others have added are left alone.
        if data.items() <= self._published.items():
            return None, inf
        if now < self._due:
            return None, self._due
        return StatusWrite(data, conditions, self._conditions), inf

    def done(self, write: StatusWrite, now: float) -> None:
        """Take in a write that has succeeded."""
        self._conditions, self._published = write.conditions, write.data
        self._due = now + INTERVAL

    def retry_at(self, moment: float) -> None:
        """Write nothing before a moment (monotonic seconds): a write has failed."""
        self._due = moment
