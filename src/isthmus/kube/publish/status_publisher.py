"""Publishes the status where users look: in a ConfigMap, and as Events on the configuration.

The event source `isthmus.daemon.status_source` offers reports. Only the latest one counts, and only
the active daemon's is written. What to write and when is decided in `status_writes` and `events`.
"""

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from math import inf
from typing import Any

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.controller.status.report import StatusReport
from isthmus.kube.client import Client
from isthmus.kube.errors import ApiError
from isthmus.kube.list_watch import Timing
from isthmus.kube.publish.api_writer import MANAGER, ApiWriter, retry_at
from isthmus.kube.publish.events import EventQueue, noteworthy
from isthmus.kube.publish.status_configmap import status_name
from isthmus.kube.publish.status_writes import StatusWrites
from isthmus.kube.resources import Resource
from isthmus.kube.watcher import ResourceWatcher
from isthmus.model.problems import Problem

_STATUS, _EVENTS = "configmaps", "events.events.k8s.io"
"""What is written, with the names that roles use."""

_FIXABLE = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
"""Refusals that someone can fix; a request that is refused as invalid stays invalid."""


class StatusPublisher(ApiWriter):
    """Starts at once.

    Args:
        client: see `ApiWriter`.
        config_map: the configuration; the status is published in its namespace.
        timing: of the watch on the status, and how long failures last until they are problems.
    """

    def __init__(self, client: Client, config_map: ObjectKey, timing: Timing | None = None) -> None:
        timing = timing or Timing()
        super().__init__(client, "status publisher", timing.patience)
        self._status = Resource("ConfigMap", config_map.namespace, status_name(config_map.name))
        host = socket.gethostname()
        self._by = f"isthmus {version('isthmus')} on {host}"
        self._events = EventQueue(host)
        self._unsent: dict[str, Any] | None = None
        self._unsent_due = -inf
        self._writes: StatusWrites | None = None
        self._observed: Mapping[ObjectKey, Manifest] | None = None
        self._latest: StatusReport | None = None
        self._repairs = (0, "")
        self._watcher = ResourceWatcher(client, self._status, self._work.set, timing)
        self._start()

    def offer(self, report: StatusReport) -> None:
        """Take over a report; never blocks."""
        if report != self._latest:
            self._latest = report
            self._work.set()

    def close(self) -> None:
        """End, as `ApiWriter.close`."""
        self._watcher.close()
        super().close()

    def _write_due(self, now: float) -> float:
        report = self._latest
        if report is None or not report.active:
            self._writes, self._unsent = None, None
            self._failures.clear()
            return inf
        if self._writes is None:
            self._writes, self._observed = StatusWrites(self._by), None
        self._observe(self._writes, now)
        if report.repairs != self._repairs:
            self._repairs = report.repairs
            self._events.add_repair(report.repairs[1], report.config_map)
        return min(self._write_status(self._writes, report, now), self._write_event(now))

    def _observe(self, writes: StatusWrites, now: float) -> None:
        """Pass on what the API has, each state once."""
        state = self._watcher.state(now)
        if not state.listed or state.objects is self._observed:
            return
        self._observed = state.objects
        found = next((m for key, m in state.objects.items() if key not in state.lost), None)
        writes.observe({} if found is None else found.body["data"])

    def _write_status(self, writes: StatusWrites, report: StatusReport, now: float) -> float:
        write, due = writes.next(report, now, _moment("seconds"))
        if write is None:
            if due == inf:
                self._failures.pop(_STATUS, None)
            return due
        failure = self._attempt(_STATUS, lambda: self._apply(write.data), now)
        if failure is not None:
            writes.retry_at(retry_at(failure, now))
            return now
        writes.done(write, now)
        for condition in noteworthy(write.before, write.conditions):
            self._events.add(condition, report.config_map)
        return now

    def _apply(self, data: Mapping[str, str]) -> None:
        status = self._status
        body = {
            "apiVersion": status.api_version,
            "kind": status.kind,
            "metadata": {"name": status.name, "namespace": status.namespace},
            "data": data,
        }
        query = {"fieldManager": MANAGER, "force": "true"}
        path = f"{status.path}/{status.name}"
        # JSON is YAML, too: the only media type of an apply.
        content = "application/apply-patch+yaml"
        self._client.call("PATCH", path, query, body, content=content)

    def _write_event(self, now: float) -> float:
        if self._unsent is not None and now < self._unsent_due:
            return self._unsent_due
        event = self._unsent or self._events.next(now, _moment("microseconds"))
        self._unsent = None
        if event is None:
            return self._events.due()
        failure = self._attempt(_EVENTS, lambda: self._create(event), now)
        if failure is not None and (not failure.lasting or failure.status in _FIXABLE):
            self._unsent, self._unsent_due = event, retry_at(failure, now)
        return now

    def _create(self, event: Mapping[str, Any]) -> None:
        namespace = event["metadata"]["namespace"]
        try:
            self._client.call(
                "POST", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", None, event
            )
        except ApiError as error:
            # It exists: the answer to an earlier attempt was lost.
            if error.failure.status != HTTPStatus.CONFLICT:
                raise

    def _current_problems(self, now: float) -> set[Problem]:
        found = super()._current_problems(now)
        watching = self._watcher.state(now).problem if self._writes is not None else None
        return found if watching is None else {*found, watching}

    def _failure_due(self, now: float) -> float:
        due = self._watcher.state(now).due if self._writes is not None else inf
        return min(super()._failure_due(now), due if due > now else inf)


def _moment(precision: str) -> str:
    """Now, in the format of RFC 3339; Events have microseconds, conditions seconds."""
    return datetime.now(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
