"""Check that the parts of a topology are consistent with each other.

Called by `isthmus_lab.topology.loader.parse` only. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import TypeAlias

from isthmus.model.problems import Problem, Subject
from isthmus_lab.topology.schema import ClusterSpec, Family, Network, Role, Topology

Found: TypeAlias = tuple[str, str, str, str]
"""Key path within the file, e.g. "clusters[0].pods[1].node"; value; message; remedy."""


def check(topology: Topology, source: str) -> Iterator[Problem]:
    """Yield the inconsistencies of a topology.

    Args:
        topology: with all defaults filled in.
        source: the file's name, for messages.
    """
    for key, value, message, remedy in _check(topology):
        yield Subject(f"topology {source}", key, value).problem(message, remedy)


def _check(topology: Topology) -> Iterator[Found]:
    yield from _unique_names(topology)
    for index, cluster in enumerate(topology.clusters):
        where = f"clusters[{index}]"
        yield from _nodes(cluster, where)
        yield from _families(topology, cluster, where)
        yield from _subnets(topology, cluster, where)
        yield from _pods(cluster, where)
    yield from _shared(topology)


def _unique_names(topology: Topology) -> Iterator[Found]:
    clusters = [(f"clusters[{i}].name", c.name) for i, c in enumerate(topology.clusters)]
    hosts = []
    for i, cluster in enumerate(topology.clusters):
        hosts += [(f"clusters[{i}].nodes[{j}].name", n.name) for j, n in enumerate(cluster.nodes)]
        hosts += [(f"clusters[{i}].pods[{j}].name", p.name) for j, p in enumerate(cluster.pods)]
        subnets = [
            (f"clusters[{i}].subnets[{j}].name", s.name) for j, s in enumerate(cluster.subnets)
        ]
        yield from _duplicates([("", "join"), *subnets], "subnet")
    yield from _duplicates(clusters, "cluster")
    # `isthmus lab exec NAME` accepts both, so names are unique across the lab.
    yield from _duplicates(hosts, "node or pod")


def _duplicates(names: Iterable[tuple[str, str]], what: str) -> Iterator[Found]:
    seen = set()
    for key, name in names:
        if name in seen:
            yield (key, name, f"another {what} has this name", "choose a unique name")
        seen.add(name)


def _nodes(cluster: ClusterSpec, where: str) -> Iterator[Found]:
    central = [node.name for node in cluster.nodes if Role.CENTRAL in node.roles]
    if len(central) != 1:
        yield (
            f"{where}.nodes",
            ", ".join(central),
            f"must have exactly one node with the role central, not {len(central)}",
            "assign the role central to one node",
        )
    names = {node.name for node in cluster.nodes}
    for name in cluster.gateways or ():
        if name not in names:
            yield _unknown(f"{where}.gateways", name, "node", names)


def _families(topology: Topology, cluster: ClusterSpec, where: str) -> Iterator[Found]:
    if topology.family not in {topology.family_of(cluster), Family.DUAL}:
        yield (
            f"{where}.family",
            str(cluster.family),
            f"does not match the family of the lab, {topology.family}",
            "set the family of the lab to dual",
        )
    wanted = topology.family_of(cluster).versions
    networks = [(f"{where}.subnets[{i}].cidr", s.cidr) for i, s in enumerate(cluster.subnets)]
    for key, cidr in [*networks, (f"{where}.join", cluster.join)]:
        if cidr is not None and tuple(network.version for network in cidr) != wanted:
            yield (
                key,
                ",".join(map(str, cidr)),
                f"does not match the family of the cluster, {topology.family_of(cluster)}",
                "write one CIDR per address family of the cluster",
            )


def _subnets(topology: Topology, cluster: ClusterSpec, where: str) -> Iterator[Found]:
    """Subnets of a VPC must not overlap. Those of different clusters may, for tests of overlaps."""
    shared = [
        ("the underlay", topology.underlay),
        ("the join subnet", cluster.join),
        *(
            (f"the transit switch {switch.name}", switch.cidr)
            for switch in topology.transit_switches
        ),
    ]
    for i, subnet in enumerate(cluster.subnets):
        same_vpc = [other for other in cluster.subnets[:i] if other.vpc == subnet.vpc]
        others = [(f"the subnet {other.name} of the same VPC", other.cidr) for other in same_vpc]
        for what, cidr in [*others, *shared]:
            if _overlap(subnet.cidr, cidr):
                yield (
                    f"{where}.subnets[{i}].cidr",
                    ",".join(map(str, subnet.cidr or ())),
                    f"overlaps {what}",
                    "choose a CIDR that does not overlap",
                )


def _overlap(a: Sequence[Network] | None, b: Sequence[Network] | None) -> bool:
    return any(m.version == n.version and m.overlaps(n) for m in a or () for n in b or ())


def _pods(cluster: ClusterSpec, where: str) -> Iterator[Found]:
    nodes = {node.name for node in cluster.nodes}
    subnets = {subnet.name: subnet for subnet in cluster.subnets}
    taken: set[tuple[str, str]] = set()
    for i, pod in enumerate(cluster.pods):
        if pod.node not in nodes:
            yield _unknown(f"{where}.pods[{i}].node", pod.node, "node", nodes)
        if pod.subnet not in subnets:
            yield _unknown(f"{where}.pods[{i}].subnet", pod.subnet, "subnet", subnets)
            continue
        key = f"{where}.pods[{i}].address"
        if pod.address is None:
            yield (
                key,
                "",
                "cannot be assigned: the subnet is full",
                "choose a larger CIDR for the subnet",
            )
        else:
            yield from _pod_address(key, pod.address, subnets[pod.subnet].cidr)
            if (pod.subnet, pod.address) in taken:
                yield (key, pod.address, "another pod has this address", "choose a free address")
            taken.add((pod.subnet, pod.address))


def _pod_address(key: str, text: str, cidr: Sequence[Network] | None) -> Iterator[Found]:
    try:
        addresses = [ip_address(part.strip()) for part in text.split(",")]
    except ValueError as error:
        yield (key, text, str(error), "write one IP address per family, separated by commas")
        return
    if cidr is None:
        yield (key, text, "needs a subnet with a CIDR", "set cidr of the subnet")
        return
    inside = [
        sum(a in network and int(a) - int(network.network_address) != 1 for a in addresses)
        for network in cidr
    ]
    if inside != [1] * len(cidr) or len(addresses) != len(cidr):
        yield (
            key,
            text,
            f"does not have one usable address in each of {', '.join(map(str, cidr))}",
            "write one address per family, inside the subnet, other than its first (the gateway)",
        )


def _shared(topology: Topology) -> Iterator[Found]:
    wanted = topology.family.versions
    switches = [
        (f"transitSwitches[{i}].cidr", t.cidr) for i, t in enumerate(topology.transit_switches)
    ]
    for key, cidr in [("underlay", topology.underlay), *switches]:
        if cidr is not None and tuple(network.version for network in cidr) != wanted:
            yield (
                key,
                ",".join(map(str, cidr)),
                f"does not match the family of the lab, {topology.family}",
                "write one CIDR per address family of the lab",
            )
    names = [
        (f"transitSwitches[{i}].name", t.name) for i, t in enumerate(topology.transit_switches)
    ]
    yield from _duplicates(names, "transit switch")


def _unknown(key: str, value: str, what: str, known: Iterable[str]) -> Found:
    return (key, value, f"no such {what}", f"use one of {', '.join(sorted(known))}")
