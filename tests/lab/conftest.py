"""Fixtures that build labs under unique names, remove them, and keep the evidence of failures."""

import itertools
import json
import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from isthmus_lab.errors import LabError
from isthmus_lab.kube import assets
from isthmus_lab.lab import Lab
from isthmus_lab.status import status_of
from isthmus_lab.system import netns, processes
from isthmus_lab.topology.schema import Topology
from support.lab.joined import Joined, topology
from support.lab.live_edits import FLOWS, THREE_CLUSTERS, Live, Row, record
from support.lab.names import new_lab_name, remove_labs_of_the_dead
from support.lab.traffic import Traffic

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "test-output"
FAILED = pytest.StashKey[bool]()
DATABASES = {"db.sock": "Open_vSwitch", "ovnnb_db.sock": "OVN_Northbound"} | {
    "ovnsb_db.sock": "OVN_Southbound",
    "ovn_ic_nb_db.sock": "OVN_IC_Northbound",
    "ovn_ic_sb_db.sock": "OVN_IC_Southbound",
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures find out whether their test failed."""
    report = yield
    for node in (item, item.parent):
        # The module too: several tests may share its lab.
        if node is not None:
            node.stash[FAILED] = node.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session", autouse=True)
def _labs_of_the_dead() -> None:
    """Remove the labs of test runs that were killed."""
    remove_labs_of_the_dead()


@contextmanager
def labs_for(node: pytest.Item | pytest.Collector) -> Iterator[Callable[[], str]]:
    """Names for labs, all of which are removed at the end."""
    names: list[str] = []

    def new() -> str:
        names.append(new_lab_name())
        return names[-1]

    try:
        yield new
        if node.stash.get(FAILED, False):
            for name in names:
                _keep_evidence(name, OUTPUT / re.sub(r"[^\w.-]+", "_", node.name) / name)
    finally:
        for name in names:
            Lab.down(name)
    assert not any(netns.of_lab(name) or processes.of_lab(name) for name in names)


@pytest.fixture
def lab_name(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Names for the labs of one test."""
    with labs_for(request.node) as new:
        yield new


@pytest.fixture(scope="module")
def make_module_lab(request: pytest.FixtureRequest) -> Iterator[Callable[[Topology], Lab]]:
    """Build a lab that all tests of a module share, with addresses of all nodes resolved."""
    with labs_for(request.node) as new:

        def build(wanted: Topology) -> Lab:
            lab = Lab.up(wanted.model_copy(update={"name": new()}))
            _meet(lab)
            return lab

        yield build


@pytest.fixture(scope="module")
def _joined(request: pytest.FixtureRequest) -> Iterator[Joined]:
    with labs_for(request.node) as new:
        yield Joined.of(Lab.up(topology().model_copy(update={"name": new()})))


@pytest.fixture
def joined(_joined: Joined) -> Joined:
    """Two clusters joined by Isthmus, shared by the tests of a module and reset before each."""
    _joined.reset()
    return _joined


@pytest.fixture(scope="module")
def _three(request: pytest.FixtureRequest) -> Iterator[Joined]:
    with labs_for(request.node) as new:
        changes = {"name": new(), "kubernetes": not assets.missing()}
        lab = Lab.up(topology(THREE_CLUSTERS).model_copy(update=changes))
        _meet(lab)
        yield Joined.of(lab)


def _meet(lab: Lab) -> None:
    """Send traffic between all pairs of nodes.

    The userspace switches of the lab drop packets to a new tunnel endpoint until its address is
    resolved; the kernel queues them.
    """
    nodes = [node for cluster in lab.plan.clusters for node in cluster.nodes]
    for node, other in itertools.permutations(nodes, 2):
        lab.run(node.name, ["ping", "-c", "1", "-W", "5", str(other.tunnel_ip)])


@pytest.fixture(scope="session")
def _losses() -> Iterator[list[Row]]:
    rows: list[Row] = []
    yield rows
    record(rows)


@pytest.fixture
def live(_three: Joined, _losses: list[Row]) -> Iterator[Live]:
    """Three clusters with traffic, shared by the tests of a module and reset before each."""
    _three.reset()
    with Traffic(_three.lab, FLOWS, FLOWS) as traffic:
        yield Live(_three, traffic, _losses)


@pytest.fixture
def make_lab(lab_name: Callable[[], str]) -> Callable[[Topology], Lab]:
    """Build a lab from a topology, under a unique name."""

    def build(topology: Topology, *, join: bool = True) -> Lab:
        return Lab.up(topology.model_copy(update={"name": lab_name()}), join=join)

    return build


def _keep_evidence(name: str, directory: Path) -> None:
    """Save logs, status and database dumps of a lab for the analysis of a failure."""
    try:
        lab = Lab.attach(name)
    except LabError:
        return
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(
        lab.layout.root, directory, ignore=lambda _, names: [n for n in names if n == "run"]
    )
    (directory / "status.json").write_text(json.dumps(asdict(status_of(lab)), indent=2))
    for socket in lab.layout.root.glob("nodes/*/run/*.sock"):
        if socket.name in DATABASES:
            command = ["ovsdb-client", "dump", f"unix:{socket}", DATABASES[socket.name]]
            try:
                text = processes.run(command, timeout_s=5.0)
            except LabError as error:
                text = str(error)
            (directory / f"{socket.parts[-3]}.{socket.stem}.dump").write_text(text)
