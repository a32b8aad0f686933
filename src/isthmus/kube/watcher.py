"""A thread that keeps up with one resource of the Kubernetes API.

Used by the source, by the publisher and by the lab. It asks, waits and takes in; what to ask is
`isthmus.kube.list_watch`'s to say. Invariant: it touches nothing of its user's but `notify`.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.kube.client import Client, Stream
from isthmus.kube.errors import MALFORMED, ApiError, Failure
from isthmus.kube.list_watch import List, Pace, Reflection, Watch
from isthmus.kube.resources import Resource
from isthmus.model.problems import Problem

_LINGER = 1.0
"""Seconds that `close` waits for the thread; one that is connecting may outlive it."""


@dataclass(frozen=True, slots=True)
class Reflected:
    """What is known at a moment.

    Args:
        objects: by identity; the same mapping as last time if nothing has changed.
        listed: whether that is everything there is.
        problem: what people must know.
        due: when something that has failed becomes a problem: monotonic seconds, or inf.
    """

    objects: Mapping[ObjectKey, Manifest]
    listed: bool
    problem: Problem | None
    due: float


class Reflector:
    """Starts at once.

    Args:
        client: shared with others.
        resource: what to keep up with.
        notify: called from the thread when `state` may differ.
        pace: how often and how long.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        notify: Callable[[], None],
        pace: Pace | None = None,
    ) -> None:
        self._client, self._resource, self._notify = client, resource, notify
        self._pace = pace or Pace()
        # Spreads retries of many clients; nothing secret about it.
        self._reflection = Reflection(resource, client.server, self._pace, random.random)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._stream: Stream | None = None
        self._objects: Mapping[ObjectKey, Manifest] | None = None
        self._fault: BaseException | None = None
        name = f"watching {resource}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def state(self, now: float) -> Reflected:
        """What is known.

        Args:
            now: monotonic seconds.

        Raises:
            RuntimeError: the thread ended by a fault of ours.
        """
        with self._lock:
            if self._fault is not None:
                raise RuntimeError(f"watching {self._resource} ended") from self._fault
            if self._objects is None:
                self._objects = dict(self._reflection.objects)
            found = self._reflection
            due = found.due()
            return Reflected(self._objects, found.listed, found.problem(now), due)

    def close(self) -> None:
        """End; the thread ends by itself soon if it is in the middle of a request."""
        self._stop.set()
        with self._lock:
            if self._stream is not None:
                self._stream.close()
        self._thread.join(_LINGER)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        # A thread that ends without a word would leave the daemon blind: `state` raises this.
        except BaseException as error:  # noqa: BLE001
            with self._lock:
                self._fault = error
            self._notify()

    def _turn(self) -> None:
        with self._lock:
            step = self._reflection.next()
        if self._stop.wait(step.delay):
            return
        try:
            if isinstance(step, List):
                self._list(step)
            else:
                self._watch(step)
        except ApiError as error:
            self._failed(error.failure)
        except ValueError as error:
            self._failed(Failure(0, MALFORMED, f"it sends {error}"))

    def _list(self, step: List) -> None:
        query = {**self._resource.query}
        if step.limit:
            query["limit"] = str(step.limit)
        if step.token:
            query["continue"] = step.token
        body = self._client.call("GET", self._resource.path, query, answer=self._pace.answer)
        metadata, items = body.get("metadata"), body.get("items", [])
        if not isinstance(metadata, dict) or not isinstance(items or [], list):
            raise ValueError("something that is no list")
        version, token = metadata.get("resourceVersion"), metadata.get("continue")
        with self._lock:
            changed = self._reflection.page(items or [], str(version or ""), str(token or ""))
            self._changed(changed)
        if changed:
            self._notify()

    def _watch(self, step: Watch) -> None:
        query = {
            **self._resource.query,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": step.version,
            "timeoutSeconds": str(round(self._pace.watch)),
        }
        stream = self._client.watch(self._resource.path, query, self._pace.silence)
        with contextlib.ExitStack() as stack:
            stack.callback(stream.release)
            with self._lock:
                self._stream = stream
                failing = self._reflection.due()
                self._reflection.opened()
            stack.callback(self._forget)
            if failing != self._reflection.due():
                self._notify()
            if not self._stop.is_set():
                self._follow(stream)

    def _follow(self, stream: Stream) -> None:
        for kind, body in stream:
            with self._lock:
                changed = self._reflection.event(kind, body)
                self._changed(changed)
            if changed:
                self._notify()
        with self._lock:
            self._reflection.ended(time.monotonic() - stream.opened)

    def _failed(self, failure: Failure) -> None:
        if self._stop.is_set():
            return
        with self._lock:
            self._reflection.failed(failure, time.monotonic())
        self._notify()

    def _changed(self, changed: bool) -> None:
        if changed:
            self._objects = None

    def _forget(self) -> None:
        with self._lock:
            self._stream = None
