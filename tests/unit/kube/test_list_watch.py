"""List and watch of one resource: the next request after each answer."""

from typing import Any

import pytest

from isthmus.controller.inputs.snapshot import ObjectKey
from isthmus.kube.errors import SILENT, TLS, UNREACHABLE, Failure
from isthmus.kube.list_watch import ListRequest, ListWatch, Timing, WatchRequest
from isthmus.kube.resources import Resource

SERVER = "https://192.0.2.1:6443"
PACE = Timing()

REFUSED = Failure(0, UNREACHABLE, "connection refused")
GONE = Failure(410, "Expired", "too old resource version: 1 (9)")
FORBIDDEN = Failure(403, "Forbidden", 'User "jo" cannot list resource "subnets"')


def list_watch(chance: float = 1.0) -> ListWatch:
    return ListWatch(Resource("Subnet"), SERVER, PACE, lambda: chance)


def subnet(name: str, cidr: str = "10.0.0.0/16", version: str = "1") -> dict[str, Any]:
    metadata = {"name": name, "resourceVersion": version}
    return {"metadata": metadata, "spec": {"cidrBlock": cidr}}


def bookmark(version: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}}


def names(state: ListWatch) -> list[str]:
    return sorted(key.name for key in state.objects)


def listed(*found: str) -> ListWatch:
    """A list and watch that has listed these Subnets at version 10 and now watches."""
    state = list_watch()
    state.page([subnet(name) for name in found], "10", "")
    state.opened()
    return state


def test_it_lists_page_by_page_and_then_watches() -> None:
    """Nothing of a list counts before its last page; then the watch starts at its version."""
    state = list_watch()
    assert state.next() == ListRequest(0.0, "", PACE.page)
    assert not state.page([subnet("a")], "10", "more")
    assert state.next() == ListRequest(0.0, "more", PACE.page)
    assert not state.listed
    assert not state.objects
    assert state.page([subnet("b")], "10", "")
    assert names(state) == ["a", "b"]
    assert state.next() == WatchRequest(0.0, "10")


def test_an_empty_list_is_news_the_first_time() -> None:
    """An empty list counts as a change, or the snapshot would never be complete."""
    state = list_watch()
    assert state.page([], "10", "")
    assert state.listed


def test_events_change_what_is_known() -> None:
    """Events create, change and delete objects, and the watch is resumed at the last version."""
    state = listed("a")
    assert state.event("ADDED", subnet("b", version="11"))
    assert state.event("MODIFIED", subnet("a", "10.1.0.0/16", "12"))
    assert state.event("DELETED", subnet("b", version="13"))
    assert names(state) == ["a"]
    state.ended(40.0)
    assert state.next() == WatchRequest(0.0, "13")


def test_a_bookmark_moves_the_version_alone() -> None:
    """A quiet watch is resumed at its last bookmark, long after its last event has expired."""
    state = listed("a")
    assert not state.event("BOOKMARK", bookmark("99"))
    assert state.next() == WatchRequest(0.0, "99")
    assert names(state) == ["a"]


def test_what_is_not_read_is_no_change() -> None:
    """A change of fields that are not kept, such as counters, is not a change of the object."""
    state = listed("a")
    before = state.objects[ObjectKey("Subnet", "", "a")]
    again = {**subnet("a", version="12"), "status": {"v4usingIPs": 7}}
    assert not state.event("MODIFIED", again)
    assert state.objects[ObjectKey("Subnet", "", "a")] is before


def test_an_expired_version_is_listed_anew_and_nothing_seems_gone() -> None:
    """After 410 Gone what is known stays until the new list has been read to its end."""
    state = listed("a", "b")
    state.failed(GONE, 0.0)
    assert state.next() == ListRequest(0.0, "", PACE.page)
    assert names(state) == ["a", "b"]
    assert state.problem(100.0) is None
    assert not state.page([subnet("a")], "20", "more")
    assert names(state) == ["a", "b"]
    assert state.page([subnet("c")], "20", "")
    assert names(state) == ["a", "c"]


def test_a_list_that_tells_nothing_new_is_no_change() -> None:
    """A list that equals what is known is not a change."""
    state = listed("a", "b")
    state.failed(GONE, 0.0)
    assert not state.page([subnet("a"), subnet("b")], "20", "")


def test_expired_pages_are_asked_for_all_at_once() -> None:
    """If a page expires while the list is read, the list is read again in one piece."""
    state = list_watch()
    state.page([subnet("a")], "10", "more")
    state.failed(GONE, 0.0)
    assert state.next() == ListRequest(0.0, "", 0)
    state.page([subnet("b")], "20", "")
    assert names(state) == ["b"]


def test_a_server_for_which_every_version_is_expired_is_not_asked_in_a_circle() -> None:
    """After the first 410 the list follows at once, after later ones with growing delays."""
    state = listed("a")
    delays = []
    for _ in range(4):
        state.failed(GONE, 0.0)
        delays.append(state.next().delay)
        state.page([subnet("a")], "20", "")
        state.opened()
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert delays[3] > delays[1] > 0


def test_a_version_from_the_future_is_listed_anew() -> None:
    """After etcd was restored from a back-up, versions are lower than those that are known."""
    state = listed("a")
    state.failed(Failure(504, "Timeout", "Too large resource version: 10, current: 5"), 0.0)
    assert isinstance(state.next(), ListRequest)


def test_pauses_double_up_to_a_limit_and_are_spread() -> None:
    """Delays between requests to a server that is down grow, with jitter."""
    state, lucky = list_watch(), list_watch(chance=0.0)
    delays = []
    for _ in range(9):
        state.failed(REFUSED, 0.0)
        lucky.failed(REFUSED, 0.0)
        assert lucky.next().delay == state.next().delay / 2
        delays.append(state.next().delay)
    assert delays[:3] == [0.1, 0.2, 0.4]
    assert delays[-1] == PACE.most


def test_success_forgets_the_pauses() -> None:
    """After an event, the next failure is followed by the shortest delay again."""
    state = listed("a")
    for _ in range(5):
        state.failed(REFUSED, 0.0)
    state.opened()
    state.event("BOOKMARK", bookmark("11"))
    state.failed(REFUSED, 0.0)
    assert state.next() == ListRequest(PACE.first, "", 1)


def test_the_server_may_ask_for_a_longer_pause() -> None:
    """The delay that an overloaded API server asks for is kept (429, Retry-After)."""
    state = listed("a")
    state.failed(Failure(429, "TooManyRequests", "later", retry_after=7.0), 0.0)
    assert state.next() == ListRequest(7.0, "", 1)


def test_an_outage_is_a_problem_when_it_lasts() -> None:
    """A short outage of the API server is not a problem; a longer one is."""
    state = listed("a")
    state.failed(REFUSED, 100.0)
    state.failed(REFUSED, 102.0)
    assert state.problem(102.9) is None
    assert state.due() == 100.0 + PACE.patience
    problem = state.problem(103.0)
    assert problem is not None
    assert str(problem).startswith(f"Kubernetes API {SERVER}: cannot be reached: ")
    assert names(state) == ["a"]
    state.opened()
    assert state.problem(200.0) is None


def test_missing_permissions_are_reported_at_once() -> None:
    """The problem has the verb, the resource and the user, and names the remedy."""
    state = list_watch()
    state.failed(FORBIDDEN, 0.0)
    problem = state.problem(0.0)
    assert problem is not None
    assert problem.key == "subnets.kubeovn.io"
    assert problem.reason == "Forbidden"
    assert 'User "jo" cannot list resource "subnets"' in problem.message
    assert "roles in deploy/kubernetes" in problem.remedy


def test_a_forbidden_watch_is_replaced_by_lists() -> None:
    """With a role that lacks the verb watch, changes arrive by lists, and it is a problem."""
    state = listed("a")
    state.failed(FORBIDDEN, 0.0)
    assert isinstance(state.next(), ListRequest)
    assert state.page([subnet("a"), subnet("b")], "12", "")
    assert state.problem(0.0) is not None
    assert state.next() == WatchRequest(0.0, "12")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Failure(401, "Unauthorized", "Unauthorized"), "Unauthorized"),
        (Failure(404, "NotFound", "the server could not find the requested resource"), "NotFound"),
        (Failure(0, TLS, "self-signed certificate"), "TLS"),
    ],
)
def test_what_people_must_mend_is_named_at_once(failure: Failure, reason: str) -> None:
    """Bad credentials, missing kinds and untrusted certificates are problems at once."""
    state = list_watch()
    state.failed(failure, 5.0)
    problem = state.problem(5.0)
    assert problem is not None
    assert problem.reason == reason
    assert problem.remedy


def test_silence_is_told_as_such() -> None:
    """A server that accepts connections and does not answer is a problem like one that is down."""
    state = listed("a")
    state.failed(Failure(0, SILENT, "it does not answer"), 0.0)
    problem = state.problem(PACE.patience)
    assert problem is not None
    assert "does not answer" in problem.message


def test_watches_that_end_at_once_are_not_asked_in_a_circle() -> None:
    """Delays grow for a server that accepts watches and ends them at once."""
    state = listed("a")
    for _ in range(8):
        state.opened()
        state.ended(0.01)
    assert state.next().delay == PACE.most


@pytest.mark.parametrize("kind", ["ADDED", "BOOKMARK"])
def test_an_event_without_a_version_is_refused(kind: str) -> None:
    """An invalid event changes nothing."""
    state = listed("a")
    with pytest.raises(ValueError, match="without a resource version"):
        state.event(kind, {"metadata": {"name": "b"}})
    assert names(state) == ["a"]


def test_a_list_without_a_version_is_refused() -> None:
    """An answer that is JSON, but not a list of Kubernetes, changes nothing."""
    state = listed("a")
    state.failed(GONE, 0.0)
    with pytest.raises(ValueError, match="without a resource version"):
        state.page([], "", "")
    assert names(state) == ["a"]


def lost(state: ListWatch) -> list[str]:
    return sorted(key.name for key in state.lost)


def relisted(state: ListWatch, version: str, *found: str) -> bool:
    """Answer the list that follows an expired version; whether anything has changed."""
    state.failed(GONE, 0.0)
    assert isinstance(state.next(), ListRequest)
    return state.page([subnet(name) for name in found], version, "")


def test_after_a_failure_it_asks_for_the_version_and_resumes_the_watch() -> None:
    """If the server is not behind, the watch continues where it was; one object is read."""
    state = listed("a", "b")
    state.failed(REFUSED, 0.0)
    assert state.next() == ListRequest(PACE.first, "", 1)
    assert not state.page([subnet("a")], "12", "more")
    assert state.next() == WatchRequest(0.0, "10")
    assert names(state) == ["a", "b"]


def test_a_server_that_is_behind_is_listed() -> None:
    """A watch from a version that is still to come would be silent, so everything is listed."""
    state = listed("a", "b")
    state.failed(REFUSED, 0.0)
    assert not state.page([subnet("a")], "9", "more")
    assert state.next() == ListRequest(0.0, "", PACE.page)
    assert state.page([subnet("a", "10.9.0.0/16")], "9", "")
    assert (names(state), lost(state)) == (["a", "b"], ["b"])
    assert state.objects[ObjectKey("Subnet", "", "a")].body["spec"]["cidrBlock"] == "10.9.0.0/16"
    assert state.next() == WatchRequest(0.0, "9")


@pytest.mark.parametrize("version", ["9", "12", "opaque"])
def test_an_empty_list_loses_objects_and_deletes_none(version: str) -> None:
    """A list that is empty at once keeps every object, whatever its version is."""
    state = listed("a", "b")
    assert relisted(state, version)
    assert names(state) == lost(state) == ["a", "b"]


@pytest.mark.parametrize("version", ["10", "12", "opaque"])
def test_a_list_with_other_objects_deletes_what_it_lacks(version: str) -> None:
    """Objects that were deleted during an outage are gone if the list is not older."""
    state = listed("a", "b")
    assert relisted(state, version, "a")
    assert (names(state), lost(state)) == (["a"], [])


def test_lost_objects_stay_lost_until_each_is_there_again_or_deleted() -> None:
    """Neither a later list nor the return of other objects deletes them."""
    state = listed("a", "b", "c")
    assert relisted(state, "3")
    assert state.event("ADDED", subnet("a", version="4"))
    assert lost(state) == ["b", "c"]
    assert not relisted(state, "20", "a")
    assert lost(state) == ["b", "c"]
    assert state.event("DELETED", subnet("b", version="21"))
    assert (names(state), lost(state)) == (["a", "c"], ["c"])
    assert relisted(state, "30", "a", "c")
    assert (names(state), lost(state)) == (["a", "c"], [])


def test_deleting_the_last_object_is_meant() -> None:
    """A DELETED event is a deletion, and so is an empty list afterwards."""
    state = listed("a")
    assert state.event("DELETED", subnet("a", version="11"))
    assert not relisted(state, "12")
    assert (names(state), lost(state)) == ([], [])
