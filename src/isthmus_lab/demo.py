"""The demo: join clusters, check traffic, close and reopen a subnet, and verify each step.

Called by `isthmus lab demo`. All output comes from the running system. If a check fails, the others
still run, and the demo fails.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from shlex import join
from typing import TypeVar

from rich.console import Console

from isthmus_lab.errors import LabError, lab_error
from isthmus_lab.kube.objects import KubectlObjects, Objects
from isthmus_lab.lab import ClusterHandle, Lab
from isthmus_lab.text import columns, command
from isthmus_lab.topology import kube_ovn
from isthmus_lab.topology.plan import ClusterPlan, SubnetPlan
from isthmus_lab.topology.schema import Topology
from isthmus_lab.traffic import probe
from isthmus_lab.traffic.probe import TrafficPath
from isthmus_lab.waiting import wait_until

T = TypeVar("T")

DEFAULT = "demo"
"""The default name of a lab."""

LIMIT_S = 30.0
"""How long a change may take to reach all clusters: tens of times the usual time."""


@dataclass(slots=True)
class Demo:
    """A run of the demo.

    Args:
        out: where to print.
        limit_s: how long a change may take to reach all clusters.
        results: "ok" or "FAILED", the time taken, and the expected state of each check so far.
    """

    out: Console
    limit_s: float = LIMIT_S
    results: list[tuple[str, str, str]] = field(default_factory=list)
    _start: float = field(default_factory=time.monotonic)

    def run(self, topology: Topology) -> Lab:
        """Build a lab, run all checks, and keep the lab running.

        Args:
            topology: at least two clusters with pods.

        Raises:
            LabError: the lab could not be built.
        """
        self._title(f"Building the lab {topology.name}")
        lab = Lab.up(topology, join=False, report=self._reached)
        paths = probe.paths(lab.plan.pods, lab.plan.pods)
        self._join(lab, paths)
        self._show(lab)
        self._status(lab)
        self._traffic(lab, paths)
        self._close_and_open(lab, paths)
        return lab

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(result == "ok" for result, _, _ in self.results)

    def summary(self) -> str:
        """A table of all checks."""
        return columns(("RESULT", "TIME", "CHECK"), self.results)

    def _join(self, lab: Lab, paths: Sequence[TrafficPath]) -> None:
        self._title("Joining the clusters: ovn-ic-config")
        with self._check("before joining, no pod reaches another cluster"):
            reached = [str(path) for path in probe.ping(lab.layout, paths)]
            _fail_if(reached, "reply received before the clusters have joined")
        for cluster in lab.plan.clusters:
            self._objects(lab, cluster).apply(kube_ovn.config_map(lab.plan, cluster))
            self._reached(f"cluster {cluster.name}: ovn-ic-config written")
        with self._check("first ping between clusters"):
            self._wait(lambda: probe.ping(lab.layout, paths), "the first reply to a ping")
        with self._check("every pod reaches every pod of the other clusters"):
            self._wait_for_all(lab, paths)

    def _objects(self, lab: Lab, cluster: ClusterPlan) -> Objects | KubectlObjects:
        """The objects of a cluster. With an API server, edits use kubectl and are printed."""
        handle = lab.cluster(cluster.name)
        if not cluster.kubernetes:
            return handle.objects

        def kubectl(arguments: list[str]) -> str:
            option = [] if lab.layout.lab == DEFAULT else ["-n", lab.layout.lab]
            self._print(f"# {command('lab', 'kubectl', *option, cluster.name, join(arguments))}")
            output = handle.kubectl(*arguments)
            self._print(output)
            return output

        return KubectlObjects(kubectl, lab.layout.manifests(cluster.name))

    def _status(self, lab: Lab) -> None:
        """Show the status that Isthmus publishes in the clusters."""
        for cluster in lab.plan.clusters:
            if cluster.kubernetes and cluster.isthmus:
                self._title(f"Status of {cluster.name}, in Kubernetes: ovn-ic-status")
                with self._check(f"ovn-ic-status of {cluster.name} shows the cluster as joined"):
                    self._expect_joined(lab.cluster(cluster.name))

    def _expect_joined(self, handle: ClusterHandle) -> None:
        keys = ["zone", "accepted", "joined", "conflict", "degraded"]
        cells = ",".join(f"{key.upper()}:.data.{key}" for key in keys)
        get = ["get", "configmap", "ovn-ic-status", "-n", kube_ovn.NAMESPACE]

        def joined() -> str:
            output = handle.kubectl(*get, "-o", f"custom-columns={cells}", "--ignore-not-found")
            return output if output.split()[-4:] == ["True", "True", "False", "False"] else ""

        self._print(self._wait(joined, "the conditions to be those of a joined cluster"))

    def _show(self, lab: Lab) -> None:
        self._title("Zones, gateways and ports: isthmus show")
        with self._check("isthmus show"):
            self._print(lab.run(lab.plan.clusters[0].central.name, ["isthmus", "show"]))
        for cluster in lab.plan.clusters:
            self._title(f"Routes of {cluster.name}: isthmus routes")
            with self._check(f"isthmus routes in {cluster.name}"):
                self._print(lab.run(cluster.central.name, ["isthmus", "routes"]))
                others = [other for other in lab.plan.clusters if other != cluster]
                subnets = [subnet for other in others for subnet in other.subnets]
                offered = [subnet for subnet in subnets if not subnet.disable_inter_connection]
                missing = _networks(offered, cluster) - lab.cluster(cluster.name).learned()
                _fail_if(sorted(missing), f"not learned in {cluster.name}")

    def _traffic(self, lab: Lab, paths: Sequence[TrafficPath]) -> None:
        self._title("Ping and HTTP between all pods of different clusters, by pod IP")
        trips, answers = probe.ping(lab.layout, paths), probe.http(lab.layout, paths)
        rows = [
            (
                *(path.source.name, path.target.name, str(path.address)),
                f"{trips[path] * 1000:.1f} ms" if path in trips else "NO REPLY",
                answers[path],
            )
            for path in paths
        ]
        self._print(columns(("FROM", "TO", "ADDRESS", "PING", "HTTP"), rows))
        with self._check(f"ping on all {len(paths)} paths"):
            _fail_if([str(path) for path in paths if path not in trips], "no reply")
        with self._check(f"HTTP on all {len(paths)} paths; the server sees the pod's own IP"):
            wrong = [path for path in paths if not probe.sees_own_address(path, answers[path])]
            _fail_if([f"{path}: {answers[path]}" for path in wrong], "wrong response")

    def _close_and_open(self, lab: Lab, paths: Sequence[TrafficPath]) -> None:
        """Close and reopen the last subnet with pods of the first cluster."""
        cluster, *others = lab.plan.clusters
        used = {pod.subnet for pod in cluster.pods}
        subnet = [subnet for subnet in cluster.subnets if subnet.name in used][-1]
        self._title(f"Live: disableInterConnection on the subnet {subnet.name} of {cluster.name}")
        inside = {pod.name for pod in cluster.pods if pod.subnet == subnet.name}
        closed = [path for path in paths if {path.source.name, path.target.name} & inside]
        rest = [path for path in paths if path not in closed]

        def learned(cluster: ClusterPlan) -> set[str]:
            return _networks([subnet], cluster) & lab.cluster(cluster.name).learned()

        objects = self._objects(lab, cluster)
        objects.merge("Subnet", subnet.name, "spec", {"disableInterConnection": True})
        with self._check(f"the route is withdrawn in {', '.join(other.name for other in others)}"):
            self._wait(
                lambda: not any(learned(other) for other in others),
                f"the route of {subnet.name} to disappear",
            )
        with self._check("its pods are unreachable, all others are reachable"):
            self._wait(
                lambda: not probe.ping(lab.layout, closed, 0.2),
                "the pods of the subnet to be unreachable",
            )
            self._wait_for_all(lab, rest)
        objects.merge("Subnet", subnet.name, "spec", {"disableInterConnection": False})
        with self._check("after setting it to false, the route is back"):
            self._wait(
                lambda: all(learned(other) == _networks([subnet], other) for other in others),
                f"the route of {subnet.name} to appear",
            )
        with self._check("all pods are reachable again"):
            self._wait_for_all(lab, paths)

    def _wait(self, check: Callable[[], T], state: str) -> T:
        return wait_until(check, self.limit_s, state, interval_s=0.05)

    def _wait_for_all(self, lab: Lab, paths: Sequence[TrafficPath]) -> None:
        self._wait(lambda: len(probe.ping(lab.layout, paths)) == len(paths), "replies on all paths")

    @contextmanager
    def _check(self, what: str) -> Iterator[None]:
        start, result, fault = time.monotonic(), "ok", ""
        try:
            with self.out.status(what):
                yield
        except LabError as error:
            result, fault = "FAILED", f": {error}"
        self.results.append((result, f"{time.monotonic() - start:.1f} s", what))
        self._reached(f"{result}: {what}{fault}")

    def _title(self, text: str) -> None:
        self.out.print(f"\n{text}", style="bold")

    def _reached(self, line: str) -> None:
        style = "bold red" if line.startswith("FAILED") else None
        self.out.print(f"{time.monotonic() - self._start:5.1f} s  {line}", style=style)

    def _print(self, text: str) -> None:
        self.out.print(text.rstrip())


def _fail_if(cases: Sequence[str], message: str) -> None:
    if cases:
        raise lab_error("traffic", message, "see `isthmus lab status`", value="; ".join(cases))


def _networks(subnets: Iterable[SubnetPlan], cluster: ClusterPlan) -> set[str]:
    """The CIDRs of subnets in the address families of a cluster that should learn them."""
    families = {network.version for network in cluster.join.cidr}
    networks = (network for subnet in subnets for network in subnet.cidr)
    return {str(network) for network in networks if network.version in families}
