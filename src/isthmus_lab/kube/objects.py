"""The Kubernetes objects of a cluster, whatever holds them: files, or an API server.

Used by the starter, the demo and tests through `ClusterHandle.objects`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

from isthmus_lab.kube.api import ApiError, KubeApi
from isthmus_lab.kube.manifests import Manifests
from isthmus_lab.kube.server import kube_server
from isthmus_lab.topology import kube_ovn
from isthmus_lab.topology.layout import Layout
from isthmus_lab.topology.plan import ClusterPlan


class Objects(Protocol):
    """What can be done with objects, as `isthmus_lab.kube.manifests.Manifests` describes it."""

    def exists(self, kind: str, name: str) -> bool:
        """Whether there is such an object; not if nobody can say."""
        ...

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Create or replace an object."""
        ...

    def merge(self, kind: str, name: str, part: str, values: Mapping[str, Any]) -> None:
        """Change some keys of an object's part, e.g. "spec"; a value of None removes the key."""
        ...

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, if it is there."""
        ...


@dataclass(frozen=True, slots=True)
class KubeObjects:
    """Objects in an API server; ConfigMaps are those of Kube-OVN's namespace.

    Args:
        api: of an administrator.
    """

    api: KubeApi

    def exists(self, kind: str, name: str) -> bool:
        """Whether there is such an object; not if the server does not answer."""
        try:
            return bool(self.api.get(kind, name, namespace_of(kind)))
        except (ApiError, OSError, HTTPException):
            return False

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Create or replace an object. Raises: ApiError; OSError."""
        self.api.apply(manifest)

    def merge(self, kind: str, name: str, part: str, values: Mapping[str, Any]) -> None:
        """Change some keys of an object's part. Raises: ApiError; OSError."""
        self.api.merge(kind, name, {part: dict(values)}, namespace_of(kind))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, if it is there. Raises: ApiError; OSError."""
        self.api.delete(kind, name, namespace_of(kind))


@dataclass(frozen=True, slots=True)
class KubectlObjects:
    """The same, by kubectl, as people do it.

    Args:
        kubectl: runs it with arguments, and returns what it prints.
        directory: for files to apply, named by kind and name.
    """

    kubectl: Callable[[list[str]], str]
    directory: Path

    def exists(self, kind: str, name: str) -> bool:
        """Whether there is such an object. Raises: LabError."""
        found = ["get", kind.lower(), name, "--ignore-not-found", "-o", "name"]
        return bool(self.kubectl([*found, *_namespace_option(kind)]))

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Create or replace an object. Raises: LabError."""
        files = Manifests(self.directory)
        files.apply(manifest)
        file = files.path(manifest["kind"], manifest["metadata"]["name"])
        self.kubectl(["apply", "-f", str(file)])

    def merge(self, kind: str, name: str, part: str, values: Mapping[str, Any]) -> None:
        """Change some keys of an object's part. Raises: LabError."""
        patch = ["patch", kind.lower(), name, *_namespace_option(kind), "--type=merge"]
        self.kubectl([*patch, "-p", json.dumps({part: dict(values)})])

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, if it is there. Raises: LabError."""
        delete = ["delete", kind.lower(), name, "--ignore-not-found"]
        self.kubectl([*delete, *_namespace_option(kind)])


def objects_of(layout: Layout, cluster: ClusterPlan) -> Objects:
    """The objects of a cluster."""
    if cluster.kubernetes:
        return KubeObjects(kube_api(layout, cluster))
    return Manifests(layout.manifests(cluster.name))


def namespace_of(kind: str) -> str:
    """The namespace that the lab's objects of a kind are in; empty if the kind has none."""
    return kube_ovn.NAMESPACE if kind == "ConfigMap" else ""


def _namespace_option(kind: str) -> list[str]:
    return ["-n", namespace_of(kind)] if namespace_of(kind) else []


def kube_api(layout: Layout, cluster: ClusterPlan) -> KubeApi:
    """A cluster's API server, as its administrator."""
    network = layout.netns(cluster.central.name)
    return KubeApi(kube_server(layout, cluster).kubeconfig, network)
