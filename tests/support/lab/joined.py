"""Clusters joined by Isthmus in the lab, and the checks that many tests need."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from isthmus_lab.lab import ClusterHandle, Lab
from isthmus_lab.system import processes
from isthmus_lab.topology import kube_ovn
from isthmus_lab.topology.loader import parse
from isthmus_lab.topology.plan import ClusterPlan
from isthmus_lab.topology.schema import Topology
from isthmus_lab.traffic import probe
from isthmus_lab.waiting import wait_until

LIMIT_S = 30.0

TWO_CLUSTERS = """
clusters:
  - name: az1
    gateways: [az1-gw]
    nodes:
      - {name: az1-gw, roles: [central, gateway]}
      - {name: az1-gw2, roles: [gateway]}
    subnets:
      - {name: ovn-default, cidr: 10.16.0.0/16}
      - {name: apps, cidr: 10.26.0.0/16}
    pods:
      - {name: az1-web, node: az1-gw2}
      - {name: az1-app, node: az1-gw, subnet: apps}
  - name: az2
    nodes: [{name: az2-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.17.0.0/16}]
    pods: [{name: az2-web, node: az2-gw}]
"""
"""A cluster with two gateways, of which it uses one, and a small cluster."""


def topology(text: str = TWO_CLUSTERS) -> Topology:
    """A topology from YAML text."""
    return parse(yaml.safe_load(text), "test")


@dataclass(frozen=True, slots=True)
class Joined:
    """Clusters joined by Isthmus.

    Args:
        lab: the lab that contains them.
        good: the manifests of the healthy state, by file.
        state: the result of `seen` in that state.
    """

    lab: Lab
    good: dict[Path, str]
    state: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, lab: Lab) -> "Joined":
        """The clusters of a lab, once all their pods reach each other."""
        files = lab.layout.root.glob("clusters/*/manifests/*.yaml")
        joined = cls(lab, {file: file.read_text() for file in files})
        joined.wait_for_all()
        joined.wait(joined._all_gateways_published, "standby gateways to be published")
        joined.state.update(joined.seen())
        return joined

    def reset(self) -> None:
        """Restore all manifests, and wait until the clusters are healthy."""
        for file in self.lab.layout.root.glob("clusters/*/manifests/*"):
            if file not in self.good:
                file.unlink()
        for file, text in self.good.items():
            if not file.exists() or file.read_text() != text:
                self.lab.cluster(file.parts[-3]).manifests.write(file.name, text)
        for cluster in self.lab.plan.clusters:
            if cluster.kubernetes:
                self._reset_objects(cluster)
        # Pings alone may still be answered because of the previous test.
        self.wait(lambda: self.seen() == self.state, "the state to be as before")
        self.wait_for_all()

    def _reset_objects(self, cluster: ClusterPlan) -> None:
        """Restore the objects in a cluster's API server that tests change."""
        objects = self.cluster(cluster.name).objects
        objects.apply(kube_ovn.config_map(self.lab.plan, cluster))
        for manifest in kube_ovn.objects(cluster):
            if manifest["kind"] == "Subnet":
                objects.apply(manifest)

    def seen(self) -> dict[str, object]:
        """Zones, gateways, ports and routes, without addresses, which a restart may change."""
        lines = self.ic_sb().splitlines()
        learned = {c.name: self.learned(c.name) for c in self.lab.plan.clusters}
        return {"ic": [line for line in lines if "address:" not in line], **learned}

    def _all_gateways_published(self) -> bool:
        find = ["--bare", "--columns=hostname", "find", "Chassis", "other_config:is-interconn=true"]
        names = {
            n for c in self.lab.plan.clusters for n in self.cluster(c.name).sbctl(*find).split()
        }
        # A node in gw-nodes takes part only after it has got its label.
        for cluster in self.lab.plan.clusters:
            names |= set(kube_ovn.config_map(self.lab.plan, cluster)["data"]["gw-nodes"].split(","))
        return names <= {word.strip('"') for word in self.ic_sb().split()}

    def cluster(self, name: str) -> ClusterHandle:
        """A cluster."""
        return self.lab.cluster(name)

    def configure(self, cluster: str, **data: str | None) -> None:
        """Change keys of `ovn-ic-config`; `_` stands for `-` in a key, None removes a key."""
        values = {key.replace("_", "-"): value for key, value in data.items()}
        self.cluster(cluster).objects.merge("ConfigMap", "ovn-ic-config", "data", values)

    def paths(self) -> list[probe.TrafficPath]:
        """All paths from a pod to one in another cluster."""
        return probe.paths(self.lab.plan.pods, self.lab.plan.pods)

    def all_answer(self) -> bool:
        """Whether a ping along every path is answered."""
        return len(probe.ping(self.lab.layout, self.paths(), 1.0)) == len(self.paths())

    def wait_for_all(self) -> None:
        """Wait until a ping along every path is answered."""
        self.wait(self.all_answer, "every ping")

    def wait_for_silence(self) -> None:
        """Wait until no ping is answered."""
        self.wait(lambda: not probe.ping(self.lab.layout, self.paths(), 0.2), "silence")

    def wait(self, check: Callable[[], object], what: str) -> None:
        """Wait until a function returns a true value."""
        wait_until(check, LIMIT_S, what)

    def learned(self, cluster: str) -> set[str]:
        """The prefixes that a cluster has learned."""
        return self.cluster(cluster).learned()

    def wait_for_learned(self, cluster: str, number: int) -> None:
        """Wait until a cluster has learned a number of prefixes."""
        self.wait(lambda: len(self.learned(cluster)) == number, f"{number} routes in {cluster}")

    def ic_sb(self) -> str:
        """The output of `ovn-ic-sbctl show`."""
        first = self.lab.plan.ic_members[0].name
        return self.lab.run(first, ["ovn-ic-sbctl", "--no-leader-only", "show"])

    def databases(self) -> list[Path]:
        """The files of all databases that the clusters write."""
        layout = self.lab.layout
        own = [layout.db(c.central.name) for c in self.lab.plan.clusters]
        shared = layout.db(self.lab.plan.ic_members[0].name)
        names = ("ovnnb_db.db", "ovnsb_db.db")
        return [*(directory / name for directory in own for name in names), *shared.glob("*.db")]

    def router_port(self, name: str, cluster: str = "az1") -> str:
        """The networks of a router port; empty if it does not exist."""
        find = ["--bare", "--columns=networks", "find", "Logical_Router_Port", f"name={name}"]
        return self.cluster(cluster).nbctl(*find).strip()

    def gateway(self, router_port: str, cluster: str = "az1") -> str:
        """The hostname of the chassis of a router port; empty if it has none."""
        handle = self.cluster(cluster)
        find = ["--bare", "--columns=chassis", "find", "Port_Binding"]
        chassis = handle.sbctl(*find, f"logical_port=cr-{router_port}").strip()
        return handle.sbctl("get", "Chassis", chassis, "hostname").strip() if chassis else ""

    def daemon(self, cluster: str) -> int:
        """The process ID of Isthmus in a cluster."""
        host = self.cluster(cluster).plan.central.name
        return processes.running_daemons(self.lab.layout.lab)[f"{host}/isthmus"]
