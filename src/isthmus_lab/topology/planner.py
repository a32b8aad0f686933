"""Derive the plan of a lab from its topology. Pure.

Called by `Lab` and by tests. The same topology always gives the same plan, and appending clusters
does not change the plan of the others.
"""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_interface

from isthmus_lab.topology.layout import IC
from isthmus_lab.topology.plan import (
    ClusterPlan,
    IcPlan,
    Interface,
    LabPlan,
    NodePlan,
    PodPlan,
    SubnetPlan,
)
from isthmus_lab.topology.schema import ClusterSpec, Network, PodSpec, Role, SubnetSpec, Topology

_IC_HOST, _FIRST_NODE = 3, 11
"""Host parts of underlay addresses: the first machine of the IC databases (as in Kube-OVN's guide)
and the first node."""

_NAMESPACE = uuid.UUID("6f1c3a52-30d4-4b0e-9d5e-1f8c6a3d7b21")
"""Namespace of system IDs (RFC 4122, version 5)."""


def make_plan(topology: Topology) -> LabPlan:
    """The plan of a complete topology."""
    clusters, number = [], 0
    for cluster in topology.clusters:
        clusters.append(_cluster(topology, cluster, number))
        number += len(cluster.nodes)
    return LabPlan(
        topology=topology,
        ic_members=tuple(_ic_members(topology)),
        runs_ic=topology.interconnect == "isthmus",
        clusters=tuple(clusters),
    )


def _ic_members(topology: Topology) -> Iterator[IcPlan]:
    count = topology.ic.members
    for index in range(count):
        name = IC if count == 1 else f"{IC}-{index + 1}"
        yield IcPlan(name, name, _hosts(topology.underlay or (), _IC_HOST + index))


def mac_of(*names: str) -> str:
    """A locally administered unicast MAC address, the same for the same names."""
    digest = hashlib.sha256("/".join(names).encode()).digest()[:5]
    return "0a:" + digest.hex(":")


def _hosts(networks: Sequence[Network], number: int) -> tuple[Interface, ...]:
    return tuple(ip_interface(f"{net[number]}/{net.prefixlen}") for net in networks)


def _cluster(topology: Topology, cluster: ClusterSpec, nodes_before: int) -> ClusterPlan:
    join = _subnet(cluster, SubnetSpec(name="join", cidr=cluster.join))
    subnets = tuple(_subnet(cluster, subnet) for subnet in cluster.subnets)
    pods = tuple(_pods(cluster, {subnet.name: subnet for subnet in subnets}))
    nodes = tuple(
        NodePlan(
            name=node.name,
            cluster=cluster.name,
            central=Role.CENTRAL in node.roles,
            gateway=Role.GATEWAY in node.roles,
            fabric_link=f"n{number + 1}",
            system_id=str(uuid.uuid5(_NAMESPACE, f"{cluster.name}/{node.name}")),
            underlay=_hosts(topology.underlay or (), _FIRST_NODE + number),
            join_mac=mac_of(cluster.name, "node", node.name),
            join=_hosts(cluster.join or (), 2 + number - nodes_before),
            pods=tuple(pod for pod in pods if pod.node == node.name),
        )
        for number, node in enumerate(cluster.nodes, start=nodes_before)
    )
    return ClusterPlan(
        name=cluster.name,
        az_name=cluster.name if cluster.az_name is None else cluster.az_name,
        auto_route=cluster.auto_route,
        gateways=cluster.gateways or (),
        nodes=nodes,
        subnets=subnets,
        join=join,
        isthmus=(cluster.engine or topology.interconnect) == "isthmus",
        kubernetes=topology.kubernetes,
        ic_tls=topology.ic.tls,
    )


def _subnet(cluster: ClusterSpec, subnet: SubnetSpec) -> SubnetPlan:
    cidr = subnet.cidr or ()
    return SubnetPlan(
        name=subnet.name,
        router=subnet.vpc,
        cidr=cidr,
        mac=mac_of(cluster.name, "router", subnet.name),
        gateways=_hosts(cidr, 1),
        disable_inter_connection=subnet.disable_inter_connection,
        centralized=subnet.gateway_type == "centralized",
    )


def _pods(cluster: ClusterSpec, subnets: dict[str, SubnetPlan]) -> Iterator[PodPlan]:
    for number, pod in enumerate(cluster.pods, start=1):
        subnet = subnets[pod.subnet]
        yield PodPlan(
            name=pod.name,
            cluster=cluster.name,
            node=pod.node,
            subnet=pod.subnet,
            namespace=pod.namespace,
            port=f"{pod.name}.{pod.namespace}",
            host_link=f"p{number}",
            mac=mac_of(cluster.name, "pod", pod.name),
            addresses=_pod_addresses(pod, subnet),
            gateways=tuple(interface.ip for interface in subnet.gateways),
        )


def _pod_addresses(pod: PodSpec, subnet: SubnetPlan) -> tuple[Interface, ...]:
    texts = [ip_address(text.strip()) for text in (pod.address or "").split(",")]
    return tuple(
        ip_interface(f"{address}/{network.prefixlen}")
        for network, address in zip(
            subnet.cidr, sorted(texts, key=lambda address: address.version), strict=True
        )
    )
