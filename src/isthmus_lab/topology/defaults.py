"""Fill in omitted values of a topology: CIDRs, pod addresses, transit switches.

Called by `isthmus_lab.topology.loader.parse` only. Pure. The values of a cluster depend only on its
own entry and its position, so appending clusters does not change the others.
"""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import islice
from typing import Any

from isthmus_lab.topology.schema import (
    ClusterSpec,
    Family,
    LabTransitSwitch,
    Network,
    PodSpec,
    Role,
    SubnetSpec,
    Topology,
)

_UNDERLAY = {4: "192.168.65.0/24", 6: "fd00:65::/64"}
# The next three are the defaults of Kube-OVN.
_JOIN = {4: "100.64.0.0/16", 6: "fd00:100:64::/112"}
_POD = {4: "10.{}.0.0/16", 6: "fd00:10:{}::/112"}
_TRANSIT = {4: "169.254.100.0/24", 6: "fe80:a9fe:64::/112"}

FIRST_POD = 2
"""Offset of the first pod address in a subnet; the router has the one before."""


def complete(topology: Topology) -> Topology:
    """The topology with every default filled in."""
    switches = topology.transit_switches or (
        LabTransitSwitch(name="ts", cidr=_pick(_TRANSIT, topology.family)),
    )
    clusters = tuple(_cluster(topology, i, cluster) for i, cluster in enumerate(topology.clusters))
    return topology.model_copy(
        update={
            "underlay": topology.underlay or _pick(_UNDERLAY, topology.family),
            "transit_switches": switches,
            "clusters": clusters,
        }
    )


def _pick(defaults: dict[int, str], family: Family) -> tuple[Network, ...]:
    return tuple(ip_network(defaults[version]) for version in family.versions)


def _cluster(topology: Topology, index: int, cluster: ClusterSpec) -> ClusterSpec:
    family = topology.family_of(cluster)
    subnets = tuple(
        subnet if subnet.cidr else subnet.model_copy(update={"cidr": _pod_cidr(index, j, family)})
        for j, subnet in enumerate(cluster.subnets)
    )
    gateways = tuple(node.name for node in cluster.nodes if Role.GATEWAY in node.roles)
    return cluster.model_copy(
        update={
            "az_name": cluster.az_name if cluster.az_name is not None else cluster.name,
            "gateways": gateways if cluster.gateways is None else cluster.gateways,
            "join": cluster.join or _pick(_JOIN, family),
            "subnets": subnets,
            "pods": tuple(_with_addresses(cluster.pods, subnets)),
        }
    )


def _pod_cidr(cluster: int, subnet: int, family: Family) -> tuple[Network, ...]:
    number = 16 + cluster + 16 * subnet
    return _pick({version: text.format(number) for version, text in _POD.items()}, family)


def _with_addresses(
    pods: tuple[PodSpec, ...], subnets: tuple[SubnetSpec, ...]
) -> Iterator[PodSpec]:
    networks = {subnet.name: subnet.cidr or () for subnet in subnets}
    taken: set[tuple[str, Any]] = {
        (pod.subnet, ip_address(text.strip()))
        for pod in pods
        if pod.address
        for text in pod.address.split(",")
    }
    for pod in pods:
        if pod.address is not None:
            yield pod
            continue
        found = []
        for network in networks.get(pod.subnet, ()):
            addresses = islice(network, FIRST_POD, 65000)
            free = next((one for one in addresses if (pod.subnet, one) not in taken), None)
            if free is not None:
                taken.add((pod.subnet, free))
                found.append(str(free))
        yield pod.model_copy(update={"address": ",".join(found) or None})
