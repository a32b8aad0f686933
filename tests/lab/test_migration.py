"""A fleet of Kube-OVN and `ovn-ic` migrates to Isthmus, cluster by cluster, and back, with traffic.

The rows are those that the release writes (`support.kube_ovn.releases`), and the steps those of
docs/how-to/migrate-from-kube-ovn.md.
"""

import re
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


def start(handle: ClusterHandle, release: Release) -> None:
    """Write what Kube-OVN's controller always writes in a cluster, and start `ovn-ic`."""
    plan = handle.plan
    private = [*plan.join.cidr, *(node.tunnel_ip for node in plan.nodes)]
    on = ("options:ic-route-adv=true", "options:ic-route-learn=true")
    blacklist = f'options:ic-route-blacklist="{",".join(map(str, private))}"'
    handle.nbctl("set", "NB_Global", ".", f"name={plan.az_name}", *on, blacklist)
    via = str(plan.central.join[0].ip)
    subnets = {str(network): via for subnet in plan.subnets for network in subnet.cidr}
    for command in release.subnet_gateways("ovn-cluster", subnets):
        handle.nbctl(*command)
    start_ovn_ic(handle)


def connect(handle: ClusterHandle, release: Release, ts: str, index: int, host: int) -> None:
    """Connect a cluster to a transit switch as a release of Kube-OVN does.

    Args:
        handle: the cluster.
        release: of Kube-OVN.
        ts, index: the transit switch, and the number of its subnet.
        host: the last part of the port's address.
    """
    plan = handle.plan
    ids = {node.name: node.system_id for node in plan.nodes}
    chassis = [ids[name] for name in plan.gateways]
    handle.nbctl("--timeout=10", "wait-until", "Logical_Switch", ts, f"name={ts}")
    address = f"169.254.{100 + index}.{host}/24"
    for command in release.connection(plan.az_name, ts, index, address, "ovn-cluster", chassis):
        handle.nbctl(*command)


def stop_ovn_ic(handle: ClusterHandle) -> None:
    """Stop `ovn-ic` as ovn-ctl does."""
    host = handle.plan.central.name
    command = ["ovs-appctl", "-t", f"{handle.lab.layout.run(host)}/ovn-ic.ctl", "exit"]
    handle.lab.run(host, command)


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


def migrate(joined: Joined, handle: ClusterHandle) -> None:
    """Stop `ovn-ic` and start Isthmus in a cluster."""
    stop_ovn_ic(handle)
    command = daemons.engine(handle.lab.layout, handle.plan)
    handle.lab.start(handle.plan.central.name, "isthmus", command)
    joined.wait(partial(taken_over, handle), "the port to be taken over")


def works(joined: Joined, name: str, network: str) -> bool:
    """Whether a new subnet of a cluster is advertised and learned, and withdrawn again."""
    handle, other = joined.cluster(name), "az2" if name == "az1" else "az1"
    prefix = network.replace(".1/", ".0/")
    handle.nbctl("lrp-add", "ovn-cluster", "probe", "0a:00:00:00:0f:0f", network)
    joined.wait(lambda: prefix in joined.learned(other), f"{other} to learn {prefix}")
    handle.nbctl("lrp-del", "probe")
    joined.wait(lambda: prefix not in joined.learned(other), f"{other} to remove {prefix}")
    return True


def made_by_kube_ovn(
    make_lab: Callable[..., Lab], release: Release, switches: dict[str, tuple[str, ...]]
) -> Joined:
    """Two clusters that the release and `ovn-ic` have joined.

    Args:
        make_lab: the fixture.
        release: of Kube-OVN.
        switches: transit switches, and the clusters that have a port on each. All have the start
            script's default subnet, unless the release gives each its own.
    """
    data = yaml.safe_load(TWO_CLUSTERS)
    for cluster in data["clusters"]:
        cluster["engine"] = "none"
    lab = make_lab(parse(data, "test"), join=False)
    first = lab.plan.ic_members[0].name
    ic_nb = ["ovn-ic-nbctl", "--no-leader-only", "--timeout=10"]
    lab.run(first, [*ic_nb, "wait-until", "Transit_Switch", "ts", "name=ts"])
    lab.run(first, [*ic_nb, "ts-del", "ts"])
    joined = Joined(lab, {})
    handles = [joined.cluster(cluster.name) for cluster in lab.plan.clusters]
    for handle in handles:
        start(handle, release)
    for place, (ts, names) in enumerate(switches.items()):
        index = 0 if release.subnet_on_ts_only else place
        found = release.transit_switch_ids("ts", index).items()
        ids = [f"external_ids:{key}={value}" for key, value in found]
        lab.run(first, [*ic_nb, "create", "Transit_Switch", f"name={ts}", *ids])
        for number, handle in enumerate(handles, start=1):
            if handle.plan.name in names:
                connect(handle, release, ts, index, 10 * place + number)
    joined.wait_for_learned("az1", 1)
    joined.wait_for_learned("az2", 2)
    for handle in handles:
        refresh_flows(handle, [f"{ts}-{name}" for ts, names in switches.items() for name in names])
        if commands := list(release.policies("ovn-cluster", sorted(handle.learned()))):
            handle.nbctl(*(word for command in commands for word in ("--", *command)))
        handle.join()  # the ConfigMap, which exists since before the migration
    return joined


@pytest.mark.parametrize("version", ["1.8", "1.12", "1.15", "1.16"])
def test_a_migration_and_the_way_back_lose_no_packet(
    version: str, make_lab: Callable[..., Lab]
) -> None:
    """No row changes; 1.8 alone lacks policies for learned routes, which are added."""
    release = RELEASES[version]
    names = ("ts", "ts1", "ts2")[: release.transit_switches]
    joined = made_by_kube_ovn(make_lab, release, dict.fromkeys(names, ("az1", "az2")))
    joined.wait_for_all()
    handles = [joined.cluster(cluster.name) for cluster in joined.lab.plan.clusters]
    before = [rows(handle) for handle in handles]
    with Traffic(joined.lab, FLOWS, FLOWS) as traffic:
        traffic.cut()
        for handle in handles:
            migrate(joined, handle)
            assert works(joined, handle.plan.name, "10.99.1.1/24")
        forth = traffic.cut()
        after = [rows(handle) for handle in handles]
        for rows_before, rows_after in zip(before, after, strict=True):
            assert set(rows_before) <= set(rows_after)
            added = set(rows_after) - set(rows_before)
            assert bool(added) == (not release.policy_origins)
            assert all(re.match(r"Logical_Router_Policy [^,]+,29500,", row) for row in added)
        for handle in handles:
            stop_isthmus(handle)
            start_ovn_ic(handle)
            assert works(joined, handle.plan.name, "10.99.2.1/24")
        back = traffic.cut()
        assert [rows(handle) for handle in handles] == after
    assert (forth.lost(FLOWS), back.lost(FLOWS)) == (0, 0)
    assert all(loss.pings[flow].sent > 100 for loss in (forth, back) for flow in FLOWS)


def test_of_two_transit_switches_with_one_subnet_the_one_in_use_stays(
    make_lab: Callable[..., Lab],
) -> None:
    """The first by number has a port of one cluster only, which leads nowhere."""
    switches = {"ts": ("az1",), "ts1": ("az1", "az2")}
    joined = made_by_kube_ovn(make_lab, RELEASES["1.12"], switches)
    for cluster in joined.lab.plan.clusters:
        migrate(joined, joined.cluster(cluster.name))
    joined.wait(lambda: not joined.router_port("az1-ts"), "the port without peers to go")
    assert joined.router_port("az1-ts1") == "169.254.100.11/24"
    # Before, northd sends packets for the peer to any of the two ports with its subnet.
    joined.wait_for_all()
