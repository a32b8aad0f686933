"""An API server that has lost objects: etcd is restored or loses its data, kinds and roles go."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.controller.inputs.inputs import CONFIG_MAP
from isthmus_lab.kube.api import ApiRequestError
from isthmus_lab.kube.server import crds
from support.kube.roles import with_shipped_role
from support.kube.server import NAMESPACE, TestServer, running_server
from support.kube.source import BRISK, following
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import wait_until

pytestmark = [pytest.mark.kube, pytest.mark.ovn]

OWN, REMOTE = "10.1.0.0/16", "10.2.0.0/16"

Site = tuple[Cluster, IcServers, TestServer]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[TestServer]:
    """An API server that the test may ruin."""
    with running_server(tmp_path / "kube") as server:
        yield server


@pytest.fixture
def joined(tmp_path: Path, own: TestServer) -> Iterator[Site]:
    """A cluster that has joined according to its API server."""
    with cluster_in(tmp_path) as (cluster, ic):
        fill(own, cluster, ic)
        cluster.start("run", "--kubernetes", f"--kubeconfig={with_shipped_role(own)}")
        wait_until(lambda: has_joined(cluster, ic), "it has joined")
        yield cluster, ic, own


def fill(server: TestServer, cluster: Cluster, ic: IcServers) -> None:
    """Create the ConfigMap, a Node and a Subnet."""
    server.configure(cluster.configuration(ic))
    server.node("node1", "192.0.2.1")
    server.subnet("net", OWN)


def has_joined(cluster: Cluster, ic: IcServers) -> bool:
    """Whether routes are exchanged in both directions."""
    return cluster.learned() == {REMOTE} and OWN in ic.advertised()


def reported(server: TestServer, words: str) -> bool:
    """Whether the status that is published has a problem with these words now."""
    try:
        status = server.api.get("ConfigMap", "ovn-ic-status", NAMESPACE)
    except ApiRequestError:
        return False  # it is lost as well, and will be written again
    return words in status["data"]["problems"]


def test_etcd_without_its_data_changes_nothing(joined: Site) -> None:
    """The cluster stays joined and reports; new objects end that, and deleting one leaves."""
    cluster, ic, server = joined
    server.restore(None)
    with_shipped_role(server)
    wait_until(lambda: reported(server, "NotFound"), "the missing kinds are reported", 60)
    assert reported(server, "ObjectsLost")
    server.api.apply_files(crds())
    wait_until(lambda: not reported(server, "NotFound"), "the kinds are there again", 60)
    assert reported(server, "Subnet net")
    assert has_joined(cluster, ic)
    fill(server, cluster, ic)
    wait_until(
        lambda: reported(server, "[]"), "all objects are there again, and no problem is left", 60
    )
    assert has_joined(cluster, ic)
    server.api.delete("Subnet", "net")
    server.api.delete("ConfigMap", CONFIG_MAP.name, CONFIG_MAP.namespace)
    wait_until(lambda: not cluster.learned() and OWN not in ic.advertised(), "it has left")


def test_a_daemon_that_starts_without_any_object_keeps_what_was(joined: Site) -> None:
    """Nothing changes until the objects are there again, and a deletion counts again then."""
    cluster, ic, server = joined
    cluster.servers.stop("run", 9)
    routes = cluster.routes()
    server.restore(None)
    server.api.apply_files(crds())
    cluster.start("run", "--kubernetes", f"--kubeconfig={with_shipped_role(server)}")
    wait_until(lambda: reported(server, "ObjectsLost"), "the loss is reported", 60)
    server.node("node1", "192.0.2.1")
    server.subnet("net", OWN)
    wait_until(lambda: reported(server, "ObjectsLost"), "the loss of the ConfigMap stays", 60)
    assert (cluster.routes(), has_joined(cluster, ic)) == (routes, True)
    fill(server, cluster, ic)
    wait_until(lambda: reported(server, "[]"), "no problem is left", 60)
    assert (cluster.routes(), has_joined(cluster, ic)) == (routes, True)
    server.api.delete("ConfigMap", CONFIG_MAP.name, CONFIG_MAP.namespace)
    wait_until(lambda: not cluster.learned() and OWN not in ic.advertised(), "it has left")


def test_a_restored_etcd_takes_nothing_away(joined: Site, tmp_path: Path) -> None:
    """Objects that are newer than the backup stay in force until they are created again."""
    cluster, ic, server = joined
    server.api.delete("ConfigMap", CONFIG_MAP.name, CONFIG_MAP.namespace)
    wait_until(lambda: not cluster.learned(), "it has left")
    server.save(tmp_path / "backup")
    server.configure(cluster.configuration(ic))
    wait_until(lambda: has_joined(cluster, ic), "it has joined again", 60)
    server.restore(tmp_path / "backup")
    lost = f"does not have {CONFIG_MAP} any more"
    wait_until(lambda: reported(server, lost), "the lost object is named", 60)
    assert has_joined(cluster, ic)
    server.configure(cluster.configuration(ic))
    wait_until(lambda: not reported(server, lost), "it is there again")
    assert has_joined(cluster, ic)


def test_a_kind_that_is_removed_is_reported_and_comes_back(own: TestServer) -> None:
    """Without the CRD of Vpc there is a problem, and everything else stays and is followed."""
    own.configure({"enable-ic": "true"})
    own.subnet("a", "10.1.0.0/16")
    with following(own.kubeconfig, BRISK) as follower:
        before = follower.complete()
        kinds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        own.api.request("DELETE", f"{kinds}/vpcs.kubeovn.io")
        assert follower.troubled("NotFound").objects == before.objects
        own.subnet("b", "10.2.0.0/16")
        follower.has("Subnet", "b")
        own.api.apply_files(crds())
        follower.complete()
