"""What `isthmus run --kubernetes` publishes on a real API server, with the shipped role."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus_lab.kube.api import ApiRequestError
from isthmus_lab.kube.roles import roles
from support.kube.proxy import Proxy
from support.kube.roles import with_shipped_role
from support.kube.server import CONFIG, NAMESPACE, TestServer
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import wait_until

pytestmark = [pytest.mark.kube, pytest.mark.ovn]

STATUS = "ovn-ic-status"
LABEL = "ovn.kubernetes.io/ic-gw"
EVENTS = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"


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


class Published:
    """A cluster that publishes, and what it has published."""

    def __init__(self, cluster: Cluster, ic: IcServers, kube: TestServer, kubeconfig: Path) -> None:
        self.cluster, self.ic, self.kube, self.kubeconfig = cluster, ic, kube, kubeconfig

    def start(self, name: str = "run") -> None:
        """Start a daemon."""
        self.cluster.start(name, "--kubernetes", f"--kubeconfig={self.kubeconfig}")

    def serve_gateway(self, chassis: str = "gw1") -> None:
        """Let a chassis serve the port, as its ovn-controller does."""
        port = f"cr-{self.cluster.zone.name}-ts"
        wait_until(lambda: self._bind(port, chassis), "the port can be bound")

    def configure(self, **changes: str) -> None:
        """Write the ConfigMap with some keys changed (_ for -)."""
        named = {key.replace("_", "-"): value for key, value in changes.items()}
        self.kube.configure(self.cluster.configuration(self.ic, **named))

    def data(self) -> Mapping[str, str]:
        """The status ConfigMap's data; empty if there is none."""
        try:
            found = self.kube.api.get("ConfigMap", STATUS, NAMESPACE)
        except ApiRequestError:
            return {}
        data: Mapping[str, str] = found.get("data") or {}
        return data

    def condition(self, kind: str) -> Mapping[str, str]:
        """A condition; all its fields are empty if it is missing."""
        listed = yaml.safe_load(self.data().get("conditions", "[]"))
        found: Mapping[str, str] = next((c for c in listed if c["type"] == kind), {})
        return {"status": "", "reason": "", "message": "", **found}

    def says(self, kind: str, status: str, reason: str = "") -> Callable[[], bool]:
        """Whether a condition has this status and, if one is given, this reason."""

        def said() -> bool:
            found = self.condition(kind)
            return found["status"] == status and reason in {"", found["reason"]}

        return said

    def events(self) -> list[Mapping[str, Any]]:
        """The Events, the oldest first."""
        found = self.kube.api.request("GET", EVENTS)["items"]
        return sorted(found, key=lambda event: str(event["eventTime"]))

    def event(self, kind: str, reason: str) -> bool:
        """Whether an Event reports that a condition has this reason."""
        return any(
            event["reason"] == reason and event["note"].startswith(f"{kind}=")
            for event in self.events()
        )

    def label(self, node: str) -> str | None:
        """The gateway label of a node."""
        labels = self.kube.api.get("Node", node)["metadata"].get("labels", {})
        value: str | None = labels.get(LABEL)
        return value

    def _bind(self, port: str, chassis: str) -> bool:
        try:
            self.cluster.zone.sbctl("--may-exist", "lsp-bind", port, chassis)
        except subprocess.CalledProcessError:  # northd has not made it yet
            return False
        return True


@pytest.fixture
def published(place: tuple[Cluster, IcServers], kube: TestServer, proxy: Proxy) -> Published:
    """A cluster that has published that it has joined; its API traffic passes the proxy."""
    kubeconfig = proxy.kubeconfig(with_shipped_role(kube))
    published = Published(*place, kube, kubeconfig)
    published.configure()
    kube.node("node1", "192.0.2.1")
    kube.node("node9", "192.0.2.9")
    kube.subnet("net", "10.1.0.0/16")
    published.start()
    published.serve_gateway()
    wait_until(published.says("Joined", "True", "Joined"), "it says that it has joined")
    return published


def test_what_is_published(published: Published) -> None:
    """All conditions are healthy, and the facts are those of the databases."""
    wait_until(lambda: yaml.safe_load(published.data()["routes"])["learned"] == 1, "routes")
    data = published.data()
    assert {key: data[key] for key in ("accepted", "joined", "conflict", "degraded", "zone")} == {
        "accepted": "True", "joined": "True", "conflict": "False", "degraded": "False",
        "zone": "az1",
    }  # fmt: skip
    configuration = published.kube.api.get("ConfigMap", CONFIG, NAMESPACE)
    version = configuration["metadata"]["resourceVersion"]
    assert yaml.safe_load(data["observed"])["resourceVersion"] == version
    assert published.condition("Joined")["observedResourceVersion"] == version
    (switch,) = yaml.safe_load(data["transitSwitches"])
    assert switch["name"] == "ts"
    assert switch["gateway"] == "node1"
    assert yaml.safe_load(data["gateways"]) == [
        {"node": "node1", "chassis": "gw1", "activeOn": ["ts"]}
    ]
    assert [zone["name"] for zone in yaml.safe_load(data["zones"])] == ["az2"]
    assert yaml.safe_load(data["problems"]) == []
    wait_until(lambda: published.event("Joined", "Joined"), "the Event appears")
    event = published.events()[-1]
    assert event["regarding"]["name"] == CONFIG
    assert event["regarding"]["uid"] == configuration["metadata"]["uid"]


def test_an_invalid_value_is_told_and_mending_it_is_enough(published: Published) -> None:
    """The condition names the value, the rest continues, and the time is that of the change."""
    before = published.condition("Joined")
    published.configure(gw_nodes="node1;")
    wait_until(published.says("Accepted", "False", "InvalidValue"), "it is refused")
    assert "not a valid node name" in published.condition("Accepted")["message"]
    assert published.condition("Degraded")["status"] == "True"
    assert published.condition("Joined") == before
    wait_until(lambda: published.event("Accepted", "InvalidValue"), "the Event appears")
    published.configure()
    wait_until(published.says("Accepted", "True"), "it is accepted again")
    wait_until(published.says("Degraded", "False"), "nothing is degraded")
    wait_until(lambda: published.event("Accepted", "Valid"), "the next Event appears")


def test_a_conflict_comes_and_goes(published: Published) -> None:
    """A Subnet that overlaps a remote prefix is a conflict while it exists."""
    published.kube.subnet("other", "10.2.7.0/24")
    wait_until(published.says("Conflict", "True", "OverlappingPrefix"), "the conflict is seen")
    message = published.condition("Conflict")["message"]
    assert all(word in message for word in ("10.2.0.0/16", "10.2.7.0/24", "az2", "other")), message
    wait_until(lambda: published.event("Conflict", "OverlappingPrefix"), "the Event appears")
    published.kube.api.delete("Subnet", "other")
    wait_until(published.says("Conflict", "False"), "it is over")


def test_gateway_labels_follow_the_configuration(published: Published) -> None:
    """Nodes are labelled when they exist, and the one that serves until another can serve."""
    wait_until(lambda: published.label("node1") == "true", "the gateway is labelled")
    assert published.label("node9") is None
    published.configure(gw_nodes="node9,node7")
    wait_until(lambda: published.label("node9") == "true", "the new one is")
    wait_until(published.says("Degraded", "True"), "none of them has a chassis")
    published.kube.node("node7", "192.0.2.7")
    wait_until(lambda: published.label("node7") == "true", "a node that comes later")
    assert published.label("node1") == "true"
    published.configure(enable_ic="false")
    wait_until(lambda: published.label("node9") == "false", "leaving takes them back")
    wait_until(lambda: published.label("node7") == "false", "from all")
    wait_until(lambda: published.label("node1") == "false", "also from the one that served")
    wait_until(published.says("Joined", "False", "NotEnabled"), "it has left")


def test_hand_edits_and_deletion_are_mended(published: Published) -> None:
    """Edits and deletion of the status are undone, also if they recur."""
    api = published.kube.api
    began = time.monotonic()
    api.merge("ConfigMap", STATUS, {"data": {"joined": "False", "conditions": "- ["}}, NAMESPACE)
    wait_until(lambda: published.data()["joined"] == "True", "the status is restored")
    assert time.monotonic() - began < 1.0
    since = published.condition("Joined")["lastTransitionTime"]
    api.delete("ConfigMap", STATUS, NAMESPACE)
    wait_until(lambda: published.data().get("joined") == "True", "it is there again")
    assert published.condition("Joined")["lastTransitionTime"] == since
    for _ in range(20):
        api.merge("ConfigMap", STATUS, {"data": {"joined": "False"}}, NAMESPACE)
    wait_until(lambda: published.data()["joined"] == "True", "the status is restored in the end")


def test_without_a_role_the_interconnection_goes_on(
    published: Published, place: tuple[Cluster, IcServers]
) -> None:
    """Without the role, routes are learned and a problem is logged; applying the role fixes it."""
    cluster, ic = place
    role = next(one for one in roles(NAMESPACE) if one["kind"] == "Role")
    narrow = [rule for rule in role["rules"] if STATUS not in rule.get("resourceNames", ())]
    published.kube.api.apply({**role, "rules": narrow})
    published.kube.subnet("other", "10.2.7.0/24")
    wait_until(lambda: "forbidden" in cluster.servers.log("run"), "it is logged")
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: "10.3.0.0/16" in cluster.learned(), "routes are learned")
    published.kube.api.apply(role)
    wait_until(published.says("Conflict", "True"), "it is published at last")
    wait_until(published.says("Degraded", "False"), "and nothing is forbidden any more")


def test_an_api_server_that_stalls_holds_nothing_up(
    published: Published, place: tuple[Cluster, IcServers], proxy: Proxy
) -> None:
    """Routes are learned while the API server stalls, and are published afterwards."""
    cluster, ic = place
    proxy.stall()
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: "10.3.0.0/16" in cluster.learned(), "routes are learned")
    proxy.cut()
    proxy.restore()
    wait_until(
        lambda: yaml.safe_load(published.data()["routes"])["learned"] == 2,
        "the problem is reported",
    )


def test_the_standby_publishes_when_it_takes_over(published: Published) -> None:
    """A standby that becomes active publishes, and keeps the times of the conditions."""
    before = published.condition("Joined")
    by = published.data()["publishedBy"]
    published.start("standby")
    wait_until(
        lambda: "standby: waiting" in published.cluster.servers.log("standby"), "it stands by"
    )
    events = len(published.events())
    published.cluster.servers.stop("run", 9)
    wait_until(lambda: "active" in published.cluster.servers.log("standby"), "it takes over")
    published.configure(gw_nodes="node1, node1")
    wait_until(published.says("Degraded", "True", "Ineffective"), "it publishes")
    assert published.condition("Joined")["lastTransitionTime"] == before["lastTransitionTime"]
    assert published.data()["publishedBy"] == by
    joined = [e for e in published.events()[events:] if e["note"].startswith("Joined=")]
    assert not joined
