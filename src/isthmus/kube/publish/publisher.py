"""Publishes what a daemon reports where users look: status ConfigMap, Events, labels of Nodes.

The daemon's loop offers reports (`isthmus.daemon.status_source`); a thread of its own writes them,
so that an API server that is slow or gone holds nothing up. Only the latest report counts, and only
that of the active daemon is written. When and what is for `writing`, `events` and `labels` to say.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from math import inf
from typing import Any

from isthmus.controller.gateway_labels import GATEWAY_LABEL
from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.controller.status.report import StatusReport
from isthmus.kube.client import Client
from isthmus.kube.errors import ApiError, Failure, problem_of
from isthmus.kube.list_watch import Pace
from isthmus.kube.publish.events import Create, Events, Repeat, worth_telling
from isthmus.kube.publish.node_labels import Labels
from isthmus.kube.publish.status_configmap import status_name
from isthmus.kube.publish.status_writes import Write, Writing
from isthmus.kube.resources import Resource
from isthmus.kube.wakeup import Wake
from isthmus.kube.watcher import Reflector
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason

MANAGER = "isthmus"
"""Our name as a field manager of server-side apply."""

APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
"""Media types of patches (Kubernetes' "API concepts"); JSON is YAML, too."""

_STATUS, _EVENTS, _NODES = "configmaps", "events.events.k8s.io", "nodes"
"""What is written, as roles name it."""

_MENDABLE = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
"""Refusals that people mend; a request that is refused for what it says will always be."""

_LINGER = 1.0
"""Seconds that `close` waits for the thread; one that waits for an answer may outlive it."""

_log = logging.getLogger(__name__)


class Publisher:
    """Starts at once; a `isthmus.daemon.status_source.Sink`.

    Args:
        client: shared with the source, which closes it.
        config_map: the configuration; the status is published beside it.
        pace: of the watch on the status, and how long failures last until they are problems.
    """

    def __init__(self, client: Client, config_map: ObjectKey, pace: Pace | None = None) -> None:
        self._client, self._pace = client, pace or Pace()
        self._status = Resource("ConfigMap", config_map.namespace, status_name(config_map.name))
        host = socket.gethostname()
        self._by = f"isthmus {version('isthmus')} on {host}"
        self._events, self._labels = Events(host), Labels()
        self._writing: Writing | None = None
        self._objects: Mapping[ObjectKey, Manifest] | None = None
        self._faults: dict[str, tuple[Failure, float]] = {}
        self._retry: Create | Repeat | None = None
        self._retry_at = -inf
        self._report: StatusReport | None = None
        self._wanted_labels: Mapping[str, str] = {}
        self._told: tuple[Problem, ...] = ()
        self._wake, self._poke, self._stop = Wake(), threading.Event(), threading.Event()
        self._reflector = Reflector(client, self._status, self._poke.set, pace)
        self._thread = threading.Thread(target=self._run, name="publishing", daemon=True)
        self._thread.start()

    # -- called by the loop --------------------------------------------------------------------

    def offer(self, report: StatusReport, labels: Mapping[str, str]) -> None:
        """Take over a report, and the gateway labels to set by Node; never blocks."""
        if (report, labels) != (self._report, self._wanted_labels):
            self._report, self._wanted_labels = report, labels
            self._poke.set()

    def problems(self) -> tuple[Problem, ...]:
        """What keeps it from writing."""
        self._wake.drain()
        return self._told

    def fileno(self) -> int:
        """Readable when `problems` has changed."""
        return self._wake.fileno()

    def close(self) -> None:
        """End; what has not been written yet is for the daemon that becomes active next."""
        self._stop.set()
        self._poke.set()
        self._reflector.close()
        self._thread.join(_LINGER)
        self._wake.close()

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._poke.clear()
                now = time.monotonic()
                due = self._turn(now)
                self._tell(now)
                self._poke.wait(None if due == inf else max(due - time.monotonic(), 0.0))
        # Interconnection must go on without what is published about it; people are told.
        except Exception as error:  # noqa: BLE001
            _log.exception("publishing ended")
            message = f"publishing ended by a fault of ours: {error!r}"
            self._say((Subject("publisher").problem(message, "restart", Reason.PUBLISHER_FAILED),))

    def _turn(self, now: float) -> float:
        """Do what is due; when to be called again: monotonic seconds, or inf."""
        report = self._report
        if report is None or not report.active:
            self._writing, self._retry, self._faults = None, None, {}
            return inf
        if self._writing is None:
            self._writing, self._objects = Writing(self._by), None
        self._look(self._writing, now)
        dues = [
            self._write_status(self._writing, report, now),
            self._write_event(now),
            self._write_label(now),
            *(due for due in map(self._due, self._faults.values()) if due > now),
        ]
        return min(dues)

    def _look(self, writing: Writing, now: float) -> None:
        """Tell the state machine what the API server has, each state once."""
        state = self._reflector.state(now)
        if not state.listed or state.objects is self._objects:
            return
        self._objects = state.objects
        found = next(iter(state.objects.values()), None)
        if found is None:
            writing.seen(None, "", now)
        else:
            writing.seen(found.body["data"], str(found.body["metadata"]["resourceVersion"]), now)

    def _write_status(self, writing: Writing, report: StatusReport, now: float) -> float:
        write, due = writing.next(report, now, _moment("seconds"))
        if write is None:
            if due == inf:
                self._faults.pop(_STATUS, None)
            return due
        failure = self._attempt(_STATUS, lambda: self._apply(writing, write), now)
        if failure is not None:
            writing.failed(now, failure.retry_after)
            return now
        for condition in worth_telling(write.before, write.conditions):
            self._events.take_in(condition, report.config_map)
        return now

    def _apply(self, writing: Writing, write: Write) -> None:
        status = self._status
        body = {
            "apiVersion": status.api_version,
            "kind": status.kind,
            "metadata": {"name": status.name, "namespace": status.namespace},
            "data": dict(write.data),
        }
        query = {"fieldManager": MANAGER, "force": "true"}
        path = f"{status.path}/{status.name}"
        answer = self._client.call("PATCH", path, query, body, content=APPLY)
        metadata = answer.get("metadata")
        made = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        writing.done(write, str(made or ""), time.monotonic())

    def _write_event(self, now: float) -> float:
        if self._retry is not None and now < self._retry_at:
            return self._retry_at
        request = self._retry or self._events.next(now, _moment("microseconds"))
        self._retry = None
        if request is None:
            due = self._events.due(now)
            return inf if due is None else due
        failure = self._attempt(_EVENTS, lambda: self._tell_event(request), now)
        if failure is not None and (not failure.lasting or failure.status in _MENDABLE):
            pause = self._pace.denied if failure.lasting else 1.0
            self._retry, self._retry_at = request, now + max(failure.retry_after, pause)
        return now

    def _tell_event(self, request: Create | Repeat) -> None:
        events = f"/apis/events.k8s.io/v1/namespaces/{request.namespace}/events"
        create = request
        if isinstance(request, Repeat):
            try:
                path = f"{events}/{request.name}"
                self._client.call("PATCH", path, None, request.body, content=MERGE)
            except ApiError as error:
                if error.failure.status != HTTPStatus.NOT_FOUND:
                    raise
                create = request.instead
            else:
                return
        try:
            self._client.call("POST", events, None, create.body)
        except ApiError as error:
            # The answer to an earlier attempt was lost.
            if error.failure.status != HTTPStatus.CONFLICT:
                raise

    def _write_label(self, now: float) -> float:
        labels = self._wanted_labels
        wanted, due = self._labels.next(labels, now)
        if wanted is None:
            if not labels:
                self._faults.pop(_NODES, None)
            return due
        node, value = wanted
        body = {"metadata": {"labels": {GATEWAY_LABEL: value}}}
        path = f"{Resource('Node').path}/{node}"
        self._attempt(_NODES, lambda: self._label(path, body), now)
        return now

    def _label(self, path: str, body: Mapping[str, Any]) -> None:
        try:
            self._client.call("PATCH", path, {"fieldManager": MANAGER}, body, content=MERGE)
        except ApiError as error:
            # A node that is gone needs no label; the snapshot will say so, too.
            if error.failure.status != HTTPStatus.NOT_FOUND:
                raise

    def _attempt(self, what: str, action: Callable[[], None], now: float) -> Failure | None:
        """Do something; why it failed, if it did."""
        try:
            action()
        except ApiError as error:
            since = self._faults[what][1] if what in self._faults else now
            self._faults[what] = (error.failure, since)
            return error.failure
        self._faults.pop(what, None)
        return None

    # -- what keeps it from writing ------------------------------------------------------------

    def _due(self, fault: tuple[Failure, float]) -> float:
        """When a failure that may pass by itself becomes a problem: monotonic seconds."""
        failure, since = fault
        return since if failure.lasting else since + self._pace.patience

    def _tell(self, now: float) -> None:
        found = {
            _problem(failure, self._client.server, what)
            for what, (failure, since) in self._faults.items()
            if self._due((failure, since)) <= now
        }
        watching = self._reflector.state(now).problem if self._writing is not None else None
        if watching is not None:
            found.add(watching)
        self._say(tuple(sorted(found)))

    def _say(self, problems: tuple[Problem, ...]) -> None:
        if problems != self._told:
            self._told = problems
            self._wake.set()


def _problem(failure: Failure, server: str, what: str) -> Problem:
    found = problem_of(failure, server, what)
    if failure.status != HTTPStatus.NOT_FOUND:
        return found
    return replace(found, message=failure.message, remedy="create the namespace")


def _moment(precision: str) -> str:
    """Now, as RFC 3339 has it; Events want microseconds, conditions seconds."""
    return datetime.now(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
