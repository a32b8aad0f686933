"""Events on the configuration's ConfigMap: for changes of conditions, and for repairs.

`isthmus.kube.publish.status_publisher` adds changes and asks which Event is due. Pure: time is an
argument. Conditions, and repairs, have at most one Event each per `INTERVAL`; of the changes that
wait, the last one wins, so that a flapping condition neither floods the API server nor hides its
final state.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from isthmus.controller.status.conditions import LONGEST, Condition, ConditionType, changes
from isthmus.controller.status.report import ConfigMapVersion
from isthmus.model.reasons import ConditionReason

INTERVAL = 10.0
"""Seconds between two Events about the same condition."""

REPAIRED = "Repaired"
"""The reason of Events about rows that others deleted."""

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


class _Note(NamedTuple):
    """What one Event says: its type, reason, action and note."""

    type: str
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class EventQueue:
    """The changes that have not been written yet.

    Args:
        instance: who reports them, e.g. the pod's name.
    """

    instance: str
    _waiting: dict[str, tuple[_Note, ConfigMapVersion]] = field(default_factory=dict)
    _written: dict[str, _Note] = field(default_factory=dict)
    _held: dict[str, float] = field(default_factory=dict)

    def add(self, condition: Condition, observed: ConfigMapVersion) -> None:
        """Take in a change of a condition."""
        kind = "Normal" if condition.good else "Warning"
        note = _Note(kind, condition.reason, "Assess", _note(condition))
        self._waiting[condition.type] = (note, observed)
        if self._written.get(condition.type) == note:
            # It has come back to what the last Event says.
            del self._waiting[condition.type]

    def add_repair(self, text: str, observed: ConfigMapVersion) -> None:
        """Take in which rows were missing and made again."""
        self._waiting[REPAIRED] = (_Note("Normal", REPAIRED, "Repair", _cut(text)), observed)

    def due(self) -> float:
        """When `next` has something: monotonic seconds; inf if nothing waits."""
        return min((self._held.get(kind, -inf) for kind in self._waiting), default=inf)

    def next(self, now: float, moment: str) -> dict[str, Any] | None:
        """The next Event to create, which counts as written; None if none may be written now.

        Args:
            now: monotonic seconds.
            moment: the time in the format of RFC 3339, with microseconds.
        """
        for kind in self._waiting:
            if self._held.get(kind, -inf) <= now:
                self._held[kind] = now + INTERVAL
                note, observed = self._waiting.pop(kind)
                self._written[kind] = note
                return _event(note, observed, self.instance, moment)
        return None


def _event(note: _Note, observed: ConfigMapVersion, instance: str, moment: str) -> dict[str, Any]:
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
        **note._asdict(),
        "regarding": regarding,
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
    }


def _note(condition: Condition) -> str:
    """The condition in one line that can be read without its context."""
    return _cut(f"{condition.type}={condition.status}: {condition.text}")


def _cut(note: str) -> str:
    return note if len(note) <= LONGEST else f"{note[: LONGEST - 1]}…"
