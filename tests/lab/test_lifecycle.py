"""Building and removing labs leaves no trace and does not affect other labs."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus_lab.build import removal
from isthmus_lab.errors import LabError
from isthmus_lab.lab import Lab
from isthmus_lab.status import status_of
from isthmus_lab.system import processes
from isthmus_lab.topology.layout import Layout, state_base
from isthmus_lab.topology.loader import find, load
from isthmus_lab.topology.schema import Topology
from isthmus_lab.traffic import probe
from isthmus_lab.waiting import wait_until

pytestmark = pytest.mark.lab

ISTHMUS = str(Path(sys.executable).with_name("isthmus"))
LIMIT_S = 30.0


@pytest.fixture
def small() -> Topology:
    """The topology of the demo without Isthmus."""
    return load(find("demo")).model_copy(update={"interconnect": "none"})


def links() -> set[Path]:
    """The links in the namespace of the tests."""
    return set(Path("/sys/class/net").iterdir())


def ping_all(lab: Lab, cluster: str) -> bool:
    """Whether all pods of a cluster reach each other."""
    pods = lab.plan.cluster(cluster).pods
    paths = [probe.TrafficPath(a, b, b.addresses[0].ip) for a in pods for b in pods if a != b]
    return len(probe.ping(lab.layout, paths)) == len(paths)


def test_down_removes_all_that_up_made(
    small: Topology, make_lab: Callable[[Topology], Lab]
) -> None:
    """After `down` no process, namespace, link or file of the lab is left."""
    before = links()
    lab = make_lab(small)
    assert status_of(lab).whole
    found = Lab.down(lab.layout.lab)
    assert found.processes
    assert found.namespaces
    assert not removal.find(lab.layout)
    assert not lab.layout.root.exists()
    assert links() == before


def test_two_labs_side_by_side(small: Topology, lab_name: Callable[[], str]) -> None:
    """A lab whose name starts with another's survives the removal of the other."""
    first = lab_name()
    lab_name()
    second = f"{first}-b"
    try:
        one = Lab.up(small.model_copy(update={"name": first}))
        other = Lab.up(small.model_copy(update={"name": second}))
        Lab.down(first)
        assert not removal.find(one.layout)
        assert status_of(other).whole
        wait_until(lambda: ping_all(other, "az1"), LIMIT_S, "pings in the other lab")
    finally:
        Lab.down(second)


@pytest.mark.parametrize("after", ["namespaces", "node", "cluster"])
def test_up_after_kill_in_the_middle(
    after: str, lab_name: Callable[[], str], tmp_path: Path
) -> None:
    """`up` replaces the remains of a build that was killed at any stage."""
    name, file = lab_name(), tmp_path / "topology.yaml"
    file.write_text(find("demo").read_text() + "interconnect: none\n")
    command = [ISTHMUS, "lab", "up", str(file), "--name", name]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as starter:
        assert starter.stderr is not None
        for line in starter.stderr:
            if after in line:
                break
        starter.send_signal(signal.SIGKILL)
    lab = Lab.up(load(file, name=name))
    assert status_of(lab).whole
    wait_until(lambda: ping_all(lab, "az2"), LIMIT_S, "pings")


def test_simultaneous_ups_take_turns(lab_name: Callable[[], str], tmp_path: Path) -> None:
    """Two builds of a lab wait for each other, and the second replaces the first one's lab."""
    name, file = lab_name(), tmp_path / "topology.yaml"
    file.write_text(find("demo").read_text() + "interconnect: none\n")
    command = [ISTHMUS, "lab", "up", str(file), "--name", name]
    starters = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [starter.wait() for starter in starters] == [0, 0]
    assert status_of(Lab.attach(name)).whole


def test_down_after_a_killed_down(small: Topology, make_lab: Callable[[Topology], Lab]) -> None:
    """`down` removes the remains of a `down` that was killed."""
    lab = make_lab(small)
    with subprocess.Popen([ISTHMUS, "lab", "down", "-n", lab.layout.lab]) as remover:
        wait_until(lambda: len(processes.of_lab(lab.layout.lab)) < 15, LIMIT_S, "the first ends")
        remover.kill()
    Lab.down(lab.layout.lab)
    assert not removal.find(lab.layout)


def test_down_of_nothing_changes_nothing(lab_name: Callable[[], str]) -> None:
    """Removing a lab that does not exist is not an error and creates no directory."""
    name = lab_name()
    assert not Lab.down(name)
    assert not Layout(name, state_base()).root.exists()


def test_a_dry_run_removes_nothing(small: Topology, make_lab: Callable[[Topology], Lab]) -> None:
    """`lab down --dry-run` reports what `lab down` would remove, and removes nothing."""
    lab = make_lab(small)
    found = removal.find(lab.layout)
    command = [ISTHMUS, "lab", "down", "--dry-run", "-n", lab.layout.lab]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert f"would remove the lab {lab.layout.lab}:" in printed
    assert f"{len(found.namespaces)} namespaces" in printed
    assert status_of(lab).whole


def test_added_cluster_leaves_the_others_alone(
    small: Topology, make_lab: Callable[[Topology], Lab]
) -> None:
    """A third cluster starts while the daemons of the other two keep running."""
    lab = make_lab(small)
    before = processes.running_daemons(lab.layout.lab)
    larger = lab.add(find("third-cluster"))
    assert [cluster.name for cluster in larger.plan.clusters] == ["az1", "az2", "az3"]
    assert before.items() <= processes.running_daemons(lab.layout.lab).items()
    assert status_of(Lab.attach(lab.layout.lab)).whole
    wait_until(lambda: ping_all(larger, "az3"), LIMIT_S, "pings in the third cluster")


def test_cluster_is_added_only_once(small: Topology, make_lab: Callable[[Topology], Lab]) -> None:
    """A cluster with an existing name is rejected, and the lab does not change."""
    lab = make_lab(small)
    larger = lab.add(find("third-cluster"))
    with pytest.raises(LabError, match="another cluster has this name"):
        larger.add(find("third-cluster"))
    assert status_of(Lab.attach(lab.layout.lab)).whole


def test_killed_daemon_shows_in_status(
    small: Topology, make_lab: Callable[[Topology], Lab]
) -> None:
    """The status shows which daemon of which node is down."""
    lab = make_lab(small)
    lab.kill("az1-worker", "ovn-controller")
    found = status_of(lab)
    nodes = {node.name: node for cluster in found.clusters for node in cluster.nodes}
    assert not found.whole
    assert nodes["az1-worker"].daemons["ovn-controller"] is None
    assert nodes["az1-gw"].whole


def test_exec_knows_the_databases(small: Topology, make_lab: Callable[[Topology], Lab]) -> None:
    """With `exec` on any node, OVN's tools use the databases of the node's cluster."""
    lab = make_lab(small)
    for host in ("az2-gw", "az2-worker"):
        assert "az2-web.default" in lab.run(host, ["ovn-nbctl", "lsp-list", "ovn-default"])
    command = [ISTHMUS, "lab", "exec", "-n", lab.layout.lab, "az2-web", "--", "ip", "-br", "addr"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "10.17.0.2/16" in printed
