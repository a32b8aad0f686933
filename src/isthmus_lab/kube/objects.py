"""The Kubernetes objects of a cluster, in manifest files or in an API server.

Used by the code that builds labs, and through `ClusterHandle.objects` by the demo and tests.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from isthmus_lab.kube.api import ApiRequestError, KubeApi
from isthmus_lab.kube.manifests import Manifests
from isthmus_lab.kube.server import kube_server
from isthmus_lab.topology import kube_ovn
from isthmus_lab.topology.layout import Layout
from isthmus_lab.topology.plan import ClusterPlan


@dataclass(frozen=True, slots=True)
class KubeObjects:
    """Objects in an API server. ConfigMaps are in Kube-OVN's namespace.

    Args:
        api: with the rights of an administrator.
    """

    api: KubeApi

    def exists(self, kind: str, name: str) -> bool:
        """Whether an object exists; False if the server does not respond."""
        try:
            return bool(self.api.get(kind, name, namespace_of(kind)))
        except ApiRequestError:
            return False

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Create or replace an object. Raises: ApiRequestError."""
        self.api.apply(manifest)

    def merge(self, kind: str, name: str, part: str, values: Mapping[str, Any]) -> None:
        """Change some keys of a part of an object. Raises: ApiRequestError."""
        self.api.merge(kind, name, {part: dict(values)}, namespace_of(kind))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object if it exists. Raises: ApiRequestError."""
        self.api.delete(kind, name, namespace_of(kind))


@dataclass(frozen=True, slots=True)
class KubectlObjects:
    """Objects in an API server, edited with kubectl as an administrator would.

    Args:
        kubectl: runs kubectl with arguments and returns its output.
        directory: for the files to apply.
    """

    kubectl: Callable[[list[str]], str]
    directory: Path

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Create or replace an object. Raises: LabError."""
        files = Manifests(self.directory)
        files.apply(manifest)
        file = files.path(manifest["kind"], manifest["metadata"]["name"])
        self.kubectl(["apply", "-f", str(file)])

    def merge(self, kind: str, name: str, part: str, values: Mapping[str, Any]) -> None:
        """Change some keys of a part of an object. Raises: LabError."""
        namespace = ["-n", namespace_of(kind)] if namespace_of(kind) else []
        patch = ["patch", kind.lower(), name, *namespace, "--type=merge"]
        self.kubectl([*patch, "-p", json.dumps({part: dict(values)})])


Objects: TypeAlias = Manifests | KubeObjects
"""The objects of a cluster; both have the methods and arguments of `Manifests`."""


def objects_of(layout: Layout, cluster: ClusterPlan) -> Objects:
    """The objects of a cluster."""
    if cluster.kubernetes:
        return KubeObjects(kube_api(layout, cluster))
    return Manifests(layout.manifests(cluster.name))


def namespace_of(kind: str) -> str:
    """The namespace of the lab's objects of a kind; "" for kinds without namespaces."""
    return kube_ovn.NAMESPACE if kind == "ConfigMap" else ""


def kube_api(layout: Layout, cluster: ClusterPlan) -> KubeApi:
    """A client of the API server of a cluster, with the rights of an administrator."""
    network = layout.netns(cluster.central.name)
    return KubeApi(kube_server(layout, cluster).kubeconfig, network)
