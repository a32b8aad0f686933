"""Paths of objects in the API, and the fields that are kept."""

from typing import Any

import pytest

from isthmus.controller.gateway_labels import GATEWAY_LABEL
from isthmus.kube.resources import Resource, manifest


def kept(kind: str, **body: Any) -> Any:
    metadata = {
        "name": "a",
        "uid": "u",
        "resourceVersion": "7",
        "managedFields": [{"manager": "x"}],
    }
    whole = {"metadata": {**metadata, **body.pop("metadata", {})}, **body}
    return manifest(Resource(kind), whole, "here").body


def test_paths_are_those_of_the_api() -> None:
    """Core kinds are below /api, those of groups below /apis; one object is selected by name."""
    assert Resource("Node").path == "/api/v1/nodes"
    assert Resource("Subnet").path == "/apis/kubeovn.io/v1/subnets"
    one = Resource("ConfigMap", "kube-system", "ovn-ic-config")
    assert one.path == "/api/v1/namespaces/kube-system/configmaps"
    assert one.query == {"fieldSelector": "metadata.name=ovn-ic-config"}
    assert [str(Resource(kind)) for kind in ("Vpc", "Node")] == ["vpcs.kubeovn.io", "nodes"]


def test_of_a_configuration_the_version_is_kept() -> None:
    """Of the ConfigMap, version and uid are kept, for the status and for Events."""
    body = kept("ConfigMap", data={"enable-ic": "true"}, metadata={"namespace": "kube-system"})
    assert body["metadata"] == {
        "name": "a",
        "namespace": "kube-system",
        "uid": "u",
        "resourceVersion": "7",
        "labels": {},
    }
    assert body["data"] == {"enable-ic": "true"}


def test_of_a_node_heartbeats_are_not_kept() -> None:
    """Of a Node, addresses, readiness and the gateway label are kept."""
    status = {
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        "conditions": [
            {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"},
            {"type": "DiskPressure", "status": "False"},
        ],
        "images": [{"names": ["x"]}],
    }
    labels = {GATEWAY_LABEL: "true", "kubernetes.io/os": "linux"}
    annotations = {"ovn.kubernetes.io/cidr": "100.64.0.0/16", "node.alpha.kubernetes.io/ttl": "0"}
    metadata = {"labels": labels, "annotations": annotations}
    body = kept("Node", status=status, spec={"podCIDR": "10.0.0.0/24"}, metadata=metadata)
    assert body == {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "a",
            "uid": "u",
            "labels": {GATEWAY_LABEL: "true"},
            "annotations": {"ovn.kubernetes.io/cidr": "100.64.0.0/16"},
        },
        "status": {
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def test_of_a_subnet_the_specification_is_kept() -> None:
    """Of a Subnet, the spec is kept and its counters are not."""
    body = kept("Subnet", spec={"cidrBlock": "10.0.0.0/16"}, status={"v4usingIPs": 3})
    assert body["spec"] == {"cidrBlock": "10.0.0.0/16"}
    assert "status" not in body


@pytest.mark.parametrize("body", [{}, {"metadata": {}}, {"metadata": {"name": 1}}])
def test_what_has_no_name_is_no_object(body: dict[str, Any]) -> None:
    """Objects without a name are refused."""
    with pytest.raises(ValueError, match="without a name"):
        manifest(Resource("Node"), body, "here")
