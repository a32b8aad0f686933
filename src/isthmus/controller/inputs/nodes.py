"""Kubernetes Nodes: names, internal addresses, and the subnet that connects them to OVN.

Used by `Inputs`.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from isthmus.controller.config.suggestions import shortened
from isthmus.controller.inputs.snapshot import Manifest
from isthmus.model.prefixes import Address, Network, parse_list
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason

ANNOTATIONS = _SWITCH, _CIDR = ("ovn.kubernetes.io/logical_switch", "ovn.kubernetes.io/cidr")
"""The annotations with the name and the CIDRs of a node's subnet, which Kube-OVN sets."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node.

    Args:
        name: its name, which is also the `hostname` of its chassis in OVN.
        addresses: its InternalIPs (`status.addresses`), in the order given.
        ready: whether its condition Ready is "True"; None if it has none, as in manifests
            written by hand.
        join_subnet: the subnet that connects it to the router; empty without annotations.
        join_prefixes: that subnet's CIDRs.
    """

    name: str
    addresses: tuple[Address, ...]
    ready: bool | None = None
    join_subnet: str = ""
    join_prefixes: tuple[Network, ...] = ()


def parse_node(manifest: Manifest, last: Node | None) -> tuple[Node, tuple[Problem, ...]]:
    """Read a Node.

    Args:
        manifest: as written.
        last: its last valid form, if any.

    Returns:
        The node, and its problems. If there are any, the node is `last`; without `last`, the node
        has the addresses that are valid.
    """
    name, problems = str(manifest.key), list[Problem]()
    status = manifest.body.get("status")
    entries = status.get("addresses") if isinstance(status, dict) else None
    addresses: list[Address] = []
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if not isinstance(entry, dict) or entry.get("type") != "InternalIP":
            continue
        value = entry.get("address")
        try:
            addresses.append(ip_address(value if isinstance(value, str) else ""))
        except ValueError:
            subject = Subject(name, f"status.addresses[{index}].address", shortened(value))
            message, remedy = "is not a valid IP address", "write the node's InternalIP"
            problems.append(subject.problem(message, remedy, Reason.INVALID_NODE))
    if entries is not None and not isinstance(entries, list):
        subject = Subject(name, "status.addresses", shortened(entries))
        remedy = "list entries with type and address"
        problems.append(subject.problem("must be a list", remedy, Reason.INVALID_NODE))
    join_subnet, cidrs = _annotation(manifest, _SWITCH), _annotation(manifest, _CIDR)
    join_prefixes, bad = parse_list(cidrs)
    for entry in bad:
        subject = Subject(name, f"metadata.annotations[{_CIDR}]", shortened(entry))
        remedy = "write the CIDRs of the subnet that connects the node"
        problems.append(subject.problem("is not a valid CIDR", remedy, Reason.INVALID_NODE))
    node = Node(manifest.key.name, tuple(addresses), _ready(status), join_subnet, join_prefixes)
    return (last if problems and last is not None else node), tuple(problems)


def _annotation(manifest: Manifest, key: str) -> str:
    metadata = manifest.body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return str(annotations.get(key) or "") if isinstance(annotations, dict) else ""


def _ready(status: object) -> bool | None:
    conditions = status.get("conditions") if isinstance(status, dict) else None
    for condition in conditions if isinstance(conditions, list) else ():
        if isinstance(condition, dict) and condition.get("type") == "Ready":
            # Kubernetes sets "Unknown" when a node stops reporting.
            return condition.get("status") == "True"
    return None
