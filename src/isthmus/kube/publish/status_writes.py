"""When to write the status ConfigMap, and what: a state machine. Pure: time is an argument.

`isthmus.kube.publish.status_publisher` gives it reports and the states of the ConfigMap in the API,
and makes the writes. Writes are limited to a burst and a rate. Changes that others make are undone
at a lower rate, so that two writers that disagree do not keep the API server busy.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from isthmus.controller.status.conditions import Condition, carry
from isthmus.controller.status.report import StatusReport
from isthmus.kube.publish.rate_limit import Bucket
from isthmus.kube.publish.status_configmap import published_conditions, status_data

BURST, INTERVAL = 5, 0.5
"""How many writes may be made at once, and seconds until one more may be made."""

CORRECTIONS, CORRECTION_INTERVAL = 5, 10.0
"""The same for changes of others that are undone."""

REMEMBERED = 32
"""How many of our own writes a watch may be behind."""


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
    _known: bool = False
    _published: Mapping[str, Any] | None = None
    _conditions: tuple[Condition, ...] = ()
    _own: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _disturbed: bool = False
    _held_until: float = -inf
    _rate: Bucket = field(default_factory=lambda: Bucket(BURST, INTERVAL))
    _corrections: Bucket = field(default_factory=lambda: Bucket(CORRECTIONS, CORRECTION_INTERVAL))

    def observe(self, data: Mapping[str, Any] | None, version: str) -> None:
        """Take in a state of the ConfigMap in the API, perhaps an old one; each state once.

        Args:
            data: None if there is no ConfigMap.
            version: its resource version.
        """
        if version and version in self._own:
            return
        if not self._known:
            self._known = True
            self._conditions = published_conditions(data or {})
        elif self._own:
            self._disturbed = True
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
        if not self._known:
            return None, inf
        conditions = carry(self._conditions, report.conditions, moment)
        data = status_data(report, conditions, self.by)
        # Keys that others have added are left alone.
        if self._published is not None and data.items() <= self._published.items():
            return None, inf
        limit = self._corrections if self._disturbed else self._rate
        due = max(self._held_until, self._rate.due(now), limit.due(now))
        if now < due:
            return None, due
        return StatusWrite(data, conditions, self._conditions), inf

    def done(self, write: StatusWrite, version: str) -> None:
        """Take in a write that has succeeded, and the resource version that it made."""
        self._rate.take()
        if self._disturbed:
            self._corrections.take()
        self._disturbed = False
        self._own.append(version)
        self._conditions, self._published = write.conditions, write.data

    def retry_at(self, moment: float) -> None:
        """Write nothing before a moment (monotonic seconds): a write has failed."""
        self._held_until = moment
