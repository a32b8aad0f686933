"""The current state of a lab: daemons, chassis, tunnels, pods.

Used by `isthmus lab status` and tests. Reads everything from the running system. A database that
does not respond counts as empty and does not affect the rest.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from isthmus_lab.errors import LabError
from isthmus_lab.lab import Lab
from isthmus_lab.system import processes
from isthmus_lab.topology.plan import IC_DAEMON, ClusterPlan, NodePlan, daemons_of

_TIMEOUT = "--timeout=3"
"""Seconds within which a database must respond."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node.

    Args:
        daemons: the daemons that should run, with their process IDs, or None if they do not run.
        registered: whether the SB database has its chassis.
        tunnels: remote addresses of its Geneve tunnels.
    """

    name: str
    roles: tuple[str, ...]
    addresses: tuple[str, ...]
    daemons: dict[str, int | None]
    registered: bool
    tunnels: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether everything runs that should."""
        return self.registered and None not in self.daemons.values()


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod; `up` is the state of its port in OVN."""

    name: str
    node: str
    subnet: str
    addresses: tuple[str, ...]
    up: bool


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster; `joined` is whether its `ovn-ic-config` exists."""

    name: str
    joined: bool
    nodes: tuple[NodeStatus, ...]
    pods: tuple[PodStatus, ...]


@dataclass(frozen=True, slots=True)
class IcStatus:
    """A machine of the IC databases.

    Args:
        daemons: as in `NodeStatus`; empty if the lab runs no databases.
    """

    name: str
    address: str
    daemons: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab.

    Args:
        ic: the machines of the IC databases.
    """

    name: str
    ic: tuple[IcStatus, ...]
    clusters: tuple[ClusterStatus, ...]

    @property
    def whole(self) -> bool:
        """Whether everything runs that should."""
        return all(None not in member.daemons.values() for member in self.ic) and all(
            node.whole and all(pod.up for pod in cluster.pods)
            for cluster in self.clusters
            for node in cluster.nodes
        )


def status_of(lab: Lab) -> LabStatus:
    """Read the state of a lab."""
    running = processes.running_daemons(lab.layout.lab)
    with ThreadPoolExecutor(8) as pool:
        nodes = {node.name: pool.submit(_tunnels, lab, node) for node in lab.plan.nodes}
        clusters = [pool.submit(_cluster_rows, lab, cluster) for cluster in lab.plan.clusters]
        tunnels = {name: future.result() for name, future in nodes.items()}
        rows = [future.result() for future in clusters]
    return LabStatus(
        name=lab.layout.lab,
        ic=tuple(
            IcStatus(
                name=member.name,
                address=str(member.address),
                daemons=_running(running, member.name, [IC_DAEMON] if lab.plan.runs_ic else []),
            )
            for member in lab.plan.ic_members
        ),
        clusters=tuple(
            _cluster(lab, cluster, running, tunnels, chassis, up)
            for cluster, (chassis, up) in zip(lab.plan.clusters, rows, strict=True)
        ),
    )


def _cluster(  # noqa: PLR0913, PLR0917 - one caller, which has collected all values
    lab: Lab,
    cluster: ClusterPlan,
    running: dict[str, int],
    tunnels: dict[str, tuple[str, ...]],
    chassis: set[str],
    up: set[str],
) -> ClusterStatus:
    return ClusterStatus(
        name=cluster.name,
        joined=lab.cluster(cluster.name).objects.exists("ConfigMap", "ovn-ic-config"),
        nodes=tuple(
            NodeStatus(
                name=node.name,
                roles=tuple(_roles(node)),
                addresses=tuple(str(i.ip) for i in node.underlay),
                daemons=_running(running, node.name, daemons_of(cluster, node)),
                registered=node.system_id in chassis,
                tunnels=tunnels[node.name],
            )
            for node in cluster.nodes
        ),
        pods=tuple(
            PodStatus(
                name=pod.name,
                node=pod.node,
                subnet=pod.subnet,
                addresses=tuple(str(i.ip) for i in pod.addresses),
                up=pod.port in up,
            )
            for pod in cluster.pods
        ),
    )


def _running(running: dict[str, int], host: str, names: Sequence[str]) -> dict[str, int | None]:
    return {name: running.get(f"{host}/{name}") for name in names}


def _roles(node: NodePlan) -> Iterator[str]:
    if node.central:
        yield "central"
    yield "gateway" if node.gateway else "worker"


def _cluster_rows(lab: Lab, cluster: ClusterPlan) -> tuple[set[str], set[str]]:
    """The names of all chassis, and of the ports that are up."""
    host = cluster.central.name
    chassis = _table(lab, host, ["ovn-sbctl", "--columns=name", "list", "Chassis"])
    ports = _table(
        lab, host, ["ovn-nbctl", "--columns=name", "find", "Logical_Switch_Port", "up=true"]
    )
    return {row[0] for row in chassis}, {row[0] for row in ports}


def _tunnels(lab: Lab, node: NodePlan) -> tuple[str, ...]:
    database = f"--db=unix:{lab.layout.run(node.name) / 'db.sock'}"
    find = ["ovs-vsctl", database, "--columns=options", "find", "Interface", "type=geneve"]
    rows = _table(lab, node.name, find)
    # A map in JSON is ["map", [[key, value], …]] (RFC 7047, section 5.1).
    return tuple(sorted(str(dict(row[0][1]).get("remote_ip", "")) for row in rows))


def _table(lab: Lab, host: str, command: Sequence[str]) -> list[list[Any]]:
    try:
        text = lab.run(host, [command[0], _TIMEOUT, "--format=json", *command[1:]])
    except LabError:
        return []
    data: list[list[Any]] = json.loads(text)["data"]
    return data
