"""Which chassis serve as gateways of a transit switch's router port, and in which order.

Used by `RouterPorts`. Each transit switch prefers another node: the list of `gw-nodes` is rotated
by the transit switch's place among those of the same VPC, so that several of them share the load
(Kube-OVN).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from isthmus.controller.connections import Lookup
from isthmus.controller.inputs.inputs import Inputs
from isthmus.model.ovn_keys import is_interconn
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
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


def choose_gateways(lookup: Lookup, inputs: Inputs, switches: list[str], switch: str) -> Gateways:
    """The gateways of one transit switch.

    Args:
        lookup, inputs: the chassis there are, and the nodes to choose from.
        switches: all that connect the same VPC, in order.
        switch: one of them.

    Returns:
        The nodes that can serve; one that cannot is left out and reported. One that is not Ready
        or gone can, as far as OVN knows, and is reported as well.
    """
    nodes = inputs.config.gateways if inputs.config is not None else ()
    priorities: dict[str, int] = {}
    problems: list[Problem] = []
    for place, node in enumerate(_rotated(nodes, switches, switch)):
        chassis = _usable(lookup.chassis_of(node))
        if chassis is not None:
            # A node keeps its priority whether or not the nodes before it can serve.
            priorities.setdefault(chassis.name, HIGHEST_PRIORITY - place)
            problems += _doubts(inputs, node)
        else:
            problems.append(_problem(lookup, inputs, node))
    return Gateways(priorities, tuple(problems))


def _rotated(nodes: tuple[str, ...], switches: list[str], switch: str) -> tuple[str, ...]:
    shift = switches.index(switch) % len(nodes) if switch in switches and nodes else 0
    return nodes[shift:] + nodes[:shift]


def _usable(candidates: Iterable[Chassis]) -> Chassis | None:
    """The chassis that takes part in interconnection; a reinstalled node may have left others."""
    return next((c for c in candidates if is_interconn(c)), None)


def _doubts(inputs: Inputs, name: str) -> Iterator[Problem]:
    """What Kubernetes says against a gateway; it goes on as one (docs/decisions/0010)."""
    node = inputs.nodes.get(name)
    if node is not None and node.ready is False:
        message = "the node is not Ready; it serves as gateway as long as BFD reaches it"
        remedy, reason = f"look at `kubectl describe node {name}`", Reason.NOT_READY
    elif node is None and inputs.all_nodes_known:
        message, reason = (
            "there is no such node any more, but its chassis is there",
            Reason.NO_SUCH_NODE,
        )
        remedy = "take it off the list, and remove the chassis: ovn-sbctl chassis-del NAME"
    else:
        return
    yield Subject(str(inputs.config_map), "data.gw-nodes", name).problem(message, remedy, reason)


def _problem(lookup: Lookup, inputs: Inputs, node: str) -> Problem:
    if lookup.chassis_of(node):
        message = "the node's chassis does not take part in interconnection"
        reason = Reason.NOT_INTERCONNECTING
        remedy = "on the node: ovs-vsctl set Open_vSwitch . external_ids:ovn-is-interconn=true"
    elif node in inputs.nodes:
        message = "the node has no chassis in the southbound database"
        reason = Reason.NO_CHASSIS
        remedy = "start ovn-controller there, with the node's name as external_ids:hostname"
    else:
        message = "there is no such node, and no chassis of that hostname"
        reason = Reason.NO_SUCH_NODE
        remedy = "write the name as `kubectl get nodes` prints it"
    return Subject(str(inputs.config_map), "data.gw-nodes", node).problem(message, remedy, reason)
