"""The label of gateway Nodes, `ovn.kubernetes.io/ic-gw`: which Nodes need another value.

Kube-OVN's node daemon makes the chassis of a Node with this label a gateway. The daemon calls
`gateway_labels` after each change of the inputs, and `isthmus.kube` sets the labels. Pure.
"""

from collections.abc import Iterable, Iterator

from isthmus.controller.inputs.snapshot import Snapshot

GATEWAY_LABEL = "ovn.kubernetes.io/ic-gw"
"""The label: "true" on gateways."""


def gateway_labels(snapshot: Snapshot, gateways: Iterable[str]) -> dict[str, str]:
    """Return the value to set for each Node whose label differs from what it should be.

    Args:
        snapshot: the Nodes with their labels.
        gateways: the names in `gw-nodes`; none while the cluster does not take part.

    Returns:
        "true" for gateways without that value; "false" for Nodes that have "true" and are not
        gateways. Nodes that have never been gateways are left out.
    """
    wanted = frozenset(gateways)
    found: dict[str, str] = {}
    for name, value in _labels(snapshot):
        if name in wanted and value != "true":
            found[name] = "true"
        elif name not in wanted and value == "true":
            found[name] = "false"
    return found


def _labels(snapshot: Snapshot) -> Iterator[tuple[str, str | None]]:
    """The name of each Node and the value of its label; None if it has none."""
    for key, manifest in snapshot.objects.items():
        if key.kind == "Node":
            metadata = manifest.body.get("metadata")
            labels = metadata.get("labels") if isinstance(metadata, dict) else None
            value = labels.get(GATEWAY_LABEL) if isinstance(labels, dict) else None
            yield key.name, value if isinstance(value, str) else None
