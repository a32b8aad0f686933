"""The controller alongside OVN's own ovn-ic: `isthmus run --engine none`."""

from collections.abc import Callable

import pytest
import yaml

from isthmus_lab.build import daemons
from isthmus_lab.lab import ClusterHandle, Lab
from isthmus_lab.topology.loader import parse
from isthmus_lab.topology.schema import Topology
from support.lab.joined import TWO_CLUSTERS, Joined
from support.lab.ovn_ic import start_ovn_ic

pytestmark = pytest.mark.lab

OPTIONS = ("ic-route-adv", "ic-route-learn", "ic-route-blacklist")


def start(handle: ClusterHandle) -> None:
    """Start the controller and ovn-ic in a cluster, and write its ovn-ic-config."""
    lab, host = handle.lab, handle.plan.central.name
    command = [*daemons.engine(lab.layout, handle.plan), "--engine", "none"]
    lab.start(host, "isthmus", command)
    start_ovn_ic(handle)
    handle.join()


@pytest.fixture
def joined(make_lab: Callable[..., Lab]) -> Joined:
    """Two clusters, each with the controller and ovn-ic; all pods reach each other."""
    data = yaml.safe_load(TWO_CLUSTERS)
    for cluster in data["clusters"]:
        cluster["engine"] = "none"
    topology: Topology = parse(data, "test")
    lab = make_lab(topology, join=False)
    for cluster in lab.plan.clusters:
        start(lab.cluster(cluster.name))
    return Joined.of(lab)


def test_controller_alongside_ovn_ic(joined: Joined) -> None:
    """Both are active, each with its own lock; ports, options and policies follow the ConfigMap."""
    assert "active" in joined.cluster("az1").isthmus_log()
    lab = joined.lab
    status = lab.run(
        "az1-gw", ["ovs-appctl", "-t", f"{lab.layout.run('az1-gw')}/ovn-ic.ctl", "status"]
    )
    assert status.split() == ["Status:", "active"]

    manifests = joined.cluster("az1").manifests
    manifests.merge("Subnet", "apps", "spec", {"disableInterConnection": True})
    joined.wait(lambda: joined.learned("az2") == {"10.16.0.0/16"}, "the subnet to be withdrawn")
    policies = joined.cluster("az2").nbctl("lr-policy-list", "ovn-cluster")
    assert "10.26.0.0/16" not in policies
    manifests.merge("Subnet", "apps", "spec", {"disableInterConnection": None})
    joined.configure("az1", gw_nodes="az1-gw2")
    joined.wait(lambda: joined.gateway("az1-ts") == "az1-gw2", "the gateway to move")
    joined.wait_for_all()


def test_leaving_alongside_ovn_ic(joined: Joined) -> None:
    """The controller removes the rows that ovn-ic leaves behind when the zone has no name."""
    handle = joined.cluster("az1")
    handle.leave()
    joined.wait(lambda: "az1" not in joined.ic_sb(), "az1 to be gone from the IC databases")
    joined.wait(lambda: not joined.learned("az2"), "az2 to remove the routes of az1")
    joined.wait(lambda: not joined.learned("az1"), "az1 to remove the routes of az2")
    assert not handle.sbctl("find", "Chassis", "other_config:is-remote=true").strip()
    assert not handle.nbctl("find", "Logical_Switch", "name=ts").strip()
    options = handle.nbctl("get", "NB_Global", ".", "options")
    assert not [key for key in OPTIONS if key in options]
    # ovn-ic may have just registered the zone again; no update reaches it until then.
    joined.wait(
        lambda: "isthmus-zone" not in handle.nbctl("list", "NB_Global"), "the claim to be removed"
    )
    assert "az1" not in joined.ic_sb()
    handle.join()
    joined.wait_for_all()


def test_rules_that_ovn_ic_does_not_know_are_reported(joined: Joined) -> None:
    """`accept` and `advertise` require Isthmus as the engine, and using them is reported."""
    joined.configure("az1", advertise="10.26.0.0/16")
    joined.wait(
        lambda: "has no such rules" in joined.cluster("az1").isthmus_log(), "a report of it"
    )
    assert joined.learned("az2") == {"10.16.0.0/16", "10.26.0.0/16"}


def test_az_name_changes_alongside_ovn_ic(joined: Joined) -> None:
    """The controller renames the row of the zone, and ovn-ic finds it under the new name."""
    joined.configure("az1", az_name="my-new-zone")
    joined.wait(lambda: "availability-zone my-new-zone" in joined.ic_sb(), "the new name")
    joined.wait(lambda: "az1\n" not in joined.ic_sb(), "the old name to be gone")
    joined.wait_for_all()
