"""Overlapping prefixes, route rules and declared routes, with packets."""

from collections.abc import Callable

import pytest
import yaml

from isthmus_lab.lab import Lab
from isthmus_lab.topology.schema import Topology
from isthmus_lab.traffic import probe
from support.lab.joined import Joined, topology

pytestmark = pytest.mark.lab

OVERLAPPING = """
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
    subnets:
      - {name: ovn-default, cidr: 10.17.0.0/16}
      - {name: inside, cidr: 10.26.0.0/24}
    pods: [{name: az2-web, node: az2-gw}]
"""
"""A longer prefix in az2, without pods, that covers the first addresses of a subnet of az1."""

PREFIXES = {"az1": ["10.16.0.0/16", "10.26.0.0/16"], "az2": ["10.17.0.0/16"]}


def path(lab: Lab, source: str, target: str) -> probe.TrafficPath:
    """The path from one pod to another."""
    return probe.TrafficPath(lab.pod(source), lab.pod(target), lab.pod(target).addresses[0].ip)


def test_an_overlap_is_harmless_and_ends(make_lab: Callable[[Topology], Lab]) -> None:
    """Traffic within az1 and non-overlapping prefixes are not affected; the rest follows later."""
    lab = make_lab(topology(OVERLAPPING))
    joined = Joined(lab, {})
    within = [path(lab, "az1-web", "az1-app"), path(lab, "az1-app", "az1-web")]
    between = [path(lab, "az1-web", "az2-web"), path(lab, "az2-web", "az1-web")]
    disputed = path(lab, "az2-web", "az1-app")

    def answered(*wanted: probe.TrafficPath) -> bool:
        return len(probe.ping(lab.layout, wanted, 1.0)) == len(wanted)

    joined.wait(lambda: answered(*between), "what does not overlap")
    assert answered(*within)
    assert joined.learned("az1") == {"10.17.0.0/16"}
    assert joined.learned("az2") == {"10.16.0.0/16"}
    assert not probe.ping(lab.layout, [disputed], 0.2)
    joined.wait(lambda: "overlaps 10.26.0.0/24" in lab.cluster("az1").isthmus_log(), "a word")
    az2 = lab.cluster("az2")
    az2.nbctl("lrp-del", "ovn-cluster-inside")
    az2.objects.delete("Subnet", "inside")
    joined.wait(lambda: answered(*within, *between, disputed), "everything")
    assert joined.learned("az2") == {"10.16.0.0/16", "10.26.0.0/16"}


def test_a_zone_that_is_not_accepted_is_not_reached(joined: Joined) -> None:
    """Without a route there is no reply; accepting the prefix is enough."""
    joined.configure("az1", accept="az2: {prefixes: [10.99.0.0/16]}")
    joined.wait(lambda: not joined.learned("az1"), "az1 to remove the routes of az2")
    joined.wait_for_silence()
    joined.configure("az1", accept="az2: {prefixes: [10.16.0.0/15], max: 1}")
    joined.wait_for_all()


def test_declared_routes_carry_traffic(joined: Joined) -> None:
    """Without automatic routes, prefixes and zone names are enough."""
    for cluster, other in (("az1", "az2"), ("az2", "az1")):
        joined.configure(cluster, auto_route="false")
        joined.wait(lambda: not joined.learned(cluster), "no route")  # noqa: B023 - called here
        routes = [{"prefix": prefix, "zone": other} for prefix in PREFIXES[other]]
        joined.configure(cluster, routes=yaml.safe_dump(routes))
    joined.wait_for_all()
    joined.configure("az1", routes=None)
    joined.wait_for_silence()
