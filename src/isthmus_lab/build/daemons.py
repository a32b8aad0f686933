"""Command lines and environments of the daemons of a lab. Pure.

Used by the starter, by `Lab` and by tests that start daemons themselves.
"""

import sys
from pathlib import Path

from isthmus.cli.options.environment import CA_CERT, CERTIFICATE, PRIVATE_KEY
from isthmus_lab.build.network import JOIN_PORT, UNDERLAY_BRIDGE, UNDERLAY_LINK
from isthmus_lab.kube.roles import ACCOUNT
from isthmus_lab.kube.server import kube_server
from isthmus_lab.topology.layout import Layout
from isthmus_lab.topology.plan import (
    IC_NB_PORT,
    IC_SB_PORT,
    MTU,
    NB_PORT,
    SB_PORT,
    ClusterPlan,
    IcPlan,
    LabPlan,
    NodePlan,
    endpoint,
    ic_remote,
)

_FIRST = ("nice", "-n", "-10")
"""Priority for daemons that forward packets, as in ovs-ctl and ovn-ctl: all machines of the lab
share one, and the load of one must not cause losses in another. Without the privilege, nice(1) logs
a warning and leaves the priority unchanged."""


def vswitch_configuration(
    layout: Layout, cluster: ClusterPlan, node: NodePlan, datapath: str
) -> list[str]:
    """Arguments for a single ovs-vsctl call: bridges, ports, and settings for ovn-controller."""
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
        # With an API server, the label of the Node decides, see `node_agent`.
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


def ovsdb_server(database: Path, run: Path, socket: str, port: int = 0) -> list[str]:
    """The command of an ovsdb-server.

    Args:
        database: the database file.
        run: directory for sockets.
        socket: file name of the socket on which it listens.
        port: TCP port on all addresses of its namespace; 0 for none.
    """
    command = ["ovsdb-server", str(database), f"--remote=punix:{run / socket}"]
    if port:
        # Accepts IPv4 too: the socket is not limited to IPv6.
        command.append(f"--remote=ptcp:{port}:[::]")
    return [*command, f"--unixctl={run / database.stem}.ctl"]


def vswitchd(run: Path) -> list[str]:
    """The command of the ovs-vswitchd of a node."""
    control = f"--unixctl={run / 'ovs-vswitchd.ctl'}"
    return [*_FIRST, "ovs-vswitchd", f"unix:{run / 'db.sock'}", control]


def controller(run: Path) -> list[str]:
    """The command of the ovn-controller of a node; its control socket is in OVN_RUNDIR."""
    pidfile = f"--pidfile={run / 'ovn-controller.pid'}"
    return [*_FIRST, "ovn-controller", f"unix:{run / 'db.sock'}", pidfile]


def northd(run: Path) -> list[str]:
    """The command of the ovn-northd of a cluster."""
    return [
        "ovn-northd",
        f"--ovnnb-db=unix:{run / 'ovnnb_db.sock'}",
        f"--ovnsb-db=unix:{run / 'ovnsb_db.sock'}",
        f"--unixctl={run / 'ovn-northd.ctl'}",
    ]


def isthmus() -> str:
    """The path of the command `isthmus` of this installation."""
    return str(Path(sys.executable).with_name("isthmus"))


def ic_databases(layout: Layout, plan: LabPlan, member: IcPlan) -> list[str]:
    """The command of the IC databases on one of their machines."""
    switches = [
        f"--transit-switch={switch.name}={','.join(map(str, switch.cidr))}"
        for switch in plan.topology.transit_switches
    ]
    where = ["--listen", str(member.address)]
    if len(plan.ic_members) > 1:
        members = ",".join(str(other.address) for other in plan.ic_members)
        where = ["--members", members, "--address", str(member.address)]
    tls = ["--tls-dir", str(layout.tls(member.name))] if plan.topology.ic.tls else ["--insecure"]
    tls += ["--authorize"] if plan.topology.ic.authorize else []
    return [
        *(isthmus(), "ic-db", "run"),
        *("--data-dir", str(layout.db(member.name)), "--run-dir", str(layout.run(member.name))),
        *where,
        *tls,
        *("--nb-port", str(IC_NB_PORT), "--sb-port", str(IC_SB_PORT)),
        *switches,
    ]


def engine(layout: Layout, cluster: ClusterPlan) -> list[str]:
    """The command of Isthmus in a cluster."""
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
        *("--unixctl", str(run / "isthmus.ctl")),
    ]


def node_agent(layout: Layout, cluster: ClusterPlan) -> list[str]:
    """The command that emulates Kube-OVN's daemon on all nodes of a cluster."""
    kubeconfig = str(kube_server(layout, cluster).kubeconfig)
    sockets = [f"{node.name}={layout.run(node.name) / 'db.sock'}" for node in cluster.nodes]
    return [sys.executable, "-m", "isthmus_lab.build.node_agent", kubeconfig, *sockets]


def pod_server(layout: Layout, cluster: ClusterPlan) -> list[str]:
    """The command of the web servers in all pods of a cluster."""
    pods = [layout.netns(pod.name) for pod in cluster.pods]
    return [sys.executable, "-m", "isthmus_lab.traffic.pod_server", *pods]


def database_environment(
    layout: Layout, plan: LabPlan, cluster: ClusterPlan, host: str
) -> dict[str, str]:
    """Variables that point OVN's tools to the databases, as seen from a node."""
    run, central = layout.run(host), cluster.central
    nb, sb = f"unix:{run / 'ovnnb_db.sock'}", f"unix:{run / 'ovnsb_db.sock'}"
    if host != central.name:
        nb, sb = endpoint(central.tunnel_ip, NB_PORT), endpoint(central.tunnel_ip, SB_PORT)
    return {
        "OVN_NB_DB": nb,
        "OVN_SB_DB": sb,
        "OVN_IC_NB_DB": ic_remote(plan, IC_NB_PORT),
        "OVN_IC_SB_DB": ic_remote(plan, IC_SB_PORT),
        **(_certificates(layout, cluster.name) if plan.topology.ic.tls else {}),
    }


def ic_environment(layout: Layout, plan: LabPlan, member: IcPlan) -> dict[str, str]:
    """Variables that point OVN's tools to the IC databases, on a machine that runs them."""
    if len(plan.ic_members) == 1 and not plan.topology.ic.tls:
        ports = {"OVN_IC_NB_DB": IC_NB_PORT, "OVN_IC_SB_DB": IC_SB_PORT}
        return {name: ic_remote(plan, port) for name, port in ports.items()}
    # Its own servers, which need no certificate but may be followers: use --no-leader-only.
    run = layout.run(member.name)
    sockets = {"OVN_IC_NB_DB": "ovn_ic_nb_db.sock", "OVN_IC_SB_DB": "ovn_ic_sb_db.sock"}
    return {
        **{name: f"unix:{run / socket}" for name, socket in sockets.items()},
        **(_certificates(layout, member.name) if plan.topology.ic.tls else {}),
    }


def _certificates(layout: Layout, owner: str) -> dict[str, str]:
    """Variables with the client certificate for the IC databases."""
    # Labs without TLS skip this slow import.
    from isthmus.pki.files import TlsFiles  # noqa: PLC0415

    files = TlsFiles.in_directory(layout.tls(owner))
    return {
        PRIVATE_KEY: str(files.private_key),
        CERTIFICATE: str(files.certificate),
        CA_CERT: str(files.ca_cert),
    }
