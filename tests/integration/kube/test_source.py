"""The Kubernetes API as a source, on a real API server with the role that is shipped.

Faults of the connection are made by a proxy before that server.
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from isthmus.controller.inputs.inputs import CONFIG_MAP
from isthmus.controller.inputs.snapshot import ObjectKey
from isthmus.kube import credentials
from isthmus.kube.client import Client
from isthmus.kube.credentials import KubeCredentials
from isthmus.kube.errors import ApiError
from isthmus.kube.list_watch import Timing
from isthmus_lab.kube.api import ApiRequestError
from isthmus_lab.kube.server import crds
from support.kube.proxy import Proxy
from support.kube.roles import with_shipped_role
from support.kube.server import TestServer, running_server
from support.kube.source import BRISK, Follower, following
from support.ovn.servers import wait_until

pytestmark = pytest.mark.kube

RBAC = "/apis/rbac.authorization.k8s.io/v1"
KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def role(kube: TestServer) -> Path:
    """A kubeconfig of the shipped ServiceAccount."""
    return with_shipped_role(kube)


@pytest.fixture
def proxy(kube: TestServer) -> Iterator[Proxy]:
    """A proxy before the API server."""
    with Proxy(kube.server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """An API server that these tests may stop and change as they like."""
    with running_server(tmp_path_factory.mktemp("own")) as server:
        yield server


def cidr(follower: Follower, name: str) -> object:
    return follower.last.objects[ObjectKey("Subnet", "", name)].body["spec"]["cidrBlock"]


def test_edits_arrive(kube: TestServer, role: Path) -> None:
    """Creation, change and deletion arrive as events; other objects keep their values."""
    kube.configure({"enable-ic": "true"})
    kube.node("n1", "192.0.2.1")
    kube.subnet("a", "10.1.0.0/16")
    with following(role) as follower:
        first = follower.complete()
        assert len(follower.snapshots) == 1
        kube.subnet("b", "10.2.0.0/16")
        follower.has("Subnet", "b")
        kube.subnet("b", "10.3.0.0/16")
        follower.until(lambda _: cidr(follower, "b") == "10.3.0.0/16", "the CIDR")
        kube.vpc("v")
        follower.has("Vpc", "v")
        kube.api.delete("Subnet", "a")
        follower.lacks("Subnet", "a")
        kube.api.delete("ConfigMap", CONFIG_MAP.name, CONFIG_MAP.namespace)
        follower.lacks("ConfigMap", CONFIG_MAP.name)
        node = ObjectKey("Node", "", "n1")
        assert follower.last.objects[node] is first.objects[node]
        assert all(found.complete and not found.problems for found in follower.snapshots)


def test_only_the_named_config_map_is_asked_for(kube: TestServer, role: Path) -> None:
    """With the shipped role, only the ConfigMap of the configuration is read."""
    kube.configure({"enable-ic": "true"})
    kube.configure({"secret": "x"}, name="other")
    with following(role) as follower:
        follower.complete()
        found = follower.last.of_kind("ConfigMap")
        assert [manifest.key for manifest in found] == [CONFIG_MAP]
        assert found[0].body["metadata"]["resourceVersion"]


def test_long_lists_are_read_in_pages(kube: TestServer, role: Path) -> None:
    """All pages together are one list."""
    for number in range(5):
        kube.subnet(f"s{number}", f"10.{number}.0.0/16")
    with following(role, BRISK) as follower:
        assert len(follower.complete().of_kind("Subnet")) == 5


def test_heartbeats_are_no_news(kube: TestServer, role: Path) -> None:
    """Heartbeats of Nodes make no snapshot."""
    kube.node("n1", "192.0.2.1")
    with following(role) as follower:
        follower.complete()
        beat = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
        body = {"status": {"conditions": [beat]}}
        merge = "application/merge-patch+json"
        kube.api.request("PATCH", "/api/v1/nodes/n1/status", body, merge)
        kube.subnet("after", "10.1.0.0/16")
        follower.has("Subnet", "after")
        assert len(follower.snapshots) == 2


def test_a_burst_is_gathered(kube: TestServer, role: Path) -> None:
    """Many changes at once make fewer snapshots, and the last one has all of them."""
    with following(role) as follower:
        follower.complete()
        for number in range(100):
            kube.subnet(f"s{number}", f"10.{number}.0.0/16")
        follower.has("Subnet", "s99")
        assert len(follower.last.of_kind("Subnet")) == 100
        assert len(follower.snapshots) < 50


def test_watches_that_end_are_resumed(kube: TestServer, role: Path) -> None:
    """Watches that the server ends are resumed without a list, and no event is missed."""
    kube.subnet("a", "10.1.0.0/16")
    with following(role, Timing(watch=1.0, silence=3.0)) as follower:
        follower.complete()
        wait_until(lambda: follower.client.watches >= 12, "each kind is watched for the third time")
        kube.subnet("b", "10.2.0.0/16")
        follower.has("Subnet", "b")
        assert follower.client.lists == 4
        assert not any(found.problems for found in follower.snapshots)


def test_what_happened_while_disconnected_is_seen(
    kube: TestServer, role: Path, proxy: Proxy
) -> None:
    """An outage is a problem; objects deleted meanwhile are gone after it, not before."""
    kube.subnet("stays", "10.1.0.0/16")
    kube.subnet("goes", "10.2.0.0/16")
    with following(proxy.kubeconfig(role), BRISK) as follower:
        before = follower.complete()
        proxy.cut(refuse=True)
        kube.api.delete("Subnet", "goes")
        kube.subnet("comes", "10.3.0.0/16")
        assert follower.troubled("Unreachable").objects == before.objects
        proxy.restore()
        follower.has("Subnet", "comes")
        follower.lacks("Subnet", "goes")
        follower.complete()
        stays = ObjectKey("Subnet", "", "stays")
        assert all(stays in found.objects for found in follower.snapshots)


def test_connections_that_break_again_and_again(kube: TestServer, role: Path, proxy: Proxy) -> None:
    """With connections that are reset repeatedly, every edit arrives and no object seems gone."""
    kube.subnet("stays", "10.1.0.0/16")
    with following(proxy.kubeconfig(role), BRISK) as follower:
        follower.complete()
        for number in range(10):
            proxy.cut()
            kube.subnet("moves", f"10.{number + 10}.0.0/16")
            follower.has("Subnet", "moves")
            wanted = f"10.{number + 10}.0.0/16"
            follower.until(lambda _, wanted=wanted: cidr(follower, "moves") == wanted, wanted)  # type: ignore[misc]
        stays = ObjectKey("Subnet", "", "stays")
        assert all(stays in found.objects for found in follower.snapshots)


def test_a_server_that_stalls(kube: TestServer, role: Path, proxy: Proxy) -> None:
    """A server that accepts connections and stalls is reported, and requested again."""
    with following(proxy.kubeconfig(role), BRISK) as follower:
        follower.complete()
        proxy.stall()
        assert "does not answer" in str(follower.troubled("Unreachable").problems)
        proxy.restore()
        follower.complete()
        kube.subnet("after", "10.1.0.0/16")
        follower.has("Subnet", "after")


def test_a_start_before_the_server(kube: TestServer, role: Path, proxy: Proxy) -> None:
    """A daemon that starts before the API server reports it, and continues when it is up."""
    kube.subnet("a", "10.1.0.0/16")
    proxy.cut(refuse=True)
    with following(proxy.kubeconfig(role), BRISK) as follower:
        snapshot = follower.troubled("Unreachable")
        assert not snapshot.complete
        assert len(snapshot.problems) == 1
        proxy.restore()
        assert follower.complete().of_kind("Subnet")


def test_a_slow_connection(kube: TestServer, role: Path, proxy: Proxy) -> None:
    """A slow connection is not a problem."""
    kube.subnet("a", "10.1.0.0/16")
    proxy.delay = 0.1
    with following(proxy.kubeconfig(role)) as follower:
        assert follower.complete().of_kind("Subnet")
        kube.subnet("b", "10.2.0.0/16")
        follower.has("Subnet", "b")


def test_what_the_role_lacks_is_named_and_the_rest_goes_on(kube: TestServer) -> None:
    """A denied kind is a problem with verb, resource and user; applying the role fixes it."""
    kube.configure({"enable-ic": "true"})
    kube.subnet("a", "10.1.0.0/16")
    kube.node("n1", "192.0.2.1")
    grant(kube, "jo", "some", "subnets", "vpcs", "configmaps")
    with following(kube.for_user("jo"), BRISK) as follower:
        snapshot = follower.troubled("Forbidden")
        assert not snapshot.complete
        follower.has("Subnet", "a")
        follower.has("ConfigMap", CONFIG_MAP.name)
        (problem,) = follower.last.problems
        assert problem.key == "nodes"
        assert 'User "jo" cannot list resource "nodes"' in problem.message
        grant(kube, "jo", "rest", "nodes")
        assert follower.complete().of_kind("Node")


def test_a_role_that_is_taken_away(kube: TestServer) -> None:
    """Objects stay in force when a role is taken away, and it is a problem."""
    kube.subnet("a", "10.1.0.0/16")
    grant(kube, "al", "all", "subnets", "vpcs", "configmaps", "nodes")
    with following(kube.for_user("al"), BRISK) as follower:
        before = follower.complete()
        kube.api.request("DELETE", f"{RBAC}/clusterrolebindings/all")
        snapshot = follower.troubled("Forbidden")
        assert snapshot.complete
        assert snapshot.objects == before.objects


def grant(kube: TestServer, user: str, name: str, *resources: str) -> None:
    """Let a user read resources."""
    rules = [
        {"apiGroups": ["", "kubeovn.io"], "resources": [resource], "verbs": ["list", "watch"]}
        for resource in resources
    ]
    group = "rbac.authorization.k8s.io"
    head = {"apiVersion": f"{group}/v1", "metadata": {"name": name}}
    kube.api.apply({**head, "kind": "ClusterRole", "rules": rules})
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    subjects = [{"kind": "User", "name": user, "apiGroup": group}]
    binding = {"kind": "ClusterRoleBinding", "roleRef": reference, "subjects": subjects}
    kube.api.apply({**head, **binding})


def test_credentials_that_are_replaced(kube: TestServer, role: Path, tmp_path: Path) -> None:
    """A rejected token is a problem; a new one in the file is used without a restart."""
    good = yaml.safe_load(role.read_text())
    bad = yaml.safe_load(role.read_text())
    bad["users"][0]["user"] = {"token": "expired"}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(bad))
    with following(file, BRISK) as follower:
        assert not follower.troubled("Unauthorized").complete
        file.write_text(yaml.safe_dump(good))
        follower.complete()


def test_a_pods_token_is_rotated(
    kube: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: Path
) -> None:
    """In a pod, server, CA certificate and token are those of the ServiceAccount."""
    config = yaml.safe_load(role.read_text())
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("expired")
    authority.write_bytes(
        Path(config["clusters"][0]["cluster"]["certificate-authority"]).read_bytes()
    )
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(kube.server.port))
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path)
    with following(None, BRISK) as follower:
        follower.troubled("Unauthorized")
        token.write_text(config["users"][0]["user"]["token"])
        follower.complete()


def test_a_certificate_that_is_not_trusted(
    kube: TestServer, own: TestServer, tmp_path: Path
) -> None:
    """A server whose certificate is not trusted is a problem, and nothing is read from it."""
    config = yaml.safe_load(kube.kubeconfig.read_text())
    other = yaml.safe_load(own.kubeconfig.read_text())
    trusted = other["clusters"][0]["cluster"]["certificate-authority"]
    config["clusters"][0]["cluster"]["certificate-authority"] = trusted
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    with following(file, BRISK) as follower:
        snapshot = follower.troubled("TLS")
        assert "self-signed" in str(snapshot.problems) or "unable to get" in str(snapshot.problems)
        assert not snapshot.complete


def test_expired_pages_are_known_as_such(own: TestServer) -> None:
    """A page whose version etcd has compacted is answered with 410, which restarts the list."""
    for number in range(3):
        own.subnet(f"s{number}", f"10.{number}.0.0/16")
    client = Client(KubeCredentials(own.kubeconfig))
    path = "/apis/kubeovn.io/v1/subnets"
    first = client.call("GET", path, {"limit": "1"})
    own.subnet("later", "10.9.0.0/16")
    # A server that was there all the time answers from memory.
    own.stop_apiserver()
    compact(own)
    own.start_apiserver()
    with pytest.raises(ApiError) as caught:
        client.call("GET", path, {"limit": "1", "continue": first["metadata"]["continue"]})
    assert caught.value.failure.expired
    client.close()


def compact(server: TestServer) -> None:
    """Let etcd discard all versions but the newest."""
    url = f"http://127.0.0.1:{server.server.etcd_port}/v3/kv"

    def post(verb: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
        request = urllib.request.Request(f"{url}/{verb}", json.dumps(body).encode())  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own etcd
            found: dict[str, dict[str, str]] = json.load(answer)
        return found

    revision = post("range", {"key": "AA=="})["header"]["revision"]
    post("compaction", {"revision": revision, "physical": True})


def test_a_restart_that_forgets_versions(own: TestServer) -> None:
    """After 410 Gone everything is listed again, and objects that stayed never seem gone."""
    own.subnet("stays", "10.1.0.0/16")
    own.subnet("goes", "10.2.0.0/16")
    with (
        Proxy(own.server.port) as proxy,
        following(proxy.kubeconfig(own.kubeconfig), BRISK) as follower,
    ):
        follower.complete()
        proxy.cut(refuse=True)
        own.api.delete("Subnet", "goes")
        own.stop_apiserver()
        compact(own)
        own.start_apiserver()
        lists = follower.client.lists
        proxy.restore()
        follower.lacks("Subnet", "goes")
        follower.complete()
        assert follower.client.lists > lists
        stays = ObjectKey("Subnet", "", "stays")
        assert all(stays in found.objects for found in follower.snapshots)


def test_a_restart_of_the_server(own: TestServer) -> None:
    """Objects stay in force while the API server is down, and edits arrive afterwards."""
    own.subnet("stays", "10.1.0.0/16")
    with following(own.kubeconfig, BRISK) as follower:
        before = follower.complete()
        own.stop_apiserver()
        assert follower.troubled("Unreachable").objects == before.objects
        own.start_apiserver()
        own.subnet("after", "10.2.0.0/16")
        follower.has("Subnet", "after")
        follower.complete()
        stays = ObjectKey("Subnet", "", "stays")
        assert all(found.objects[stays] is before.objects[stays] for found in follower.snapshots)


def test_kinds_that_are_installed_later(own: TestServer) -> None:
    """Without Kube-OVN's kinds the problem says what to install; installing them fixes it."""
    for name in ("subnets.kubeovn.io", "vpcs.kubeovn.io"):
        own.api.request("DELETE", f"{KINDS}/{name}")
    wait_until(lambda: not served(own, "subnets") and not served(own, "vpcs"), "they are gone")
    with following(own.kubeconfig, BRISK) as follower:
        snapshot = follower.until(lambda found: len(found.problems) == 2, "both kinds are missed")
        assert not snapshot.complete
        assert {problem.reason for problem in snapshot.problems} == {"NotFound"}
        own.api.apply_files(crds())
        follower.complete()
        own.subnet("after", "10.2.0.0/16")
        follower.has("Subnet", "after")


def served(server: TestServer, plural: str) -> bool:
    """Whether a kind of Kube-OVN is served."""
    try:
        server.api.request("GET", f"/apis/kubeovn.io/v1/{plural}")
    except ApiRequestError:
        return False
    return True
