"""Which objects are read from the API, where they are, and what of them is kept.

Used by reflectors and the client. Invariant: what changes all the time and is not read (heartbeats
of nodes, counters of subnets, `managedFields`) is not kept, so it never looks like a change.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.controller.gateway_labels import GATEWAY_LABEL
from isthmus.controller.inputs.snapshot import API_VERSIONS, Manifest, ObjectKey

_PLURALS = {"ConfigMap": "configmaps", "Node": "nodes", "Subnet": "subnets", "Vpc": "vpcs"}


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of objects, or one object of it.

    Args:
        kind: e.g. "Subnet"; one of those in `API_VERSIONS`.
        namespace: where the objects are; empty for cluster-scoped kinds.
        name: the one object that is meant; empty for all.
    """

    kind: str
    namespace: str = ""
    name: str = ""

    @property
    def api_version(self) -> str:
        """E.g. "v1", "kubeovn.io/v1"."""
        return API_VERSIONS[self.kind]

    @property
    def path(self) -> str:
        """The collection's path in the API."""
        root = "/apis" if "/" in self.api_version else "/api"
        place = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}/{self.api_version}{place}/{_PLURALS[self.kind]}"

    @property
    def query(self) -> dict[str, str]:
        """What lists and watches must always ask for: roles name single objects by this."""
        return {"fieldSelector": f"metadata.name={self.name}"} if self.name else {}

    def __str__(self) -> str:
        group = self.api_version.rpartition("/")[0]
        return f"{_PLURALS[self.kind]}.{group}" if group else _PLURALS[self.kind]


def manifest(resource: Resource, body: Mapping[str, Any], origin: str) -> Manifest:
    """What is kept of an object.

    Args:
        resource: of which kind it is; items of lists do not say so themselves.
        body: the object as the API gives it.
        origin: for people.

    Raises:
        ValueError: it is no Kubernetes object.
    """
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        raise ValueError(f"a {resource.kind} without a name")
    namespace = str(metadata.get("namespace") or "")
    kept = {key: metadata[key] for key in ("name", "namespace", "uid") if key in metadata}
    rest = _KEPT[resource.kind](body, metadata, kept)
    whole = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": kept, **rest}
    return Manifest(ObjectKey(resource.kind, namespace, name), whole, origin)


def _configuration(
    body: Mapping[str, Any], metadata: Mapping[str, Any], kept: dict[str, Any]
) -> dict[str, Any]:
    # The status says which version of the configuration is in force.
    kept["resourceVersion"] = metadata.get("resourceVersion", "")
    kept["labels"] = metadata.get("labels") or {}
    return {"data": body.get("data") or {}}


def _specification(
    body: Mapping[str, Any], _metadata: Mapping[str, Any], _kept: dict[str, Any]
) -> dict[str, Any]:
    return {"spec": body.get("spec") or {}}


def _node(
    body: Mapping[str, Any], metadata: Mapping[str, Any], kept: dict[str, Any]
) -> dict[str, Any]:
    labels, status = metadata.get("labels"), body.get("status")
    if isinstance(labels, dict) and GATEWAY_LABEL in labels:
        kept["labels"] = {GATEWAY_LABEL: labels[GATEWAY_LABEL]}
    if not isinstance(status, dict):
        return {"status": {}}
    conditions = status.get("conditions")
    ready = [
        {key: condition.get(key) for key in ("type", "status")}
        for condition in (conditions if isinstance(conditions, list) else ())
        if isinstance(condition, dict) and condition.get("type") == "Ready"
    ]
    return {"status": {"addresses": status.get("addresses") or [], "conditions": ready}}


_Kept = Callable[[Mapping[str, Any], Mapping[str, Any], dict[str, Any]], dict[str, Any]]

_KEPT: Mapping[str, _Kept] = {
    "ConfigMap": _configuration,
    "Node": _node,
    "Subnet": _specification,
    "Vpc": _specification,
}
