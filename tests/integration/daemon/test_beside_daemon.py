"""Probes and verbs that share the environment of a running daemon."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import wait_until

pytestmark = pytest.mark.ovn

BIN = Path(sys.executable).parent


class Beside:
    """A cluster with `isthmus run`, and programs that share its environment as in a container."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        socket = cluster.servers.socket
        self.environment = {
            "OVN_NB_DB": socket(Database.NB),
            "OVN_SB_DB": socket(Database.SB),
            "OVN_RUNDIR": str(cluster.servers.directory),
            "ISTHMUS_UNIXCTL": str(cluster.servers.directory / "isthmus.ctl"),
        }

    def start(self) -> None:
        """Start the daemon with the flags of the Deployment."""
        flags = (f"--manifests={self.cluster.manifests}", "--vpc=r")
        program = str(BIN / "isthmus")
        self.cluster.servers.start("run", program, "run", *flags, env=self.environment)

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another program in the same environment."""
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def is_(self, state: str) -> bool:
        """Whether a probe succeeds."""
        return self.call("isthmus-health", state).returncode == 0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Beside, IcServers]]:
    """The daemon is not started yet."""
    with cluster_in(tmp_path) as (cluster, ic):
        yield Beside(cluster), ic


def test_probes_follow_the_state_of_the_daemon(pair: tuple[Beside, IcServers]) -> None:
    """Live means a running loop; ready means NB, SB and manifests, even without IC databases."""
    beside, ic = pair
    assert beside.call("isthmus-health", "live").returncode == 1
    ic.kill_pair()
    broken = beside.cluster.manifests / "broken.yaml"
    broken.write_text("kind: [")
    beside.start()
    wait_until(lambda: beside.is_("live"), "the loop runs")
    said = "not ready: not all manifests could be read"
    wait_until(lambda: beside.call("isthmus-health", "ready").stderr.strip() == said, said)
    broken.unlink()
    wait_until(lambda: beside.is_("ready"), "everything has been read")
    beside.cluster.servers.stop("ovn-nb", 9)
    wait_until(lambda: not beside.is_("ready"), "the northbound database is gone")
    assert "OVN_Northbound" in beside.call("isthmus-health", "ready").stderr
    assert beside.is_("live")


def test_verbs_use_the_databases_of_the_daemon(pair: tuple[Beside, IcServers]) -> None:
    """With a daemon, show, routes and engine need no flags once the cluster has joined."""
    beside, _ic = pair
    beside.start()
    wait_until(lambda: beside.cluster.learned() == {"10.2.0.0/16"}, "the cluster has joined")
    zones = json.loads(beside.call("isthmus", "show", "-o", "json").stdout)["zones"]
    assert [zone["name"] for zone in zones] == ["az1", "az2"]
    assert "10.2.0.0/16" in beside.call("isthmus", "routes").stdout
    assert beside.call("isthmus", "engine", "show").returncode == 0
    assert "10.2.0.0/16" in beside.call("isthmus", "engine", "explain", "10.2.0.0/16").stdout


def test_the_error_for_a_cluster_that_has_not_joined(pair: tuple[Beside, IcServers]) -> None:
    """While enable-ic is false there are no IC databases to show, and the error says so."""
    beside, ic = pair
    beside.cluster.use(ic, **{"enable-ic": "false"})
    beside.start()
    wait_until(lambda: beside.is_("ready"), "the daemon has read everything")
    answer = beside.call("isthmus", "show")
    assert answer.returncode == 1
    assert "this cluster has not joined" in answer.stderr
