"""The demo, and Isthmus in all example topologies: real packets between pods."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus_lab.lab import Lab
from isthmus_lab.topology.loader import find, load
from isthmus_lab.topology.schema import Topology
from isthmus_lab.traffic import probe
from isthmus_lab.waiting import wait_until

pytestmark = pytest.mark.lab

ISTHMUS = str(Path(sys.executable).with_name("isthmus"))
EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/topologies/*.yaml"))
LIMIT_S = 30.0


def run_demo(topology: str, name: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as a user does."""
    command = [ISTHMUS, "lab", "demo", topology, "-n", name]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_demo_holds_in_every_example(path: Path, lab_name: Callable[[], str]) -> None:
    """The demo passes with every example and keeps the lab running."""
    name = lab_name()
    done = run_demo(str(path), name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All checks passed" in done.stdout
    status = [ISTHMUS, "lab", "status", "-n", name]
    assert subprocess.run(status, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("after", ["node az1-gw", "ovn-ic-config written", "isthmus show"])
def test_demo_runs_again_after_a_kill(after: str, lab_name: Callable[[], str]) -> None:
    """After a kill at any stage, the demo passes the next time."""
    name = lab_name()
    with subprocess.Popen(
        [ISTHMUS, "lab", "demo", "-n", name], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        next(line for line in starter.stdout if after in line)
        starter.kill()
    done = run_demo("demo", name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_demo_fails_if_something_does_not_hold(lab_name: Callable[[], str], tmp_path: Path) -> None:
    """With a cluster that never joins, the demo fails, and the summary shows the failed checks."""
    file = tmp_path / "topology.yaml"
    file.write_text(
        find("demo").read_text().replace("- name: az2", "- name: az2\n    engine: none")
    )
    command = [ISTHMUS, "lab", "demo", str(file), "-n", lab_name(), "--limit", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "Some checks FAILED" in done.stdout


def test_first_ping_within_15_seconds(make_lab: Callable[[Topology], Lab]) -> None:
    """From an empty machine to a ping between clusters takes at most 15 s."""
    start = time.monotonic()
    lab = make_lab(load(find("demo")))
    paths = probe.paths(lab.plan.pods, lab.plan.pods)
    wait_until(lambda: probe.ping(lab.layout, paths), LIMIT_S, "the first ping")
    assert time.monotonic() - start < 15


def test_third_cluster_joins_a_running_lab(make_lab: Callable[[Topology], Lab]) -> None:
    """A cluster added to the running demo reaches the others, and they reach it."""
    lab = make_lab(load(find("demo"))).add(find("third-cluster"))
    paths = probe.paths(lab.plan.pods, lab.plan.pods)
    wait_until(lambda: len(probe.ping(lab.layout, paths)) == len(paths), LIMIT_S, "every ping")
    answers = probe.http(lab.layout, paths)
    assert [path for path in paths if not probe.sees_own_address(path, answers[path])] == []
