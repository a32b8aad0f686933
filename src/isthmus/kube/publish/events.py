"""Events on the configuration's ConfigMap: one for each change of a condition.

`isthmus.kube.publish.status_publisher` adds changes and asks which Event is due. Pure: time is an
argument. At most `BURST` Events are written at once, then one per `INTERVAL`; of the changes of one
condition that wait, the last one wins, so that a flapping condition neither floods the API server
nor hides its final state.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from isthmus.controller.status.conditions import LONGEST, Condition, ConditionType, changes
from isthmus.controller.status.report import ConfigMapVersion
from isthmus.kube.publish.rate_limit import Bucket
from isthmus.model.reasons import ConditionReason

BURST = 10
"""How many Events may be written at once."""

INTERVAL = 10.0
"""Seconds until one more may be written."""

CONTROLLER = "isthmus"
"""What `reportingController` says."""


def noteworthy(before: Iterable[Condition], now: Iterable[Condition]) -> list[Condition]:
    """The conditions that have changed, except for starting, and for healthy first states."""
    known = {condition.type: condition for condition in before}
    return [
        one
        for one in changes(known.values(), now)
        if one.reason not in {ConditionReason.STARTING, ConditionReason.CONVERGING}
        and (one.type in known or not one.good or one.type is ConditionType.JOINED)
    ]


@dataclass(slots=True)
class EventQueue:
    """The changes that have not been written yet.

    Args:
        instance: who reports them, e.g. the pod's name.
    """

    instance: str
    _waiting: dict[str, tuple[Condition, ConfigMapVersion]] = field(default_factory=dict)
    _rate: Bucket = field(default_factory=lambda: Bucket(BURST, INTERVAL))

    def add(self, condition: Condition, observed: ConfigMapVersion) -> None:
        """Take in a change of a condition."""
        self._waiting.pop(condition.type, None)
        self._waiting[condition.type] = (condition, observed)

    def due(self, now: float) -> float | None:
        """When `next` may have something: monotonic seconds; None if nothing waits."""
        return self._rate.due(now) if self._waiting else None

    def next(self, now: float, moment: str) -> dict[str, Any] | None:
        """The next Event to create, which counts as written; None if none may be written now.

        Args:
            now: monotonic seconds.
            moment: the time in the format of RFC 3339, with microseconds.
        """
        due = self.due(now)
        if due is None or due > now:
            return None
        self._rate.take()
        kind = next(iter(self._waiting))
        return _event(*self._waiting.pop(kind), self.instance, moment)


def _event(
    condition: Condition, observed: ConfigMapVersion, instance: str, moment: str
) -> dict[str, Any]:
    key = observed.key
    regarding = {
        "apiVersion": "v1", "kind": key.kind, "namespace": key.namespace, "name": key.name
    }  # fmt: skip
    if observed.uid:
        regarding["uid"] = observed.uid
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        # Names hold letters, digits, dots and hyphens only.
        "metadata": {
            "name": f"{key.name}.{''.join(filter(str.isdigit, moment))}",
            "namespace": key.namespace,
        },
        "eventTime": moment,
        "type": "Normal" if condition.good else "Warning",
        "reason": condition.reason,
        "action": "Assess",
        "regarding": regarding,
        "note": _note(condition),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
    }


def _note(condition: Condition) -> str:
    """The condition in one line that can be read without its context."""
    note = f"{condition.type}={condition.status}: {condition.text}"
    return note if len(note) <= LONGEST else f"{note[: LONGEST - 1]}…"
