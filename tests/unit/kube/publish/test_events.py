"""Which changes of conditions become Events, and how many."""

from dataclasses import replace
from math import inf

from isthmus.controller.status.conditions import Condition, ConditionStatus, ConditionType
from isthmus.kube.publish.events import INTERVAL, EventQueue, noteworthy
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
    """A condition's second Event waits, with its last change; other conditions do not wait."""
    events = EventQueue("pod-1")
    for condition in (CUT, JOINED, CUT, replace(CUT, message="last")):
        events.add(condition, SEEN)
        events.next(0.0, "0Z")
    assert events.next(1.0, "T") is None
    assert events.due() == INTERVAL
    events.add(Condition(ConditionType.DEGRADED, ConditionStatus.TRUE, "NoChassis", ""), SEEN)
    other = events.next(1.0, "T")
    assert other is not None
    assert other["reason"] == "NoChassis"
    body = events.next(INTERVAL, "1Z")
    assert body is not None
    assert body["note"] == "Joined=False: last"
    assert events.due() == inf


def test_a_condition_that_flaps_back_makes_no_second_event() -> None:
    """The last Event still says what holds."""
    events = EventQueue("pod-1")
    events.add(CUT, SEEN)
    assert events.next(0.0, "0Z") is not None
    events.add(JOINED, SEEN)
    events.add(CUT, SEEN)
    assert events.due() == inf
    assert events.next(INTERVAL, "1Z") is None


def test_a_repair_is_a_normal_event() -> None:
    """It names the rows, and needs no attention."""
    events = EventQueue("pod-1")
    events.add_repair("a row was missing, and made again: X", SEEN)
    body = events.next(0.0, "0Z")
    assert body is not None
    assert (body["type"], body["reason"], body["action"]) == ("Normal", "Repaired", "Repair")
    assert body["note"] == "a row was missing, and made again: X"
