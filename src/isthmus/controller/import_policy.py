"""The rules of the import policy, made from the inputs. The daemon passes them to the engine.

Invariant: prefixes belong to the router of their VPC, so that VPCs may use the same addresses.
"""

from isthmus.controller.inputs.inputs import Inputs
from isthmus.model.import_policy import ImportRules
from isthmus.model.prefixes import Network
from isthmus.model.route_rules import RouteRules


def import_rules(inputs: Inputs) -> ImportRules:
    """The cluster's own prefixes by VPC, and the rules on routes.

    The prefixes are those of all Subnets, whether private or not (a learned route would make both
    unreachable), and the InternalIPs of Nodes. These belong to the default VPC: the routers of
    other VPCs do not lead to nodes.
    """
    local: dict[str, dict[str, tuple[Network, ...]]] = {}
    for subnet in inputs.subnets.values():
        local.setdefault(subnet.vpc or inputs.vpc, {})[f"Subnet {subnet.name}"] = subnet.prefixes
    nodes = {f"Node {name}": prefixes for name, prefixes in inputs.node_prefixes.items()}
    local.setdefault(inputs.vpc, {}).update(nodes)
    config = inputs.config
    return ImportRules(
        local=local,
        physical=frozenset(
            prefix
            for subnet in inputs.subnets.values()
            if subnet.vlan
            for prefix in subnet.prefixes
        ),
        rules=config.rules if config is not None else RouteRules(),
        source=str(inputs.config_map),
        complete=inputs.wanted is not None,
    )
