"""What makes a topology consistent, beyond the shape of each value.

Called by `isthmus_lab.topology.schema.parse` only. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from isthmus_lab.topology.schema import ClusterSpec, Family, Network, Role, Topology


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong.

    Args:
        key: the path within the file, e.g. "clusters[0].pods[1].node".
        value: the bad value.
        message: what is wrong.
        remedy: what to do about it.
    """

    key: str
    value: str
    message: str
    remedy: str


def check(topology: Topology) -> Iterator[Fault]:
    """All that is inconsistent in a topology."""
    yield from _unique_names(topology)
    for index, cluster in enumerate(topology.clusters):
        where = f"clusters[{index}]"
        yield from _nodes(cluster, where)
        yield from _families(topology, cluster, where)
        yield from _subnets(topology, cluster, where)
        yield from _pods(cluster, where)
    yield from _shared(topology)


def _unique_names(topology: Topology) -> Iterator[Fault]:
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
    # `isthmus lab exec NAME` takes both, so they share one set of names over the whole lab.
    yield from _duplicates(hosts, "node or pod")


def _duplicates(names: Iterable[tuple[str, str]], what: str) -> Iterator[Fault]:
    seen = set()
    for key, name in names:
        if name in seen:
            yield Fault(key, name, f"another {what} has this name", "give it a name of its own")
        seen.add(name)


def _nodes(cluster: ClusterSpec, where: str) -> Iterator[Fault]:
    central = [node.name for node in cluster.nodes if Role.CENTRAL in node.roles]
    if len(central) != 1:
        yield Fault(
            f"{where}.nodes",
            ", ".join(central),
            f"a cluster has exactly one node with the role central, this one has {len(central)}",
            "give the role central to one node",
        )
    names = {node.name for node in cluster.nodes}
    for name in cluster.gateways or ():
        if name not in names:
            yield _unknown(f"{where}.gateways", name, "node", names)


def _families(topology: Topology, cluster: ClusterSpec, where: str) -> Iterator[Fault]:
    if topology.family not in {topology.family_of(cluster), Family.DUAL}:
        yield Fault(
            f"{where}.family",
            str(cluster.family),
            f"the lab's own family is {topology.family}",
            "make the lab's family dual",
        )
    wanted = topology.family_of(cluster).versions
    networks = [(f"{where}.subnets[{i}].cidr", s.cidr) for i, s in enumerate(cluster.subnets)]
    for key, cidr in [*networks, (f"{where}.join", cluster.join)]:
        if cidr is not None and tuple(network.version for network in cidr) != wanted:
            yield Fault(
                key,
                ",".join(map(str, cidr)),
                f"does not fit the cluster's family {topology.family_of(cluster)}",
                "give one CIDR per address family of the cluster",
            )


def _subnets(topology: Topology, cluster: ClusterSpec, where: str) -> Iterator[Fault]:
    """Within a VPC nothing may overlap; between clusters it may, and is worth studying."""
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
                yield Fault(
                    f"{where}.subnets[{i}].cidr",
                    ",".join(map(str, subnet.cidr or ())),
                    f"overlaps {what}",
                    "give it a CIDR of its own",
                )


def _overlap(a: Sequence[Network] | None, b: Sequence[Network] | None) -> bool:
    return any(m.version == n.version and m.overlaps(n) for m in a or () for n in b or ())


def _pods(cluster: ClusterSpec, where: str) -> Iterator[Fault]:
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
            yield Fault(key, "", "the subnet has no free address", "give the subnet a larger CIDR")
        else:
            yield from _pod_address(key, pod.address, subnets[pod.subnet].cidr)
            if (pod.subnet, pod.address) in taken:
                yield Fault(key, pod.address, "another pod has this address", "choose another")
            taken.add((pod.subnet, pod.address))


def _pod_address(key: str, text: str, cidr: Sequence[Network] | None) -> Iterator[Fault]:
    try:
        addresses = [ip_address(part.strip()) for part in text.split(",")]
    except ValueError as error:
        yield Fault(key, text, str(error), "give an IP address per family, comma-separated")
        return
    if cidr is None:
        yield Fault(key, text, "the subnet has no CIDR in the file", "give the subnet its cidr")
        return
    inside = [
        sum(a in network and int(a) - int(network.network_address) != 1 for a in addresses)
        for network in cidr
    ]
    if inside != [1] * len(cidr) or len(addresses) != len(cidr):
        yield Fault(
            key,
            text,
            f"is not one free address of each of {', '.join(map(str, cidr))}",
            "give one address per family, inside the subnet and not its gateway (the first)",
        )


def _shared(topology: Topology) -> Iterator[Fault]:
    wanted = topology.family.versions
    switches = [
        (f"transitSwitches[{i}].cidr", t.cidr) for i, t in enumerate(topology.transit_switches)
    ]
    for key, cidr in [("underlay", topology.underlay), *switches]:
        if cidr is not None and tuple(network.version for network in cidr) != wanted:
            yield Fault(
                key,
                ",".join(map(str, cidr)),
                f"does not fit the lab's family {topology.family}",
                "give one CIDR per address family of the lab",
            )
    names = [
        (f"transitSwitches[{i}].name", t.name) for i, t in enumerate(topology.transit_switches)
    ]
    yield from _duplicates(names, "transit switch")


def _unknown(key: str, value: str, what: str, known: Iterable[str]) -> Fault:
    return Fault(key, value, f"there is no such {what}", f"use one of {', '.join(sorted(known))}")
