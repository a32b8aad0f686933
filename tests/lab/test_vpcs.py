"""Custom VPCs on their own network, with packets."""

from collections.abc import Callable
from typing import Any

import pytest

from isthmus_lab.lab import Lab
from isthmus_lab.topology.schema import Topology
from isthmus_lab.traffic import probe
from support.lab.joined import Joined, topology

pytestmark = pytest.mark.lab

CROSSED = """
clusters:
  - name: az1
    nodes: [{name: az1-gw, roles: [central, gateway]}, {name: az1-worker}]
    subnets:
      - {name: ovn-default, cidr: 10.16.0.0/16}
      - {name: carts, cidr: 10.17.0.0/16, vpc: shop}
    pods:
      - {name: az1-web, node: az1-worker}
      - {name: az1-cart, node: az1-worker, subnet: carts}
  - name: az2
    nodes: [{name: az2-gw, roles: [central, gateway]}]
    subnets:
      - {name: ovn-default, cidr: 10.17.0.0/16}
      - {name: shelves, cidr: 10.16.0.0/16, vpc: store}
    pods:
      - {name: az2-web, node: az2-gw}
      - {name: az2-shelf, node: az2-gw, subnet: shelves}
"""
"""The default VPC of one cluster has the addresses of the custom VPC in the other."""


def vpc(name: str) -> dict[str, Any]:
    """A Vpc object."""
    return {"apiVersion": "kubeovn.io/v1", "kind": "Vpc", "metadata": {"name": name}, "spec": {}}


def path(lab: Lab, source: str, target: str) -> probe.TrafficPath:
    """The path from one pod to another."""
    return probe.TrafficPath(lab.pod(source), lab.pod(target), lab.pod(target).addresses[0].ip)


def test_vpcs_with_the_same_addresses_are_kept_apart(make_lab: Callable[[Topology], Lab]) -> None:
    """VPCs `shop` and `store` are joined in network `goods`; the default VPCs are not affected."""
    lab = make_lab(topology(CROSSED))
    joined = Joined(lab, {})
    default = [path(lab, "az1-web", "az2-web"), path(lab, "az2-web", "az1-web")]
    goods = [path(lab, "az1-cart", "az2-shelf"), path(lab, "az2-shelf", "az1-cart")]

    def answered(*wanted: probe.TrafficPath) -> bool:
        return len(probe.ping(lab.layout, wanted, 1.0)) == len(wanted)

    joined.wait(lambda: answered(*default), "the default VPCs")
    assert not probe.ping(lab.layout, goods, 0.2)
    lab.run(
        "ic",
        [
            *("ovn-ic-nbctl", "ts-add", "goods0", "--", "set", "Transit_Switch", "goods0"),
            'external_ids:subnet="169.254.150.0/24"',
            *("external_ids:vendor=isthmus", "external_ids:isthmus-network=goods"),
        ],
    )
    for cluster, name in (("az1", "shop"), ("az2", "store")):
        lab.cluster(cluster).objects.apply(vpc(name))
        joined.configure(cluster, vpcs=f"{name}=goods")
    joined.wait(lambda: answered(*goods, *default), "both pairs of VPCs")
    assert lab.cluster("az1").nbctl("lr-route-list", "shop").count("10.16.0.0/16") == 1
    joined.configure("az1", vpcs=None)
    joined.wait(lambda: not probe.ping(lab.layout, goods, 0.2), "the custom VPCs apart again")
    assert answered(*default)
