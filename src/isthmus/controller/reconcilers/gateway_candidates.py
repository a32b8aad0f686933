"""The chassis that serve as gateways of a transit switch's router port, with priorities.

Used by `RouterPorts`. As in Kube-OVN, `gw-nodes` is rotated by the position of the transit switch
among those of the same VPC, so that each transit switch prefers another node.
"""

from collections.abc import Iterator
from itertools import chain

from isthmus.controller.connections import Connections
from isthmus.controller.inputs.inputs import Inputs
from isthmus.engine.view import View
from isthmus.model.indexes import (
    GATEWAYS_BY_ENCAP,
    GATEWAYS_BY_NAME,
    IC_ENCAPS_BY_TUNNEL,
    ZONES_BY_NAME,
)
from isthmus.model.ovn_keys import is_interconn
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import Chassis, NbGlobal, SbEncap

HIGHEST_PRIORITY = 100


def choose_gateways(
    view: View, connections: Connections, inputs: Inputs, switches: list[str], switch: str
) -> tuple[dict[str, int], list[Problem]]:
    """The gateways of one transit switch.

    Args:
        view, connections, inputs: the chassis that exist, and the nodes to choose from.
        switches: the transit switches that connect the same VPC, in order.
        switch: one of them.

    Returns:
        The priority of each chassis that can serve by its name, and why nodes of `gw-nodes` cannot
        serve, or may not. A node without a usable chassis is left out and reported. A node that is
        not Ready, or that was deleted while its chassis remains, is included and reported. If
        several chassis have a node's hostname, all are candidates: first the one that serves, so
        that traffic stays where it is. BFD finds out which one lives. The chassis that serves now
        stays a candidate, after all others, until one of the others serves. Last of all come those
        that other zones cannot reach, because a gateway of one has their name or tunnel IP.
    """
    nodes = inputs.config.gateways if inputs.config is not None else ()
    priorities: dict[str, int] = {}
    problems: list[Problem] = []
    others: list[str] = []
    clashing: list[str] = []
    shift = switches.index(switch) % len(nodes) if switch in switches and nodes else 0
    serving = connections.serving_chassis(switch)
    for place, node in enumerate(nodes[shift:] + nodes[:shift]):
        usable = filter(is_interconn, connections.chassis_of(node))
        rows = sorted(usable, key=lambda row: row.name not in serving)
        names = [row.name for row in rows if not _clashes(view, row)]
        clashing += [row.name for row in rows if row.name not in names]
        if names:
            # A node's priority does not depend on whether the nodes before it can serve.
            priorities.setdefault(names[0], HIGHEST_PRIORITY - place)
            others += names[1:]
        if rows:
            problems += _warnings(inputs, node, [row.name for row in rows])
        else:
            problems.append(_problem(connections, inputs, node))
    known = {*priorities, *others, *clashing}
    kept = [name for name, row in serving.items() if is_interconn(row) and name not in known]
    if known:
        for place, name in enumerate((*others, *kept, *clashing), len(nodes)):
            priorities.setdefault(name, max(HIGHEST_PRIORITY - place, 0))
        problems += (_kept(inputs, name) for name in kept)
    return priorities, problems


def _clashes(view: View, chassis: Chassis) -> bool:
    """Whether a gateway of another zone has a chassis' name or one of its tunnel IPs."""
    row = view.single(NbGlobal)
    zone = view.one(ZONES_BY_NAME, row.name) if row is not None else None
    tunnels = filter(None, (view.get(SbEncap, uuid) for uuid in chassis.encaps))
    ends = (end for one in tunnels for end in view.all(IC_ENCAPS_BY_TUNNEL, (one.type, one.ip)))
    rivals = chain.from_iterable(view.all(GATEWAYS_BY_ENCAP, end.uuid) for end in ends)
    return zone is not None and any(
        gateway.availability_zone != zone.uuid
        for gateway in chain(view.all(GATEWAYS_BY_NAME, chassis.name), rivals)
    )


def _kept(inputs: Inputs, chassis: str) -> Problem:
    subject = Subject(str(inputs.config_map), "data.gw-nodes")
    return subject.problem(
        f"no node of this list has taken over from the chassis {chassis}, so it stays a gateway",
        "check that ovn-controller runs on the nodes of the list",
        Reason.PATH_KEPT,
    )


def _warnings(inputs: Inputs, name: str, chassis: list[str]) -> Iterator[Problem]:
    """What is wrong with a gateway's Node; it stays a gateway (docs/decisions/0010)."""
    node, subject = inputs.nodes.get(name), Subject(str(inputs.config_map), "data.gw-nodes", name)
    if len(chassis) > 1:
        names = ", ".join(sorted(chassis))
        yield subject.problem(
            f"several chassis have this hostname, so all are gateways: {names}",
            "delete those that a reinstalled node left: ovn-sbctl chassis-del NAME",
            Reason.DUPLICATE_CHASSIS,
        )
    if node is not None and node.ready is False:
        message = "the node is not Ready; it stays a gateway while BFD reaches it"
        remedy, reason = f"check `kubectl describe node {name}`", Reason.NOT_READY
    elif node is None and inputs.all_nodes_known:
        message = "the node does not exist any more, but its chassis does"
        reason = Reason.NO_SUCH_NODE
        remedy = "remove it from the list, and delete the chassis: ovn-sbctl chassis-del NAME"
    else:
        return
    yield subject.problem(message, remedy, reason)


def _problem(connections: Connections, inputs: Inputs, node: str) -> Problem:
    if connections.chassis_of(node):
        message = "the node's chassis does not take part in interconnection"
        reason = Reason.NOT_INTERCONNECTING
        remedy = "on the node: ovs-vsctl set Open_vSwitch . external_ids:ovn-is-interconn=true"
    elif node in inputs.nodes and (other := connections.tunnel_at(inputs.nodes[node].addresses)):
        message = (
            f"the node has no chassis in the southbound database, which has its address {other.ip}"
            f" as the tunnel IP of chassis {other.chassis_name}"
        )
        reason = Reason.TUNNEL_IP_TAKEN
        remedy = "set another external_ids:ovn-encap-ip in the Open vSwitch of one of the two"
    elif node in inputs.nodes:
        message = "the node has no chassis in the southbound database"
        reason = Reason.NO_CHASSIS
        remedy = "start ovn-controller on the node, with its name as external_ids:hostname"
    else:
        message = "there is no Node of this name and no chassis with this hostname"
        reason = Reason.NO_SUCH_NODE
        remedy = "write the name as `kubectl get nodes` prints it"
    return Subject(str(inputs.config_map), "data.gw-nodes", node).problem(message, remedy, reason)
