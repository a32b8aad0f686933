"""The format of topology files: which clusters the lab builds.

`isthmus_lab.topology.loader` reads files into these models. Keys are named as in Kubernetes and
Kube-OVN.
"""

import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

Network: TypeAlias = IPv4Network | IPv6Network

MOST_MEMBERS = 7
"""The most members of the IC databases; their addresses are below those of the nodes."""


def _networks(value: Any) -> tuple[Network, ...]:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str):
        raise ValueError("not a string of the form 'v4', 'v6' or 'v4,v6'")
    found = tuple(ip_network(part.strip()) for part in value.split(","))
    if len({network.version for network in found}) != len(found):
        raise ValueError("has more than one CIDR of an address family")
    return tuple(sorted(found, key=lambda network: network.version))


Cidr = Annotated[
    tuple[Network, ...],
    BeforeValidator(_networks),
    PlainSerializer(lambda networks: ",".join(map(str, networks))),
]
"""One network per address family, IPv4 first; written "v4", "v6" or "v4,v6" as in Kube-OVN."""


def _not_reserved(value: str) -> str:
    if re.fullmatch(r"fabric|ic(-[0-9]+)?", value):
        raise ValueError("is reserved: the lab uses a namespace of this name itself")
    return value


def _addresses(value: str) -> str:
    for part in value.split(","):
        ip_address(part.strip())
    return value


LabName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=24)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=40)]
HostName = Annotated[Name, AfterValidator(_not_reserved)]


class Family(StrEnum):
    """The address families of a cluster."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DUAL = "dual"

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions, 4 first."""
        return {"ipv4": (4,), "ipv6": (6,), "dual": (4, 6)}[self.value]


class Role(StrEnum):
    """What a node does in addition to running pods."""

    CENTRAL = "central"
    GATEWAY = "gateway"
    WORKER = "worker"


class Model(BaseModel):
    """Base of all parts of a topology: immutable, camelCase keys, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class NodeSpec(Model):
    """A machine: a network namespace with its own Open vSwitch and ovn-controller.

    Exactly one node of a cluster is `central` and runs NB, SB and northd. Nodes with the role
    `gateway` carry traffic between clusters.
    """

    name: HostName
    roles: tuple[Role, ...] = (Role.WORKER,)


class SubnetSpec(Model):
    """A Kube-OVN Subnet: a logical switch and a router port.

    Args:
        vpc: the VPC to whose router the Subnet is connected; `ovn-cluster` is the default VPC.
        gateway_type: Kube-OVN's `gatewayType`: where traffic from the pods leaves the overlay. It
            determines the source-based policies of the router.
    """

    name: Name
    cidr: Cidr | None = None
    disable_inter_connection: bool = False
    vpc: Name = "ovn-cluster"
    gateway_type: Literal["distributed", "centralized"] = "distributed"


class PodSpec(Model):
    """A pod: a network namespace behind the node's br-int.

    Args:
        address: "v4", "v6" or "v4,v6"; assigned in file order if omitted.
    """

    name: HostName
    node: Name
    subnet: Name = "ovn-default"
    namespace: Name = "default"
    address: Annotated[str, AfterValidator(_addresses)] | None = None


def _one_central(nodes: tuple[NodeSpec, ...]) -> tuple[NodeSpec, ...]:
    if sum(Role.CENTRAL in node.roles for node in nodes) != 1:
        raise ValueError("must have exactly one node with the role central")
    return nodes


class ClusterSpec(Model):
    """A Kubernetes cluster with Kube-OVN, as far as the lab emulates it.

    Args:
        az_name: the zone name in the IC databases; the cluster's name if omitted.
        gateways: `gw-nodes` in order of preference; the gateway nodes in file order if omitted.
        join: the CIDR of the `join` subnet between nodes and pods.
        engine: `isthmus` if the lab runs Isthmus here; `none` if a test runs its own engine.
    """

    name: Name
    az_name: str | None = None
    family: Family | None = None
    engine: Literal["isthmus", "none"] | None = None
    auto_route: bool = True
    gateways: tuple[Name, ...] | None = None
    join: Cidr | None = None
    nodes: Annotated[tuple[NodeSpec, ...], AfterValidator(_one_central)]
    subnets: tuple[SubnetSpec, ...] = (SubnetSpec(name="ovn-default"),)
    pods: tuple[PodSpec, ...] = ()


class LabTransitSwitch(Model):
    """A transit switch and its subnet."""

    name: Name
    cidr: Cidr


class IcDatabases(Model):
    """The IC databases that the lab runs.

    Args:
        members: number of machines that serve them; more than one form a Raft cluster.
        tls: whether members and zones use TLS with certificates of the lab's own authority.
        authorize: whether zones connect to an authorizing proxy; requires `tls`.
    """

    members: Annotated[int, Field(strict=True, ge=1, le=MOST_MEMBERS)] = 1
    tls: Annotated[bool, Field(strict=True)] = False
    authorize: Annotated[bool, Field(strict=True)] = False


class Topology(Model):
    """A lab to build.

    Args:
        datapath: `datapath_type` of Open vSwitch; `auto` probes the kernel.
        underlay: the network between the nodes.
        interconnect: `isthmus` if the lab runs the IC databases and Isthmus; `none` if a test runs
            its own.
        ic: the size and security of the IC databases.
        kubernetes: whether every cluster has an API server instead of a directory of manifests.
    """

    name: LabName = "demo"
    family: Family = Family.IPV4
    datapath: Literal["auto", "netdev", "system"] = "auto"
    interconnect: Literal["isthmus", "none"] = "isthmus"
    ic: IcDatabases = IcDatabases()
    kubernetes: bool = False
    underlay: Cidr | None = None
    transit_switches: tuple[LabTransitSwitch, ...] = ()
    clusters: tuple[ClusterSpec, ...] = Field(min_length=1)

    def family_of(self, cluster: ClusterSpec) -> Family:
        """The address families of a cluster's pods."""
        return cluster.family or self.family


class Addition(Model):
    """A file with clusters for a running lab."""

    clusters: tuple[ClusterSpec, ...] = Field(min_length=1)
