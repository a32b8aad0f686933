"""A thread that writes to the Kubernetes API, so that a slow or absent server delays nothing else.

The base of `StatusPublisher` and `NodeLabeler`. The loop hands over what to write, without waiting,
and asks for problems; the thread writes when it is due. Invariant: interconnection continues
whatever happens here.
"""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from math import inf

from isthmus.kube.client import Client
from isthmus.kube.errors import ApiError, Failure, problem_of
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.ovsdb.wakeup import Wakeup

MANAGER = "isthmus"
"""Our name as a field manager (Kubernetes, "Server-Side Apply")."""

RETRY = 5.0
"""Seconds until a failed write is tried again, unless the server asks to wait longer."""

_LINGER = 1.0
"""Seconds that `close` waits for the thread; one that waits for an answer may outlive it."""

_log = logging.getLogger(__name__)


class ApiWriter(ABC):
    """A subclass starts the thread with `start` when it is complete.

    Args:
        client: shared with the source of manifests, which closes it.
        name: of the thread, and in the problem if it fails, e.g. "status publisher".
        patience: seconds for which a failure that may pass lasts until it is a problem.
    """

    def __init__(self, client: Client, name: str, patience: float) -> None:
        self._client, self._name, self._patience = client, name, patience
        self._failures: dict[str, tuple[Failure, float]] = {}
        self._problems: tuple[Problem, ...] = ()
        self._changed = Wakeup()
        self._work, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # -- called by the loop --------------------------------------------------------------------

    def problems(self) -> tuple[Problem, ...]:
        """What prevents writing."""
        self._changed.drain()
        return self._problems

    def fileno(self) -> int:
        """Readable when `problems` has changed; reading them makes it unreadable."""
        return self._changed.fileno()

    def close(self) -> None:
        """End; what has not been written yet is left to the daemon that becomes active next."""
        self._stop.set()
        self._work.set()
        self._thread.join(_LINGER)
        self._changed.close()

    # -- the thread ----------------------------------------------------------------------------

    @abstractmethod
    def _write_due(self, now: float) -> float:
        """Write what is due; when to be called again even without `_work`: seconds, or inf."""

    def _start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._work.clear()
                now = time.monotonic()
                due = min(self._write_due(now), self._failure_due(now))
                self._report(self._current_problems(now))
                self._work.wait(None if due == inf else max(due - time.monotonic(), 0.0))
        # A supervisor: the failure is reported, and does not affect interconnection.
        except Exception:  # noqa: BLE001
            _log.exception("%s stopped", self._name)
            message = "stopped because of an internal error"
            remedy = "restart isthmus, and report the error in its log"
            self._report((Subject(self._name).problem(message, remedy, Reason.PUBLISHER_FAILED),))

    def _attempt(self, resource: str, write: Callable[[], None], now: float) -> Failure | None:
        """Write something; why it failed, None if it did not.

        Args:
            resource: what is written, with the name that roles use.
            write: makes the calls.
            now: monotonic seconds.
        """
        try:
            write()
        except ApiError as error:
            since = self._failures[resource][1] if resource in self._failures else now
            self._failures[resource] = (error.failure, since)
            return error.failure
        self._failures.pop(resource, None)
        return None

    def _current_problems(self, now: float) -> set[Problem]:
        return {
            _problem(failure, self._client.server, resource)
            for resource, (failure, since) in self._failures.items()
            if self._reported_from(failure, since) <= now
        }

    def _failure_due(self, now: float) -> float:
        """When the next failure becomes a problem: monotonic seconds, or inf."""
        dues = (self._reported_from(*found) for found in self._failures.values())
        return min((due for due in dues if due > now), default=inf)

    def _reported_from(self, failure: Failure, since: float) -> float:
        return since if failure.lasting else since + self._patience

    def _report(self, problems: set[Problem] | tuple[Problem, ...]) -> None:
        found = tuple(sorted(problems))
        if found != self._problems:
            self._problems = found
            self._changed.set()


def retry_at(failure: Failure, now: float) -> float:
    """When to try again after a failure: monotonic seconds."""
    return now + max(RETRY, failure.retry_after)


def _problem(failure: Failure, server: str, resource: str) -> Problem:
    found = problem_of(failure, server, resource)
    if failure.status != HTTPStatus.NOT_FOUND:
        return found
    return replace(found, message=failure.message, remedy="create the namespace")
