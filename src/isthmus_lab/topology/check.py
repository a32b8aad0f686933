"""Check that the parts of a topology are consistent with each other.

Called by `isthmus_lab.topology.loader.parse` only. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias

from isthmus.model.problems import Problem, Subject
from isthmus_lab.topology.schema import ClusterSpec, Family, Network, Topology

Found: TypeAlias = tuple[str, object, str, str]
"""Key path within the file, e.g. "clusters[0].pods[1].node"; value; message; remedy."""


def check(topology: Topology, source: str) -> Iterator[Problem]:
    """Yield the inconsistencies of a topology.

    Args:
        topology: with all defaults filled in.
        source: the file's name, for messages.
    """
    for key, value, message, remedy in _check(topology):
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        yield Subject(f"topology {source}", key, text).problem(message, remedy)


def _check(topology: Topology) -> Iterator[Found]:
    hosts = []
    for index, cluster in enumerate(topology.clusters):
        where = f"clusters[{index}]"
        hosts += _names(f"{where}.nodes", cluster.nodes) + _names(f"{where}.pods", cluster.pods)
        subnets = _names(f"{where}.subnets", cluster.subnets)
        yield from _duplicates([("", "join"), *subnets], "subnet")
        nodes = [node.name for node in cluster.nodes]
        for name in cluster.gateways or ():
            yield from _unknown(f"{where}.gateways", name, "node", nodes)
        yield from _families(topology, cluster, where)
        yield from _overlaps(topology, cluster, where)
        yield from _pods(cluster, where)
    yield from _duplicates(_names("clusters", topology.clusters), "cluster")
    # `isthmus lab exec NAME` accepts both, so names are unique across the lab.
    yield from _duplicates(hosts, "node or pod")
    yield from _duplicates(_names("transitSwitches", topology.transit_switches), "transit switch")
    shared = [(f"transitSwitches[{i}]", t) for i, t in enumerate(topology.transit_switches)]
    if topology.ic.authorize and not topology.ic.tls:
        message = "is not possible without TLS: certificates name the zones"
        yield "ic.authorize", "true", message, "set ic.tls to true"
    for key, cidr in [("underlay", topology.underlay), *((f"{k}.cidr", t.cidr) for k, t in shared)]:
        yield from _family(key, cidr, topology.family, "lab")


def _names(key: str, items: Sequence[Any]) -> list[tuple[str, str]]:
    """The key path and the value of the name of each element of a list."""
    return [(f"{key}[{i}].name", item.name) for i, item in enumerate(items)]


def _duplicates(names: Iterable[tuple[str, str]], what: str) -> Iterator[Found]:
    seen = set()
    for key, name in names:
        if name in seen:
            yield key, name, f"another {what} has this name", "choose a unique name"
        seen.add(name)


def _unknown(key: str, value: str, what: str, known: Iterable[str]) -> Iterator[Found]:
    if value not in known:
        yield key, value, f"no such {what}", f"use one of {', '.join(sorted(known))}"


def _family(
    key: str, cidr: tuple[Network, ...] | None, family: Family, whose: str
) -> Iterator[Found]:
    if tuple(network.version for network in cidr or ()) != family.versions:
        message = f"does not match the family of the {whose}, {family}"
        yield key, cidr, message, f"write one CIDR per address family of the {whose}"


def _families(topology: Topology, cluster: ClusterSpec, where: str) -> Iterator[Found]:
    family = topology.family_of(cluster)
    if topology.family not in {family, Family.DUAL}:
        message = f"does not match the family of the lab, {topology.family}"
        yield f"{where}.family", family, message, "set the family of the lab to dual"
    yield from _family(f"{where}.join", cluster.join, family, "cluster")
    for i, subnet in enumerate(cluster.subnets):
        yield from _family(f"{where}.subnets[{i}].cidr", subnet.cidr, family, "cluster")


def _overlaps(topology: Topology, cluster: ClusterSpec, where: str) -> Iterator[Found]:
    """Subnets of a VPC must not overlap. Those of different clusters may, for tests of overlaps."""
    shared = [("the underlay", topology.underlay), ("the join subnet", cluster.join)]
    shared += [(f"the transit switch {one.name}", one.cidr) for one in topology.transit_switches]
    for i, subnet in enumerate(cluster.subnets):
        same_vpc = [other for other in cluster.subnets[:i] if other.vpc == subnet.vpc]
        others = [(f"the subnet {other.name} of the same VPC", other.cidr) for other in same_vpc]
        for what, cidr in [*others, *shared]:
            if any(
                own.version == network.version and own.overlaps(network)
                for own in subnet.cidr or ()
                for network in cidr or ()
            ):
                key, remedy = f"{where}.subnets[{i}].cidr", "choose a CIDR that does not overlap"
                yield key, subnet.cidr, f"overlaps {what}", remedy


def _pods(cluster: ClusterSpec, where: str) -> Iterator[Found]:
    nodes = [node.name for node in cluster.nodes]
    networks = {subnet.name: subnet.cidr or () for subnet in cluster.subnets}
    taken: set[tuple[str, str]] = set()
    for i, pod in enumerate(cluster.pods):
        key = f"{where}.pods[{i}].address"
        yield from _unknown(f"{where}.pods[{i}].node", pod.node, "node", nodes)
        yield from _unknown(f"{where}.pods[{i}].subnet", pod.subnet, "subnet", networks)
        if pod.subnet not in networks:
            continue
        if pod.address is None:
            message = "cannot be assigned: the subnet is full"
            yield key, "", message, "choose a larger CIDR for the subnet"
            continue
        yield from _pod_address(key, pod.address, networks[pod.subnet])
        if (pod.subnet, pod.address) in taken:
            yield key, pod.address, "another pod has this address", "choose a free address"
        taken.add((pod.subnet, pod.address))


def _pod_address(key: str, text: str, cidr: Sequence[Network]) -> Iterator[Found]:
    addresses = [ip_address(part.strip()) for part in text.split(",")]
    inside = [
        sum(a in network and int(a) - int(network.network_address) != 1 for a in addresses)
        for network in cidr
    ]
    if inside != [1] * len(cidr) or len(addresses) != len(cidr):
        message = f"does not have one usable address in each of {', '.join(map(str, cidr))}"
        remedy = (
            "write one address per family, inside the subnet, other than its first (the gateway)"
        )
        yield key, text, message, remedy
