"""Snapshots: all objects of a source of manifests at one moment.

Both sources (a directory and the Kubernetes API) make a `Snapshot`; `Inputs` reads it. Invariant:
an object that could be read before and cannot be read now is still in the snapshot; only deleted
objects are missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.model.problems import Problem

API_VERSIONS: Mapping[str, str] = {
    "ConfigMap": "v1",
    "Node": "v1",
    "Subnet": "kubeovn.io/v1",
    "Vpc": "kubeovn.io/v1",
}
"""The kinds that are read, each with its API version."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """A Kubernetes object's identity; `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        path = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {path}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as it was written.

    Args:
        key: its identity.
        body: the whole document; only the parts that make up `key` have been validated.
        origin: where it comes from, for messages, e.g. a file name.
    """

    key: ObjectKey
    body: Mapping[str, Any]
    origin: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All objects of one moment.

    Args:
        objects: by identity.
        problems: what could not be read, and why.
        complete: whether everything has been read at least once. If not, an object that is missing
            here may exist, and must not count as deleted.
    """

    objects: Mapping[ObjectKey, Manifest]
    problems: tuple[Problem, ...] = ()
    complete: bool = True

    def of_kind(self, kind: str) -> list[Manifest]:
        """The objects of one kind, in the order of their names."""
        found = (manifest for key, manifest in self.objects.items() if key.kind == kind)
        return sorted(found, key=lambda manifest: (manifest.key.name, manifest.key.namespace))
