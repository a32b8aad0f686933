"""The source of manifests on a real API server, driven as the daemon's loop drives it."""

import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.controller.inputs.inputs import CONFIG_MAP
from isthmus.controller.inputs.snapshot import Manifest, ObjectKey, Snapshot
from isthmus.kube.client import Client, WatchStream
from isthmus.kube.credentials import KubeCredentials
from isthmus.kube.list_watch import Timing
from isthmus.kube.source import KubernetesSource

LIMIT = 60.0
"""Seconds to wait for any state."""

BRISK = Timing(page=2, answer=2.0, watch=1.0, silence=2.0, most=0.5, denied=0.5, patience=0.5)
"""Short times for tests: small pages, short watches, short delays."""


class CountingClient(Client):
    """A client that counts its lists and watches."""

    lists = watches = 0

    def call(self, method: str, path: str, *rest: Any, **named: Any) -> dict[str, Any]:
        """Make a request, and count it."""
        self.lists += 1
        return super().call(method, path, *rest, **named)

    def watch(self, path: str, query: Mapping[str, str], silence: float) -> WatchStream:
        """Open a watch, and count it."""
        self.watches += 1
        return super().watch(path, query, silence)


class Follower:
    """Follows a source.

    Args:
        kubeconfig: address and credentials of the API.
        timing: how often and how long to ask.

    Attributes:
        client: counts what is asked.
        snapshots: all that have come.
    """

    def __init__(self, kubeconfig: Path | None, timing: Timing | None = None) -> None:
        self.client = CountingClient(KubeCredentials(kubeconfig))
        self.source = KubernetesSource(self.client, CONFIG_MAP, timing)
        self.snapshots: list[Snapshot] = []

    @property
    def last(self) -> Snapshot:
        """The last snapshot."""
        return self.snapshots[-1]

    def until(self, condition: Callable[[Snapshot], object], what: str) -> Snapshot:
        """Follow until the last snapshot meets a condition."""
        deadline = time.monotonic() + LIMIT
        while not (self.snapshots and condition(self.last)):
            now = time.monotonic()
            assert now < deadline, f"waited in vain: {what}; last: {self.snapshots[-1:]}"
            snapshot = self.source.poll(now)
            if snapshot is not None:
                self.snapshots.append(snapshot)
                continue
            wait = max(0.0, min(self.source.next_wakeup(), deadline) - now)
            select.select([self.source], [], [], wait)
        return self.last

    def complete(self) -> Snapshot:
        """Follow until everything is known and there are no problems."""
        return self.until(lambda found: found.complete and not found.problems, "all is known")

    def has(self, kind: str, name: str) -> Manifest:
        """Follow until an object exists, and return it."""
        key = ObjectKey(kind, CONFIG_MAP.namespace if kind == "ConfigMap" else "", name)
        return self.until(lambda found: key in found.objects, f"{key} is there").objects[key]

    def lacks(self, kind: str, name: str) -> None:
        """Follow until an object is gone."""
        key = ObjectKey(kind, CONFIG_MAP.namespace if kind == "ConfigMap" else "", name)
        self.until(lambda found: key not in found.objects, f"{key} is gone")

    def troubled(self, reason: str) -> Snapshot:
        """Follow until there is a problem with this reason."""
        return self.until(
            lambda found: any(problem.reason == reason for problem in found.problems), reason
        )


@contextmanager
def following(kubeconfig: Path | None, timing: Timing | None = None) -> Iterator[Follower]:
    """A follower that is closed in the end."""
    follower = Follower(kubeconfig, timing)
    try:
        yield follower
    finally:
        follower.source.close()
