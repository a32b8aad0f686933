"""The current state of a lab: daemons, chassis, tunnels, pods.

Used by `isthmus lab status` and tests. Reads everything from the running system. A database that
does not respond counts as empty and does not affect the rest.
"""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from isthmus_lab.errors import LabError
from isthmus_lab.lab import Lab
from isthmus_lab.system import processes
from isthmus_lab.topology.plan import IC_DAEMON, ClusterPlan, Interface, NodePlan, daemons_of

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
    """A machine of the IC databases; without daemons if the lab runs no databases."""

    name: str
    address: str
    daemons: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab; `ic` are the machines of the IC databases."""

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
    ic_daemons = [IC_DAEMON] if lab.plan.runs_ic else []
    with ThreadPoolExecutor(8) as pool:
        clusters = pool.map(partial(_cluster, lab, running), lab.plan.clusters)
    return LabStatus(
        name=lab.layout.lab,
        ic=tuple(
            IcStatus(one.name, str(one.address), _running(running, one.name, ic_daemons))
            for one in lab.plan.ic_members
        ),
        clusters=tuple(clusters),
    )


def _cluster(lab: Lab, running: dict[str, int], cluster: ClusterPlan) -> ClusterStatus:
    rows = partial(_table, lab, cluster.central.name)
    chassis = {row[0] for row in rows(["ovn-sbctl", "--columns=name", "list", "Chassis"])}
    ports = rows(["ovn-nbctl", "--columns=name", "find", "Logical_Switch_Port", "up=true"])
    up = {row[0] for row in ports}
    with ThreadPoolExecutor(8) as pool:
        tunnels = list(pool.map(partial(_tunnels, lab), cluster.nodes))
    return ClusterStatus(
        name=cluster.name,
        joined=lab.cluster(cluster.name).objects.exists("ConfigMap", "ovn-ic-config"),
        nodes=tuple(
            NodeStatus(
                name=node.name,
                roles=_roles(node),
                addresses=_texts(node.underlay),
                daemons=_running(running, node.name, daemons_of(cluster, node)),
                registered=node.system_id in chassis,
                tunnels=remotes,
            )
            for node, remotes in zip(cluster.nodes, tunnels, strict=True)
        ),
        pods=tuple(
            PodStatus(pod.name, pod.node, pod.subnet, _texts(pod.addresses), pod.port in up)
            for pod in cluster.pods
        ),
    )


def _texts(interfaces: Iterable[Interface]) -> tuple[str, ...]:
    return tuple(str(interface.ip) for interface in interfaces)


def _running(running: dict[str, int], host: str, names: Sequence[str]) -> dict[str, int | None]:
    return {name: running.get(f"{host}/{name}") for name in names}


def _roles(node: NodePlan) -> tuple[str, ...]:
    own = "gateway" if node.gateway else "worker"
    return ("central", own) if node.central else (own,)


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
