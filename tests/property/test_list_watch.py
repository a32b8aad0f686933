"""Random histories of an API server, of its faults and of the connection to it.

The server is a model: versions, a log that is compacted, pages of one version. It is held against
a real one by tests/integration/kube/test_source.py, which plays the same faults there.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from isthmus.kube.errors import UNREACHABLE, Failure
from isthmus.kube.list_watch import ListRequest, ListWatch, Timing, WatchRequest
from isthmus.kube.resources import Resource

PACE = Timing(page=2)
NAMES = "abcdef"

Objects = dict[str, int]
"""Names, each with the number that stands for its content."""


@dataclass
class Server:
    """An API server with one resource."""

    version: int = 1
    objects: Objects = field(default_factory=dict)
    log: list[tuple[int, str, str, int]] = field(default_factory=list)
    past: dict[int, Objects] = field(default_factory=dict)
    oldest: int = 0
    listed_empty: bool = False

    def put(self, name: str, content: int) -> None:
        """Create or replace an object."""
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.objects[name] = content
        self._commit(kind, name, content)

    def delete(self, name: str) -> None:
        if name in self.objects:
            self._commit("DELETED", name, self.objects.pop(name))

    def touch(self) -> None:
        """Something else changes in the cluster: versions are shared by all resources."""
        self.version += 1

    def compact(self) -> None:
        self.oldest = self.version

    def page(self, token: str, limit: int) -> tuple[list[Any], str, str] | Failure:
        version, start = map(int, token.split("/")) if token else (self.version, 0)
        if token and version < self.oldest:
            return Failure(410, "Expired", "The provided continue parameter is too old")
        held = self.past.setdefault(version, dict(self.objects))
        found = sorted(held)
        end = start + limit if limit else len(found)
        items = [body(name, held[name], version) for name in found[start:end]]
        self.listed_empty = self.listed_empty or not found
        return items, str(version), f"{version}/{end}" if end < len(found) else ""

    def events(self, since: str) -> list[tuple[int, str, str, int]] | Failure:
        if int(since) < self.oldest:
            return Failure(410, "Expired", "too old resource version")
        return [entry for entry in self.log if entry[0] > int(since)]

    def _commit(self, kind: str, name: str, content: int) -> None:
        self.version += 1
        self.log.append((self.version, kind, name, content))


def body(name: str, content: int, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "spec": {"n": content}}


ACTIONS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(NAMES), st.integers(0, 3)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("touch")),
    st.tuples(st.just("compact")),
    st.tuples(st.just("turn"), st.integers(0, 3)),
    st.tuples(st.just("turn"), st.integers(0, 3)),
    st.tuples(st.just("cut")),
    st.tuples(st.just("bookmark")),
)


def turn(state: ListWatch, server: Server, most: int) -> None:
    """One request; of a watch, at most so many events before it ends."""
    step = state.next()
    if isinstance(step, ListRequest):
        answer = server.page(step.token, step.limit)
        if isinstance(answer, Failure):
            state.failed(answer, 0.0)
        else:
            state.page(*answer)
        return
    events = server.events(step.version)
    if isinstance(events, Failure):
        state.failed(events, 0.0)
        return
    state.opened()
    for version, kind, name, content in events[:most]:
        state.event(kind, body(name, content, version))
    state.ended(40.0)


def known(state: ListWatch) -> Objects:
    return {key.name: manifest.body["spec"]["n"] for key, manifest in state.objects.items()}


def play(state: ListWatch, server: Server, action: tuple[Any, ...]) -> None:
    match action:
        case ("put", name, content):
            server.put(name, content)
        case ("delete", name):
            server.delete(name)
        case ("touch",):
            server.touch()
        case ("compact",):
            server.compact()
        case ("turn", most):
            turn(state, server, most)
        case ("cut",):
            state.failed(Failure(0, UNREACHABLE, "reset"), 0.0)
        case ("bookmark",):
            step = state.next()
            if isinstance(step, WatchRequest) and server.events(step.version) == []:
                state.event("BOOKMARK", {"metadata": {"resourceVersion": str(server.version)}})


@settings(max_examples=150)
@example([("put", "a", 0), ("turn", 0), ("delete", "a"), ("compact",)])
@given(st.lists(ACTIONS, max_size=60))
def test_what_is_known_becomes_what_there_is(history: list[tuple[Any, ...]]) -> None:
    """After any history and a few undisturbed requests, the objects are those of the server.

    A list that is empty may be that of a server that lost its data, so what it lacks may stay.
    """
    server = Server()
    state = ListWatch(Resource("Subnet"), "here", PACE, lambda: 0.5)
    for action in history:
        play(state, server, action)
    for _ in range(12):
        turn(state, server, 100)
    lost = {key.name for key in state.lost}
    assert {name: n for name, n in known(state).items() if name not in lost} == server.objects
    assert not lost or server.listed_empty


@settings(max_examples=150)
@given(st.lists(ACTIONS, max_size=60))
def test_nothing_that_exists_all_the_time_ever_seems_gone(history: list[tuple[Any, ...]]) -> None:
    """An object that does not change is known from the first list on, and keeps its value."""
    server = Server()
    server.put("zz", 7)
    state = ListWatch(Resource("Subnet"), "here", PACE, lambda: 0.5)
    values = set()
    for action in history:
        play(state, server, action)
        if state.listed:
            assert known(state)["zz"] == 7
            values |= {id(manifest) for key, manifest in state.objects.items() if key.name == "zz"}
    assert len(values) <= 1
