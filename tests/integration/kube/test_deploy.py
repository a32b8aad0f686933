"""deploy/kubernetes on a real API server: valid objects, and roles without excess permissions."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus_lab.kube.api import ApiRequestError, KubeApi
from isthmus_lab.kube.assets import program
from support.kube.roles import with_shipped_role
from support.kube.server import CONFIG, NAMESPACE, TestServer

pytestmark = pytest.mark.kube

DEPLOY = Path(__file__).parents[3] / "deploy" / "kubernetes"
VARIANTS = (".", "overlays/tls", "overlays/host-network")
STATUS = "ovn-ic-status"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
CONFIG_MAPS = f"{CORE}/configmaps"
EVENTS = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

Objects = list[dict[str, Any]]


@pytest.fixture(scope="module", params=VARIANTS)
def objects(request: pytest.FixtureRequest) -> Objects:
    """The objects of each variant, built by kubectl."""
    kubectl = program("kubectl")
    if not kubectl:
        pytest.fail("kubectl is missing; `make kube-assets` builds it")
    command = [kubectl, "kustomize", str(DEPLOY / request.param)]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return list(yaml.safe_load_all(text))


def try_out(api: KubeApi, manifest: dict[str, Any]) -> None:
    """Let the server validate an object, unknown fields included, without storing it."""
    place, metadata = (
        api.resource_path(manifest["apiVersion"], manifest["kind"]),
        manifest["metadata"],
    )
    path = place.of(metadata.get("namespace", ""), metadata["name"])
    query = "dryRun=All&fieldValidation=Strict&fieldManager=test&force=true"
    api.request("PATCH", f"{path}?{query}", manifest, APPLY)


def test_the_server_accepts_every_object(kube: TestServer, objects: Objects) -> None:
    """Every object of every variant passes the server's strict validation."""
    assert {found["kind"] for found in objects} >= {"Deployment", "Role", "NetworkPolicy"}
    for found in objects:
        try_out(kube.api, found)


def test_its_pods_are_admitted(kube: TestServer, objects: Objects) -> None:
    """A pod passes the strictest Pod Security level, except for the host network if it uses it."""
    [deployment] = [found for found in objects if found["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    level = "privileged" if template["spec"].get("hostNetwork") else "restricted"
    namespace = f"pods-{level}"
    labels = {"pod-security.kubernetes.io/enforce": level}
    metadata = {"name": namespace, "labels": labels}
    kube.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    metadata = {**template["metadata"], "name": "isthmus", "namespace": namespace}
    try_out(
        kube.api,
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]},
    )


@pytest.fixture
def isthmus(kube: TestServer) -> KubeApi:
    """The API as the shipped ServiceAccount, in a cluster with a configuration and a node."""
    kube.configure({"enable-ic": "false"})
    kube.node("node1", "192.0.2.1")
    kube.api.apply(config_map("others"))
    return KubeApi(with_shipped_role(kube))


def config_map(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}


def event() -> dict[str, Any]:
    about = {"apiVersion": "v1", "kind": "ConfigMap", "name": CONFIG, "namespace": NAMESPACE}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "isthmus.1", "namespace": NAMESPACE},
        "eventTime": "2020-01-01T00:00:00.000000Z",
        "reportingController": "isthmus",
        "reportingInstance": "isthmus-1",
        "action": "Join",
        "reason": "Joined",
        "type": "Normal",
        "regarding": about,
    }


def test_it_may_do_its_work(isthmus: KubeApi) -> None:
    """With the role, Isthmus can read its inputs and write status, Events and labels."""
    for resource in ("subnets", "vpcs"):
        isthmus.request("GET", f"/apis/kubeovn.io/v1/{resource}")
    isthmus.request("GET", "/api/v1/nodes")
    for name in (CONFIG, STATUS):
        isthmus.request("GET", f"{CONFIG_MAPS}?fieldSelector=metadata.name%3D{name}")
    status = f"{CONFIG_MAPS}/{STATUS}?fieldManager=isthmus&force=true"
    for content in ("created", "changed"):
        manifest = {**config_map(STATUS), "data": {"conditions": content}}
        assert isthmus.request("PATCH", status, manifest, APPLY)["data"]["conditions"] == content
    isthmus.request("POST", EVENTS, event())
    labels = {"metadata": {"labels": {"ovn.kubernetes.io/ic-gw": "true"}}}
    isthmus.request("PATCH", "/api/v1/nodes/node1", labels, MERGE)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", CONFIG_MAPS, None),
        ("GET", f"{CONFIG_MAPS}/others", None),
        ("POST", CONFIG_MAPS, config_map("more")),
        ("POST", CONFIG_MAPS, config_map(STATUS)),
        ("PATCH", f"{CONFIG_MAPS}/more?fieldManager=x", config_map("more")),
        ("PATCH", f"{CONFIG_MAPS}/{CONFIG}?fieldManager=x", config_map(CONFIG)),
        ("DELETE", f"{CONFIG_MAPS}/{CONFIG}", None),
        ("DELETE", f"{CONFIG_MAPS}/{STATUS}", None),
        ("GET", f"{CORE}/secrets", None),
        ("GET", f"{CORE}/pods", None),
        ("GET", f"{EVENTS}", None),
        ("PATCH", f"{EVENTS}/isthmus.1?fieldManager=x", {"note": "changed"}),
        (
            "GET",
            "/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3D" + CONFIG,
            None,
        ),
        ("DELETE", "/api/v1/nodes/node1", None),
        ("PATCH", "/api/v1/nodes/node1/status", {"status": {}}),
        ("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}),
        ("DELETE", "/apis/kubeovn.io/v1/subnets", None),
        ("PATCH", "/apis/kubeovn.io/v1/vpcs/v?fieldManager=x", {"spec": {}}),
        ("POST", f"{CORE}/serviceaccounts/isthmus/token", {}),
    ],
)
def test_it_may_do_no_more(
    isthmus: KubeApi, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """All other requests are refused: other ConfigMaps, Secrets, deletions, statuses of Nodes."""
    with pytest.raises(ApiRequestError) as caught:
        isthmus.request(method, path, body, APPLY if method == "PATCH" else "application/json")
    assert caught.value.status == 403
