"""Faults in Kube-OVN's interconnection that users have hit, between real processes.

The numbers are those of the collection; each docstring describes the fault. More are in tests/unit.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.authority import Authority
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import wait_until

pytestmark = pytest.mark.ovn

Site = tuple[Cluster, IcServers]
PEERS = "10.2.0.0/16"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A cluster with its ConfigMap and no daemon, and IC databases with a peer."""
    with cluster_in(tmp_path) as site:
        yield site


def zones(ic: IcServers) -> set[str]:
    """The zones that are registered."""
    columns = ("--bare", "--columns=name", "list", "Availability_Zone")
    return set(ic.ctl("ovn-ic-sbctl", Database.IC_SB, *columns).split())


def is_clean(cluster: Cluster) -> bool:
    """Whether the cluster's NB database contains nothing of the interconnection."""
    name = cluster.zone.nbctl("get", "NB_Global", ".", "name").strip().strip('"')
    switches = cluster.zone.nbctl("--bare", "--columns=name", "list", "Logical_Switch").split()
    policies = cluster.zone.nbctl("lr-policy-list", "r")
    return not (name or "ts" in switches or cluster.learned() or "29500" in policies)


def test_fault_9_unreachable_databases_do_not_keep_a_cluster_from_leaving(site: Site) -> None:
    """Leaving waited for the IC databases; the cluster is now cleaned at once, IC-SB later."""
    cluster, ic = site
    cluster.start()
    wait_until(lambda: cluster.learned() == {PEERS}, "joined")
    ic.kill_pair()
    cluster.leave()
    wait_until(lambda: is_clean(cluster), "nothing is left in the cluster")
    ic.serve_pair()
    wait_until(lambda: zones(ic) == {"az2"}, "nothing is left in the IC databases")
    assert ic.advertised() == {PEERS}


def test_fault_14_a_restart_keeps_the_joined_zone(site: Site) -> None:
    """The configuration before a restart was not cleaned; NB now records it."""
    cluster, ic = site
    (cluster.manifests / "node.yaml").write_text(
        "{apiVersion: v1, kind: Node, metadata: {name: n}}"
    )
    cluster.start()
    wait_until(lambda: cluster.learned() == {PEERS}, "joined")
    cluster.servers.stop("run", 9)
    cluster.leave()
    cluster.start()
    wait_until(lambda: is_clean(cluster), "nothing is left in the cluster")
    wait_until(lambda: zones(ic) == {"az2"}, "nothing is left in the IC databases")


def test_a_start_with_an_emptied_directory_keeps_what_was(site: Site) -> None:
    """A directory without any file, as if not mounted, made a joined cluster leave at the start."""
    cluster, ic = site
    cluster.start()
    wait_until(lambda: cluster.learned() == {PEERS} and len(ic.advertised()) == 2, "joined")
    routes = cluster.routes()
    cluster.servers.stop("run", 9)
    cluster.leave()
    cluster.start()
    wait_until(lambda: "so were all other objects" in cluster.servers.log("run"), "a report")
    cluster.use(ic)
    wait_until(lambda: "resolved: ConfigMap" in cluster.servers.log("run"), "it to be resolved")
    assert (cluster.routes(), zones(ic)) == (routes, {"az1", "az2"})
    assert len(ic.advertised()) == 2


def test_fault_10_clusters_that_start_together_take_different_addresses(tmp_path: Path) -> None:
    """Both took the same random address; with two addresses and six attempts, they do not."""
    switches = [f"ts{number or ''}" for number in range(6)]
    ic = IcServers(tmp_path / "ic")
    with ExitStack() as stack:
        stack.callback(ic.stop_all)
        ic.serve_pair()
        for number, name in enumerate(switches):
            ic.add_ts(name, f"169.254.{100 + number}.0/30")
        clusters = [Cluster(tmp_path / str(number), ic, number) for number in (1, 2)]
        for cluster in clusters:
            stack.callback(cluster.servers.stop_all)
            cluster.start()

        def addresses() -> list[str]:
            columns = ("--bare", "--columns=address", "list", "Port_Binding")
            lines = ic.ctl("ovn-ic-sbctl", Database.IC_SB, *columns).split()
            return [word for word in lines if "/" in word]

        wait_until(lambda: len(addresses()) == 2 * len(switches), "every port is there")
        assert len(set(addresses())) == 2 * len(switches)
        expected = [{"10.2.0.0/16"}, {"10.1.0.0/16"}]
        wait_until(lambda: [c.learned() for c in clusters] == expected, "routes are learned")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_fault_18_the_ic_databases_are_reached_by_tls(site: Site, tmp_path: Path) -> None:
    """The remotes of the IC databases were always `tcp:`; with `--ic-db-tls` they are `ssl:`."""
    cluster, ic = site
    authority = Authority(tmp_path / "pki")

    def flags(name: str) -> tuple[str, ...]:
        key, certificate = authority.issue(name)
        ca = f"--ca-cert={authority.certificate}"
        return (f"--private-key={key}", f"--certificate={certificate}", ca)

    ic.kill_pair()
    ic.serve_pair(*flags("server"))
    manifests = f"--manifests={cluster.manifests}"
    cluster.start("run", manifests, "--ic-db-tls", tls=flags("isthmus"))
    wait_until(lambda: cluster.learned() == {PEERS}, "the peer's prefix is learned")
