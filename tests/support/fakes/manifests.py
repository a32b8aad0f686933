"""Kubernetes objects for tests: the ConfigMap, Subnets, Nodes, and snapshots of them."""

from typing import Any

from isthmus.controller.inputs.inputs import CONFIG_MAP
from isthmus.controller.inputs.snapshot import Manifest, ObjectKey, Snapshot

CONFIG = {
    "enable-ic": "true",
    "az-name": "az1",
    "ic-db-host": "192.168.65.3",
    "ic-nb-port": "6645",
    "ic-sb-port": "6646",
    "gw-nodes": "gw",
    "auto-route": "true",
}


def config_map(**changes: Any) -> Manifest:
    """The ConfigMap with some keys (_ for -) replaced, or removed if None."""
    named = {key.replace("_", "-"): value for key, value in changes.items()}
    data = {key: value for key, value in {**CONFIG, **named}.items() if value is not None}
    return manifest("ConfigMap", CONFIG_MAP.name, data=data)


def subnet(name: str, cidr: Any, **spec: Any) -> Manifest:
    """A Subnet."""
    return manifest("Subnet", name, spec={"cidrBlock": cidr, **spec})


def node(name: str, *addresses: str) -> Manifest:
    """A Node."""
    entries = [{"type": "InternalIP", "address": address} for address in addresses]
    return manifest("Node", name, status={"addresses": entries})


def manifest(kind: str, name: str, **body: Any) -> Manifest:
    """Any object."""
    namespace = CONFIG_MAP.namespace if kind == "ConfigMap" else ""
    return Manifest(ObjectKey(kind, namespace, name), body, "test.yaml")


def snapshot(*manifests: Manifest, complete: bool = True) -> Snapshot:
    """A snapshot of these objects."""
    return Snapshot({m.key: m for m in manifests}, (), complete)
