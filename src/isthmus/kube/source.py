"""The Kubernetes API as the source of what is wanted.

The daemon polls `fileno()` and calls `poll`. Each kind is followed by a reflector; a change is
handed over at once, and in a burst each `GATHER` seconds.
"""

import time
from collections.abc import Sequence
from math import inf

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey, Snapshot
from isthmus.kube.client import Client
from isthmus.kube.list_watch import Pace
from isthmus.kube.resources import Resource
from isthmus.kube.wakeup import Wake
from isthmus.kube.watcher import Reflected, Reflector

GATHER = 0.05
"""Seconds from a snapshot to the next: each makes the controller look at every object."""

START = 3.0
"""Seconds from the start in which snapshots that are not complete are held back: lists come one
after the other, and what has merely not come yet is nothing to report."""


class KubernetesSource:
    """Follows the ConfigMap, and all Subnets, Vpcs and Nodes.

    Args:
        client: closed with the source.
        config_map: the ConfigMap to obey.
        pace: how often and how long to ask.
    """

    def __init__(self, client: Client, config_map: ObjectKey, pace: Pace | None = None) -> None:
        self._client = client
        self._wake = Wake()
        resources = (
            Resource("ConfigMap", config_map.namespace, config_map.name),
            Resource("Subnet"),
            Resource("Vpc"),
            Resource("Node"),
        )
        self._reflectors = [Reflector(client, kind, self._wake.set, pace) for kind in resources]
        self._last: Snapshot | None = None
        self._taken: list[Reflected] = []
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
        """Look for what is new.

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
        states = [reflector.state(now) for reflector in self._reflectors]
        self._due = min((state.due for state in states if state.due > now), default=inf)
        snapshot = self._snapshot(states)
        if self._last is None and now < self._hold and not _settled(states):
            return None
        self._pending = False
        if self._last is not None and self._same(states, snapshot):
            return None
        self._last, self._taken, self._hold = snapshot, states, now + GATHER
        return snapshot

    def close(self) -> None:
        """Stop watching."""
        for reflector in self._reflectors:
            reflector.close()
        self._client.close()
        self._wake.close()

    @staticmethod
    def _snapshot(states: Sequence[Reflected]) -> Snapshot:
        objects: dict[ObjectKey, Manifest] = {}
        for state in states:
            objects.update(state.objects)
        # An API server that is down is one problem, not one for each kind.
        found = sorted({state.problem for state in states if state.problem is not None})
        problems = {(one.object, one.key, one.reason): one for one in reversed(found)}
        return Snapshot(
            objects, tuple(sorted(problems.values())), all(state.listed for state in states)
        )

    def _same(self, states: Sequence[Reflected], snapshot: Snapshot) -> bool:
        """Whether there is nothing new (objects by identity: there may be many)."""
        last = self._last
        return (
            last is not None
            and last.problems == snapshot.problems
            and last.complete == snapshot.complete
            and all(
                before.objects is after.objects
                for before, after in zip(self._taken, states, strict=True)
            )
        )


def _settled(states: Sequence[Reflected]) -> bool:
    """Whether each kind is known, or known to make trouble."""
    return all(state.listed or state.problem is not None for state in states)
