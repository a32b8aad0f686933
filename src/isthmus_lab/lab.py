"""A lab, for the command line, the demo and tests: make it, look at it, break it, remove it.

Invariant: whatever a `Lab` makes can be removed by the lab's name alone, in another process,
whenever it was interrupted.
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
from isthmus_lab.topology.plan import ClusterPlan, LabPlan, NodePlan, PodPlan, make_plan
from isthmus_lab.topology.schema import Topology, dump, extend, load
from isthmus_lab.waiting import wait_until

T = TypeVar("T")


def _silent(_: str) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that exists on this machine.

    Args:
        layout: where its things are.
        plan: what it consists of.
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
        """Build a lab; one of the same name is removed first.

        Args:
            topology: what to build.
            join: whether to write every cluster's `ovn-ic-config`.
            report: told what is reached.
            base: the directory of all labs.

        Raises:
            LabError: something is missing here, or did not come up. What was made remains for a
                look, and `down` removes it.
        """
        layout, plan = Layout(topology.name, base or state_base()), make_plan(topology)
        needed = plan.runs_ic or any(cluster.isthmus for cluster in plan.clusters)
        requirements.check(isthmus_needed=needed, kubernetes=topology.kubernetes)
        with locked(layout):
            if removal.remove(layout):
                report(f"removed what was left of the lab {layout.lab}")
            layout.topology.write_text(dump(topology), encoding="utf-8")
            Starter(layout, plan, join, report).build(plan.clusters, fabric=True)
        return cls(layout, plan, report)

    @classmethod
    def attach(cls, name: str, base: Path | None = None, report: Report = _silent) -> "Lab":
        """The lab of that name, which is up.

        Raises:
            LabError: there is none.
        """
        layout = Layout(name, base or state_base())
        if not layout.topology.is_file():
            raise lab_error(
                f"lab {name}", "is not up", "run `isthmus lab up`, or name another with --name"
            )
        return cls(layout, make_plan(load(layout.topology)), report)

    @staticmethod
    def down(name: str, base: Path | None = None) -> Remains:
        """Remove a lab, or what is left of it, and say what there was.

        Raises:
            LabError: somebody else is at work on it for too long.
        """
        layout = Layout(name, base or state_base())
        requirements.require_root()
        if not removal.find(layout):
            return Remains((), (), "")
        with locked(layout):
            return removal.remove(layout)

    def add(self, path: Path, *, join: bool = True) -> "Lab":
        """Add the clusters of a file to the running lab, and return the larger lab.

        Raises:
            LabError: the file has faults, or something did not come up.
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
        """A cluster, to work with. Raises: KeyError."""
        return ClusterHandle(self, self.plan.cluster(name))

    def kube_cluster(self, name: str) -> "ClusterHandle":
        """A cluster that has an API server. Raises: LabError."""
        if not self.plan.topology.kubernetes:
            raise lab_error(
                f"lab {self.layout.lab}",
                "its clusters have no API servers",
                f"make it anew with --kube; or edit the manifests in {self.layout.manifests(name)}",
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
        """Namespace and environment to run commands with.

        Args:
            name: of a node, a pod or a machine of the IC databases ("ic", or "ic-1", "ic-2", …).

        Raises:
            LabError: there is none of that name.
        """
        pods = {pod.name for pod in self.plan.pods}
        if name in pods:
            return self.layout.netns(name), {TAG: self.layout.lab, "PATH": _path()}
        members = {member.name: member for member in self.plan.ic_members}
        hosts = {node.name: self.plan.cluster(node.cluster) for node in self.plan.nodes}
        if name not in hosts and name not in members:
            raise lab_error(
                f"lab {self.layout.lab}",
                "there is no such node or pod",
                f"use one of {', '.join([*hosts, *members, *sorted(pods)])}",
                key="name",
                value=name,
            )
        if name in members:
            databases = daemons.ic_environment(self.layout, self.plan, members[name])
        else:
            databases = daemons.database_environment(self.layout, self.plan, hosts[name], name)
            if name == hosts[name].central.name and hosts[name].kubernetes:
                kubeconfig = kube_server(self.layout, hosts[name]).kubeconfig
                databases["KUBECONFIG"] = str(kubeconfig)
        return self.layout.netns(name), {
            **self.layout.environment(name),
            **databases,
            "PATH": _path(),
        }

    def run(self, host: str, command: Sequence[str], *, timeout_s: float = 30.0) -> str:
        """Run a command on a machine or in a pod and return what it printed.

        Raises:
            LabError: it failed, or there is no such place.
        """
        netns, env = self.host(host)
        return processes.run(command, netns=netns, env=env, timeout_s=timeout_s)

    def start(self, host: str, daemon: str, command: Sequence[str]) -> int:
        """Start a daemon of one's own on a machine; it ends with the lab.

        Returns:
            Its process id.
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
        """Kill a daemon at once, as a crash would.

        Raises:
            LabError: it is not running.
        """
        running = processes.running_daemons(self.layout.lab)
        pid = self._named(f"{host}/{daemon}", running, "running daemon")
        processes.stop([pid], signal.SIGKILL)

    def partition(self, machine: str, *, cut: bool = True) -> None:
        """Cut a node or a member of the IC databases off the fabric, or connect it again.

        Raises:
            LabError: there is none of that name.
        """
        state = "down" if cut else "up"
        links = {node.name: node.fabric_link for node in self.plan.nodes}
        links |= {member.name: member.fabric_link for member in self.plan.ic_members}
        link = self._named(machine, links, "machine")
        self.run_in_fabric(["ip", "link", "set", link, state])

    def run_in_fabric(self, command: Sequence[str]) -> str:
        """Run a command in the namespace of the fabric. Raises: LabError."""
        return processes.run(command, netns=self.layout.netns(FABRIC))

    def _named(self, name: str, known: Mapping[str, T], what: str) -> T:
        if name not in known:
            raise lab_error(
                f"lab {self.layout.lab}",
                f"there is no such {what}",
                f"use one of {', '.join(known)}",
                key="name",
                value=name,
            )
        return known[name]


def _path() -> str:
    # So that `isthmus` is there, whether or not its virtual environment is active.
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"


@dataclass(frozen=True, slots=True)
class ClusterHandle:
    """A cluster of a lab.

    Args:
        lab: the lab.
        plan: what the cluster consists of.
    """

    lab: Lab
    plan: ClusterPlan

    @property
    def manifests(self) -> Manifests:
        """The files that hold its Kubernetes objects, where it has no API server."""
        return Manifests(self.lab.layout.manifests(self.plan.name))

    @property
    def objects(self) -> Objects:
        """Its Kubernetes objects, wherever they are."""
        return objects_of(self.lab.layout, self.plan)

    @property
    def api(self) -> KubeApi:
        """Its API server, if it has one, as the administrator."""
        return kube_api(self.lab.layout, self.plan)

    def join(self) -> None:
        """Write `ovn-ic-config`."""
        self.objects.apply(kube_ovn.config_map(self.lab.plan, self.plan))

    def leave(self) -> None:
        """Delete `ovn-ic-config`."""
        self.objects.delete("ConfigMap", "ovn-ic-config")

    def restart_isthmus(self) -> None:
        """Kill Isthmus as a crash would, and start it again. Raises: LabError."""
        host = self.plan.central.name
        self.lab.kill(host, "isthmus")
        self.lab.start(host, "isthmus", daemons.engine(self.lab.layout, self.plan))

    def restart_api_server(self) -> None:
        """Kill the API server as a crash would, and start it again. Raises: LabError."""
        host, server = self.plan.central.name, kube_server(self.lab.layout, self.plan)
        self.lab.kill(host, "kube-apiserver")
        self.lab.start(host, "kube-apiserver", server.apiserver())
        wait_until(self.api.is_ready, 60.0, f"the API server of {self.plan.name} to be ready")

    def isthmus_log(self) -> str:
        """What Isthmus has logged since the lab was made."""
        log = self.lab.layout.log(self.plan.central.name, "isthmus")
        return log.read_text(encoding="utf-8", errors="replace")

    def learned(self) -> set[str]:
        """The prefixes that its router has learned, as OVN holds them. Raises: LabError."""
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
