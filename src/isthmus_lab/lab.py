"""Labs, for the command line, the demo and tests: build, change, inspect, break and remove them.

Invariant: another process can remove everything that a `Lab` has created, given only its name, even
if the build was interrupted.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from isthmus_lab.build import daemons, removal, requirements
from isthmus_lab.build.removal import Remains
from isthmus_lab.build.starter import Report, Starter
from isthmus_lab.errors import lab_error
from isthmus_lab.kube.api import KubeApi
from isthmus_lab.kube.assets import KUBECTL, required
from isthmus_lab.kube.manifests import Manifests
from isthmus_lab.kube.objects import Objects, kube_api, objects_of
from isthmus_lab.kube.server import kube_server
from isthmus_lab.system import processes
from isthmus_lab.system.lock import locked
from isthmus_lab.topology import kube_ovn
from isthmus_lab.topology.layout import FABRIC, TAG, Layout, state_base
from isthmus_lab.topology.loader import dump, extend, load
from isthmus_lab.topology.plan import ClusterPlan, IcPlan, LabPlan, NodePlan, PodPlan
from isthmus_lab.topology.planner import make_plan
from isthmus_lab.topology.schema import Topology
from isthmus_lab.waiting import wait_until

T = TypeVar("T")


def _silent(_: str) -> None:
    """Discard a report."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that exists on this machine.

    Args:
        layout: its names and paths.
        plan: its machines, links and addresses.
        report: called after each step of a change.
    """

    layout: Layout
    plan: LabPlan
    report: Report = field(default=_silent, compare=False)

    @classmethod
    def up(
        cls,
        topology: Topology,
        *,
        join: bool = True,
        report: Report = _silent,
        base: Path | None = None,
    ) -> "Lab":
        """Build a lab. Removes a lab with the same name first.

        Args:
            topology: what to build.
            join: whether to write `ovn-ic-config` in every cluster.
            report: called after each step.
            base: the directory of all labs.

        Raises:
            LabError: a requirement is missing, or something did not start. What was built remains
                for inspection until `down`.
        """
        layout, plan = Layout(topology.name, base or state_base()), make_plan(topology)
        needed = plan.runs_ic or any(cluster.isthmus for cluster in plan.clusters)
        requirements.check(isthmus_needed=needed, kubernetes=topology.kubernetes)
        with locked(layout):
            if removal.remove(layout):
                report(f"removed the previous lab {layout.lab}")
            layout.topology.write_text(dump(topology), encoding="utf-8")
            Starter(layout, plan, join, report).build(plan.clusters, fabric=True)
        return cls(layout, plan, report)

    @classmethod
    def attach(cls, name: str, base: Path | None = None, report: Report = _silent) -> "Lab":
        """The running lab with a name.

        Raises:
            LabError: there is no such lab.
        """
        layout = Layout(name, base or state_base())
        if not layout.topology.is_file():
            raise lab_error(
                f"lab {name}", "does not exist", "run `isthmus lab up`, or choose a lab with --name"
            )
        return cls(layout, make_plan(load(layout.topology)), report)

    @staticmethod
    def down(name: str, base: Path | None = None) -> Remains:
        """Remove a lab, or what is left of one, and return what existed.

        Raises:
            LabError: another process holds the lock of the lab for too long.
        """
        layout = Layout(name, base or state_base())
        requirements.require_root()
        if not removal.find(layout):
            return Remains()
        with locked(layout):
            return removal.remove(layout)

    def add(self, path: Path, *, join: bool = True) -> "Lab":
        """Add the clusters in a file to the running lab, and return the larger lab.

        Raises:
            LabError: the file is invalid, or something did not start.
        """
        with locked(self.layout):
            topology = extend(self.plan.topology, path)
            plan = make_plan(topology)
            known = {cluster.name for cluster in self.plan.clusters}
            self.layout.topology.write_text(dump(topology), encoding="utf-8")
            new = [cluster for cluster in plan.clusters if cluster.name not in known]
            Starter(self.layout, plan, join, self.report).build(new, fabric=False)
        return Lab(self.layout, plan, self.report)

    def cluster(self, name: str) -> "ClusterHandle":
        """A cluster. Raises: KeyError."""
        return ClusterHandle(self, self.plan.cluster(name))

    def kube_cluster(self, name: str) -> "ClusterHandle":
        """A cluster that has an API server. Raises: LabError."""
        if not self.plan.topology.kubernetes:
            raise lab_error(
                f"lab {self.layout.lab}",
                "has no API servers",
                f"rebuild it with --kube, or edit the manifests in {self.layout.manifests(name)}",
            )
        known = {cluster.name: cluster for cluster in self.plan.clusters}
        return ClusterHandle(self, self._named(name, known, "cluster"))

    def node(self, name: str) -> NodePlan:
        """A node. Raises: LabError."""
        return self._named(name, {node.name: node for node in self.plan.nodes}, "node")

    def pod(self, name: str) -> PodPlan:
        """A pod. Raises: LabError."""
        return self._named(name, {pod.name: pod for pod in self.plan.pods}, "pod")

    def host(self, name: str) -> tuple[str, dict[str, str]]:
        """The namespace and environment for commands on a machine or in a pod.

        Args:
            name: a node, a pod, or a machine of the IC databases ("ic", or "ic-1", "ic-2", …).

        Raises:
            LabError: the name is unknown.
        """
        known: list[NodePlan | IcPlan | PodPlan] = [
            *self.plan.nodes,
            *self.plan.ic_members,
            *self.plan.pods,
        ]
        host = self._named(name, {one.name: one for one in known}, "machine or pod")
        # Includes `isthmus` whether or not its virtual environment is active.
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        env = {TAG: self.layout.lab, "PATH": path}
        if not isinstance(host, PodPlan):
            env |= self.layout.environment(name)
        if isinstance(host, IcPlan):
            env |= daemons.ic_environment(self.layout, self.plan, host)
        elif isinstance(host, NodePlan):
            cluster = self.plan.cluster(host.cluster)
            env |= daemons.database_environment(self.layout, self.plan, cluster, name)
            if host.central and cluster.kubernetes:
                env["KUBECONFIG"] = str(kube_server(self.layout, cluster).kubeconfig)
        return self.layout.netns(name), env

    def run(self, host: str, command: Sequence[str], *, timeout_s: float = 30.0) -> str:
        """Run a command on a machine or in a pod and return its output.

        Raises:
            LabError: the command failed, or the host is unknown.
        """
        netns, env = self.host(host)
        return processes.run(command, netns=netns, env=env, timeout_s=timeout_s)

    def start(self, host: str, daemon: str, command: Sequence[str]) -> int:
        """Start an additional daemon on a machine, which `down` stops.

        Returns:
            Its process ID.
        """
        netns, env = self.host(host)
        return processes.spawn(
            command,
            netns=netns,
            env=env,
            daemon=f"{host}/{daemon}",
            log=self.layout.log(host, daemon),
        )

    def kill(self, host: str, daemon: str) -> None:
        """Kill a daemon with SIGKILL, as in a crash.

        Raises:
            LabError: the daemon is not running.
        """
        running = processes.running_daemons(self.layout.lab)
        pid = self._named(f"{host}/{daemon}", running, "running daemon")
        processes.stop([pid], signal.SIGKILL)

    def partition(self, machine: str, *, cut: bool = True) -> None:
        """Disconnect a node or a member of the IC databases from the fabric, or reconnect it.

        Raises:
            LabError: the name is unknown.
        """
        state = "down" if cut else "up"
        links = {node.name: node.fabric_link for node in self.plan.nodes}
        links |= {member.name: member.fabric_link for member in self.plan.ic_members}
        link = self._named(machine, links, "machine")
        processes.run(["ip", "link", "set", link, state], netns=self.layout.netns(FABRIC))

    def _named(self, name: str, known: Mapping[str, T], what: str) -> T:
        if name not in known:
            raise lab_error(
                f"lab {self.layout.lab}",
                f"has no such {what}",
                f"use one of {', '.join(known)}",
                key="name",
                value=name,
            )
        return known[name]


@dataclass(frozen=True, slots=True)
class ClusterHandle:
    """A cluster of a lab.

    Args:
        lab: the lab that contains it.
        plan: its machines, links and addresses.
    """

    lab: Lab
    plan: ClusterPlan

    @property
    def manifests(self) -> Manifests:
        """The manifest files of a cluster without an API server."""
        return Manifests(self.lab.layout.manifests(self.plan.name))

    @property
    def objects(self) -> Objects:
        """Its Kubernetes objects, in files or in an API server."""
        return objects_of(self.lab.layout, self.plan)

    @property
    def api(self) -> KubeApi:
        """A client of its API server with the rights of an administrator."""
        return kube_api(self.lab.layout, self.plan)

    def join(self) -> None:
        """Write `ovn-ic-config`."""
        self.objects.apply(kube_ovn.config_map(self.lab.plan, self.plan))

    def leave(self) -> None:
        """Delete `ovn-ic-config`."""
        self.objects.delete("ConfigMap", "ovn-ic-config")

    def restart_isthmus(self) -> None:
        """Kill Isthmus, as in a crash, and start it again. Raises: LabError."""
        host = self.plan.central.name
        self.lab.kill(host, "isthmus")
        self.lab.start(host, "isthmus", daemons.engine(self.lab.layout, self.plan))

    def restart_api_server(self) -> None:
        """Kill the API server, as in a crash, and start it again. Raises: LabError."""
        host, server = self.plan.central.name, kube_server(self.lab.layout, self.plan)
        self.lab.kill(host, "kube-apiserver")
        self.lab.start(host, "kube-apiserver", server.apiserver())
        wait_until(self.api.is_ready, 60.0, f"the API server of {self.plan.name} to be ready")

    def isthmus_log(self) -> str:
        """The log of Isthmus since the lab was built."""
        log = self.lab.layout.log(self.plan.central.name, "isthmus")
        return log.read_text(encoding="utf-8", errors="replace")

    def learned(self) -> set[str]:
        """The learned prefixes in the routing table of its router. Raises: LabError."""
        lines = self.nbctl("lr-route-list", kube_ovn.ROUTER).splitlines()
        return {line.split()[0] for line in lines if "(learned)" in line}

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl as the administrator of the cluster. Raises: LabError."""
        host = self.plan.central.name
        return self.lab.run(host, [required(KUBECTL), *arguments])

    def nbctl(self, *command: str) -> str:
        """Run ovn-nbctl on the cluster's NB database. Raises: LabError."""
        return self.lab.run(self.plan.central.name, ["ovn-nbctl", *command])

    def sbctl(self, *command: str) -> str:
        """Run ovn-sbctl on the cluster's SB database. Raises: LabError."""
        return self.lab.run(self.plan.central.name, ["ovn-sbctl", *command])
