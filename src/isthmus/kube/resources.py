"""The objects that are read from the API: their paths, and the fields that are kept.

Used by watchers and writers. Invariant: fields that change constantly and are not used (heartbeats
of Nodes, counters of Subnets, `managedFields`) are not kept, so that they never count as a change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.controller.gateway_labels import GATEWAY_LABEL
from isthmus.controller.inputs.nodes import ANNOTATIONS
from isthmus.controller.inputs.snapshot import API_VERSIONS, Manifest, ObjectKey

_PLURALS = {"ConfigMap": "configmaps", "Node": "nodes", "Subnet": "subnets", "Vpc": "vpcs"}


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of objects, or one object of it.

    Args:
        kind: e.g. "Subnet"; one of those in `API_VERSIONS`.
        namespace: where the objects are; empty for cluster-scoped kinds.
        name: of the only object; empty for all objects.
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
        within = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}/{self.api_version}{within}/{_PLURALS[self.kind]}"

    @property
    def query(self) -> dict[str, str]:
        """The parameters of each list and watch; roles allow a single object by its name."""
        return {"fieldSelector": f"metadata.name={self.name}"} if self.name else {}

    def __str__(self) -> str:
        group = self.api_version.rpartition("/")[0]
        return f"{_PLURALS[self.kind]}.{group}" if group else _PLURALS[self.kind]


def manifest(resource: Resource, body: Mapping[str, Any], origin: str) -> Manifest:
    """What is kept of an object.

    Args:
        resource: gives the kind, which items of lists lack.
        body: the object from the API.
        origin: where it comes from, for problems.

    Raises:
        ValueError: it is not a Kubernetes object.
    """
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        raise ValueError(f"a {resource.kind} without a name")
    namespace = str(metadata.get("namespace") or "")
    kept = {key: metadata[key] for key in ("name", "namespace", "uid") if key in metadata}
    match resource.kind:
        case "ConfigMap":
            # The status reports which version of the configuration is in force.
            kept["resourceVersion"] = metadata.get("resourceVersion", "")
            kept["labels"] = metadata.get("labels") or {}
            rest: dict[str, Any] = {"data": body.get("data") or {}}
        case "Node":
            for field, used in (("labels", (GATEWAY_LABEL,)), ("annotations", ANNOTATIONS)):
                given = metadata.get(field)
                if isinstance(given, dict) and (found := {k: given[k] for k in used if k in given}):
                    kept[field] = found
            rest = {"status": _node_status(body.get("status"))}
        case _:
            rest = {"spec": body.get("spec") or {}}
    whole = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": kept, **rest}
    return Manifest(ObjectKey(resource.kind, namespace, name), whole, origin)


def _node_status(status: Any) -> dict[str, Any]:
    if not isinstance(status, dict):
        return {}
    conditions = status.get("conditions")
    ready = [
        {key: condition.get(key) for key in ("type", "status")}
        for condition in (conditions if isinstance(conditions, list) else ())
        if isinstance(condition, dict) and condition.get("type") == "Ready"
    ]
    return {"addresses": status.get("addresses") or [], "conditions": ready}
