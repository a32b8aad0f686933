"""What a source of manifests hands over: the objects of one moment.

Every source (a directory, later the Kubernetes API) produces the same `Snapshot`; `Inputs` reads
it. Invariant: an object that a source cannot read right now is not missing from the snapshot if
it was readable before; only what is known to be gone is absent.
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
        body: the whole document; nothing in it has been checked except what makes up `key`.
        origin: where it comes from, for people, e.g. a file name.
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
        complete: whether everything has been read at least once. If not, an object that is not
            here may well exist, and its absence must not be acted upon.
    """

    objects: Mapping[ObjectKey, Manifest]
    problems: tuple[Problem, ...] = ()
    complete: bool = True

    def of_kind(self, kind: str) -> list[Manifest]:
        """The objects of one kind, in the order of their names."""
        found = (manifest for key, manifest in self.objects.items() if key.kind == kind)
        return sorted(found, key=lambda manifest: (manifest.key.name, manifest.key.namespace))
