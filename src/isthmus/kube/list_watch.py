"""The objects of one resource, and the next request to the API: list and watch as a state machine.

Driven by `isthmus.kube.watcher`, which makes the requests and waits. Invariant: an object is gone
only after a DELETED event, or when a list that was read to its end lacks it and has others. If a
list is empty, or older than what is known, etcd was restored or has lost its data: the missing
objects are lost, and stay until they exist again or are deleted. A failure changes nothing.
Facts: Kubernetes' "API concepts" (efficient detection of changes, retrieving large results in
chunks, resource versions, which can be compared as numbers).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from typing import Any

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.kube.errors import Failure, problem_of
from isthmus.kube.resources import Resource, manifest
from isthmus.model.bounds import KUBE_OBJECTS
from isthmus.model.problems import Problem


@dataclass(frozen=True, slots=True)
class Timing:
    """How often and how long; all in seconds, except `page`.

    Args:
        page: objects per page of a list.
        answer: how long the answer to a list may take.
        watch: how long the server is asked to keep a watch open.
        silence: how long a watch may be silent, its end included; longer than `watch`.
        first, most: the first and the longest delay after failures; it doubles in between.
        denied: the longest delay while someone has something to fix.
        patience: how long a failure that may pass lasts until it is a problem.
    """

    page: int = 500
    answer: float = 15.0
    watch: float = 40.0
    silence: float = 50.0
    first: float = 0.1
    most: float = 5.0
    denied: float = 10.0
    patience: float = 3.0


BRIEF = 1.0
"""Seconds; a watch that ends sooner without an event counts as failed, so as not to spin."""


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Request a list, or its next page.

    Args:
        delay: seconds to wait before the request.
        token: of the page; empty for the first.
        limit: objects per page; 0 for all at once.
    """

    delay: float
    token: str
    limit: int


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Request all changes since a resource version; `delay` as in `ListRequest`."""

    delay: float
    version: str


class ListWatch:
    """The state of one list and watch.

    Args:
        resource: what is followed.
        server: the API server's URL, for problems.
        timing: how often and how long.
        chance: returns a random number from 0 to 1.

    Attributes:
        objects: those known to exist, and the lost ones.
        lost: the objects that lists lack, but that no one is known to have deleted.
        listed: whether a list has ever been read to its end.
    """

    def __init__(
        self, resource: Resource, server: str, timing: Timing, chance: Callable[[], float]
    ) -> None:
        self._resource, self._server, self._timing, self._chance = resource, server, timing, chance
        self.objects: dict[ObjectKey, Manifest] = {}
        self.lost: frozenset[ObjectKey] = frozenset()
        self.listed = False
        self._version = self._known = ""
        self._doubtful = False
        self._pages: dict[ObjectKey, Manifest] = {}
        self._token = ""
        self._whole = False
        self._failure: Failure | None = None
        self._since = inf
        self._in_a_row = 0
        self._delay = 0.0

    def next(self) -> ListRequest | WatchRequest:
        """The next request; after a failure, a list of one object shows whether etcd was restored.

        A watch from a version that is still to come would be silent until the version comes.
        """
        if self._version and self._doubtful:
            return ListRequest(self._delay, "", 1)
        if self._version:
            return WatchRequest(self._delay, self._version)
        return ListRequest(self._delay, self._token, 0 if self._whole else self._timing.page)

    def page(self, items: Iterable[Mapping[str, Any]], version: str, token: str) -> bool:
        """Take in a page of a list.

        Args:
            items: the objects.
            version: the list's resource version.
            token: of the next page; empty on the last one.

        Returns:
            Whether `objects` has changed; never before the last page.

        Raises:
            ValueError: it is not a list of Kubernetes objects.
        """
        if not version:
            raise ValueError("a list without a resource version")
        older = version.isdecimal() and self._known.isdecimal() and int(version) < int(self._known)
        if self._version:
            self._doubtful, self._delay = False, 0.0
            if older:
                self._start_over()
            return False
        for item in items:
            found = self._manifest(item)
            KUBE_OBJECTS.check(len(self._pages) + (found.key not in self._pages))
            self._pages[found.key] = found
        self._token, self._delay = token, 0.0
        if token:
            return False
        missing = self.objects.keys() - self._pages.keys()
        lost = missing if older or not self._pages else missing & self.lost
        before = self.objects, self.lost
        self.objects = {**self._pages, **{key: self.objects[key] for key in lost}}
        self.lost, self._pages = frozenset(lost), {}
        changed = not self.listed or before != (self.objects, self.lost)
        self.listed, self._whole, self._doubtful = True, False, False
        self._version = self._known = version
        return changed

    def opened(self) -> None:
        """Note that the watch has been accepted, which ends a failure."""
        self._failure, self._since, self._delay = None, inf, 0.0

    def event(self, kind: str, body: Mapping[str, Any]) -> bool:
        """Take in an event of a watch; whether `objects` has changed.

        Args:
            kind: ADDED, MODIFIED, DELETED or BOOKMARK.
            body: the object; of a bookmark, only its resource version is used.

        Raises:
            ValueError: it is not a valid event.
        """
        metadata = body.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not isinstance(version, str) or not version:
            raise ValueError("an event without a resource version")
        self._in_a_row, changed = 0, False
        if kind in {"ADDED", "MODIFIED", "DELETED"}:
            found = self._manifest(body)
            KUBE_OBJECTS.check(len(self.objects) + (found.key not in self.objects))
            known = self.objects.pop(found.key, None)
            if kind != "DELETED":
                self.objects[found.key] = found
            changed = known is not self.objects.get(found.key) or found.key in self.lost
            self.lost -= {found.key}
        self._version = self._known = version
        return changed

    def ended(self, lasted: float) -> None:
        """Note that the server has ended a watch regularly.

        Args:
            lasted: seconds since it was opened.
        """
        if lasted >= BRIEF:
            self._in_a_row = 0
        else:
            self._pause(self._timing.most)

    def failed(self, failure: Failure, now: float) -> None:
        """Note that a list or a watch failed; `next` repeats it after a delay.

        Args:
            failure: the cause.
            now: monotonic seconds.
        """
        if failure.expired:
            self._start_over()
            # What is known was true at its version, and no one has anything to fix.
            self._pause(self._timing.most if self._in_a_row else 0.0)
            return
        if failure.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            # If lists are allowed and watches are not, each retry is a list.
            self._version = ""
        self._doubtful = True
        self._pause(self._timing.denied if failure.lasting else self._timing.most)
        self._delay = max(self._delay, failure.retry_after)
        if self._failure is None:
            self._since = now
        self._failure = failure

    def problem(self, now: float) -> Problem | None:
        """The problem to report, None without one; `now` in monotonic seconds."""
        if self._failure is None or now < self.due():
            return None
        return problem_of(self._failure, self._server, str(self._resource))

    def due(self) -> float:
        """When a failure becomes a problem: monotonic seconds, or inf."""
        failure = self._failure
        # A server that has just started may lack its custom kinds for a moment.
        starting = failure is not None and failure.status == HTTPStatus.NOT_FOUND and self.listed
        lasting = failure is not None and failure.lasting and not starting
        return self._since + (0 if lasting else self._timing.patience)

    def _manifest(self, body: Mapping[str, Any]) -> Manifest:
        """What is kept of an object: the same value as before if that has not changed."""
        found = manifest(self._resource, body, self._server)
        known = self.objects.get(found.key)
        return known if known == found and known is not None else found

    def _start_over(self) -> None:
        # Pages that expire while they are being read would expire again.
        self._whole = self._whole or bool(self._token)
        self._version, self._token, self._pages = "", "", {}

    def _pause(self, most: float) -> None:
        """Set a delay twice as long as the last one, with jitter."""
        longest = min(most, self._timing.first * 2.0 ** min(self._in_a_row, 30))
        self._delay = longest * (0.5 + 0.5 * self._chance())
        self._in_a_row += 1
