"""The settings of `ovn-ic-config`, one test per line: joining, leaving, and changes at run time."""

import re
from collections.abc import Callable

import pytest

from isthmus_lab.build import daemons, network
from isthmus_lab.lab import Lab
from isthmus_lab.topology.plan import IC_SB_PORT
from isthmus_lab.topology.schema import Topology
from isthmus_lab.traffic import probe
from support.lab.joined import Joined, topology

pytestmark = pytest.mark.lab

DOCUMENT = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: ovn-ic-config
  namespace: kube-system
data:
  enable-ic: "true"
  az-name: "az1" 
  ic-db-host: "192.168.65.3"
  ic-nb-port: "6645" 
  ic-sb-port: "6646"
  gw-nodes: "az1-gw"
  auto-route: "true"
---
apiVersion: kubeovn.io/v1
kind: Subnet
metadata:
  name: no-advertise
spec:
  cidrBlock: 10.199.0.0/16
  disableInterConnection: true
"""  # noqa: W291 - as printed in the guide, blanks at line ends included
"""Both manifests of Kube-OVN's guide in one file."""

TRACES = ("Logical_Router_Port", "Logical_Router_Policy", "Logical_Router_Static_Route")


def add_subnet(joined: Joined, name: str, gateway: str) -> None:
    """Create the rows that Kube-OVN creates for a new Subnet in az1."""
    port = f"ovn-cluster-{name}"
    joined.cluster("az1").nbctl("lrp-add", "ovn-cluster", port, "0a:00:00:00:99:01", gateway)


def interconnection_rows(joined: Joined, cluster: str) -> list[str]:
    """The rows that interconnection has created in the NB database of a cluster."""
    handle = joined.cluster(cluster)
    found = handle.nbctl("--bare", "--columns=name", "find", "Logical_Switch", "name=ts").split()
    ports = handle.nbctl("--bare", "--columns=name", "list", "Logical_Router_Port").split()
    found += [name for name in ports if name.endswith("-ts")]
    found += [
        line
        for line in handle.nbctl("lr-policy-list", "ovn-cluster").splitlines()
        if "29500" in line
    ]
    options = handle.nbctl("get", "NB_Global", ".", "options")
    found += [
        key for key in ("ic-route-adv", "ic-route-learn", "ic-route-blacklist") if key in options
    ]
    return found + sorted(joined.learned(cluster))


def test_the_guides_manifests_as_printed(joined: Joined) -> None:
    """ConfigMap and Subnet of Kube-OVN's guide in one file: joined without the subnet."""
    manifests = joined.cluster("az1").manifests
    manifests.delete("ConfigMap", "ovn-ic-config")
    joined.wait(lambda: not interconnection_rows(joined, "az1"), "az1 to leave")
    add_subnet(joined, "no-advertise", "10.199.0.1/16")
    try:
        manifests.write("guide.yaml", DOCUMENT)
        joined.wait_for_all()
        assert joined.learned("az2") == {"10.16.0.0/16", "10.26.0.0/16"}
        manifests.write("guide.yaml", DOCUMENT.replace("disableInterConnection: true", ""))
        joined.wait(lambda: "10.199.0.0/16" in joined.learned("az2"), "the subnet to be offered")
    finally:
        joined.cluster("az1").nbctl("--if-exists", "lrp-del", "ovn-cluster-no-advertise")


@pytest.mark.parametrize("how", ["enable-ic", "delete"])
def test_leaving_leaves_nothing(joined: Joined, how: str) -> None:
    """When disabled or without a ConfigMap, no rows of the interconnection remain anywhere."""
    if how == "delete":
        joined.cluster("az1").leave()
    else:
        joined.configure("az1", enable_ic="false")
    joined.wait(lambda: "az1" not in joined.ic_sb(), "az1 to be gone from the IC databases")
    joined.wait(lambda: not interconnection_rows(joined, "az1"), "az1 to be clean")
    joined.wait(lambda: not joined.learned("az2"), "az2 to remove the routes of az1")
    joined.wait_for_silence()
    remote = joined.cluster("az1").sbctl("find", "Chassis", "other_config:is-remote=true")
    assert not remote.strip()


def test_az_name_is_changed_live(joined: Joined) -> None:
    """A new zone name replaces the old one everywhere, and traffic continues."""
    joined.configure("az1", az_name="my-new-zone")
    joined.wait(lambda: "availability-zone my-new-zone" in joined.ic_sb(), "the new name")
    joined.wait(lambda: "az1\n" not in joined.ic_sb(), "the old name to be gone")
    joined.wait(lambda: joined.router_port("my-new-zone-ts"), "the new port")
    joined.wait(lambda: not joined.router_port("az1-ts"), "the old port to be gone")
    joined.wait_for_all()


def test_database_address_is_changed_live(joined: Joined) -> None:
    """The IC databases can move to other ports, and the cluster reconnects."""
    other = {"ic_nb_port": "7645", "ic_sb_port": "7646"}
    lab = joined.lab
    for name, port in (("nb", 7645), ("sb", 7646)):
        control = next(lab.layout.run("ic").glob(f"*ic_{name}*.ctl"))
        remote = f"ptcp:{port}:{lab.plan.ic_members[0].address}"
        lab.run("ic", ["ovs-appctl", "-t", str(control), "ovsdb-server/add-remote", remote])
    joined.configure("az1", **other)
    joined.wait(lambda: established(joined, 7646), "a connection to the new port")
    joined.wait(lambda: not established(joined, IC_SB_PORT), "the old connection to be closed")
    assert joined.all_answer()


def test_a_whole_other_pair_of_databases(make_lab: Callable[[Topology], Lab]) -> None:
    """With `ic-db-host` changed in each cluster, both meet again in the new, empty databases."""
    lab = make_lab(topology())
    joined, second = Joined.of(lab), "192.168.65.4"
    lab.run("ic", ["ip", "address", "add", f"{second}/24", "dev", network.UNDERLAY_LINK])
    directory = lab.layout.root / "second"
    lab.start(
        "ic",
        "second-ic-databases",
        [
            *(daemons.isthmus(), "ic-db", "run", "--insecure", "--listen", second),
            *("--data-dir", str(directory / "db"), "--run-dir", str(directory / "run")),
            *("--transit-switch", "ts=169.254.100.0/24"),
        ],
    )
    for name in ("az1", "az2"):
        joined.configure(name, ic_db_host=second)
    show = ["ovn-ic-sbctl", f"--db=tcp:{second}:{IC_SB_PORT}", "show"]

    def met() -> bool:
        shown = lab.run("ic", show)
        return all(f"port ts-{name}" in shown for name in ("az1", "az2"))

    joined.wait(lambda: established(joined, IC_SB_PORT, second), "az1 to connect")
    joined.wait(met, "both in the new databases")
    joined.wait_for_all()
    joined.wait(lambda: not established(joined, IC_SB_PORT), "the old connection to be closed")
    joined.cluster("az1").manifests.merge(
        "Subnet", "apps", "spec", {"disableInterConnection": True}
    )
    joined.wait_for_learned("az2", 1)


def established(joined: Joined, port: int, host: str = "") -> bool:
    """Whether Isthmus in az1 has a connection to a port of the IC databases."""
    text = joined.lab.run("az1-gw", ["ss", "-tn", "state", "established", f"dport = :{port}"])
    return (host or str(joined.lab.plan.ic_members[0].address)) in text


def test_gateways_are_changed_live(joined: Joined) -> None:
    """A new order or another node in `gw-nodes` moves the gateway; spaces are ignored."""
    assert joined.gateway("az1-ts") == "az1-gw"
    joined.configure("az1", gw_nodes=" az1-gw2 , az1-gw")
    joined.wait(lambda: joined.gateway("az1-ts") == "az1-gw2", "the gateway to move")
    joined.wait_for_all()
    joined.configure("az1", gw_nodes="az1-gw")
    joined.wait(lambda: joined.gateway("az1-ts") == "az1-gw", "the gateway to move back")
    joined.wait_for_all()


def test_auto_route_is_switched_live(joined: Joined) -> None:
    """Without auto-route no routes are advertised or learned, while the ports stay."""
    address = joined.router_port("az1-ts")
    joined.configure("az1", auto_route="false")
    joined.wait(lambda: not joined.learned("az1") | joined.learned("az2"), "routes to be gone")
    assert joined.router_port("az1-ts") == address
    joined.configure("az1", auto_route="true")
    joined.wait_for_all()


def remote_address(joined: Joined, cluster: str) -> str:
    """The address of the other cluster, read from `ovn-nbctl show` as in Kube-OVN's guide."""
    shown = joined.cluster(cluster).nbctl("show", "ts")
    (address,) = re.findall(r"type: remote\s+addresses: \[\"\S+ ([^\s/]+)/", shown)
    return str(address)


def test_manual_routes_of_the_guide(joined: Joined) -> None:
    """Without auto-route, `lr-route-add` on both sides connects only the two subnets."""
    routes = {"az1": "10.17.0.0/16", "az2": "10.16.0.0/16"}
    for name in routes:
        joined.configure(name, auto_route="false")
    joined.wait_for_silence()
    try:
        for name, prefix in routes.items():
            via = remote_address(joined, name)
            joined.cluster(name).nbctl("lr-route-add", "ovn-cluster", prefix, via)
        joined.wait(lambda: answering(joined) == {("az1-web", "az2-web")}, "just these two")
        assert not joined.learned("az1") | joined.learned("az2")
    finally:
        for name, prefix in routes.items():
            joined.cluster(name).nbctl("--if-exists", "lr-route-del", "ovn-cluster", prefix)
    joined.wait_for_silence()


def answering(joined: Joined) -> set[tuple[str, str]]:
    """The pairs of pods that reach each other in both directions, sorted by name."""
    found = {(p.source.name, p.target.name) for p in probe.ping(joined.lab.layout, joined.paths())}
    return {pair for pair in found if pair == tuple(sorted(pair)) and pair[::-1] in found}


def test_subnet_is_closed_and_opened_live(joined: Joined) -> None:
    """`disableInterConnection` withdraws a subnet, and unsetting it advertises the subnet again."""
    manifests = joined.cluster("az1").manifests
    for value, routes in ((True, 1), (None, 2), (True, 1), (False, 2)):
        manifests.merge("Subnet", "apps", "spec", {"disableInterConnection": value})
        joined.wait_for_learned("az2", routes)
    joined.wait_for_all()


def test_transit_switch_is_added_and_removed_live(joined: Joined) -> None:
    """A second transit switch gets ports and routes, and its removal leaves no trace."""
    add = ["ovn-ic-nbctl", "ts-add", "ts1", "--", "set", "Transit_Switch", "ts1"]
    subnet = 'external_ids:subnet="169.254.101.0/24"'
    joined.lab.run("ic", [*add, subnet, "external_ids:vendor=kube-ovn"])
    handle = joined.cluster("az1")
    try:
        joined.wait(
            lambda: handle.nbctl("lr-route-list", "ovn-cluster").count("10.17.0.0/16") == 2,
            "a second route to the same subnet",
        )
        assert joined.router_port("az1-ts1").startswith("169.254.101.")
        joined.wait_for_all()
    finally:
        joined.lab.run("ic", ["ovn-ic-nbctl", "--if-exists", "ts-del", "ts1"])
    joined.wait(lambda: not joined.router_port("az1-ts1"), "the port to be gone")
    # The engine and the controller remove their rows in separate transactions.
    joined.wait(
        lambda: handle.nbctl("lr-route-list", "ovn-cluster").count("10.17.0.0/16") == 1,
        "its route to be gone",
    )
    joined.wait_for_all()


def test_addresses_of_a_simultaneous_start_differ(joined: Joined) -> None:
    """Clusters that join at the same time never choose the same address."""
    for _ in range(3):
        for name in ("az1", "az2"):
            joined.cluster(name).leave()
        joined.wait(lambda: not joined.ic_sb().strip(), "both to leave")
        for name in ("az1", "az2"):
            joined.cluster(name).join()
        # Pings alone may still be answered because of old flows.
        joined.wait(lambda: all(addresses(joined)), "both ports")
        assert len(set(addresses(joined))) == 2
        joined.wait_for_all()


def addresses(joined: Joined) -> list[str]:
    """The networks of the router ports of both clusters; empty for a port that does not exist."""
    return [joined.router_port(f"{name}-ts", name) for name in ("az1", "az2")]


def test_address_and_traffic_survive_a_restart(joined: Joined) -> None:
    """After a crash and restart, Isthmus has the same address, and no packet is lost."""
    address, shown = joined.router_port("az1-ts"), joined.ic_sb()
    joined.cluster("az1").restart_isthmus()
    mark = joined.cluster("az1").isthmus_log().count("|active")
    while joined.cluster("az1").isthmus_log().count("|active") == mark:
        assert joined.all_answer()
    joined.cluster("az1").manifests.merge(
        "Subnet", "apps", "spec", {"disableInterConnection": True}
    )
    joined.wait(lambda: len(joined.learned("az2")) == 1, "a change after the restart")
    joined.reset()
    assert joined.router_port("az1-ts") == address
    assert joined.ic_sb() == shown
