"""`isthmus run --unixctl` has the control commands of `isthmus ovn-ic`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.daemon import Cluster, cluster_in
from support.ovn.servers import wait_until

pytestmark = pytest.mark.ovn

PROGRAM = str(Path(sys.executable).parent / "isthmus")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with `isthmus run` in it, which listens on `run.ctl`."""
    with cluster_in(tmp_path) as (cluster, _ic):
        remotes = [
            f"{flag}={cluster.servers.socket(database)}"
            for flag, database in (("--ovnnb-db", Database.NB), ("--ovnsb-db", Database.SB))
        ]
        manifests = f"--manifests={cluster.manifests}"
        cluster.servers.start(
            "run", PROGRAM, "run", *remotes, manifests, "--vpc=r", "--unixctl=run.ctl"
        )
        yield cluster


def ask(cluster: Cluster, command: str) -> str:
    """Send a control command."""
    socket = str(cluster.servers.directory / "run.ctl")
    answer = subprocess.run(
        ["ovs-appctl", "-t", socket, command], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


def test_the_daemon_is_paused_resumed_and_stopped(cluster: Cluster) -> None:
    """The daemon writes nothing while paused, and catches up when resumed."""
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the route is learned")
    assert ask(cluster, "status") == "Status: active"
    ask(cluster, "pause")
    cluster.zone.nbctl("lr-route-del", "r")
    assert ask(cluster, "status") == "Status: paused"
    assert cluster.learned() == set()
    ask(cluster, "resume")
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the route is learned again")
    ask(cluster, "exit")
    wait_until(lambda: not cluster.servers.alive("run"), "the daemon stops")
    assert not (cluster.servers.directory / "run.ctl").exists()


def test_status_says_joined_or_why_not(cluster: Cluster) -> None:
    """`isthmus status` names what is missing, and exits with 0 once nothing is."""

    def status(*flags: str) -> "subprocess.CompletedProcess[str]":
        socket = f"--unixctl={cluster.servers.directory / 'run.ctl'}"
        return subprocess.run(
            [PROGRAM, "status", socket, *flags], capture_output=True, text=True, check=False
        )

    wait_until(lambda: "NoGateway" in status().stdout, "no gateway serves the port")
    assert status().stdout.startswith("not joined (NoGateway) since 20")
    assert status().returncode == 1
    cluster.zone.sbctl("lsp-bind", "cr-az1-ts", "gw1")
    wait_until(lambda: status().returncode == 0, "the cluster has joined")
    reply = status("-o", "json")
    assert json.loads(reply.stdout)["transitSwitches"][0]["gateway"] == "node1"
    assert "zone az1 is connected with az2 over ts" in status().stdout


def test_a_socket_that_cannot_be_created(tmp_path: Path) -> None:
    """A control socket in a directory that does not exist is an error."""
    bad = tmp_path / "none" / "neither" / "run.ctl"
    done = subprocess.run(
        [PROGRAM, "run", f"--manifests={tmp_path}", f"--unixctl={bad}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"--unixctl = '{bad}': cannot be created" in done.stderr
