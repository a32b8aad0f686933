"""The thread of a watcher, without a server: internal errors, failures and closing."""

import threading
import time
from typing import Any, cast

import pytest

from isthmus.kube.client import Client
from isthmus.kube.errors import UNREACHABLE, ApiError, Failure
from isthmus.kube.list_watch import Timing
from isthmus.kube.resources import Resource
from isthmus.kube.watcher import ResourceWatcher
from support.ovn.servers import wait_until


class Stub:
    """A client whose calls raise an exception, or wait until they are released."""

    server = "https://192.0.2.1:6443"

    def __init__(self, error: Exception | None) -> None:
        self.error, self.calls, self.go_on = error, 0, threading.Event()

    def call(self, *_request: Any, **_named: Any) -> dict[str, Any]:
        self.calls += 1
        if self.error is None:
            self.go_on.wait()
            raise ApiError(Failure(0, UNREACHABLE, "cut"))
        raise self.error


def watching(stub: Stub, woken: threading.Event, timing: Timing) -> ResourceWatcher:
    return ResourceWatcher(cast("Client", stub), Resource("Node"), woken.set, timing)


def test_an_internal_error_is_not_swallowed() -> None:
    """A thread that ends because of an internal error ends the daemon, too."""
    woken = threading.Event()
    found = watching(Stub(KeyError("bug")), woken, Timing())
    assert woken.wait(10)
    with pytest.raises(RuntimeError, match="watching nodes ended"):
        found.state(time.monotonic())
    found.close()


def test_failures_are_retried_and_reported_when_they_last() -> None:
    """A failure wakes the loop, and its state says when it becomes a problem."""
    woken = threading.Event()
    stub = Stub(ApiError(Failure(0, UNREACHABLE, "connection refused")))
    found = watching(stub, woken, Timing(first=0.001, most=0.01, patience=0.05))
    wait_until(lambda: stub.calls > 3, "it is tried again")
    state = found.state(time.monotonic() + 1)
    assert state.problem is not None
    assert not state.listed
    assert found.state(state.due - 0.01).problem is None
    found.close()


def test_it_ends_while_it_waits_for_an_answer() -> None:
    """Closing does not wait for a server that does not answer, and nothing is notified later."""
    stub, woken = Stub(None), threading.Event()
    found = watching(stub, woken, Timing())
    wait_until(lambda: stub.calls, "it asks")
    began = time.monotonic()
    found.close()
    assert time.monotonic() - began < 5
    stub.go_on.set()
    wait_until(
        lambda: not any("watching" in thread.name for thread in threading.enumerate()), "it ends"
    )
    assert not woken.is_set()
