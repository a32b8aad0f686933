"""The Kubernetes API as the source of manifests.

The daemon polls `fileno()` and calls `poll`. A watcher follows each kind. A change is passed on at
once, and in a burst every `GATHER` seconds.
"""

import time
from collections.abc import Sequence
from math import inf

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey, Snapshot
from isthmus.kube.client import Client
from isthmus.kube.list_watch import Timing
from isthmus.kube.resources import Resource
from isthmus.kube.watcher import ResourceState, ResourceWatcher
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.ovsdb.wakeup import Wakeup

GATHER = 0.05
"""Seconds from one snapshot to the next: each makes the controller compare every object."""

START = 3.0
"""Seconds from the start in which incomplete snapshots are held back: lists arrive one after the
other, and a list that has not arrived yet is not worth a report."""


SHOWN = 5
"""The maximum number of lost objects that a problem names."""


class KubernetesSource:
    """Follows the ConfigMap, and all Subnets, Vpcs and Nodes.

    Args:
        client: closed with the source.
        config_map: the ConfigMap with the configuration.
        timing: how often and how long to ask.
    """

    def __init__(self, client: Client, config_map: ObjectKey, timing: Timing | None = None) -> None:
        self._client = client
        self._wake = Wakeup()
        resources = (
            Resource("ConfigMap", config_map.namespace, config_map.name),
            Resource("Subnet"),
            Resource("Vpc"),
            Resource("Node"),
        )
        self._watchers = [
            ResourceWatcher(client, kind, self._wake.set, timing) for kind in resources
        ]
        self._last: Snapshot | None = None
        self._pending = True
        self._hold = time.monotonic() + START
        self._due = inf

    def fileno(self) -> int:
        """A file descriptor that is readable when `poll` may have something new."""
        return self._wake.fileno()

    def next_wakeup(self) -> float:
        """When `poll` must be called even if nothing was notified: monotonic seconds."""
        if self._last is None:
            return min(self._due, self._hold)
        return self._hold if self._pending else max(self._due, self._hold)

    def poll(self, now: float) -> Snapshot | None:
        """Take in what is new.

        Args:
            now: monotonic seconds.

        Returns:
            The snapshot if it differs from the last one that was returned, else None. An
            unchanged object is the same value as before.
        """
        self._pending |= self._wake.drain()
        if not self._pending and now < self._due:
            return None
        if self._last is not None and now < self._hold:
            return None
        states = [watcher.state(now) for watcher in self._watchers]
        self._due = min((state.due for state in states if state.due > now), default=inf)
        snapshot = self._snapshot(states)
        settled = all(state.listed or state.problem is not None for state in states)
        if self._last is None and now < self._hold and not settled:
            return None
        self._pending = False
        if snapshot == self._last:
            return None
        self._last, self._hold = snapshot, now + GATHER
        return snapshot

    def close(self) -> None:
        """Stop watching."""
        for watcher in self._watchers:
            watcher.close()
        self._client.close()
        self._wake.close()

    def _snapshot(self, states: Sequence[ResourceState]) -> Snapshot:
        objects: dict[ObjectKey, Manifest] = {}
        for state in states:
            objects.update(state.objects)
        # An API server that is down is one problem, not one per kind.
        found = sorted({state.problem for state in states if state.problem is not None})
        lost = sorted(str(key) for state in states for key in state.lost)
        if lost:
            found.append(self._lost(lost))
        problems = {(one.object, one.key, one.reason): one for one in reversed(found)}
        return Snapshot(
            objects, tuple(sorted(problems.values())), all(state.listed for state in states)
        )

    def _lost(self, names: list[str]) -> Problem:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return Subject(f"Kubernetes API {self._client.server}", "objects").problem(
            f"does not have {', '.join(names[:SHOWN])}{more} any more, but did not report that they"
            " were deleted, as after a restore of etcd; they stay in force",
            "restore the objects; to delete one for good, create it again and delete it",
            Reason.OBJECTS_LOST,
        )
