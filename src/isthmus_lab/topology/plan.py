"""The plan of a lab: every namespace, link, address and name.

Made by `isthmus_lab.topology.planner` and read by the code that builds, shows and tests labs.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import TypeAlias

from isthmus_lab.topology.schema import Network, Topology

Interface: TypeAlias = IPv4Interface | IPv6Interface
Address: TypeAlias = IPv4Address | IPv6Address

MTU = 1400
"""Bytes, for pods and the nodes' overlay ports; leaves room for Geneve within 1500."""

NB_PORT, SB_PORT, IC_NB_PORT, IC_SB_PORT = 6641, 6642, 6645, 6646
"""TCP ports of the databases, as in Kube-OVN."""

IC_DAEMON = "ic-db"
"""Name of the daemon that runs the IC databases."""


@dataclass(frozen=True, slots=True)
class PodPlan:
    """A pod.

    Args:
        port: its logical switch port, named as in Kube-OVN: "<pod>.<namespace>".
        host_link: the end of its link inside the node.
        addresses: one per family, with the prefix length of the subnet.
        gateways: the router's addresses, one per family.
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
    """A subnet, possibly the `join` subnet.

    Args:
        mac: the MAC address of its router port.
        gateways: the addresses of its router port, one per family, with prefix length.
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
        fabric_link: the end of its underlay link inside the fabric.
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
        """The source address of its Geneve packets."""
        return self.underlay[0].ip


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """A cluster.

    Args:
        gateways: node names, in order of preference.
        subnets: without the join subnet.
        isthmus: whether the lab runs Isthmus for it.
        kubernetes: whether it has an API server.
        ic_tls: whether it uses TLS to the IC databases.
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
        """The address at which it serves the databases."""
        return self.underlay[0].ip


@dataclass(frozen=True, slots=True)
class LabPlan:
    """A lab.

    Args:
        ic_members: the machines of the IC databases; more than one form a cluster.
        runs_ic: whether the lab runs databases on them.
    """

    topology: Topology
    ic_members: tuple[IcPlan, ...]
    runs_ic: bool
    clusters: tuple[ClusterPlan, ...]

    @property
    def nodes(self) -> tuple[NodePlan, ...]:
        """All nodes, by cluster."""
        return tuple(node for cluster in self.clusters for node in cluster.nodes)

    @property
    def pods(self) -> tuple[PodPlan, ...]:
        """All pods, by cluster and node."""
        return tuple(pod for cluster in self.clusters for pod in cluster.pods)

    def cluster(self, name: str) -> ClusterPlan:
        """The cluster with a name. Raises: KeyError."""
        return {cluster.name: cluster for cluster in self.clusters}[name]


def daemons_of(cluster: ClusterPlan, node: NodePlan) -> tuple[str, ...]:
    """The names of the daemons that the lab runs on a node."""
    central = ["ovsdb-ovnnb_db", "ovsdb-ovnsb_db", "ovn-northd"]
    central += ["etcd", "kube-apiserver", "node-agent"] if cluster.kubernetes else []
    central += ["isthmus"] if cluster.isthmus else []
    central += ["pod-server"] if cluster.pods else []
    every = ("ovsdb-conf", "ovs-vswitchd", "ovn-controller")
    return (*central, *every) if node.central else every


def endpoint(address: Address, port: int, method: str = "tcp") -> str:
    """The address of a database in the syntax of ovsdb(7): IPv6 in brackets."""
    return f"{method}:{address}:{port}" if address.version == 4 else f"{method}:[{address}]:{port}"


def ic_remote(plan: LabPlan, port: int) -> str:
    """The addresses of an IC database, all members comma-separated, as in ovsdb(7)."""
    method = "ssl" if plan.topology.ic.tls else "tcp"
    return ",".join(endpoint(member.address, port, method) for member in plan.ic_members)
