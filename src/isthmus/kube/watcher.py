"""A thread that follows one resource of the Kubernetes API.

Used by the source and by the status publisher. It makes the requests that `isthmus.kube.list_watch`
chooses. Invariant: the only thing of its user that it calls is `notify`.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.kube.client import Client, WatchStream
from isthmus.kube.errors import MALFORMED, ApiError, Failure
from isthmus.kube.list_watch import ListRequest, ListWatch, Timing, WatchRequest
from isthmus.kube.resources import Resource
from isthmus.model.problems import Problem
from isthmus.model.text import failure_text

_LINGER = 1.0
"""Seconds that `close` waits for the thread; a thread that is connecting may outlive it."""


@dataclass(frozen=True, slots=True)
class ResourceState:
    """What is known of a resource at a moment.

    Args:
        objects: the same mapping as last time if nothing has changed.
        listed: whether a list has been read to its end, so that no object is missing.
        problem: what prevents following it, None if nothing does.
        due: when a failure becomes a problem: monotonic seconds, or inf.
        lost: the objects that the server lacks, although no one is known to have deleted them.
    """

    objects: Mapping[ObjectKey, Manifest]
    listed: bool
    problem: Problem | None
    due: float
    lost: frozenset[ObjectKey] = frozenset()


class ResourceWatcher:
    """Starts at once.

    Args:
        client: shared with others.
        resource: what to follow.
        notify: called from the thread when `state` may differ.
        timing: how often and how long.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        notify: Callable[[], None],
        timing: Timing | None = None,
    ) -> None:
        self._client, self._resource, self._notify = client, resource, notify
        self._timing = timing or Timing()
        # Random only to spread the retries of many clients.
        self._list_watch = ListWatch(resource, client.server, self._timing, random.random)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._stream: WatchStream | None = None
        self._objects: Mapping[ObjectKey, Manifest] | None = None
        self._fault: BaseException | None = None
        name = f"watching {resource}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def state(self, now: float) -> ResourceState:
        """What is known now.

        Args:
            now: monotonic seconds.

        Raises:
            RuntimeError: the thread ended because of an internal error.
        """
        with self._lock:
            if self._fault is not None:
                raise RuntimeError(f"watching {self._resource} ended") from self._fault
            if self._objects is None:
                self._objects = dict(self._list_watch.objects)
            found = self._list_watch
            return ResourceState(
                self._objects, found.listed, found.problem(now), found.due(), found.lost
            )

    def close(self) -> None:
        """Stop; a thread in the middle of a request ends soon after."""
        self._stop.set()
        with self._lock:
            if self._stream is not None:
                self._stream.close()
        self._thread.join(_LINGER)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        # `state` raises this in the loop: ending silently would leave the daemon blind.
        except BaseException as error:  # noqa: BLE001
            with self._lock:
                self._fault = error
            self._notify()

    def _turn(self) -> None:
        with self._lock:
            step = self._list_watch.next()
        if self._stop.wait(step.delay):
            return
        try:
            if isinstance(step, ListRequest):
                self._list(step)
            else:
                self._watch(step)
        except ApiError as error:
            self._failed(error.failure)
        except ValueError as error:
            self._failed(Failure(0, MALFORMED, f"the server sent {failure_text(error)}"))

    def _list(self, step: ListRequest) -> None:
        query = {**self._resource.query}
        if step.limit:
            query["limit"] = str(step.limit)
        if step.token:
            query["continue"] = step.token
        body = self._client.call("GET", self._resource.path, query, answer=self._timing.answer)
        metadata, items = body.get("metadata"), body.get("items", [])
        if not isinstance(metadata, dict) or not isinstance(items or [], list):
            raise ValueError("something that is not a list")
        version, token = metadata.get("resourceVersion"), metadata.get("continue")
        with self._lock:
            changed = self._list_watch.page(items or [], str(version or ""), str(token or ""))
            self._objects = None if changed else self._objects
        if changed:
            self._notify()

    def _watch(self, step: WatchRequest) -> None:
        query = {
            **self._resource.query,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": step.version,
            "timeoutSeconds": str(round(self._timing.watch)),
        }
        stream = self._client.watch(self._resource.path, query, self._timing.silence)
        with contextlib.ExitStack() as stack:
            stack.callback(stream.release)
            with self._lock:
                self._stream = stream
                failing = self._list_watch.due()
                self._list_watch.opened()
            stack.callback(self._stream_ended)
            if failing != self._list_watch.due():
                self._notify()
            if not self._stop.is_set():
                self._follow(stream)

    def _follow(self, stream: WatchStream) -> None:
        for kind, body in stream:
            with self._lock:
                changed = self._list_watch.event(kind, body)
                self._objects = None if changed else self._objects
            if changed:
                self._notify()
        with self._lock:
            self._list_watch.ended(time.monotonic() - stream.opened)

    def _failed(self, failure: Failure) -> None:
        if self._stop.is_set():
            return
        with self._lock:
            self._list_watch.failed(failure, time.monotonic())
        self._notify()

    def _stream_ended(self) -> None:
        with self._lock:
            self._stream = None
