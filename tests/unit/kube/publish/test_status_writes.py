"""What the status ConfigMap holds, and when it is written."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import pytest
import yaml

from isthmus.controller.inputs.inputs import CONFIG_MAP
from isthmus.controller.status.cluster_state import ClusterState
from isthmus.controller.status.conditions import Condition, ConditionStatus, ConditionType
from isthmus.controller.status.report import MOST_PROBLEMS, ConfigMapVersion, StatusReport
from isthmus.kube.publish.events import noteworthy
from isthmus.kube.publish.status_configmap import published_conditions, status_data, status_name
from isthmus.kube.publish.status_writes import INTERVAL, StatusWrite, StatusWrites
from isthmus.model.problems import Problem

TRUE, FALSE = ConditionStatus.TRUE, ConditionStatus.FALSE
JOINED = Condition(ConditionType.JOINED, TRUE, "Joined", "az1 is connected", "", "T0", "7")
CUT = replace(JOINED, status=FALSE, reason="NoGateway", message="no gateway serves it")
SEEN = ConfigMapVersion(CONFIG_MAP, "7", "uid-1", "abc")


def report(*conditions: Condition, **changes: Any) -> StatusReport:
    """A report of an active daemon."""
    return replace(
        StatusReport(True, SEEN, conditions or (JOINED,), ClusterState("az1"), ()), **changes
    )


# -- what it holds -------------------------------------------------------------------------------


def test_what_is_written_can_be_read_back() -> None:
    """Conditions come back as they were, whatever characters their messages hold."""
    odd = replace(CUT, message="a: 'b' \"c\" #d\n- é 中 \x1b[0m", remedy="x" * 500)
    data = status_data(report(odd), (JOINED, odd), "me")
    assert published_conditions(data) == (JOINED, odd)
    assert all(isinstance(value, str) for value in data.values())
    assert data["joined"] == "False"


def test_the_keys_are_always_the_same() -> None:
    """No value of an earlier report stays behind, and long lists are cut."""
    bare = status_data(report(), (JOINED,), "me")
    many = tuple(Problem(f"Subnet {n}", "", "", "m" * 1000, "r") for n in range(1000))
    full = status_data(report(problems=many), (CUT,), "me")
    assert bare.keys() == full.keys()
    assert len(yaml.safe_load(full["problems"])) == MOST_PROBLEMS + 1
    assert len(str(full).encode()) < 2**20


@pytest.mark.parametrize("text", ["", "- [", "7", "- 7", "- {type: Nonsense, status: 'True'}", "{"])
def test_broken_conditions_are_ignored(text: str) -> None:
    """Conditions that someone has edited into something unreadable count as none."""
    assert published_conditions({"conditions": text}) == ()


def test_the_name_of_the_status() -> None:
    """The status is named after the configuration."""
    assert status_name("ovn-ic-config") == "ovn-ic-status"
    assert status_name("other") == "other-status"


# -- when it is written --------------------------------------------------------------------------


def write(writes: StatusWrites, wanted: StatusReport, now: float) -> StatusWrite:
    """Make a write, which must be due."""
    found, _ = writes.next(wanted, now, f"T{now:g}")
    assert found is not None
    writes.done(found, now)
    return found


@pytest.fixture
def writes() -> StatusWrites:
    """The state after a first write, at 0 seconds."""
    writes = StatusWrites("me")
    assert writes.next(report(), 0.0, "T0") == (None, inf), "the API has not been read yet"
    writes.observe({})
    write(writes, report(), 0.0)
    return writes


def test_a_current_status_is_not_written(writes: StatusWrites) -> None:
    """Nothing is written after our own write, when a watch repeats it, or by the next daemon."""
    assert writes.next(report(), 1.0, "T1") == (None, inf)
    writes.observe(status_data(report(), (JOINED,), "me"))
    assert writes.next(report(), 1.0, "T1") == (None, inf)
    other = StatusWrites("me")
    other.observe(status_data(report(), (JOINED,), "me"))
    assert other.next(report(replace(JOINED, since="T9")), 5.0, "T5") == (None, inf)


def test_a_change_is_written_at_once(writes: StatusWrites) -> None:
    """A changed condition does not wait, and has the time of its change."""
    found, _ = writes.next(report(CUT, cluster=ClusterState("az1", learned=5)), 0.6, "T0.6")
    assert found is not None
    assert found.conditions[0].since == "T0.6"
    assert found.before[0].status is TRUE


@pytest.mark.parametrize(
    "flap",
    [
        lambda step: report((CUT, JOINED)[step % 2]),
        lambda step: report(cluster=ClusterState("az1", learned=step)),
    ],
)
def test_constant_changes_do_not_flood(
    writes: StatusWrites, flap: Callable[[int], StatusReport]
) -> None:
    """Writes are limited to a rate, and the last state is written in the end."""
    written = 0
    for step in range(200):
        found, _ = writes.next(flap(step), step / 100, "T")
        if found is not None:
            writes.done(found, step / 100)
            written += 1
    assert 1 / INTERVAL < written < 2 / INTERVAL
    write(writes, report(cluster=ClusterState("az1", advertised=7)), 2.0 + INTERVAL)


def test_changes_of_others_are_undone_at_a_rate(writes: StatusWrites) -> None:
    """Foreign edits and deletions are undone at once, and at most once per interval."""
    writes.observe({"joined": "False"})
    assert write(writes, report(), 10.0).conditions[0].since == "T0"
    writes.observe({})
    assert writes.next(report(), 10.1, "T") == (None, 10.0 + INTERVAL)
    assert write(writes, report(), 10.0 + INTERVAL).conditions[0].since == "T0"


def test_a_watch_that_is_behind_costs_one_write(writes: StatusWrites) -> None:
    """An earlier state of our own is overwritten once, without a change of any condition."""
    write(writes, report(CUT), 1.0)
    writes.observe(status_data(report(), (JOINED,), "me"))
    found = write(writes, report(CUT), 2.0)
    assert noteworthy(found.before, found.conditions) == []
    assert writes.next(report(CUT), 3.0, "T") == (None, inf)


def test_a_failed_write_waits(writes: StatusWrites) -> None:
    """After a failure nothing is written before the time that was given."""
    writes.retry_at(9.0)
    assert writes.next(report(CUT), 1.0, "T") == (None, 9.0)
    assert writes.next(report(CUT), 9.0, "T")[0] is not None


def test_a_take_over_keeps_the_times() -> None:
    """A new active daemon continues with the conditions that the last one has published."""
    other = StatusWrites("other")
    other.observe(status_data(report(), (JOINED,), "me"))
    found = write(other, report(replace(JOINED, since="T9")), 0.0)
    assert found.conditions[0].since == "T0"
    assert noteworthy(found.before, found.conditions) == []
