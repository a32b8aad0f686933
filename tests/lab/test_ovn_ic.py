"""The lab with OVN's own `ovn-ic`, in place of Isthmus and in one of two clusters.

The first test proves that the networks of the lab work: it configures everything manually, so a
failure is a fault of the lab. The tests of Isthmus use the same topologies.
"""

from collections.abc import Callable
from functools import partial
from ipaddress import ip_interface
from pathlib import Path

import pytest
import yaml

from isthmus_lab.lab import ClusterHandle, Lab
from isthmus_lab.system.netns import listens
from isthmus_lab.topology.loader import find, load, parse
from isthmus_lab.topology.plan import IC_NB_PORT, IC_SB_PORT, ClusterPlan, LabPlan
from isthmus_lab.topology.schema import IcDatabases, Topology
from isthmus_lab.traffic import probe
from isthmus_lab.waiting import wait_until
from support.lab.joined import Joined
from support.lab.ovn_ic import refresh_flows, start_ovn_ic

pytestmark = pytest.mark.lab

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/topologies/*.yaml"))
LIMIT_S = 30.0


def start_ic_databases(lab: Lab) -> None:
    """Start empty IC databases and create the transit switches."""
    address, netns = str(lab.plan.ic_members[0].address), lab.layout.netns("ic")
    for schema, port in (("ovn-ic-nb", IC_NB_PORT), ("ovn-ic-sb", IC_SB_PORT)):
        file = lab.layout.db("ic") / f"{schema}.db"
        lab.run("ic", ["ovsdb-tool", "create", str(file), f"/usr/share/ovn/{schema}.ovsschema"])
        lab.start("ic", schema, ["ovsdb-server", str(file), f"--remote=ptcp:{port}:[::]"])
        wait_until(partial(listens, netns, address, port), LIMIT_S, f"{schema} to listen")
    for name in (switch.name for switch in lab.plan.topology.transit_switches):
        lab.run("ic", ["ovn-ic-nbctl", "ts-add", name])


def join_by_hand(handle: ClusterHandle, plan: LabPlan, number: int) -> None:
    """Start ovn-ic in a cluster and attach its router to every transit switch.

    Args:
        handle: the cluster.
        plan: of the lab.
        number: makes MAC addresses unique; the router gets the (10 + number)-th address of each
            subnet.
    """
    cluster = handle.plan
    # Without its IPv6 CIDR: ovn-ic 23.03 would then deny every other IPv6 prefix as well.
    denied = ",".join(str(network) for network in cluster.join.cidr if network.version == 4)
    handle.nbctl(
        *("set", "NB_Global", ".", f"name={cluster.az_name}", "options:ic-route-adv=true"),
        *("options:ic-route-learn=true", f'options:ic-route-blacklist="{denied}"'),
    )
    start_ovn_ic(handle)
    for index, switch in enumerate(plan.topology.transit_switches):
        ts, az = switch.name, cluster.az_name
        networks = [f"{net[number + 10]}/{net.prefixlen}" for net in switch.cidr]
        router_port = f"{az}-{ts}"
        mac = f"0a:00:00:00:{index:02x}:{number:02x}"
        handle.nbctl("--timeout=10", "wait-until", "Logical_Switch", ts, f"name={ts}")
        handle.nbctl(
            *("lrp-add", "ovn-cluster", router_port, mac, *networks, "--"),
            *("lsp-add", ts, f"{ts}-{az}", "--", "lsp-set-type", f"{ts}-{az}", "router", "--"),
            *("lsp-set-addresses", f"{ts}-{az}", "router", "--"),
            *("lsp-set-options", f"{ts}-{az}", f"router-port={router_port}"),
            *_gateway_chassis(cluster, router_port, index),
        )


def _gateway_chassis(cluster: ClusterPlan, router_port: str, index: int) -> list[str]:
    ids = {node.name: node.system_id for node in cluster.nodes}
    names = [*cluster.gateways[index:], *cluster.gateways[:index]]
    commands = []
    for rank, name in enumerate(names):
        priority = str(100 - rank)
        commands += ["--", "lrp-set-gateway-chassis", router_port, ids[name], priority]
    return commands


def has_learned(handle: ClusterHandle, prefixes: list[str]) -> bool:
    """Whether the router of a cluster has learned all these prefixes."""
    return handle.learned() >= set(prefixes)


def foreign_prefixes(lab: Lab, own: ClusterPlan) -> list[str]:
    """The subnets of the other clusters in the address families of a cluster."""
    versions = {network.version for network in own.join.cidr}
    return sorted(
        str(network)
        for cluster in lab.plan.clusters
        for subnet in cluster.subnets
        for network in subnet.cidr
        if cluster != own and network.version in versions
    )


def allow(handle: ClusterHandle) -> None:
    """Give the learned prefixes policies with a higher priority than Kube-OVN's source policies."""
    for prefix in handle.learned():
        match = f"ip{6 if ':' in prefix else 4}.dst == {prefix}"
        handle.nbctl("lr-policy-add", "ovn-cluster", "29500", match, "allow")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_pods_of_all_clusters_reach_each_other(
    path: Path, make_lab: Callable[[Topology], Lab]
) -> None:
    """In every example, packets pass only once routes and policies exist."""
    # This test runs its own databases, on one machine without TLS.
    changes = {"interconnect": "none", "ic": IcDatabases()}
    lab = make_lab(load(path).model_copy(update=changes))
    handles = [lab.cluster(cluster.name) for cluster in lab.plan.clusters]
    start_ic_databases(lab)
    for number, handle in enumerate(handles, start=1):
        join_by_hand(handle, lab.plan, number)
    for handle in handles:
        wanted = foreign_prefixes(lab, handle.plan)
        wait_until(partial(has_learned, handle, wanted), LIMIT_S, f"{path}: routes")
    paths = probe.paths(lab.plan.pods, lab.plan.pods)
    assert not probe.ping(lab.layout, paths)

    names = [switch.name for switch in lab.plan.topology.transit_switches]
    ports = [f"{ts}-{handle.plan.az_name}" for ts in names for handle in handles]
    for handle in handles:
        refresh_flows(handle, ports)
        allow(handle)
    wait_until(lambda: len(probe.ping(lab.layout, paths)) == len(paths), LIMIT_S, "every ping")
    answers = probe.http(lab.layout, paths)
    assert [p for p in paths if not probe.sees_own_address(p, answers[p])] == []


def test_isthmus_alongside_ovn_ic(make_lab: Callable[..., Lab]) -> None:
    """A cluster run by ovn-ic has the address that Isthmus would take, so Isthmus takes another."""
    text = find("demo").read_text().replace("- name: az2", "- name: az2\n    engine: none")
    lab = make_lab(parse(yaml.safe_load(text), "test"), join=False)
    both, isthmus, other = Joined(lab, {}), lab.cluster("az1"), lab.cluster("az2")
    # The address is derived from the zone name, so it would be the same the next time.
    isthmus.join()
    wait_until(lambda: both.router_port("az1-ts"), LIMIT_S, "the port of Isthmus")
    wanted = ip_interface(both.router_port("az1-ts"))
    isthmus.leave()
    wait_until(lambda: not both.router_port("az1-ts"), LIMIT_S, "Isthmus to leave")

    join_by_hand(other, lab.plan, int(wanted.ip) - int(wanted.network[10]))
    assert both.router_port("az2-ts", "az2") == str(wanted)
    wait_until(lambda: f" {wanted}" in both.ic_sb(), LIMIT_S, "ovn-ic to publish it")
    isthmus.join()
    for handle in (isthmus, other):
        wanted_prefixes = foreign_prefixes(lab, handle.plan)
        wait_until(partial(has_learned, handle, wanted_prefixes), LIMIT_S, "routes")
    assert both.router_port("az1-ts") != str(wanted)
    allow(other)
    both.wait_for_all()


def test_a_partition_stops_traffic_until_it_heals(make_lab: Callable[[Topology], Lab]) -> None:
    """Disconnecting a worker from the fabric stops the traffic of its pods until it is back."""
    lab = make_lab(load(find("demo")).model_copy(update={"interconnect": "none"}))
    worker, gateway = lab.pod("az1-web"), lab.pod("az1-db")
    way = probe.TrafficPath(worker, gateway, gateway.addresses[0].ip)
    wait_until(lambda: probe.ping(lab.layout, [way]), LIMIT_S, "ping before")
    lab.partition("az1-worker")
    assert not probe.ping(lab.layout, [way])
    lab.partition("az1-worker", cut=False)
    wait_until(lambda: probe.ping(lab.layout, [way]), LIMIT_S, "ping after")
