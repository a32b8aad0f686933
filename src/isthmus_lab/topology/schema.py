"""The topology file: what clusters the lab builds, as validated values.

Read by the command line and by tests; `isthmus_lab.topology.plan` fills in what is left out. Names
of keys follow Kubernetes and Kube-OVN. Invariant: a `Topology` that `load` or `parse` returned is
complete and consistent, every default filled in that does not depend on allotment.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic import ValidationError as PydanticError
from pydantic.alias_generators import to_camel

from isthmus.model.problems import Problem, Subject
from isthmus_lab.errors import LabError, lab_error

Network: TypeAlias = IPv4Network | IPv6Network

MOST_MEMBERS = 7
"""Of the IC databases: their addresses are below the nodes'."""

BUILT_IN = Path(__file__).with_name("topologies")
"""Topologies that come with the lab and can be named without a path."""


def _networks(value: Any) -> tuple[Network, ...]:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str):
        raise ValueError("a CIDR is text: 'v4', 'v6' or 'v4,v6'")
    found = tuple(ip_network(part.strip()) for part in value.split(","))
    if len({network.version for network in found}) != len(found):
        raise ValueError("at most one CIDR per address family")
    return tuple(sorted(found, key=lambda network: network.version))


Cidr = Annotated[
    tuple[Network, ...],
    BeforeValidator(_networks),
    PlainSerializer(lambda networks: ",".join(map(str, networks))),
]
"""One network per address family, IPv4 first; written "v4", "v6" or "v4,v6" as in Kube-OVN."""


def _not_reserved(value: str) -> str:
    if re.fullmatch(r"fabric|ic(-[0-9]+)?", value):
        raise ValueError("the lab has a namespace of this name for itself")
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
    """What a node does besides running pods."""

    CENTRAL = "central"
    GATEWAY = "gateway"
    WORKER = "worker"


class Model(BaseModel):
    """What all parts of a topology have in common."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class NodeSpec(Model):
    """A machine: a network namespace with its own Open vSwitch and ovn-controller.

    Exactly one node of a cluster is `central` (it runs NB, SB and northd); `gateway` nodes carry
    the traffic between clusters.
    """

    name: HostName
    roles: tuple[Role, ...] = (Role.WORKER,)


class SubnetSpec(Model):
    """A Kube-OVN Subnet: a logical switch and a router port.

    Args:
        vpc: the VPC whose router it hangs on; the default VPC is `ovn-cluster`.
        gateway_type: Kube-OVN's `gatewayType`: where its pods' traffic leaves the overlay; it
            decides which policies by source address the router gets.
    """

    name: Name
    cidr: Cidr | None = None
    disable_inter_connection: bool = False
    vpc: Name = "ovn-cluster"
    gateway_type: Literal["distributed", "centralized"] = "distributed"


class PodSpec(Model):
    """A pod: a network namespace behind the node's br-int.

    Args:
        address: "v4", "v6" or "v4,v6"; allotted in the order of the file if left out.
    """

    name: HostName
    node: Name
    subnet: Name = "ovn-default"
    namespace: Name = "default"
    address: str | None = None


class ClusterSpec(Model):
    """A Kubernetes cluster with Kube-OVN, as far as the lab plays it.

    Args:
        az_name: the cluster's name in the IC databases; its own name if left out.
        gateways: `gw-nodes` in the order of preference; the gateway nodes in the order of the
            file if left out.
        join: the CIDR of the `join` subnet between nodes and pods.
        engine: what joins it: Isthmus, or nothing (a test brings its own).
    """

    name: Name
    az_name: str | None = None
    family: Family | None = None
    engine: Literal["isthmus", "none"] | None = None
    auto_route: bool = True
    gateways: tuple[Name, ...] | None = None
    join: Cidr | None = None
    nodes: tuple[NodeSpec, ...] = Field(min_length=1)
    subnets: tuple[SubnetSpec, ...] = (SubnetSpec(name="ovn-default"),)
    pods: tuple[PodSpec, ...] = ()

    @property
    def central(self) -> NodeSpec:
        """The node that runs the cluster's databases."""
        return next(node for node in self.nodes if Role.CENTRAL in node.roles)

    @property
    def gateway_names(self) -> tuple[str, ...]:
        """The value of `gw-nodes`, in order of preference."""
        if self.gateways is not None:
            return self.gateways
        return tuple(node.name for node in self.nodes if Role.GATEWAY in node.roles)


class TransitSwitchSpec(Model):
    """A transit switch and its subnet."""

    name: Name
    cidr: Cidr


class IcDatabases(Model):
    """The IC databases that the lab runs.

    Args:
        members: how many machines serve them; several are a cluster (Raft).
        tls: whether members and zones show each other certificates of the lab's own authority.
    """

    members: Annotated[int, Field(strict=True, ge=1, le=MOST_MEMBERS)] = 1
    tls: Annotated[bool, Field(strict=True)] = False


class Topology(Model):
    """Everything the lab is to build.

    Args:
        datapath: OVS's `datapath_type`; `auto` probes the kernel.
        underlay: the network between the nodes.
        interconnect: whether the lab runs Isthmus and its IC databases, or a test brings its own.
        ic: what those databases are like.
        kubernetes: whether every cluster has an API server; otherwise a directory of manifests
            takes its place.
    """

    name: LabName = "demo"
    family: Family = Family.IPV4
    datapath: Literal["auto", "netdev", "system"] = "auto"
    interconnect: Literal["isthmus", "none"] = "isthmus"
    ic: IcDatabases = IcDatabases()
    kubernetes: bool = False
    underlay: Cidr | None = None
    transit_switches: tuple[TransitSwitchSpec, ...] = ()
    clusters: tuple[ClusterSpec, ...] = Field(min_length=1)

    def family_of(self, cluster: ClusterSpec) -> Family:
        """The address families of a cluster's pods."""
        return cluster.family or self.family

    def runs_isthmus(self, cluster: ClusterSpec) -> bool:
        """Whether the lab runs Isthmus for that cluster."""
        return (cluster.engine or self.interconnect) == "isthmus"


class Addition(Model):
    """A file with clusters to add to a running lab."""

    clusters: tuple[ClusterSpec, ...] = Field(min_length=1)


def find(name_or_path: str) -> Path:
    """The file of a topology, given by path or by the name of one that comes with the lab.

    Raises:
        LabError: there is neither.
    """
    built_in = BUILT_IN / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.is_file():
        return path
    if "/" not in name_or_path and built_in.is_file():
        return built_in
    known = ", ".join(sorted(file.stem for file in BUILT_IN.glob("*.yaml")))
    raise lab_error(
        f"topology {name_or_path}",
        "there is no such file",
        f"give the path of a topology file, or one of the built-in names: {known}",
    )


def read(path: Path) -> Any:
    """The contents of a YAML file.

    Raises:
        LabError: it cannot be read or parsed; the message has the line.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise lab_error(
            f"topology {path}", f"cannot be read: {error}", "mend the file or give another"
        ) from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise lab_error(
            f"topology {path}", f"is not YAML: {reason}", "mend the file at that line"
        ) from error


def parse(data: Any, source: str) -> Topology:
    """A topology from the contents of a file.

    Args:
        data: what YAML made of it.
        source: the file's name, for messages.

    Raises:
        LabError: with every problem found, by key path.
    """
    # Imported here because both are written in terms of the classes above.
    from isthmus_lab.topology.check import check  # noqa: PLC0415
    from isthmus_lab.topology.defaults import complete  # noqa: PLC0415

    topology = complete(_validate(Topology, data, source))
    problems = [
        Subject(f"topology {source}", f.key, f.value).problem(f.message, f.remedy)
        for f in check(topology)
    ]
    if problems:
        raise LabError(*problems)
    return topology


def load(path: Path, *, name: str = "") -> Topology:
    """Read and check a topology file.

    Args:
        path: the file.
        name: the lab's name instead of the file's, if not empty.

    Raises:
        LabError: every problem found.
    """
    data = read(path)
    if name and isinstance(data, dict):
        data = {**data, "name": name}
    return parse(data, str(path))


def extend(topology: Topology, path: Path) -> Topology:
    """The topology with the clusters of another file added at its end. Raises: LabError."""
    addition = _validate(Addition, read(path), str(path))
    merged = topology.model_copy(update={"clusters": topology.clusters + addition.clusters})
    return parse(merged.model_dump(by_alias=True, mode="json"), str(path))


def dump(topology: Topology) -> str:
    """The topology as YAML that `parse` accepts."""
    values = topology.model_dump(by_alias=True, mode="json", exclude_none=True)
    return yaml.safe_dump(values, sort_keys=False)


def _validate(model: type[Any], data: Any, source: str) -> Any:
    try:
        return model.model_validate(data)
    except PydanticError as error:
        faults: list[dict[str, Any]] = [dict(one) for one in error.errors()]
        places = [one["loc"] for one in faults]
        # A list without its bad elements may also count as too short; that would mislead.
        own = [f for f in faults if not any(_holds(f["loc"], place) for place in places)]
        raise LabError(*(_problem(one, source) for one in own)) from error


def _holds(outer: Sequence[int | str], inner: Sequence[int | str]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _problem(error: dict[str, Any], source: str) -> Problem:
    key = ""
    for part in error["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    remedies = {
        "missing": "add the key",
        "extra_forbidden": "remove the key, or mend its spelling",
        "string_pattern_mismatch": "use lower-case letters, digits and '-'",
        "enum": f"use one of {error.get('ctx', {}).get('expected', '')}",
        "literal_error": f"use one of {error.get('ctx', {}).get('expected', '')}",
        "model_type": "make it a mapping of keys to values",
        "int_type": "write a whole number",
        "greater_than_equal": f"use at least {error.get('ctx', {}).get('ge', '')}",
        "less_than_equal": f"use at most {error.get('ctx', {}).get('le', '')}",
        "bool_type": "write true or false",
    }
    value = error["input"]
    return Subject(
        f"topology {source}",
        key,
        "" if isinstance(value, dict | list) or value is None else str(value),
    ).problem(
        error["msg"].removeprefix("Value error, ").rstrip("."),
        remedies.get(error["type"], "mend the value; examples/topologies shows the format"),
    )
