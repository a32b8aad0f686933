"""`isthmus run` on real servers: overlaps, rules, declared routes, and the verbs that show them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import wait_until

pytestmark = pytest.mark.ovn

PROGRAM = str(Path(sys.executable).parent / "isthmus")
SUBNET = "kind: Subnet\napiVersion: kubeovn.io/v1\nmetadata: {name: apps}\nspec: {cidrBlock: %s}\n"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Cluster, IcServers]]:
    """A cluster under `isthmus run`, whose control socket is `run.ctl`."""
    with cluster_in(tmp_path) as (cluster, ic):
        cluster.start("run", f"--manifests={cluster.manifests}", f"--unixctl={tmp_path}/run.ctl")
        yield cluster, ic


def verb(cluster: Cluster, ic: IcServers, *words: str) -> str:
    """The output of a verb that also queries the daemon."""
    sockets = (cluster.servers.socket(Database.NB), ic.socket(Database.IC_SB))
    remotes = [f"--ovnnb-db={sockets[0]}", f"--ic-sb-db={sockets[1]}"]
    done = subprocess.run(
        [PROGRAM, *words, *remotes, "--unixctl", str(cluster.servers.directory.parent / "run.ctl")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_overlap_is_withdrawn_shown_and_ends(pair: tuple[Cluster, IcServers]) -> None:
    """A new Subnet withdraws an overlapping route, verbs show why, and its deletion restores it."""
    cluster, ic = pair
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16", "10.3.0.0/16"}, "all is learned")
    file = cluster.manifests / "apps.yaml"
    file.write_text(SUBNET % "10.2.7.0/24")
    wait_until(lambda: cluster.learned() == {"10.3.0.0/16"}, "the overlap is withdrawn")
    shown = verb(cluster, ic, "routes")
    assert "az1: 1 refused route\n" in shown
    assert "overlaps 10.2.7.0/24 of Subnet apps" in shown
    (refused,) = json.loads(verb(cluster, ic, "routes", "-o", "json"))["refused"]
    assert (refused["zone"], refused["examples"]) == ("az2", ["10.2.0.0/16"])
    explained = verb(cluster, ic, "engine", "explain", "10.2.0.0/16")
    assert "10.2.7.0/24 of Subnet apps" in explained
    file.unlink()
    wait_until(lambda: "10.2.0.0/16" in cluster.learned(), "it is learned again")
    assert "refused route" not in verb(cluster, ic, "routes")


def test_rules_are_edited_live(pair: tuple[Cluster, IcServers]) -> None:
    """`accept` and `advertise` are applied while running."""
    cluster, ic = pair
    ic.advertise("10.3.0.0/16", "0.0.0.0/0")
    wait_until(lambda: len(cluster.learned()) == 2, "all but the default route is learned")
    wait_until(lambda: "10.1.0.0/16" in ic.advertised(), "ours is advertised")
    rule = "az2: {prefixes: [10.3.0.0/16], default-route: true}"
    cluster.use(ic, accept=rule, advertise="172.16.0.0/12")
    wait_until(lambda: cluster.learned() == {"10.3.0.0/16", "0.0.0.0/0"}, "the rule is applied")
    wait_until(lambda: "10.1.0.0/16" not in ic.advertised(), "ours is withdrawn")
    cluster.use(ic, accept="'*': {max: 1}")
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the first of two is kept")


def test_a_declared_route_is_kept_in_place(pair: tuple[Cluster, IcServers]) -> None:
    """A declared route leads to the zone's port, has a policy, and is restored if it is removed."""
    cluster, ic = pair
    nbctl = cluster.zone.nbctl
    routes = "[{prefix: 10.77.0.0/16, zone: az2}]"
    cluster.use(ic, **{"auto-route": "false"}, routes=routes)

    def there() -> bool:
        found = nbctl("lr-route-list", "r").split()
        return found[-3:-1] == ["10.77.0.0/16", "169.254.100.222"]

    wait_until(there, "the route is made")
    wait_until(lambda: "ip4.dst == 10.77.0.0/16" in nbctl("lr-policy-list", "r"), "its policy")
    nbctl("lr-route-del", "r", "10.77.0.0/16")
    wait_until(there, "it is made again")
    cluster.use(ic, **{"auto-route": "false"})
    wait_until(lambda: "10.77" not in nbctl("lr-route-list", "r"), "it is removed")
    wait_until(lambda: "10.77" not in nbctl("lr-policy-list", "r"), "its policy goes with it")
