"""`isthmus run --kubernetes` on real databases and a real API server, with the shipped role."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.controller.inputs.inputs import CONFIG_MAP
from support.kube.proxy import Proxy
from support.kube.roles import with_shipped_role
from support.kube.server import NAMESPACE, TestServer
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import wait_until

pytestmark = [pytest.mark.kube, pytest.mark.ovn]

EVENTS = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
OWN, REMOTE = "10.1.0.0/16", "10.2.0.0/16"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Cluster, IcServers]]:
    """A cluster, and the IC databases with a peer."""
    with cluster_in(tmp_path) as place:
        yield place


@pytest.fixture
def proxy(kube: TestServer) -> Iterator[Proxy]:
    """A proxy before the API server."""
    with Proxy(kube.server.port) as proxy:
        yield proxy


@pytest.fixture
def joined(
    place: tuple[Cluster, IcServers], kube: TestServer, proxy: Proxy
) -> tuple[Cluster, IcServers]:
    """Whether the cluster has joined according to its API server."""
    cluster, ic = place
    kube.configure(cluster.configuration(ic))
    kube.node("node1", "192.0.2.1")
    kube.subnet("net", OWN)
    kubeconfig = proxy.kubeconfig(with_shipped_role(kube))
    cluster.start("run", "--kubernetes", f"--kubeconfig={kubeconfig}")
    wait_until(lambda: cluster.learned() == {REMOTE} and OWN in ic.advertised(), "it has joined")
    return cluster, ic


def test_a_subnets_flag_is_obeyed_both_ways(
    joined: tuple[Cluster, IcServers], kube: TestServer
) -> None:
    """A private Subnet is withdrawn, and is advertised again when it is no longer private."""
    _, ic = joined
    kube.subnet("net", OWN, disableInterConnection=True)
    wait_until(lambda: OWN not in ic.advertised(), "it is withdrawn")
    kube.subnet("net", OWN)
    wait_until(lambda: OWN in ic.advertised(), "it is advertised again")


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (
            ("lr-route-del", "r", REMOTE),
            f"missing, and made again: OVN_Northbound Logical_Router_Static_Route {REMOTE}",
        ),
        (
            ("clear", "Logical_Router_Port", "az1-ts", "options"),
            "changed, and set back: OVN_Northbound Logical_Router_Port az1-ts (options)",
        ),
    ],
)
def test_a_repair_is_an_event(
    joined: tuple[Cluster, IcServers], kube: TestServer, change: tuple[str, ...], note: str
) -> None:
    """A row that was deleted, and a column that was changed by hand."""
    cluster, _ = joined

    def notes() -> list[str]:
        items = kube.api.request("GET", EVENTS)["items"]
        return [event["note"] for event in items if event["reason"] == "Repaired"]

    # The API server is shared by the tests of this module.
    before = notes()
    cluster.zone.nbctl(*change)
    wait_until(lambda: notes() == [*before, f"a row was {note}"], "the Event is written")


def test_deleting_the_configuration_leaves(
    joined: tuple[Cluster, IcServers], kube: TestServer
) -> None:
    """Without the ConfigMap, nothing of the cluster is left in the databases."""
    cluster, ic = joined
    kube.api.delete("ConfigMap", CONFIG_MAP.name, CONFIG_MAP.namespace)
    wait_until(lambda: not cluster.learned() and OWN not in ic.advertised(), "it has left")


def test_an_api_server_that_is_away_changes_nothing(
    joined: tuple[Cluster, IcServers], kube: TestServer, proxy: Proxy
) -> None:
    """The interconnection continues during an outage, and edits are applied after it."""
    cluster, ic = joined
    routes = cluster.routes()
    proxy.cut(refuse=True)
    kube.subnet("net", OWN, disableInterConnection=True)
    wait_until(lambda: "cannot be reached" in cluster.servers.log("run"), "the outage is reported")
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: len(cluster.learned()) == 2, "routes are learned meanwhile")
    assert OWN in ic.advertised()
    proxy.restore()
    wait_until(lambda: OWN not in ic.advertised(), "the edit is obeyed")
    assert set(routes.splitlines()) <= set(cluster.routes().splitlines())


def test_a_restart_withdraws_nothing(
    joined: tuple[Cluster, IcServers], kube: TestServer, proxy: Proxy
) -> None:
    """A daemon that starts while the API server is down changes nothing."""
    cluster, ic = joined
    proxy.cut(refuse=True)
    routes = cluster.routes()
    cluster.servers.stop("run")
    kubeconfig = next(kube.kubeconfig.parent.glob(f"isthmus*-{proxy.port}"))
    cluster.start("again", "--kubernetes", f"--kubeconfig={kubeconfig}")
    wait_until(
        lambda: "cannot be reached" in cluster.servers.log("again"), "the outage is reported"
    )
    assert cluster.routes() == routes
    assert OWN in ic.advertised()
    proxy.restore()
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: len(cluster.learned()) == 2, "work continues")
    assert set(routes.splitlines()) <= set(cluster.routes().splitlines())


def test_without_credentials_it_does_not_start(place: tuple[Cluster, IcServers]) -> None:
    """A missing kubeconfig is an error that names it and a remedy."""
    cluster, _ = place
    cluster.start("run", "--kubernetes", "--kubeconfig=/nowhere")
    wait_until(lambda: not cluster.servers.alive("run"), "it ends")
    assert "there is no file /nowhere" in cluster.servers.log("run")
