"""All edits of `ovn-ic-config` and Subnets under traffic: which flows lose how many packets.

Flows that an edit does not concern lose nothing: those of other clusters, of other subnets, and
within the cluster. The losses of the others are measured; with ISTHMUS_RECORD_LIVE_EDITS=1 they are
written to docs/reference/live-edits.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from isthmus_lab.build import daemons, network
from isthmus_lab.system.netns import listens
from isthmus_lab.topology.plan import IC_NB_PORT, IC_SB_PORT
from support.lab.joined import Joined
from support.lab.live_edits import APP, FLOWS, OTHERS, WEB, Live, check

# A packet lost by chance is not lost again in a second attempt; see SingleLossError.
pytestmark = [
    pytest.mark.lab,
    pytest.mark.flaky(reruns=1, only_rerun=["SingleLossError"]),
]

OF_AZ1 = (WEB, APP)
BETWEEN = (*OF_AZ1, OTHERS)
FAILOVER_S = 10.0
"""BFD takes seconds to detect a lost node (ovn-nb(5), `bfd-mult`); the rest is for a busy machine.
"""

SECOND = "192.168.65.4"
"""Address of the second IC databases."""


@contextmanager
def without_daemon(joined: Joined) -> Iterator[None]:
    """Stop Isthmus in az1 while the body runs."""
    host = joined.cluster("az1").plan.central.name
    joined.lab.kill(host, "isthmus")
    try:
        yield
    finally:
        command = daemons.engine(joined.lab.layout, joined.cluster("az1").plan)
        joined.lab.start(host, "isthmus", command)


def candidates(joined: Joined) -> int:
    """How many chassis may serve az1's router port, according to its SB database."""
    port = ["get", "Port_Binding", "cr-az1-ts", "ha_chassis_group"]
    group = joined.cluster("az1").sbctl(*port).strip()
    chassis = joined.cluster("az1").sbctl("get", "HA_Chassis_Group", group, "ha_chassis")
    return len(chassis.split(","))


def test_gateways_in_another_order(live: Live) -> None:
    """The second of two gateways becomes the preferred one: an outage of at most half a second."""
    with live.edit("`gw-nodes`: order changed", OF_AZ1, most_s=1.0):
        live.joined.configure("az1", gw_nodes="az1-gw2,az1-gw")
        live.joined.wait(lambda: live.joined.gateway("az1-ts") == "az1-gw2", "the gateway to move")


def test_a_gateway_in_use_is_removed(live: Live) -> None:
    """The active one of two gateways is removed from the list."""
    with live.edit("`gw-nodes`: active gateway removed", OF_AZ1, most_s=1.0):
        live.joined.configure("az1", gw_nodes="az1-gw2")
        live.joined.wait(lambda: live.joined.gateway("az1-ts") == "az1-gw2", "the gateway to move")


def test_a_gateway_in_reserve_comes_and_goes(live: Live) -> None:
    """Adding and removing a standby gateway causes no losses."""
    joined = live.joined
    with live.edit("`gw-nodes`: standby gateway added"):
        joined.configure("az1", gw_nodes="az1-gw,az1-gw2,az1-gw3")
        joined.wait(lambda: candidates(joined) == 3, "the reserve to come")
    with live.edit("`gw-nodes`: standby gateway removed"):
        joined.configure("az1", gw_nodes="az1-gw,az1-gw2")
        joined.wait(lambda: candidates(joined) == 2, "the reserve to go")


def test_a_preferred_gateway_is_added(live: Live) -> None:
    """A third gateway is added as the first of the list."""
    joined = live.joined
    with live.edit("`gw-nodes`: gateway added at the front", OF_AZ1, most_s=1.0):
        joined.configure("az1", gw_nodes="az1-gw3,az1-gw,az1-gw2")
        joined.wait(lambda: joined.gateway("az1-ts") == "az1-gw3", "the gateway to move")


def test_the_only_gateway_gets_a_reserve(live: Live) -> None:
    """From one gateway to two: OVN starts BFD and drops packets until both nodes are detected."""
    joined = live.joined
    with live.edit("`gw-nodes`: reduced from two to the active one"):
        joined.configure("az1", gw_nodes="az1-gw")
        joined.wait(lambda: candidates(joined) == 1, "one gateway")
    with live.edit("`gw-nodes`: extended from one to two", OF_AZ1, most_s=2.0):
        joined.configure("az1", gw_nodes="az1-gw,az1-gw2")
        joined.wait(lambda: candidates(joined) == 2, "two gateways")


def test_mistakes(live: Live) -> None:
    """What looks like a removal, but is a mistake, loses no packet; each mistake is reported."""
    joined, first = live.joined, live.joined.lab.plan.ic_members[0].name

    def reported(text: str) -> bool:
        return text in joined.cluster("az1").isthmus_log()[since:]

    def ic_nb(*command: str) -> None:
        joined.lab.run(first, ["ovn-ic-nbctl", "--no-leader-only", *command])

    since = len(joined.cluster("az1").isthmus_log())
    with live.edit("mistake: `gw-nodes` names no existing node"):
        joined.configure("az1", gw_nodes="az1-gx")
        joined.wait(lambda: reported("none of these nodes can serve"), "the report")
    joined.configure("az1", gw_nodes="az1-gw,az1-gw2")
    with live.edit("mistake: transit switch without vendor, as before Kube-OVN 1.16"):
        ic_nb("remove", "Transit_Switch", "ts", "external_ids", "vendor")
    with live.edit("mistake: transit switch without vendor and subnet"):
        ic_nb("remove", "Transit_Switch", "ts", "external_ids", "subnet")
        joined.wait(
            lambda: reported("is missing, so only clusters that have a port there"), "the report"
        )
    ic_nb("set", "Transit_Switch", "ts", "external_ids:subnet=169.254.100.0/24")
    ic_nb("set", "Transit_Switch", "ts", "external_ids:vendor=kube-ovn")
    try:
        with live.edit("mistake: second transit switch with the same subnet"):
            ids = ("external_ids:subnet=169.254.100.0/24", "external_ids:vendor=kube-ovn")
            ic_nb("create", "Transit_Switch", "name=a", *ids)
            joined.wait(lambda: reported("overlaps the subnet of ts"), "the report")
    finally:
        ic_nb("--if-exists", "ts-del", "a")


def test_az_name(live: Live) -> None:
    """The zone is renamed: its ports are recreated, and traffic continues."""
    joined = live.joined
    with live.edit("`az-name`", OF_AZ1, most_s=2.0):
        joined.configure("az1", az_name="my-new-zone")
        joined.wait(lambda: joined.router_port("my-new-zone-ts"), "the new port")
        joined.wait(lambda: "az1\n" not in joined.ic_sb(), "the old name to be gone")


def test_az_name_while_the_daemon_is_down(live: Live) -> None:
    """The same, with the edit made while no daemon runs."""
    joined = live.joined
    with live.edit("`az-name`, while the daemon is down", OF_AZ1, most_s=2.0):
        with without_daemon(joined):
            joined.configure("az1", az_name="my-new-zone")
        joined.wait(lambda: joined.router_port("my-new-zone-ts"), "the new port")
        joined.wait(lambda: "az1\n" not in joined.ic_sb(), "the old name to be gone")


def test_gateways_while_the_daemon_is_down(live: Live) -> None:
    """The order of the gateways is edited while no daemon runs."""
    joined = live.joined
    with live.edit("`gw-nodes`: order changed, while the daemon is down", OF_AZ1, most_s=1.0):
        with without_daemon(joined):
            joined.configure("az1", gw_nodes="az1-gw2,az1-gw")
        joined.wait(lambda: joined.gateway("az1-ts") == "az1-gw2", "the gateway to move")


def test_fault_4_a_dead_gateway_node_fails_over(live: Live) -> None:
    """Traffic used to stay with a dead node; now the next of `gw-nodes` takes over, and back."""
    joined = live.joined
    joined.configure("az1", gw_nodes="az1-gw2,az1-gw")
    joined.wait(lambda: joined.gateway("az1-ts") == "az1-gw2", "the gateway to move")
    joined.wait(lambda: live.answering(FLOWS), "all to answer again")
    try:
        live.traffic.cut()
        joined.lab.partition("az1-gw2")
        joined.wait(lambda: joined.gateway("az1-ts") == "az1-gw", "the other to take over")
        joined.wait(lambda: live.answering([APP]), "its packets to pass")
        loss = live.traffic.cut()
        check(loss, [OTHERS], 0.0)
        assert loss.outage([APP]) < FAILOVER_S
    finally:
        joined.lab.partition("az1-gw2", cut=False)


def remote_address(joined: Joined, cluster: str, zone: str) -> str:
    """The address of another zone on the transit switch, as known in a cluster."""
    text = joined.cluster(cluster).nbctl("lsp-get-addresses", f"ts-{zone}")
    return text.split()[1].split("/")[0].rstrip(")")


MANUAL = {
    "az1": {"10.17.0.0/16": "az2", "10.18.0.0/16": "az3"},
    "az2": {"10.16.0.0/16": "az1", "10.18.0.0/16": "az3"},
    "az3": {"10.26.0.0/16": "az1", "10.17.0.0/16": "az2"},
}
"""Per cluster, the zone to which a manual route sends a prefix."""


def test_auto_route_on_identical_routes(live: Live) -> None:
    """With equivalent manual routes, switching auto-route off and on causes no losses."""
    joined = live.joined
    for cluster in MANUAL:
        joined.configure(cluster, auto_route="false")
    joined.wait_for_silence()
    try:
        for cluster, routes in MANUAL.items():
            for prefix, zone in routes.items():
                via = remote_address(joined, cluster, zone)
                joined.cluster(cluster).nbctl("lr-route-add", "ovn-cluster", prefix, via)
        joined.wait(lambda: live.answering(FLOWS), "the routes by hand")
        with live.edit("`auto-route` on, with equal manual routes"):
            for cluster in MANUAL:
                joined.configure(cluster, auto_route="true")
            joined.wait(lambda: "10.26.0.0/16" in joined.learned("az2"), "what is new")
            joined.wait(lambda: "10.16.0.0/16" in joined.learned("az3"), "what is new")
        with live.edit("`auto-route` off, with equal manual routes"):
            for cluster in MANUAL:
                joined.configure(cluster, auto_route="false")
            joined.wait(lambda: not joined.learned("az2") | joined.learned("az3"), "none learned")
    finally:
        for cluster, routes in MANUAL.items():
            for prefix in routes:
                joined.cluster(cluster).nbctl("--if-exists", "lr-route-del", "ovn-cluster", prefix)


def test_auto_route_of_one_cluster(live: Live) -> None:
    """Without auto-route a cluster is isolated; the others lose nothing, nor when it is back."""
    joined = live.joined
    with live.edit("`auto-route` off", OF_AZ1, most_s=None):
        joined.configure("az1", auto_route="false")
        joined.wait(lambda: joined.learned("az2") == {"10.18.0.0/16"}, "az2 to lose its routes")
    with live.edit("`auto-route` on", OF_AZ1, most_s=None):
        joined.configure("az1", auto_route="true")
        joined.wait(lambda: live.answering(FLOWS), "all to answer again")


@contextmanager
def second_databases(joined: Joined, *, copied: bool) -> Iterator[None]:
    """IC databases at `SECOND`, empty or with a copy of the first ones."""
    lab = joined.lab
    directory = lab.layout.root / f"second-{copied=}"
    (directory / "db").mkdir(parents=True)
    if copied:
        for file in lab.layout.db("ic").glob("*.db"):
            socket = next(lab.layout.run("ic").glob(f"{file.stem}*.sock"))
            copy = lab.run("ic", ["ovsdb-client", "backup", f"unix:{socket}"])
            (directory / "db" / file.name).write_text(copy, encoding="utf-8")
    lab.run("ic", ["ip", "address", "add", f"{SECOND}/24", "dev", network.UNDERLAY_LINK])
    lab.start(
        "ic",
        "second-ic-databases",
        [
            *(daemons.isthmus(), "ic-db", "run", "--insecure", "--listen", SECOND),
            *("--data-dir", str(directory / "db"), "--run-dir", str(directory / "run")),
            *("--transit-switch", "ts=169.254.100.0/24"),
        ],
    )
    netns = lab.layout.netns("ic")
    try:
        joined.wait(
            lambda: all(listens(netns, SECOND, port) for port in (IC_NB_PORT, IC_SB_PORT)),
            "the databases to listen",
        )
        yield
    finally:
        joined.reset()
        lab.kill("ic", "second-ic-databases")
        lab.run("ic", ["ip", "address", "del", f"{SECOND}/24", "dev", network.UNDERLAY_LINK])


def established(joined: Joined, host: str) -> bool:
    """Whether Isthmus in az1 has a connection to the IC-SB database of a host."""
    ask = ["ss", "-tn", "state", "established", f"dport = :{IC_SB_PORT}"]
    return f"{host}:{IC_SB_PORT}" in joined.lab.run("az1-gw", ask)


def test_databases_move_with_their_contents(live: Live) -> None:
    """`ic-db-host` is changed, cluster by cluster, to a copy of the databases."""
    joined = live.joined
    edit = "`ic-db-host`: databases moved with their contents"
    with second_databases(joined, copied=True), live.edit(edit):
        for cluster in MANUAL:
            joined.configure(cluster, ic_db_host=SECOND)
        joined.wait(lambda: established(joined, SECOND), "a connection to the new ones")
        first = str(joined.lab.plan.ic_members[0].address)
        joined.wait(lambda: not established(joined, first), "the old connection to be closed")


def test_databases_are_replaced_by_empty_ones(live: Live) -> None:
    """`ic-db-host` is changed, cluster by cluster, and all meet again in new databases."""
    joined = live.joined
    show = ["ovn-ic-sbctl", f"--db=tcp:{SECOND}:{IC_SB_PORT}", "show"]

    def met() -> bool:
        shown = joined.lab.run("ic", show)
        return all(f"port ts-{name}" in shown for name in MANUAL)

    edit = "`ic-db-host`: replaced by empty databases"
    with second_databases(joined, copied=False), live.edit(edit, BETWEEN, most_s=5.0):
        for cluster in MANUAL:
            joined.configure(cluster, ic_db_host=SECOND)
        joined.wait(met, "all in the new databases")


def test_transit_switch_is_added_and_removed(live: Live) -> None:
    """A second transit switch carries all traffic once it works, and can be removed again."""
    joined = live.joined
    add = ["ovn-ic-nbctl", "ts-add", "ts1", "--", "set", "Transit_Switch", "ts1"]
    ids = ('external_ids:subnet="169.254.101.0/24"', "external_ids:vendor=kube-ovn")
    try:
        with live.edit("transit switch added", BETWEEN):
            joined.lab.run("ic", [*add, *ids])
            joined.wait(lambda: routes_through(joined, "169.254.101.") == 8, "routes through it")
            # The switch is in use when its gateways are known.
            joined.wait(
                lambda: all(joined.gateway(f"{name}-ts1", name) for name in MANUAL), "gateways"
            )
        with live.edit("transit switch removed", BETWEEN, most_s=1.0):
            joined.lab.run("ic", ["ovn-ic-nbctl", "ts-del", "ts1"])
            joined.wait(lambda: not routes_through(joined, "169.254.101."), "no routes through it")
    finally:
        joined.lab.run("ic", ["ovn-ic-nbctl", "--if-exists", "ts-del", "ts1"])
        joined.wait(lambda: not joined.router_port("az1-ts1"), "the port to be gone")


def routes_through(joined: Joined, network: str) -> int:
    """How many learned routes in all clusters have a next hop with this prefix."""
    return sum(
        line.split()[1].startswith(network)
        for name in MANUAL
        for line in joined.cluster(name).nbctl("lr-route-list", "ovn-cluster").splitlines()
        if "(learned)" in line
    )


@pytest.mark.parametrize("how", ["enable-ic", "deleted", "deleted while the daemon is down"])
def test_a_cluster_leaves_and_comes_back(live: Live, how: str) -> None:
    """The others lose nothing when a cluster leaves and when it comes back."""
    joined = live.joined
    with live.edit(f"a cluster leaves ({how})", OF_AZ1, most_s=None):
        if how == "enable-ic":
            joined.configure("az1", enable_ic="false")
        elif how == "deleted":
            joined.cluster("az1").leave()
        else:
            with without_daemon(joined):
                joined.cluster("az1").leave()
        joined.wait(lambda: "az1" not in joined.ic_sb(), "az1 to be gone")
        joined.wait(lambda: joined.learned("az2") == {"10.18.0.0/16"}, "az2 to lose its routes")
    with live.edit("a cluster comes back", OF_AZ1, most_s=None):
        joined.reset()


def test_subnet_is_closed_and_opened(live: Live) -> None:
    """A subnet with `disableInterConnection` is cut off; the other subnets lose nothing."""
    joined = live.joined
    objects = joined.cluster("az1").objects
    with live.edit("a subnet is closed", [APP], most_s=None):
        objects.merge("Subnet", "apps", "spec", {"disableInterConnection": True})
        joined.wait(lambda: "10.26.0.0/16" not in joined.learned("az3"), "it to be withdrawn")
    with live.edit("a subnet is opened", [APP], most_s=None):
        objects.merge("Subnet", "apps", "spec", {"disableInterConnection": None})
        joined.wait(lambda: live.answering(FLOWS), "all to answer again")


def test_subnet_is_closed_while_the_daemon_is_down(live: Live) -> None:
    """The same, with the edit made while no daemon runs."""
    joined = live.joined
    with live.edit("a subnet is closed, while the daemon is down", [APP], most_s=None):
        with without_daemon(joined):
            values = {"disableInterConnection": True}
            joined.cluster("az1").objects.merge("Subnet", "apps", "spec", values)
        joined.wait(lambda: "10.26.0.0/16" not in joined.learned("az3"), "it to be withdrawn")


def test_subnet_is_added_and_removed(live: Live) -> None:
    """A new subnet is advertised and withdrawn; no other flow loses anything."""
    joined, port = live.joined, "ovn-cluster-new"
    handle = joined.cluster("az1")
    subnet = {
        "apiVersion": "kubeovn.io/v1",
        "kind": "Subnet",
        "metadata": {"name": "new"},
        "spec": {"cidrBlock": "10.36.0.0/16"},
    }
    try:
        with live.edit("subnet added"):
            handle.objects.apply(subnet)
            networks = ("0a:00:00:00:99:01", "10.36.0.1/16")
            handle.nbctl("lrp-add", "ovn-cluster", port, *networks)
            joined.wait(lambda: "10.36.0.0/16" in joined.learned("az3"), "it to be offered")
        with live.edit("subnet removed"):
            handle.nbctl("lrp-del", port)
            handle.objects.delete("Subnet", "new")
            joined.wait(lambda: "10.36.0.0/16" not in joined.learned("az3"), "it to be withdrawn")
    finally:
        handle.nbctl("--if-exists", "lrp-del", port)


def test_a_route_changes_its_origin(live: Live) -> None:
    """A static route to a connected network comes and goes, so the other zones learn it again."""
    joined, handle = live.joined, live.joined.cluster("az1")

    def learned_as(origin: str) -> bool:
        find = ["find", "Logical_Router_Static_Route", 'ip_prefix="10.16.0.0/16"']
        options = ("--bare", "--columns=options")
        found = [joined.cluster(name).nbctl(*options, *find).split() for name in ("az2", "az3")]
        return found == [[f"origin={origin}"]] * 2

    try:
        with live.edit("route: origin changed from connected to static"):
            handle.nbctl("lr-route-add", "ovn-cluster", "10.16.0.0/16", "10.16.0.254")
            joined.wait(lambda: learned_as("static"), "the others to learn the origin")
        with live.edit("route: origin changed from static to connected"):
            handle.nbctl("lr-route-del", "ovn-cluster", "10.16.0.0/16")
            joined.wait(lambda: learned_as("connected"), "the others to learn the origin")
    finally:
        handle.nbctl("--if-exists", "lr-route-del", "ovn-cluster", "10.16.0.0/16")


def test_a_route_changes_its_next_hop(live: Live) -> None:
    """A cluster moves to another address of the transit switch, and its routes move with it."""
    joined, first = live.joined, live.joined.lab.plan.ic_members[0].name
    find = ["--bare", "--columns=external_ids", "list", "Transit_Switch", "ts"]
    ids = dict(
        pair.split("=", 1)
        for pair in joined.lab.run(first, ["ovn-ic-nbctl", "--no-leader-only", *find]).split()
    )
    address = joined.router_port("az1-ts").split("/")[0]
    old = f"isthmus-address-{address}"
    new = "isthmus-address-169.254.100.77"

    def move(before: str, after: str) -> None:
        claim = ("--", "set", "Transit_Switch", "ts", f'external_ids:"{after}"={ids[old]}')
        command = ("remove", "Transit_Switch", "ts", "external_ids", f'"{before}"', *claim)
        joined.lab.run(first, ["ovn-ic-nbctl", "--no-leader-only", *command])

    try:
        with live.edit("route: next hop changed", OF_AZ1, most_s=1.0):
            move(old, new)
            joined.wait(lambda: routes_through(joined, "169.254.100.77") == 4, "the routes to move")
    finally:
        move(new, old)


def test_the_daemon_restarts(live: Live) -> None:
    """Killing and restarting a daemon causes no change."""
    joined = live.joined
    with live.edit("Isthmus killed and restarted"):
        since = len(joined.cluster("az1").isthmus_log())
        joined.cluster("az1").restart_isthmus()
        joined.wait(lambda: "active" in joined.cluster("az1").isthmus_log()[since:], "it to work")
