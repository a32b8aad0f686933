"""The command lines that build a lab's namespaces, links and daemons. Pure.

Used by the starter. Batches, so that a lab costs few process starts.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from isthmus.cli.options import environment as surroundings
from isthmus_lab.kube.roles import ACCOUNT
from isthmus_lab.kube.server import kube_server
from isthmus_lab.topology.kube_ovn import ROUTER
from isthmus_lab.topology.layout import FABRIC, Layout
from isthmus_lab.topology.plan import (
    IC_NB_PORT,
    IC_SB_PORT,
    MTU,
    NB_PORT,
    SB_PORT,
    ClusterPlan,
    IcPlan,
    Interface,
    LabPlan,
    NodePlan,
    PodPlan,
    endpoint,
    ic_remote,
)

UNDERLAY_BRIDGE = "br-ex"
"""The node's OVS bridge with its tunnel address: userspace tunnels route through a bridge."""

UNDERLAY_LINK, JOIN_PORT, POD_LINK = "eth0", "ovn0", "eth0"
FABRIC_BRIDGE = "underlay"

_FIRST = ("nice", "-n", "-10")
"""What forwards packets is served first, as ovs-ctl and ovn-ctl have it: many machines share one
here, and would not lose packets for what another computes. Without the right to it nothing is
changed; nice(1) says so in the log."""


def netns_batch(layout: Layout, hosts: list[str]) -> list[str]:
    """Lines for `ip -batch`: make the namespaces."""
    return [f"netns add {layout.netns(host)}" for host in hosts]


def fabric_batch() -> list[str]:
    """Lines for `ip -batch` in the fabric: the bridge."""
    # Snooping would hold back the neighbour discovery of IPv6, as nobody queries here.
    return [
        f"link add {FABRIC_BRIDGE} type bridge mcast_snooping 0",
        f"link set {FABRIC_BRIDGE} addrgenmode none",
        f"link set {FABRIC_BRIDGE} up",
        "link set lo up",
    ]


def uplink(layout: Layout, host: str, fabric_link: str) -> str:
    """A line for `ip -batch`: the link from a machine to the fabric."""
    return (
        f"link add {UNDERLAY_LINK} netns {layout.netns(host)} type veth"
        f" peer name {fabric_link} netns {layout.netns(FABRIC)}"
    )


def plug_batch(fabric_link: str) -> list[str]:
    """Lines for `ip -batch` in the fabric: one link into the bridge."""
    return [
        f"link set {fabric_link} addrgenmode none",
        f"link set {fabric_link} master {FABRIC_BRIDGE} up",
    ]


def pod_links(layout: Layout, node: NodePlan) -> Iterator[str]:
    """Lines for `ip -batch`: the links of a node's pods."""
    for pod in node.pods:
        yield (
            f"link add {POD_LINK} netns {layout.netns(pod.name)} mtu {MTU} address {pod.mac}"
            f" type veth peer name {pod.host_link} netns {layout.netns(node.name)} mtu {MTU}"
        )


def machine_batch(link: str, addresses: tuple[Interface, ...]) -> list[str]:
    """Lines for `ip -batch` within a machine: its address, on a link that is there."""
    lines = ["link set lo up", f"link set {link} addrgenmode none"]
    lines += [f"addr add {address} dev {link}{_nodad(address)}" for address in addresses]
    return [*lines, f"link set {link} up"]


def pod_batch(pod: PodPlan) -> list[str]:
    """Lines for `ip -batch` within a pod."""
    routes = [f"route add default via {gateway} dev {POD_LINK}" for gateway in pod.gateways]
    return [*machine_batch(POD_LINK, pod.addresses), *routes]


def node_links_batch(node: NodePlan) -> list[str]:
    """Lines for `ip -batch` within a node, before Open vSwitch starts."""
    links = [UNDERLAY_LINK, *(pod.host_link for pod in node.pods)]
    lines = ["link set lo up"]
    for link in links:
        lines += [f"link set {link} addrgenmode none", f"link set {link} up"]
    return lines


def node_addresses_batch(cluster: ClusterPlan, node: NodePlan) -> list[str]:
    """Lines for `ip -batch` within a node, once its bridges are there."""
    lines = [
        *machine_batch(UNDERLAY_BRIDGE, node.underlay)[1:],
        *machine_batch(JOIN_PORT, node.join)[1:],
    ]
    gateways = {gateway.version: gateway.ip for gateway in cluster.join.gateways}
    for subnet in cluster.subnets:
        if subnet.router == ROUTER:
            lines += [
                f"route add {network} via {gateways[network.version]} dev {JOIN_PORT}"
                for network in subnet.cidr
            ]
    return lines


def links_of(node: NodePlan) -> list[str]:
    """The links of a node whose checksum offload must be off."""
    return [UNDERLAY_LINK, UNDERLAY_BRIDGE, JOIN_PORT, *(pod.host_link for pod in node.pods)]


def vswitch_configuration(
    layout: Layout, cluster: ClusterPlan, node: NodePlan, datapath: str
) -> list[str]:
    """Arguments for one call of ovs-vsctl: bridges, ports and what ovn-controller reads."""
    remote = f"unix:{layout.run(node.name)}/ovnsb_db.sock"
    if not node.central:
        remote = endpoint(cluster.central.tunnel_ip, SB_PORT)
    ids = {
        "system-id": node.system_id,
        "hostname": node.name,
        "ovn-remote": remote,
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": str(node.tunnel_ip),
    }
    if not cluster.kubernetes:
        # Otherwise the Node's label decides, see `node_agent`.
        ids["ovn-is-interconn"] = "true" if node.gateway else "false"
    commands = [
        ["set", "Open_vSwitch", ".", *(f'external_ids:{key}="{ids[key]}"' for key in ids)],
        ["add-br", "br-int"],
        ["set", "Bridge", "br-int", f"datapath_type={datapath}", "fail_mode=secure"],
        ["add-br", UNDERLAY_BRIDGE],
        ["set", "Bridge", UNDERLAY_BRIDGE, f"datapath_type={datapath}"],
        ["add-port", UNDERLAY_BRIDGE, UNDERLAY_LINK],
        ["add-port", "br-int", JOIN_PORT, *_interface(JOIN_PORT, f"node-{node.name}")],
        ["set", "Interface", JOIN_PORT, "type=internal", f'mac="{node.join_mac}"'],
        ["set", "Interface", JOIN_PORT, f"mtu_request={MTU}"],
    ]
    commands += [
        ["add-port", "br-int", pod.host_link, *_interface(pod.host_link, pod.port)]
        for pod in node.pods
    ]
    return [word for command in commands for word in ("--", *command)][1:]


def _interface(link: str, port: str) -> list[str]:
    return ["--", "set", "Interface", link, f"external_ids:iface-id={port}"]


def ovsdb_server(database: Path, run: Path, log: Path, socket: str, port: int = 0) -> list[str]:
    """An ovsdb-server.

    Args:
        database: its file.
        run: the directory of its sockets.
        log: its log.
        socket: the name of the socket it listens on.
        port: a TCP port on every address of its namespace; 0 for none.
    """
    command = ["ovsdb-server", str(database), f"--remote=punix:{run / socket}"]
    if port:
        # This takes IPv4 too: the socket is not limited to IPv6.
        command.append(f"--remote=ptcp:{port}:[::]")
    return [*command, f"--unixctl={run / database.stem}.ctl", *_logging(log)]


def vswitchd(run: Path, log: Path) -> list[str]:
    """The switch of a node."""
    control = f"--unixctl={run / 'ovs-vswitchd.ctl'}"
    return [*_FIRST, "ovs-vswitchd", f"unix:{run / 'db.sock'}", control, *_logging(log)]


def controller(run: Path, log: Path) -> list[str]:
    """The ovn-controller of a node; its control socket is named by OVN_RUNDIR and its pid."""
    pidfile = f"--pidfile={run / 'ovn-controller.pid'}"
    return [*_FIRST, "ovn-controller", f"unix:{run / 'db.sock'}", pidfile, *_logging(log)]


def northd(run: Path, log: Path) -> list[str]:
    """The northd of a cluster."""
    return [
        "ovn-northd",
        f"--ovnnb-db=unix:{run / 'ovnnb_db.sock'}",
        f"--ovnsb-db=unix:{run / 'ovnsb_db.sock'}",
        f"--unixctl={run / 'ovn-northd.ctl'}",
        *_logging(log),
    ]


def _logging(log: Path) -> list[str]:
    # What a daemon says before it has a log goes to standard error, and so to the same file.
    return [f"--log-file={log}", "-vconsole:off"]


def isthmus() -> str:
    """The command `isthmus` of this very installation."""
    return str(Path(sys.executable).with_name("isthmus"))


def ic_databases(layout: Layout, plan: LabPlan, member: IcPlan) -> list[str]:
    """The IC databases on one of their machines."""
    switches = [f"--transit-switch={name}={cidr}" for name, cidr in plan.transit_switches]
    where = ["--listen", str(member.address)]
    if len(plan.ic_members) > 1:
        members = ",".join(str(other.address) for other in plan.ic_members)
        where = ["--members", members, "--address", str(member.address)]
    tls = ["--tls-dir", str(layout.tls(member.name))] if plan.ic_tls else ["--insecure"]
    return [
        *(isthmus(), "ic-db", "run"),
        *("--data-dir", str(layout.db(member.name)), "--run-dir", str(layout.run(member.name))),
        *where,
        *tls,
        *("--nb-port", str(IC_NB_PORT), "--sb-port", str(IC_SB_PORT)),
        *switches,
    ]


def engine(layout: Layout, cluster: ClusterPlan) -> list[str]:
    """Isthmus in a cluster: controller and engine."""
    run = layout.run(cluster.central.name)
    manifests = ["--manifests", str(layout.manifests(cluster.name))]
    if cluster.kubernetes:
        kubeconfig = kube_server(layout, cluster).kubeconfig_of(ACCOUNT)
        manifests = ["--kubernetes", "--kubeconfig", str(kubeconfig)]
    tls = ["--ic-tls-dir", str(layout.tls(cluster.name))] if cluster.ic_tls else []
    return [
        *(isthmus(), "run", *manifests, *tls),
        *("--ovnnb-db", f"unix:{run / 'ovnnb_db.sock'}"),
        *("--ovnsb-db", f"unix:{run / 'ovnsb_db.sock'}"),
    ]


def node_agent(layout: Layout, cluster: ClusterPlan) -> list[str]:
    """What plays Kube-OVN's daemon on the nodes of a cluster: one process for all."""
    kubeconfig = str(kube_server(layout, cluster).kubeconfig)
    sockets = [f"{node.name}={layout.run(node.name) / 'db.sock'}" for node in cluster.nodes]
    return [sys.executable, "-m", "isthmus_lab.build.node_agent", kubeconfig, *sockets]


def pod_server(layout: Layout, cluster: ClusterPlan) -> list[str]:
    """The web server in each pod of a cluster: one process for all."""
    pods = [layout.netns(pod.name) for pod in cluster.pods]
    return [sys.executable, "-m", "isthmus_lab.traffic.pod_server", *pods]


def database_environment(
    layout: Layout, plan: LabPlan, cluster: ClusterPlan, host: str
) -> dict[str, str]:
    """Variables that tell OVN's tools the databases, as seen from a node."""
    run, central = layout.run(host), cluster.central
    nb, sb = f"unix:{run / 'ovnnb_db.sock'}", f"unix:{run / 'ovnsb_db.sock'}"
    if host != central.name:
        nb, sb = endpoint(central.tunnel_ip, NB_PORT), endpoint(central.tunnel_ip, SB_PORT)
    return {
        "OVN_NB_DB": nb,
        "OVN_SB_DB": sb,
        "OVN_IC_NB_DB": ic_remote(plan, IC_NB_PORT),
        "OVN_IC_SB_DB": ic_remote(plan, IC_SB_PORT),
        **(_certificates(layout, cluster.name) if plan.ic_tls else {}),
    }


def ic_environment(layout: Layout, plan: LabPlan, member: IcPlan) -> dict[str, str]:
    """The same on a machine of the IC databases, for those alone."""
    if len(plan.ic_members) == 1 and not plan.ic_tls:
        ports = {"OVN_IC_NB_DB": IC_NB_PORT, "OVN_IC_SB_DB": IC_SB_PORT}
        return {name: ic_remote(plan, port) for name, port in ports.items()}
    # Its own servers, which need no certificate. They may only follow: --no-leader-only.
    run = layout.run(member.name)
    sockets = {"OVN_IC_NB_DB": "ovn_ic_nb_db.sock", "OVN_IC_SB_DB": "ovn_ic_sb_db.sock"}
    return {
        **{name: f"unix:{run / socket}" for name, socket in sockets.items()},
        **(_certificates(layout, member.name) if plan.ic_tls else {}),
    }


def _certificates(layout: Layout, owner: str) -> dict[str, str]:
    """What Isthmus's verbs show the IC databases."""
    # Labs without TLS need not wait for what this imports.
    from isthmus.pki.files import TlsFiles  # noqa: PLC0415

    files = TlsFiles.in_directory(layout.tls(owner))
    return {
        surroundings.PRIVATE_KEY: str(files.private_key),
        surroundings.CERTIFICATE: str(files.certificate),
        surroundings.CA_CERT: str(files.ca_cert),
    }


def _nodad(address: Interface) -> str:
    # Nobody else has the address: the second that the check for duplicates takes is wasted.
    return " nodad" if address.version == 6 else ""
