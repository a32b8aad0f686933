"""The label of gateway Nodes, `ovn.kubernetes.io/ic-gw`: which Nodes need another value.

Kube-OVN's node daemon makes the chassis of a Node with this label a gateway. The daemon calls
`gateway_labels` after each change of the inputs or the gateways, and `isthmus.kube` sets the
labels. Pure.

Invariant: a Node keeps its label while its chassis is a gateway candidate of one of our ports.
`RouterPorts` removes a candidate only when another one can serve, so a misspelt `gw-nodes` never
takes the last gateway out of interconnection.
"""

from collections.abc import Iterable

from isthmus.controller.connections import Connections
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.inputs.snapshot import Snapshot
from isthmus.engine.view import View
from isthmus.model.indexes import CHASSIS_BY_NAME

GATEWAY_LABEL = "ovn.kubernetes.io/ic-gw"
"""The label: "true" on gateways."""


def gateway_nodes(view: View, inputs: Inputs) -> frozenset[str]:
    """The nodes of `gw-nodes`, and those that are still gateway candidates of our ports."""
    connections = Connections(view, inputs)
    serving = {
        chassis.hostname
        for name in connections.transit_switch_names()
        for pair in connections.ports_on(name)
        if pair.router_port is not None
        for candidate in connections.gateway_chassis(pair.router_port)
        if (chassis := view.one(CHASSIS_BY_NAME, candidate.chassis_name)) is not None
    }
    configured = inputs.config.gateways if inputs.config is not None else ()
    return frozenset(serving).union(configured)


def gateway_labels(snapshot: Snapshot, gateways: Iterable[str]) -> dict[str, str]:
    """Return the value to set for each Node whose label differs from what it should be.

    Args:
        snapshot: the Nodes with their labels.
        gateways: the names of the Nodes that need the label, see `gateway_nodes`.

    Returns:
        "true" for gateways without that value; "false" for Nodes that have "true" and are not
        gateways. Nodes that have never been gateways are left out.
    """
    wanted, found = frozenset(gateways), dict[str, str]()
    for manifest in snapshot.of_kind("Node"):
        name, metadata = manifest.key.name, manifest.body.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        value = labels.get(GATEWAY_LABEL) if isinstance(labels, dict) else None
        if (name in wanted) != (value == "true"):
            found[name] = "true" if name in wanted else "false"
    return found
