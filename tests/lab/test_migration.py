"""A fleet of Kube-OVN and `ovn-ic` migrates to Isthmus, cluster by cluster, and back, with traffic.

The rows are those that the release writes (`support.kube_ovn.releases`), and the steps those of
docs/how-to/migrate-from-kube-ovn.md.
"""

import signal
from collections.abc import Callable
from functools import partial

import pytest
import yaml

from isthmus_lab.build import daemons
from isthmus_lab.lab import ClusterHandle, Lab
from isthmus_lab.system import processes
from isthmus_lab.topology.loader import parse
from support.kube_ovn.releases import RELEASES, Release
from support.lab.joined import TWO_CLUSTERS, Joined
from support.lab.ovn_ic import refresh_flows, start_ovn_ic
from support.lab.traffic import Flow, Traffic

pytestmark = pytest.mark.lab

FLOWS = (Flow("az1-web", "az2-web"), Flow("az2-web", "az1-app"), Flow("az1-app", "az2-web"))

ROWS = {
    "Logical_Router_Port": "_uuid,name,mac,networks,gateway_chassis",
    "Logical_Switch_Port": "_uuid,name,type,addresses,options",
    "Gateway_Chassis": "_uuid,name,chassis_name,priority",
    "Logical_Router_Static_Route": "_uuid,ip_prefix,nexthop,external_ids",
    "Logical_Router_Policy": "_uuid,priority,match,action,external_ids",
}
"""Rows that must stay, without the columns that the page names."""


def connect(handle: ClusterHandle, release: Release, number: int) -> None:
    """Write what Kube-OVN's controller writes in a cluster.

    Args:
        handle: the cluster.
        release: of Kube-OVN.
        number: makes the address on the transit switch unique.
    """
    plan, nbctl = handle.plan, handle.nbctl
    private = [*plan.join.cidr, *(node.tunnel_ip for node in plan.nodes)]
    on = ("options:ic-route-adv=true", "options:ic-route-learn=true")
    blacklist = f'options:ic-route-blacklist="{",".join(map(str, private))}"'
    nbctl("set", "NB_Global", ".", f"name={plan.az_name}", *on, blacklist)
    start_ovn_ic(handle)
    ids = {node.name: node.system_id for node in plan.nodes}
    chassis = [ids[name] for name in plan.gateways]
    nbctl("--timeout=10", "wait-until", "Logical_Switch", "ts", "name=ts")
    address = f"169.254.100.{number}/24"
    for command in release.connection(plan.az_name, "ts", 0, address, "ovn-cluster", chassis):
        nbctl(*command)


def stop_ovn_ic(handle: ClusterHandle) -> None:
    """Stop `ovn-ic` as ovn-ctl does."""
    host = handle.plan.central.name
    command = ["ovs-appctl", "-t", f"{handle.lab.layout.run(host)}/ovn-ic.ctl", "exit"]
    handle.lab.run(host, command)


def start_isthmus(handle: ClusterHandle) -> None:
    """Start `isthmus run`."""
    command = daemons.engine(handle.lab.layout, handle.plan)
    handle.lab.start(handle.plan.central.name, "isthmus", command)


def stop_isthmus(handle: ClusterHandle) -> None:
    """Stop Isthmus as Kubernetes does."""
    running = processes.running_daemons(handle.lab.layout.lab)
    pid = running[f"{handle.plan.central.name}/isthmus"]
    processes.stop([pid], signal.SIGTERM)


def rows(handle: ClusterHandle) -> list[str]:
    """The rows that must stay, in a stable order."""
    found = []
    for table, columns in ROWS.items():
        text = handle.nbctl("--format=csv", f"--columns={columns}", "list", table)
        found += [f"{table} {line}" for line in sorted(text.splitlines())]
    return found


def taken_over(handle: ClusterHandle) -> bool:
    """Whether Isthmus has set the MTU of the router port."""
    find = ("--bare", "--columns=name", "find", "Logical_Router_Port", "options:gateway_mtu=1400")
    return bool(handle.nbctl(*find).split())


def works(joined: Joined, name: str, network: str) -> bool:
    """Whether a new subnet of a cluster is advertised and learned, and withdrawn again."""
    handle, other = joined.cluster(name), "az2" if name == "az1" else "az1"
    prefix = network.replace(".1/", ".0/")
    handle.nbctl("lrp-add", "ovn-cluster", "probe", "0a:00:00:00:0f:0f", network)
    joined.wait(lambda: prefix in joined.learned(other), f"{other} to learn {prefix}")
    handle.nbctl("lrp-del", "probe")
    joined.wait(lambda: prefix not in joined.learned(other), f"{other} to remove {prefix}")
    return True


@pytest.mark.parametrize("version", ["1.11", "1.12"])
def test_a_migration_and_the_way_back_lose_no_packet(
    version: str, make_lab: Callable[..., Lab]
) -> None:
    """Both releases mark no transit switch, and 1.11 no router port; rows are as before."""
    release = RELEASES[version]
    data = yaml.safe_load(TWO_CLUSTERS)
    for cluster in data["clusters"]:
        cluster["engine"] = "none"
    lab = make_lab(parse(data, "test"), join=False)
    ids = [
        f"external_ids:{key}={value}" for key, value in release.transit_switch_ids("ts", 0).items()
    ]
    ic_nb = ["ovn-ic-nbctl", "--no-leader-only"]
    first = lab.plan.ic_members[0].name
    lab.run(first, [*ic_nb, "--timeout=10", "wait-until", "Transit_Switch", "ts", "name=ts"])
    lab.run(first, [*ic_nb, "clear", "Transit_Switch", "ts", "external_ids"])
    lab.run(first, [*ic_nb, "set", "Transit_Switch", "ts", *ids])
    joined, names = Joined(lab, {}), [cluster.name for cluster in lab.plan.clusters]
    handles = [joined.cluster(name) for name in names]
    for number, handle in enumerate(handles, start=1):
        connect(handle, release, number)
    joined.wait_for_learned("az1", 1)
    joined.wait_for_learned("az2", 2)
    for handle in handles:
        refresh_flows(handle)
        commands = release.policies("ovn-cluster", sorted(handle.learned()))
        handle.nbctl(*(word for command in commands for word in ("--", *command)))
        handle.join()  # the ConfigMap, which exists since before the migration
    joined.wait_for_all()

    before = [rows(handle) for handle in handles]
    with Traffic(lab, FLOWS, FLOWS) as traffic:
        traffic.cut()
        for handle in handles:
            stop_ovn_ic(handle)
            start_isthmus(handle)
            joined.wait(partial(taken_over, handle), "the port to be taken over")
            assert works(joined, handle.plan.name, "10.99.1.1/24")
        forth = traffic.cut()
        for handle, rows_before in zip(handles, before, strict=True):
            assert set(rows(handle)) ^ set(rows_before) == set()
        for handle in handles:
            stop_isthmus(handle)
            start_ovn_ic(handle)
            assert works(joined, handle.plan.name, "10.99.2.1/24")
        back = traffic.cut()
        assert [rows(handle) for handle in handles] == before
    assert (forth.lost(FLOWS), back.lost(FLOWS)) == (0, 0)
    assert all(loss.pings[flow].sent > 100 for loss in (forth, back) for flow in FLOWS)
