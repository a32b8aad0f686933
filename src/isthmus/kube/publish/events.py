"""Events on the configuration's ConfigMap: one for each change of a condition.

`isthmus.kube.publish.publisher` takes changes in here and asks which request is due. Pure: time is
an argument. What repeats itself becomes a series of one Event; what comes faster than `INTERVAL`
waits, and of what waits for one condition the last wins, so that a flapping condition neither
floods the API server nor hides how it ended.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.controller.status.conditions import (
    LONGEST,
    Condition,
    ConditionType,
    changes,
)
from isthmus.controller.status.report import ConfigMapVersion
from isthmus.kube.publish.rate_limit import Bucket
from isthmus.model.reasons import ConditionReason

BURST = 10
"""How many Events may be written at once."""

INTERVAL = 10.0
"""Seconds until one more may be written."""

SERIES = 600.0
"""Seconds within which the same Event counts as repeated."""

CONTROLLER = "isthmus"
"""What `reportingController` says."""


def worth_telling(before: Iterable[Condition], now: Iterable[Condition]) -> list[Condition]:
    """The conditions that have changed, except what is no news: starting, or well at first."""
    known = {condition.type: condition for condition in before}
    return [
        one
        for one in changes(known.values(), now)
        if one.reason not in {ConditionReason.STARTING, ConditionReason.CONVERGING}
        and (one.type in known or not one.good or one.type is ConditionType.JOINED)
    ]


@dataclass(frozen=True, slots=True)
class Create:
    """Create this Event in the ConfigMap's namespace."""

    namespace: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Merge this into the Event of that name; `instead` is to be created if it is gone."""

    namespace: str
    name: str
    body: Mapping[str, Any]
    instead: Create


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    last: float


@dataclass(slots=True)
class Events:
    """What is to be told, and what has been.

    Args:
        instance: who tells it, e.g. the pod's name.
    """

    instance: str
    _waiting: dict[str, tuple[Condition, ConfigMapVersion]] = field(default_factory=dict)
    _told: dict[tuple[str, str], _Series] = field(default_factory=dict)
    _pace: Bucket = field(default_factory=lambda: Bucket(BURST, INTERVAL))

    def take_in(self, condition: Condition, observed: ConfigMapVersion) -> None:
        """A condition has changed: tell it."""
        self._waiting.pop(condition.type, None)
        self._waiting[condition.type] = (condition, observed)

    def due(self, now: float) -> float | None:
        """When `next` may have something: monotonic seconds; None if nothing waits."""
        return self._pace.due(now) if self._waiting else None

    def next(self, now: float, moment: str) -> Create | Repeat | None:
        """The next request, which counts as made; None if nothing may be told now.

        Args:
            now: monotonic seconds.
            moment: the time, as RFC 3339 has it with microseconds.
        """
        due = self.due(now)
        if due is None or due > now:
            return None
        self._pace.take()
        kind = next(iter(self._waiting))
        condition, observed = self._waiting.pop(kind)
        return self._request(condition, observed, now, moment)

    def _request(
        self, condition: Condition, observed: ConfigMapVersion, now: float, moment: str
    ) -> Create | Repeat:
        self._told = {key: one for key, one in self._told.items() if now - one.last < SERIES}
        key = (condition.reason, _note(condition))
        name = f"{observed.key.name}.{_stamp(moment)}"
        create = Create(
            observed.key.namespace, _body(name, condition, observed, self.instance, moment)
        )
        known = self._told.get(key)
        if known is None:
            self._told[key] = _Series(name, 1, now)
            return create
        known.count, known.last = known.count + 1, now
        series = {"count": known.count, "lastObservedTime": moment}
        return Repeat(observed.key.namespace, known.name, {"series": series}, create)


def _body(
    name: str, condition: Condition, observed: ConfigMapVersion, instance: str, moment: str
) -> dict[str, Any]:
    regarding = {
        "apiVersion": "v1",
        "kind": observed.key.kind,
        "namespace": observed.key.namespace,
        "name": observed.key.name,
    }
    if observed.uid:
        regarding["uid"] = observed.uid
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": observed.key.namespace},
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
    """The condition in one line that says by itself what it is about."""
    note = f"{condition.type}={condition.status}: {condition.text}"
    return note if len(note) <= LONGEST else f"{note[: LONGEST - 1]}…"


def _stamp(moment: str) -> str:
    """The moment's digits: names of objects hold nothing but letters, digits, dots, hyphens."""
    return "".join(filter(str.isdigit, moment))
