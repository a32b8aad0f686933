"""A VPC with an external gateway, an EIP and a load balancer joins, with packets.

The host on the external network is a pod on a logical switch, whose router port is the external
gateway port. The EIP is outside of that network, as if a provider had routed it to the gateway.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from isthmus_lab.build import daemons
from isthmus_lab.lab import Lab
from isthmus_lab.traffic import probe
from support.lab.joined import Joined, topology

pytestmark = pytest.mark.lab

PAGE = Path(__file__).parents[2] / "docs/reference/gateway-ports.md"
EXTERNAL = """
clusters:
  - name: az1
    gateways: [az1-gw]
    nodes: [{name: az1-gw, roles: [central, gateway]}, {name: az1-worker}]
    subnets:
      - {name: ovn-default, cidr: 10.16.0.0/16}
      - {name: external, cidr: 172.16.0.0/24}
    pods:
      - {name: az1-web, node: az1-worker}
      - {name: outside, node: az1-worker, subnet: external}
  - name: az2
    nodes: [{name: az2-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.17.0.0/16}]
    pods: [{name: az2-web, node: az2-gw}]
"""
EIP, VIP = "198.51.100.20", "172.16.0.50"
REQUESTS = 20


def answers(lab: Lab, address: str, source: str = "outside", target: str = "az1-web") -> int:
    """How many of 20 requests to an address are answered by the target."""
    path = probe.TrafficPath(lab.pod(source), lab.pod(target), ip_address(address))
    found = (probe.http(lab.layout, [path], 0.5)[path] for _ in range(REQUESTS))
    return sum(text.startswith(f"{target} sees ") for text in found)


def across(lab: Lab) -> list[int]:
    """How many of 20 requests in each direction between the clusters are answered."""
    pairs = (("az1-web", "az2-web"), ("az2-web", "az1-web"))
    return [answers(lab, str(lab.pod(b).addresses[0].ip), a, b) for a, b in pairs]


@pytest.fixture
def unjoined(lab_name: Callable[[], str]) -> Lab:
    """Clusters that have not joined, without a gateway port."""
    return Lab.up(topology(EXTERNAL).model_copy(update={"name": lab_name()}), join=False)


def add_load_balancer(lab: Lab, vip: str) -> None:
    """Attach a load balancer with the web server to the router of az1."""
    az1, web = lab.cluster("az1"), lab.pod("az1-web").addresses[0].ip
    az1.nbctl("lb-add", "dnat-web", f"{vip}:80", f"{web}:80")
    az1.nbctl("--wait=hv", "lr-lb-add", "ovn-cluster", "dnat-web")


@pytest.fixture
def lab(unjoined: Lab) -> Lab:
    """Clusters that have not joined; in az1, the EIP and the load balancer work."""
    az1, web = unjoined.cluster("az1"), str(unjoined.pod("az1-web").addresses[0].ip)
    find = ("--bare", "--columns=name", "find", "Chassis", "hostname=az1-worker")
    az1.nbctl("lrp-set-gateway-chassis", "ovn-cluster-external", az1.sbctl(*find).strip())
    az1.nbctl("lr-nat-add", "ovn-cluster", "dnat_and_snat", EIP, web)
    add_load_balancer(unjoined, VIP)
    joined = Joined(unjoined, {})
    joined.wait(lambda: answers(unjoined, EIP) == REQUESTS, "the EIP")
    joined.wait(lambda: answers(unjoined, VIP) == REQUESTS, "the load balancer")
    return unjoined


def test_a_load_balancer_of_a_router_without_gateway_port_never_worked(unjoined: Lab) -> None:
    """Replies are not translated back, so a connection takes nothing away."""
    web = str(unjoined.pod("az1-web").addresses[0].ip)
    Joined(unjoined, {}).wait(lambda: answers(unjoined, web) == REQUESTS, "the pod itself")
    add_load_balancer(unjoined, "10.96.0.10")
    assert answers(unjoined, "10.96.0.10") == 0


def test_joining_takes_no_eip_and_no_load_balancer_away(lab: Lab) -> None:
    """A VPC with conflicts is not connected, and loses nothing; its remedies connect it."""
    joined, az1 = Joined(lab, {}), lab.cluster("az1")
    for cluster in ("az1", "az2"):
        lab.cluster(cluster).join()
    joined.wait(lambda: az1.isthmus_log().count("VPC ovn-cluster is not connected") == 2, "reports")
    joined.wait(lambda: joined.router_port("az2-ts", "az2"), "az2 to be connected")
    assert joined.router_port("az1-ts") == ""
    assert (answers(lab, EIP), answers(lab, VIP)) == (REQUESTS, REQUESTS)
    command = re.search(r"ovn-nbctl set NAT UUID (gateway_port=\S+),", az1.isthmus_log())
    assert command is not None
    rule = az1.nbctl("--bare", "--columns=_uuid", "list", "NAT").strip()
    az1.nbctl("set", "NAT", rule, command[1])
    az1.nbctl("--wait=hv", "lr-lb-del", "ovn-cluster", "dnat-web")
    joined.wait(lambda: across(lab) == [REQUESTS, REQUESTS], "the clusters to be connected")
    assert answers(lab, EIP) == REQUESTS


def test_force_connect_loses_what_the_conflict_names(lab: Lab) -> None:
    """With `force-connect`, the clusters are connected, and the EIP is lost, as reported."""
    joined, az1 = Joined(lab, {}), lab.cluster("az1")
    for cluster in ("az1", "az2"):
        lab.cluster(cluster).join()
    joined.configure("az1", force_connect="true")
    joined.wait(lambda: joined.router_port("az1-ts"), "az1 to be connected")
    az1.nbctl("--wait=hv", "sync")
    joined.wait(lambda: answers(lab, EIP) == 0, "the EIP to be lost")
    assert answers(lab, VIP) in {0, REQUESTS}
    assert "external address outside the networks" in az1.isthmus_log()


def test_a_router_of_its_own_keeps_everything(lab: Lab) -> None:
    """The commands of the page connect the clusters, and the EIP and load balancer stay."""
    joined, az1 = Joined(lab, {}), lab.cluster("az1")
    text = PAGE.read_text().partition("## A router of its own")[2]
    (block,) = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", "").splitlines():
        az1.nbctl(*(word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)[1:]))
    host = az1.plan.central.name
    lab.kill(host, "isthmus")
    lab.start(host, "isthmus", [*daemons.engine(lab.layout, az1.plan), "--vpc", "ic"])
    for cluster in ("az1", "az2"):
        lab.cluster(cluster).join()
    joined.configure("az1", advertise="10.16.0.0/16")
    joined.wait(lambda: across(lab) == [REQUESTS, REQUESTS], "the clusters to be connected")
    assert (answers(lab, EIP), answers(lab, VIP)) == (REQUESTS, REQUESTS)
