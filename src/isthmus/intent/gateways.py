"""Which chassis serve as gateways of a transit switch's router port, and in which order.

Used by `RouterPorts`. Each transit switch prefers another node: the list of `gw-nodes` is rotated
by the transit switch's place among all, so that several of them share the load (Kube-OVN).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from isthmus.intent.inputs import Inputs
from isthmus.intent.lookup import Lookup
from isthmus.model.problems import Problem
from isthmus.model.rows import Chassis

HIGHEST_PRIORITY = 100


@dataclass(frozen=True, slots=True)
class Gateways:
    """The chosen gateways.

    Args:
        priorities: for each chassis name its priority, the highest first.
        problems: why nodes of `gw-nodes` are not among them.
    """

    priorities: Mapping[str, int]
    problems: tuple[Problem, ...]


def choose_gateways(lookup: Lookup, inputs: Inputs, transit_switch: str) -> Gateways:
    """The gateways of one transit switch; a node that cannot be one is left out and reported."""
    nodes = inputs.config.gateways if inputs.config is not None else ()
    priorities: dict[str, int] = {}
    problems: list[Problem] = []
    for place, node in enumerate(_rotated(nodes, lookup.connected_names(), transit_switch)):
        chassis = _usable(lookup.chassis_of(node))
        if chassis is not None:
            # A node keeps its priority whether or not the nodes before it can serve.
            priorities.setdefault(chassis.name, HIGHEST_PRIORITY - place)
        else:
            problems.append(_problem(lookup, inputs, node))
    return Gateways(priorities, tuple(problems))


def _rotated(nodes: tuple[str, ...], switches: list[str], switch: str) -> tuple[str, ...]:
    shift = switches.index(switch) % len(nodes) if switch in switches and nodes else 0
    return nodes[shift:] + nodes[:shift]


def _usable(candidates: Iterable[Chassis]) -> Chassis | None:
    """The chassis that takes part in interconnection; a reinstalled node may have left others."""
    return next((c for c in candidates if c.other_config.get("is-interconn") == "true"), None)


def _problem(lookup: Lookup, inputs: Inputs, node: str) -> Problem:
    if lookup.chassis_of(node):
        message = "the node's chassis does not take part in interconnection"
        remedy = "on the node: ovs-vsctl set Open_vSwitch . external_ids:ovn-is-interconn=true"
    elif node in inputs.nodes:
        message = "the node has no chassis in the southbound database"
        remedy = "start ovn-controller there, with the node's name as external_ids:hostname"
    else:
        message = "there is no such node, and no chassis of that hostname"
        remedy = "write the name as `kubectl get nodes` prints it"
    return Problem(str(inputs.config_map), "data.gw-nodes", node, message, remedy)
