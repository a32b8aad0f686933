"""Which changes of conditions become Events, and how many."""

from dataclasses import replace

import pytest

from isthmus.controller.status.conditions import Condition, ConditionStatus, ConditionType
from isthmus.kube.publish.events import BURST, INTERVAL, EventQueue, noteworthy
from unit.kube.publish.test_status_writes import CUT, JOINED, SEEN


def test_what_is_not_noteworthy() -> None:
    """Starting and a healthy first state make no Events; joining and changes do."""
    healthy = Condition(ConditionType.DEGRADED, ConditionStatus.FALSE, "AllWell", "")
    bad = Condition(ConditionType.DEGRADED, ConditionStatus.TRUE, "NoChassis", "")
    starting = Condition(ConditionType.JOINED, ConditionStatus.UNKNOWN, "Starting", "")
    assert noteworthy((), (starting, healthy)) == []
    assert noteworthy((starting, healthy), (JOINED, bad)) == [JOINED, bad]
    assert noteworthy((JOINED, bad), (JOINED, healthy)) == [healthy]


def test_an_event() -> None:
    """An Event is about the ConfigMap, names the condition, and warns if someone has to act."""
    events = EventQueue("pod-1")
    events.add(CUT, SEEN)
    body = events.next(0.0, "2026-11-23T09:00:00.123456Z")
    assert body is not None
    assert body["metadata"] == {
        "name": "ovn-ic-config.20261123090000123456", "namespace": "kube-system"
    }  # fmt: skip
    assert (body["type"], body["reason"]) == ("Warning", "NoGateway")
    assert body["note"] == "Joined=False: no gateway serves it"
    assert body["regarding"]["uid"] == "uid-1"
    assert events.next(0.0, "T") is None


def test_flapping_does_not_flood() -> None:
    """After a burst, each condition's last change is kept until it may be written."""
    events = EventQueue("pod-1")
    for number in range(BURST):
        events.add(replace(CUT, message=str(number)), SEEN)
        assert events.next(0.0, f"{number}Z") is not None
    for condition in (replace(CUT, message="no more"), JOINED):
        events.add(condition, SEEN)
    assert events.next(1.0, "T") is None
    assert events.due(1.0) == pytest.approx(INTERVAL)
    body = events.next(INTERVAL, "1Z")
    assert body is not None
    assert body["reason"] == "Joined"
    assert events.due(INTERVAL) is None
