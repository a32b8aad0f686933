"""When a snapshot of the API is passed on; the states of the watchers are given."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from typing import cast

import pytest

from isthmus.controller.inputs.inputs import CONFIG_MAP
from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.kube import source as source_module
from isthmus.kube.client import Client
from isthmus.kube.list_watch import Timing
from isthmus.kube.resources import Resource
from isthmus.kube.source import GATHER, START, KubernetesSource
from isthmus.kube.watcher import ResourceState
from isthmus.model.problems import Problem
from isthmus.model.reasons import Reason

AWAY = Problem("Kubernetes API", "", "", "cannot be reached", "wait", Reason.UNREACHABLE)
NOTHING = ResourceState({}, False, None, inf)
KNOWN = ResourceState({}, True, None, inf)


class Given:
    """In place of a watcher: has the state that the test sets, and wakes as a watcher does."""

    every: "dict[str, Given]"

    def __init__(
        self,
        _client: Client,
        resource: Resource,
        notify: Callable[[], None],
        _timing: Timing | None,
    ) -> None:
        self.kind, self._notify, self._said = resource.kind, notify, NOTHING
        Given.every[resource.kind] = self

    def say(self, said: ResourceState) -> None:
        self._said = said
        self._notify()

    def add(self, name: str) -> None:
        key = ObjectKey(self.kind, "", name)
        self.say(replace(self._said, objects={**self._said.objects, key: Manifest(key, {}, "")}))

    def state(self, now: float) -> ResourceState:
        shown = self._said.problem if now >= self._said.due else None
        return replace(self._said, problem=shown)

    def close(self) -> None:
        pass


class NoClient:
    """In place of the client."""

    def close(self) -> None:
        pass


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesSource]:
    """A source whose watchers are given."""
    Given.every = {}
    monkeypatch.setattr(source_module, "ResourceWatcher", Given)
    source = KubernetesSource(cast("Client", NoClient()), CONFIG_MAP)
    yield source
    source.close()


def say_all(said: ResourceState) -> None:
    for given in Given.every.values():
        given.say(said)


@pytest.fixture
def known(source: KubernetesSource) -> float:
    """All kinds have been listed; the moment after which nothing is held back."""
    say_all(KNOWN)
    now = time.monotonic()
    assert source.poll(now)
    return now + GATHER


def test_the_first_snapshot_waits_for_all_kinds(source: KubernetesSource) -> None:
    """An incomplete snapshot is held back while lists are still arriving."""
    now = time.monotonic()
    Given.every["Subnet"].say(KNOWN)
    assert source.poll(now) is None
    say_all(KNOWN)
    snapshot = source.poll(now)
    assert snapshot is not None
    assert snapshot.complete


def test_a_slow_start_gives_an_incomplete_snapshot(source: KubernetesSource) -> None:
    """After a while an incomplete snapshot is passed on."""
    Given.every["ConfigMap"].say(KNOWN)
    assert source.poll(time.monotonic()) is None
    assert source.next_wakeup() <= time.monotonic() + START
    snapshot = source.poll(source.next_wakeup())
    assert snapshot is not None
    assert not snapshot.complete


def test_what_is_denied_is_not_waited_for(source: KubernetesSource) -> None:
    """Kinds with a problem do not delay the others."""
    now = time.monotonic()
    say_all(KNOWN)
    Given.every["Node"].say(ResourceState({}, False, AWAY, now))
    snapshot = source.poll(now)
    assert snapshot is not None
    assert (snapshot.complete, snapshot.problems) == (False, (AWAY,))


def test_a_change_is_passed_on_at_once(source: KubernetesSource, known: float) -> None:
    """A change is passed on without delay, and only once."""
    assert source.poll(known) is None
    assert source.next_wakeup() == inf
    Given.every["Subnet"].add("a")
    snapshot = source.poll(known)
    assert snapshot is not None
    assert len(snapshot.objects) == 1
    assert source.poll(known + 1) is None


def test_a_burst_is_gathered(source: KubernetesSource, known: float) -> None:
    """The first change of a burst is passed on at once, the others together a moment later."""
    Given.every["Subnet"].add("a")
    assert source.poll(known)
    for name in "bcd":
        Given.every["Subnet"].add(name)
        assert source.poll(known + GATHER / 2) is None
    assert source.next_wakeup() == known + GATHER
    snapshot = source.poll(known + GATHER)
    assert snapshot is not None
    assert len(snapshot.objects) == 4


def test_an_outage_becomes_one_problem_when_it_is_due(
    source: KubernetesSource, known: float
) -> None:
    """Four kinds behind one server that is down are one problem, which wakes the loop once."""
    say_all(replace(KNOWN, problem=AWAY, due=known + 3))
    assert source.poll(known) is None
    assert source.next_wakeup() == known + 3
    snapshot = source.poll(known + 3)
    assert snapshot is not None
    assert snapshot.problems == (AWAY,)
    assert source.poll(known + 4) is None
    assert source.next_wakeup() == inf
    say_all(KNOWN)
    mended = source.poll(known + 5)
    assert mended is not None
    assert mended.problems == ()
