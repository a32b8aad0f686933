"""When to write the status ConfigMap, and what: a state machine. Pure: time is an argument.

`isthmus.kube.publish.publisher` feeds it with reports and with what the API server has, and carries
out what it says. Reports are written at most once per `INTERVAL`, changes of conditions at once.
What others do to the ConfigMap is undone, at first at once, then with growing pauses, so that two
that disagree do not keep the API server busy.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from isthmus.controller.status.conditions import Condition, carry, changes
from isthmus.controller.status.report import StatusReport
from isthmus.kube.publish.rate_limit import Bucket, Pause
from isthmus.kube.publish.status_configmap import published_conditions, status_data

INTERVAL = 0.5
"""Seconds from one write to the next."""

BURST = 5
"""How many changes of conditions may be written ahead of that; one more each `INTERVAL`."""

REMEMBERED = 32
"""How many of our own writes a watch may be behind."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write this.

    Args:
        data: the ConfigMap's.
        conditions: those in it.
        before: those that were published before.
    """

    data: Mapping[str, str]
    conditions: tuple[Condition, ...]
    before: tuple[Condition, ...]


@dataclass(slots=True)
class Writing:
    """The state, from the moment on at which this daemon became active.

    Args:
        by: who publishes, see `status_data`.
    """

    by: str
    _known: bool = False
    _seen: Mapping[str, Any] | None = None
    _conditions: tuple[Condition, ...] = ()
    _own: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _at: float = -inf
    _held_until: float = -inf
    _haste: Bucket = field(default_factory=lambda: Bucket(BURST, INTERVAL))
    _interference: Pause = field(default_factory=Pause)
    _failures: Pause = field(default_factory=lambda: Pause(start=1.0))

    def seen(self, data: Mapping[str, Any] | None, version: str, now: float) -> None:
        """Take note of a state of the ConfigMap; each is told once, perhaps late.

        Args:
            data: None if there is no ConfigMap.
            version: its resource version.
            now: monotonic seconds.
        """
        if version and version in self._own:
            return
        if not self._known:
            self._known = True
            self._conditions = published_conditions(data or {})
        elif self._own:
            self._held_until = max(self._held_until, now + self._interference.next(now))
        self._seen = data

    def next(self, report: StatusReport, now: float, moment: str) -> tuple[Write | None, float]:
        """What to write now, and when to ask again.

        Args:
            report: the latest.
            now: monotonic seconds.
            moment: the time, as RFC 3339 has it.

        Returns:
            The write, or None; and when the next may be due even if nothing happens: monotonic
            seconds, or inf.
        """
        if not self._known:
            return None, inf
        conditions = carry(self._conditions, report.conditions, moment)
        data = status_data(report, conditions, self.by)
        if self._seen is not None and _holds(self._seen, data):
            return None, inf
        hasty = bool(changes(self._conditions, conditions))
        due = max(self._held_until, self._haste.due(now) if hasty else self._at + INTERVAL)
        if now < due:
            return None, due
        return Write(data, conditions, self._conditions), inf

    def done(self, write: Write, version: str, now: float) -> None:
        """The write has succeeded.

        Args:
            write: what was written.
            version: the resource version that it made.
            now: monotonic seconds.
        """
        if changes(self._conditions, write.conditions):
            self._haste.take()
        self._own.append(version)
        self._conditions, self._seen, self._at = write.conditions, write.data, now
        self._failures.reset()

    def failed(self, now: float, retry_after: float) -> None:
        """The write has failed; the server may have asked to wait some seconds."""
        self._held_until = now + max(self._failures.next(now), retry_after)


def _holds(data: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether nothing is missing from the data, whatever others have added."""
    return all(data.get(key) == value for key, value in wanted.items())
