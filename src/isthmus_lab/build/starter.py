"""Build a lab according to its plan: namespaces and links first, then all machines in parallel.

Called by `Lab` while it holds the lock of the lab. Each step waits for the state that it needs (a
listening socket, a bridge, a port that is up), never for a fixed time.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from isthmus.model.problems import Problem, Subject
from isthmus_lab.build import daemons, network
from isthmus_lab.build.api_server import start_api_server
from isthmus_lab.build.requirements import SCHEMAS
from isthmus_lab.errors import LabError
from isthmus_lab.kube.objects import objects_of
from isthmus_lab.system.datapath import probe
from isthmus_lab.system.netns import listens
from isthmus_lab.system.processes import run, running_daemons, spawn
from isthmus_lab.topology import kube_ovn
from isthmus_lab.topology.layout import FABRIC, Layout
from isthmus_lab.topology.plan import (
    IC_DAEMON,
    IC_NB_PORT,
    IC_SB_PORT,
    NB_PORT,
    SB_PORT,
    ClusterPlan,
    IcPlan,
    LabPlan,
    NodePlan,
    daemons_of,
)
from isthmus_lab.waiting import wait_until

Report = Callable[[str], None]
"""Called with a line of text after each step."""

_LIMIT_S = 30.0
"""How long a daemon may take to start: tens of times the usual time on a busy machine."""


@dataclass(slots=True)
class Starter:
    """Builds clusters of a plan.

    Args:
        layout: paths of the lab.
        plan: of the whole lab.
        join: whether to write `ovn-ic-config`.
        report: called after each step.
    """

    layout: Layout
    plan: LabPlan
    join: bool
    report: Report
    _datapath: str = ""
    _centrals: dict[str, "Future[None]"] = field(default_factory=dict)
    _apis: dict[str, "Future[None]"] = field(default_factory=dict)

    def build(self, clusters: Sequence[ClusterPlan], *, fabric: bool) -> None:
        """Build clusters.

        Args:
            clusters: of the plan.
            fabric: whether to build the fabric and the IC databases first.

        Raises:
            LabError: something did not start; the rest keeps running.
        """
        nodes = [node for cluster in clusters for node in cluster.nodes]
        self._centrals = {cluster.name: Future() for cluster in clusters}
        self._apis = {cluster.name: Future() for cluster in clusters}
        self._directories(clusters, fabric=fabric)
        if self.plan.topology.ic.tls:
            self._certificates(clusters, fabric=fabric)
        self._links(nodes, fabric=fabric)
        self._datapath = self.plan.topology.datapath
        if self._datapath == "auto":
            self._datapath = probe(self.layout.netns(FABRIC))
        self.report(f"namespaces and links; data path {self._datapath}")
        tasks: list[Callable[[], None]] = [self._ic] if fabric else []
        tasks += [partial(self._objects, cluster) for cluster in clusters]
        tasks += [partial(self._central, cluster) for cluster in clusters]
        tasks += [partial(self._node, one, node) for one in clusters for node in one.nodes]
        in_parallel(tasks)
        if self.join:
            # Not earlier: Isthmus would wait a second before it retries the IC databases.
            self._join(clusters)
        try:
            in_parallel([partial(self._settle, cluster) for cluster in clusters])
        except LabError:
            # A daemon that has ended is the better explanation.
            self._check_daemons(clusters)
            raise
        self._check_daemons(clusters)

    def _check_daemons(self, clusters: Sequence[ClusterPlan]) -> None:
        """Check that all daemons are still running. Raises: LabError."""
        running = running_daemons(self.layout.lab)
        ended = [
            self._ended(node.name, daemon)
            for cluster in clusters
            for node in cluster.nodes
            for daemon in daemons_of(cluster, node)
            if f"{node.name}/{daemon}" not in running
        ]
        if ended:
            raise LabError(*ended)

    def _ended(self, host: str, daemon: str) -> Problem:
        log = self.layout.log(host, daemon)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        return Subject(f"node {host}", daemon).problem(
            f"exited right after its start; last log line: {lines[-1] if lines else 'none'}",
            f"see `isthmus lab logs -n {self.layout.lab} {host} {daemon}`",
        )

    def _directories(self, clusters: Sequence[ClusterPlan], *, fabric: bool) -> None:
        hosts = [node.name for cluster in clusters for node in cluster.nodes]
        for host in [*hosts, *(one.name for one in self.plan.ic_members if fabric)]:
            for path in (self.layout.run(host), self.layout.db(host), self.layout.logs(host)):
                path.mkdir(parents=True)
        for cluster in clusters:
            self.layout.manifests(cluster.name).mkdir(parents=True)

    def _certificates(self, clusters: Sequence[ClusterPlan], *, fabric: bool) -> None:
        # Labs without TLS skip this slow import.
        from isthmus_lab.build import ic_certificates  # noqa: PLC0415

        if fabric:
            ic_certificates.make_authorities(self.layout)
            for member in self.plan.ic_members:
                ic_certificates.issue_member(
                    self.layout, member.name, [str(i.ip) for i in member.underlay]
                )
        for cluster in clusters:
            ic_certificates.issue_zone(self.layout, cluster.name, cluster.az_name)

    def _links(self, nodes: Sequence[NodePlan], *, fabric: bool) -> None:
        members = self.plan.ic_members if fabric else ()
        machines: list[IcPlan | NodePlan] = [*members, *nodes]
        hosts = [FABRIC] if fabric else []
        hosts += [one.name for one in (*machines, *(pod for node in nodes for pod in node.pods))]
        batch, plugs = network.netns_batch(self.layout, hosts), []
        if fabric:
            plugs += network.fabric_batch()
        for machine in machines:
            batch.append(network.uplink(self.layout, machine.name, machine.fabric_link))
            plugs += network.plug_batch(machine.fabric_link)
        for node in nodes:
            batch += network.pod_links(self.layout, node)
        network.ip_batch(batch)
        network.ip_batch(plugs, self.layout.netns(FABRIC))
        for member in members:
            lines = network.machine_batch(network.UNDERLAY_LINK, member.underlay)
            network.ip_batch(lines, self.layout.netns(member.name))
            # The userspace switches of the nodes do not compute checksums left to a device.
            network.disable_offload(self.layout.netns(member.name), [network.UNDERLAY_LINK])

    def _ic(self) -> None:
        if not self.plan.runs_ic:
            return
        for member in self.plan.ic_members:
            command = daemons.ic_databases(self.layout, self.plan, member)
            self._spawn(member.name, IC_DAEMON, command)
        for member in self.plan.ic_members:
            what = f"IC databases to listen on {member.address}"
            wait_until(partial(self._serves_ic, member), _LIMIT_S, what)
            self.report(f"IC databases at {member.address}")

    def _serves_ic(self, member: IcPlan) -> bool:
        if len(self.plan.ic_members) > 1:
            # Members listen before the cluster exists, and log when they are ready.
            return "\nready: " in "\n" + self.layout.log(member.name, IC_DAEMON).read_text("utf-8")
        netns, address = self.layout.netns(member.name), str(member.address)
        return all(listens(netns, address, port) for port in (IC_NB_PORT, IC_SB_PORT))

    def _join(self, clusters: Sequence[ClusterPlan]) -> None:
        for cluster in clusters:
            if cluster.isthmus:
                objects = objects_of(self.layout, cluster)
                objects.apply(kube_ovn.config_map(self.plan, cluster))
                self.report(f"cluster {cluster.name}: ovn-ic-config written")

    def _objects(self, cluster: ClusterPlan) -> None:
        """Create the Kubernetes objects of a cluster, in files or in an API server."""
        with _completing(self._apis[cluster.name]):
            if cluster.kubernetes:
                start_api_server(self.layout, cluster, self._spawn)
                self.report(f"cluster {cluster.name}: API server")
            else:
                objects = objects_of(self.layout, cluster)
                for manifest in kube_ovn.objects(cluster):
                    objects.apply(manifest)

    def _central(self, cluster: ClusterPlan) -> None:
        """Start the databases of a cluster, northd, Isthmus and the web servers."""
        host = cluster.central.name
        with _completing(self._centrals[cluster.name]):
            self._database(host, "ovnnb_db", "ovnnb_db.sock", NB_PORT)
            self._database(host, "ovnsb_db", "ovnsb_db.sock", SB_PORT)
            self._spawn(host, "ovn-northd", daemons.northd(self.layout.run(host)))
            wait = ["--wait=sb", f"--timeout={_LIMIT_S:g}"]
            self._tool(cluster, host, ["ovn-nbctl", *wait, *kube_ovn.nb_commands(cluster)])
        self._apis[cluster.name].result()
        if cluster.isthmus:
            self._spawn(host, "isthmus", daemons.engine(self.layout, cluster))
        if cluster.pods:
            self._spawn(host, "pod-server", daemons.pod_server(self.layout, cluster))

    def _node(self, cluster: ClusterPlan, node: NodePlan) -> None:
        """Start Open vSwitch, configure the pods, and start ovn-controller."""
        host, netns = node.name, self.layout.netns(node.name)
        run_dir = self.layout.run(host)
        self._database(host, "conf", "db.sock")
        self._spawn(host, "ovs-vswitchd", daemons.vswitchd(run_dir))
        network.ip_batch(network.node_links_batch(node), netns)
        for pod in node.pods:
            network.ip_batch(network.pod_batch(pod), self.layout.netns(pod.name))
            network.disable_offload(self.layout.netns(pod.name), [network.POD_LINK])
        # ovs-vsctl returns when ovs-vswitchd has applied everything: the bridges exist now.
        configuration = daemons.vswitch_configuration(self.layout, cluster, node, self._datapath)
        self._tool(cluster, host, ["ovs-vsctl", f"--db=unix:{run_dir / 'db.sock'}", *configuration])
        network.ip_batch(network.node_addresses_batch(cluster, node), netns)
        network.disable_offload(netns, network.links_of(node))
        # Without an SB database, ovn-controller would wait a second before it retries; while northd
        # fills the database, ovn-controller has been seen to exit. `_central` has its own limits.
        self._centrals[cluster.name].result()
        self._spawn(host, "ovn-controller", daemons.controller(run_dir))
        self.report(f"node {host}")

    def _settle(self, cluster: ClusterPlan) -> None:
        """Wait until the ports of all pods are up, which requires all of the cluster."""
        waits = [["wait-until", "Logical_Switch_Port", pod.port, "up=true"] for pod in cluster.pods]
        chassis = [
            ["wait-until", "Chassis", node.system_id, f"hostname={node.name}"]
            for node in cluster.nodes
        ]
        host = cluster.central.name
        timeout = f"--timeout={_LIMIT_S:g}"
        self._tool(cluster, host, ["ovn-sbctl", timeout, *_joined(chassis)])
        if waits:
            self._tool(cluster, host, ["ovn-nbctl", timeout, *_joined(waits)])
        self.report(f"cluster {cluster.name}: {len(cluster.pods)} pods up")

    def _database(self, host: str, name: str, socket_name: str, port: int = 0) -> None:
        run_dir, file = self.layout.run(host), self.layout.db(host) / f"{name}.db"
        run(["ovsdb-tool", "create", str(file), str(SCHEMAS[name])])
        command = daemons.ovsdb_server(file, run_dir, socket_name, port)
        self._spawn(host, f"ovsdb-{name}", command)
        what = f"{host}: database {name} to listen"
        wait_until(lambda: _answers(run_dir / socket_name), _LIMIT_S, what)

    def _spawn(self, host: str, daemon: str, command: Sequence[str]) -> None:
        spawn(
            command,
            netns=self.layout.netns(host),
            env=self.layout.environment(host),
            daemon=f"{host}/{daemon}",
            log=self.layout.log(host, daemon),
        )

    def _tool(self, cluster: ClusterPlan, host: str, command: Sequence[str]) -> None:
        env = self.layout.environment(host)
        env |= daemons.database_environment(self.layout, self.plan, cluster, host)
        run(command, netns=self.layout.netns(host), env=env, timeout_s=2 * _LIMIT_S)


def in_parallel(tasks: Sequence[Callable[[], None]]) -> None:
    """Run each task in a thread, wait for all, and raise the first failure."""
    if not tasks:
        return
    with ThreadPoolExecutor(len(tasks)) as pool:
        futures = [pool.submit(task) for task in tasks]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future.done():
                future.result()


@contextmanager
def _completing(future: "Future[None]") -> Iterator[None]:
    """Complete a future at the end of the body, with its exception if there is one."""
    try:
        yield
    except BaseException as error:
        future.set_exception(error)
        raise
    future.set_result(None)


def _joined(parts: Sequence[Sequence[str]]) -> list[str]:
    return [word for part in parts for word in ("--", *part)][1:]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
