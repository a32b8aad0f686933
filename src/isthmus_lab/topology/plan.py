"""What a topology comes to: every namespace, link, address and name. Pure.

Made once by `Lab` and read by all that builds, shows or tests it. Invariant: the same topology
gives the same plan, and clusters added at its end change nothing of the others.
"""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from typing import TypeAlias

from isthmus_lab.topology.layout import IC
from isthmus_lab.topology.schema import (
    ClusterSpec,
    Network,
    NodeSpec,
    PodSpec,
    Role,
    SubnetSpec,
    Topology,
)

Interface: TypeAlias = IPv4Interface | IPv6Interface
Address: TypeAlias = IPv4Address | IPv6Address

MTU = 1400
"""Bytes: of pods and of the nodes' ports in the overlay; Geneve needs the rest of 1500."""

NB_PORT, SB_PORT, IC_NB_PORT, IC_SB_PORT = 6641, 6642, 6645, 6646
"""TCP ports of the databases, as in Kube-OVN."""

IC_DAEMON = "ic-db"
"""The daemon of the IC databases on each of their machines."""

_IC_HOST, _FIRST_NODE = 3, 11
"""Host parts of underlay addresses: the first machine of the IC databases (the one of Kube-OVN's
guide), the first node."""

_NAMESPACE = uuid.UUID("6f1c3a52-30d4-4b0e-9d5e-1f8c6a3d7b21")
"""For system ids (RFC 4122, version 5)."""


@dataclass(frozen=True, slots=True)
class PodPlan:
    """A pod.

    Args:
        port: its logical switch port, as Kube-OVN names it: "<pod>.<namespace>".
        host_link: the end of its link that is in the node.
        addresses: with the subnet's prefix length, one per family.
        gateways: the router's address, one per family.
    """

    name: str
    cluster: str
    node: str
    subnet: str
    namespace: str
    port: str
    host_link: str
    mac: str
    addresses: tuple[Interface, ...]
    gateways: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class SubnetPlan:
    """A subnet, the `join` subnet included.

    Args:
        mac: the MAC address of its router port.
        gateways: the router port's addresses with prefix length, one per family.
    """

    name: str
    router: str
    cidr: tuple[Network, ...]
    mac: str
    gateways: tuple[Interface, ...]
    disable_inter_connection: bool = False
    centralized: bool = False


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node.

    Args:
        fabric_link: the end of its underlay link that is in the fabric.
        system_id: the chassis name.
        underlay: its addresses on the fabric, one per family; the first is the tunnel endpoint.
        join_mac: MAC address of its port in the join subnet, ovn0.
        join: addresses of ovn0.
    """

    name: str
    cluster: str
    central: bool
    gateway: bool
    fabric_link: str
    system_id: str
    underlay: tuple[Interface, ...]
    join_mac: str
    join: tuple[Interface, ...]
    pods: tuple[PodPlan, ...]

    @property
    def tunnel_ip(self) -> Address:
        """The address that Geneve packets come from."""
        return self.underlay[0].ip


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """A cluster.

    Args:
        gateways: node names, in order of preference.
        subnets: without the join subnet.
        isthmus: whether the lab runs Isthmus for it.
        kubernetes: whether it has an API server.
        ic_tls: whether it reaches the IC databases by TLS.
    """

    name: str
    az_name: str
    auto_route: bool
    gateways: tuple[str, ...]
    nodes: tuple[NodePlan, ...]
    subnets: tuple[SubnetPlan, ...]
    join: SubnetPlan
    isthmus: bool
    kubernetes: bool = False
    ic_tls: bool = False

    @property
    def central(self) -> NodePlan:
        """The node with the databases."""
        return next(node for node in self.nodes if node.central)

    @property
    def pods(self) -> tuple[PodPlan, ...]:
        """All pods, by node."""
        return tuple(pod for node in self.nodes for pod in node.pods)


@dataclass(frozen=True, slots=True)
class IcPlan:
    """A machine of the IC databases.

    Args:
        fabric_link, underlay: as in `NodePlan`.
    """

    name: str
    fabric_link: str
    underlay: tuple[Interface, ...]

    @property
    def address(self) -> Address:
        """Where it serves."""
        return self.underlay[0].ip


@dataclass(frozen=True, slots=True)
class LabPlan:
    """A lab.

    Args:
        ic_members: the machines of the IC databases; several are a cluster.
        ic_tls: whether they speak TLS.
        runs_ic: whether the lab runs databases on them.
        transit_switches: name and CIDRs of each, comma-joined.
    """

    topology: Topology
    ic_members: tuple[IcPlan, ...]
    ic_tls: bool
    runs_ic: bool
    transit_switches: tuple[tuple[str, str], ...]
    clusters: tuple[ClusterPlan, ...]

    @property
    def ic(self) -> tuple[Interface, ...]:
        """Underlay addresses of the first machine of the IC databases."""
        return self.ic_members[0].underlay

    @property
    def nodes(self) -> tuple[NodePlan, ...]:
        """All nodes, by cluster."""
        return tuple(node for cluster in self.clusters for node in cluster.nodes)

    @property
    def pods(self) -> tuple[PodPlan, ...]:
        """All pods, by cluster and node."""
        return tuple(pod for cluster in self.clusters for pod in cluster.pods)

    def cluster(self, name: str) -> ClusterPlan:
        """The cluster of that name. Raises: KeyError."""
        return {cluster.name: cluster for cluster in self.clusters}[name]


def make_plan(topology: Topology) -> LabPlan:
    """The plan of a complete topology."""
    clusters, number = [], 0
    for cluster in topology.clusters:
        clusters.append(_cluster(topology, cluster, number))
        number += len(cluster.nodes)
    return LabPlan(
        topology=topology,
        ic_members=tuple(_ic_members(topology)),
        ic_tls=topology.ic.tls,
        runs_ic=topology.interconnect == "isthmus",
        transit_switches=tuple(
            (switch.name, ",".join(map(str, switch.cidr))) for switch in topology.transit_switches
        ),
        clusters=tuple(clusters),
    )


def _ic_members(topology: Topology) -> Iterator[IcPlan]:
    count = topology.ic.members
    for index in range(count):
        name = IC if count == 1 else f"{IC}-{index + 1}"
        yield IcPlan(name, name, _hosts(topology.underlay or (), _IC_HOST + index))


def daemons_of(cluster: ClusterPlan, node: NodePlan) -> tuple[str, ...]:
    """The names of the daemons that the lab runs on a node."""
    central = ["ovsdb-ovnnb_db", "ovsdb-ovnsb_db", "ovn-northd"]
    central += ["etcd", "kube-apiserver", "node-agent"] if cluster.kubernetes else []
    central += ["isthmus"] if cluster.isthmus else []
    central += ["pod-server"] if cluster.pods else []
    every = ("ovsdb-conf", "ovs-vswitchd", "ovn-controller")
    return (*central, *every) if node.central else every


def mac_of(*names: str) -> str:
    """A locally administered unicast MAC address, the same for the same names."""
    digest = hashlib.sha256("/".join(names).encode()).digest()[:5]
    return "0a:" + digest.hex(":")


def endpoint(address: Address, port: int, method: str = "tcp") -> str:
    """A database's address as OVSDB writes it (ovsdb(7)): IPv6 in brackets."""
    return f"{method}:{address}:{port}" if address.version == 4 else f"{method}:[{address}]:{port}"


def ic_remote(plan: LabPlan, port: int) -> str:
    """The address of an IC database, as OVSDB writes it: of all members, comma-joined."""
    method = "ssl" if plan.ic_tls else "tcp"
    return ",".join(endpoint(member.address, port, method) for member in plan.ic_members)


def _hosts(networks: Sequence[Network], number: int) -> tuple[Interface, ...]:
    return tuple(ip_interface(f"{net[number]}/{net.prefixlen}") for net in networks)


def _cluster(topology: Topology, cluster: ClusterSpec, nodes_before: int) -> ClusterPlan:
    join = _subnet(cluster, SubnetSpec(name="join", cidr=cluster.join))
    subnets = tuple(_subnet(cluster, subnet) for subnet in cluster.subnets)
    pods = tuple(_pods(cluster, {subnet.name: subnet for subnet in subnets}))
    nodes = tuple(
        _node(
            cluster,
            node,
            underlay=_hosts(topology.underlay or (), _FIRST_NODE + nodes_before + i),
            join=_hosts(cluster.join or (), 2 + i),
            fabric_link=f"n{nodes_before + i + 1}",
            pods=tuple(pod for pod in pods if pod.node == node.name),
        )
        for i, node in enumerate(cluster.nodes)
    )
    return ClusterPlan(
        name=cluster.name,
        az_name=cluster.name if cluster.az_name is None else cluster.az_name,
        auto_route=cluster.auto_route,
        gateways=cluster.gateway_names,
        nodes=nodes,
        subnets=subnets,
        join=join,
        isthmus=topology.runs_isthmus(cluster),
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


def _node(  # noqa: PLR0913 - one caller; the values come from six layout
    cluster: ClusterSpec,
    node: NodeSpec,
    *,
    underlay: tuple[Interface, ...],
    join: tuple[Interface, ...],
    fabric_link: str,
    pods: tuple[PodPlan, ...],
) -> NodePlan:
    return NodePlan(
        name=node.name,
        cluster=cluster.name,
        central=Role.CENTRAL in node.roles,
        gateway=Role.GATEWAY in node.roles,
        fabric_link=fabric_link,
        system_id=str(uuid.uuid5(_NAMESPACE, f"{cluster.name}/{node.name}")),
        underlay=underlay,
        join_mac=mac_of(cluster.name, "node", node.name),
        join=join,
        pods=pods,
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
