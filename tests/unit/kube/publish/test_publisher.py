"""What is published, when, and how often: the pure parts of the publisher."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from typing import Any

import pytest
import yaml

from isthmus.controller.inputs.inputs import CONFIG_MAP
from isthmus.controller.status.cluster_state import ClusterState
from isthmus.controller.status.conditions import Condition, ConditionStatus, ConditionType
from isthmus.controller.status.report import MOST_PROBLEMS, ConfigMapVersion, StatusReport
from isthmus.kube.publish.events import BURST, INTERVAL, Create, Events, Repeat, worth_telling
from isthmus.kube.publish.node_labels import SETTLE, Labels
from isthmus.kube.publish.rate_limit import Bucket, Pause
from isthmus.kube.publish.status_configmap import published_conditions, status_data, status_name
from isthmus.kube.publish.status_writes import BURST as HASTE
from isthmus.kube.publish.status_writes import INTERVAL as PACE
from isthmus.kube.publish.status_writes import Write, Writing
from isthmus.model.problems import Problem

JOINED = Condition(
    ConditionType.JOINED, ConditionStatus.TRUE, "Joined", "az1 is connected", "", "T0", "7"
)
CUT = replace(
    JOINED, status=ConditionStatus.FALSE, reason="NoGateway", message="no gateway serves it"
)
SEEN = ConfigMapVersion(CONFIG_MAP, "7", "uid-1", "abc")


def report(*conditions: Condition, **changes: Any) -> StatusReport:
    """A report of an active daemon."""
    plain = StatusReport(True, SEEN, conditions or (JOINED,), ClusterState("az1"), ())
    return replace(plain, **changes)


# -- the status ConfigMap ------------------------------------------------------------------------


def test_what_is_written_can_be_read_back() -> None:
    """Conditions come back as they were, whatever characters their messages hold."""
    odd = replace(CUT, message="a: 'b' \"c\" #d\n- é 中 \x1b[0m", remedy="x" * 500)
    data = status_data(report(odd), (JOINED, odd), "me")
    assert published_conditions(data) == (JOINED, odd)
    assert all(isinstance(value, str) for value in data.values())
    assert data["joined"] == "False"


def test_the_keys_are_always_the_same() -> None:
    """Nothing of an earlier time stays behind, and long lists are cut."""
    bare = status_data(report(), (JOINED,), "me")
    many = tuple(Problem(f"Subnet {n}", "", "", "m" * 1000, "r") for n in range(1000))
    full = status_data(report(problems=many), (CUT,), "me")
    assert bare.keys() == full.keys()
    assert len(yaml.safe_load(full["problems"])) == MOST_PROBLEMS + 1
    assert len(str(full).encode()) < 2**20


@pytest.mark.parametrize("text", ["", "- [", "7", "- 7", "- {type: Nonsense, status: 'True'}", "{"])
def test_what_people_have_broken_is_left_out(text: str) -> None:
    """A conditions list that is no such thing is taken as none."""
    assert published_conditions({"conditions": text}) == ()


def test_the_status_is_beside_the_configuration() -> None:
    """Its name is made from the configuration's."""
    assert status_name("ovn-ic-config") == "ovn-ic-status"
    assert status_name("other") == "other-status"


# -- when it is written --------------------------------------------------------------------------


def write(writing: Writing, wanted: StatusReport, now: float, version: str) -> Write:
    """Have a write made that must be due."""
    found, _ = writing.next(wanted, now, f"T{now:g}")
    assert found is not None
    writing.done(found, version, now)
    return found


@pytest.fixture
def writing() -> Writing:
    """The state after a first write, at 0 seconds."""
    writing = Writing("me")
    assert writing.next(report(), 0.0, "T0") == (None, inf), "what is there is not known yet"
    writing.seen(None, "", 0.0)
    write(writing, report(), 0.0, "1")
    return writing


def test_what_is_right_is_not_written(writing: Writing) -> None:
    """Neither after our own write, nor when a watch tells it again, nor on a take-over."""
    assert writing.next(report(), 1.0, "T1") == (None, inf)
    writing.seen(status_data(report(), (JOINED,), "me"), "1", 1.0)
    assert writing.next(report(), 1.0, "T1") == (None, inf)
    other = Writing("me")
    other.seen(status_data(report(), (JOINED,), "me"), "1", 5.0)
    assert other.next(report(replace(JOINED, since="T9")), 5.0, "T5") == (None, inf)


def test_facts_are_written_at_a_pace_and_changes_at_once(writing: Writing) -> None:
    """Two writes a second at most, the last one included; a changed condition does not wait."""
    busy = report(cluster=ClusterState("az1", learned=5))
    assert writing.next(busy, 0.1, "T") == (None, PACE)
    found, _ = writing.next(report(CUT, cluster=ClusterState("az1", learned=5)), 0.1, "T0.1")
    assert found is not None
    assert found.conditions[0].since == "T0.1"
    assert found.before[0].status is ConditionStatus.TRUE
    assert writing.next(busy, PACE, "T")[0] is not None


def test_a_flapping_condition_does_not_flood(writing: Writing) -> None:
    """After a burst, changes are written at the pace of all else."""
    written = 0
    for step in range(200):
        now = step / 100
        found, _ = writing.next(report((CUT, JOINED)[step % 2]), now, "T")
        if found is not None:
            writing.done(found, f"v{step}", now)
            written += 1
    assert written <= HASTE + 2 / PACE + 1


def test_interference_is_undone_ever_more_patiently(writing: Writing) -> None:
    """The first time at once, then with pauses that double; our own late echoes do not count."""
    now, pauses = 10.0, []
    for round_ in range(4):
        writing.seen({"joined": "False"}, f"foreign{round_}", now)
        found, due = writing.next(report(), now, "T")
        pauses.append(0.0 if found else due - now)
        now = now if found else due
        write(writing, report(), now, f"own{round_}")
        writing.seen({"joined": "late"}, f"own{max(round_ - 1, 0)}", now)
        assert writing.next(report(), now, "T") == (None, inf)
        now += 1.0
    assert pauses == [0.0, 1.0, 2.0, 4.0]
    writing.seen(None, "", now + 400)
    assert writing.next(report(), now + 400, "T")[0] is not None, "after a while, at once again"


def test_a_failed_write_is_tried_again(writing: Writing) -> None:
    """With pauses that double, or as long as the server asks for."""
    wanted = report(CUT)
    for now, retry_after, due in ((1.0, 0.0, 2.0), (2.0, 0.0, 4.0), (4.0, 30.0, 34.0)):
        assert writing.next(wanted, now, "T")[0] is not None
        writing.failed(now, retry_after)
        assert writing.next(wanted, now, "T") == (None, due)


def test_a_take_over_keeps_the_times(writing: Writing) -> None:
    """What another daemon has published counts as before."""
    other = Writing("other")
    other.seen(status_data(report(), (JOINED,), "me"), "5", 0.0)
    found = write(other, report(replace(JOINED, since="T9")), 0.0, "6")
    assert found.conditions[0].since == "T0"
    assert worth_telling(found.before, found.conditions) == []


# -- Events --------------------------------------------------------------------------------------


def test_what_is_no_news() -> None:
    """Starting is none, nor that nothing is wrong at first; joining is."""
    well = Condition(ConditionType.DEGRADED, ConditionStatus.FALSE, "AllWell", "")
    bad = Condition(ConditionType.DEGRADED, ConditionStatus.TRUE, "NoChassis", "")
    starting = Condition(ConditionType.JOINED, ConditionStatus.UNKNOWN, "Starting", "")
    assert worth_telling((), (starting, well)) == []
    assert worth_telling((starting, well), (JOINED, bad)) == [JOINED, bad]
    assert worth_telling((JOINED, bad), (JOINED, well)) == [well]


def test_an_event() -> None:
    """It is about the ConfigMap, a warning if somebody must act, and says what it is about."""
    events = Events("pod-1")
    events.take_in(CUT, SEEN)
    made = events.next(0.0, "2026-11-23T09:00:00.123456Z")
    assert isinstance(made, Create)
    body: Mapping[str, Any] = made.body
    assert made.namespace == "kube-system"
    assert (body["type"], body["reason"]) == ("Warning", "NoGateway")
    assert body["note"] == "Joined=False: no gateway serves it"
    assert body["regarding"]["uid"] == "uid-1"
    assert body["metadata"]["name"] == "ovn-ic-config.20261123090000123456"
    assert events.next(0.0, "T") is None


def test_repeated_events_are_one_series() -> None:
    """The same again within a while counts up; later it is a new Event."""
    events = Events("pod-1")
    made = []
    for moment, now in (("1Z", 0.0), ("2Z", 5.0), ("3Z", 6.0), ("4Z", 5000.0)):
        events.take_in(CUT, SEEN)
        made.append(events.next(now, moment))
    first, second, third, late = made
    assert isinstance(first, Create)
    assert isinstance(second, Repeat)
    assert second.name == first.body["metadata"]["name"]
    assert second.body == {"series": {"count": 2, "lastObservedTime": "2Z"}}
    assert isinstance(third, Repeat)
    assert third.body["series"]["count"] == 3
    assert isinstance(late, Create)


def test_of_many_events_the_last_is_told() -> None:
    """When there are too many, each condition's last change is kept until it may be told."""
    events = Events("pod-1")
    for number in range(BURST):
        events.take_in(replace(CUT, message=str(number)), SEEN)
        assert events.next(0.0, f"{number}Z") is not None
    for condition in (replace(CUT, message="no more"), JOINED):
        events.take_in(condition, SEEN)
    assert events.next(1.0, "T") is None
    due = events.due(1.0)
    assert due == pytest.approx(INTERVAL)
    made = events.next(INTERVAL, "1Z")
    assert isinstance(made, Create)
    assert made.body["reason"] == "Joined"
    assert events.due(INTERVAL) is None


# -- labels and pace -----------------------------------------------------------------------------


def test_labels_are_set_once_until_they_are_seen() -> None:
    """Each node at once; again only if the label is not seen, or is undone, and not in a hurry."""
    labels = Labels()
    wanted = {"a": "true", "b": "false"}
    assert labels.next(wanted, 0.0) == (("a", "true"), 0.0)
    assert labels.next(wanted, 0.0) == (("b", "false"), 0.0)
    assert labels.next(wanted, 0.0) == (None, SETTLE)
    assert labels.next({"a": "true"}, SETTLE)[0] == ("a", "true")
    assert labels.next({"a": "true"}, 2 * SETTLE) == (None, 3 * SETTLE)
    assert labels.next({"a": "false"}, 2 * SETTLE)[0] == ("a", "false")
    assert labels.next({}, 2 * SETTLE) == (None, inf)


def test_a_bucket() -> None:
    """A burst passes at once, then one per interval."""
    bucket, passed = Bucket(3, 2.0), list[float]()
    now = 100.0
    while len(passed) < 5:
        now = bucket.due(now)
        bucket.take()
        passed.append(now)
    assert passed == [100.0, 100.0, 100.0, 102.0, 104.0]


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        (lambda last: last + 1.0, [0.0, 1.0, 2.0, 4.0, 5.0, 5.0]),
        (lambda last: last + 99.0, [0.0] * 6),
    ],
)
def test_pauses_grow_and_begin_anew(again: Callable[[float], float], expected: list[float]) -> None:
    """What happens again and again is met ever later; after a while of calm, at once."""
    pause, now, found = Pause(most=5.0, calm=60.0), 0.0, []
    for _ in expected:
        found.append(pause.next(now))
        now = again(now)
    assert found == expected
