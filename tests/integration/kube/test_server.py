"""The API server of the tests and the lab is a real one: it enforces roles and validates kinds."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from isthmus_lab.kube.api import ApiRequestError, KubeApi
from support.kube.server import CONFIG, NAMESPACE, TestServer, running_server
from support.ovn.servers import wait_until

pytestmark = pytest.mark.kube

READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: subnet-reader}
rules:
  - {apiGroups: [kubeovn.io], resources: [subnets], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: subnet-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: subnet-reader}
subjects:
  - {kind: User, name: reader}
  - {kind: ServiceAccount, name: reader, namespace: kube-system}
"""


@pytest.fixture
def reader(kube: TestServer, tmp_path: Path) -> TestServer:
    """The server, with a role that may read Subnets."""
    file = tmp_path / "role.yaml"
    file.write_text(READER)
    kube.api.apply_files([file])
    return kube


def refused(api: KubeApi, method: str, path: str) -> int:
    """The status of the refusal of a request."""
    with pytest.raises(ApiRequestError) as caught:
        api.request(method, path)
    return caught.value.status


@pytest.mark.parametrize("account", [False, True], ids=["certificate", "token"])
def test_a_role_decides(reader: TestServer, account: bool) -> None:
    """A user or ServiceAccount has the permissions of its role and no others."""
    reader.subnet("apps", "10.26.0.0/16")
    kubeconfig = reader.for_service_account("reader") if account else reader.for_user("reader")
    api = KubeApi(kubeconfig)
    assert api.get("Subnet", "apps")["spec"]["cidrBlock"] == "10.26.0.0/16"
    assert refused(api, "DELETE", "/apis/kubeovn.io/v1/subnets/apps") == 403
    assert refused(api, "GET", "/api/v1/nodes") == 403


def test_nobody_is_anonymous(kube: TestServer, tmp_path: Path) -> None:
    """Without credentials every request is refused."""
    nobody = KubeApi(kube.server.for_token("nobody", "no-token"))
    assert refused(nobody, "GET", "/readyz") == 401


def test_kinds_are_checked(kube: TestServer) -> None:
    """A Subnet whose fields have the wrong type is refused, and unknown fields are kept."""
    with pytest.raises(ApiRequestError, match="disableInterConnection"):
        kube.subnet("bad", "10.1.0.0/16", disableInterConnection="yes")
    kube.subnet("good", "10.1.0.0/16", natOutgoing=True)
    assert kube.api.get("Subnet", "good")["spec"]["natOutgoing"] is True


def test_objects_are_replaced_merged_and_deleted(kube: TestServer) -> None:
    """An apply replaces the whole object; a merge changes the given keys."""
    kube.configure({"az-name": "az1", "mtu": "1300"})
    kube.configure({"az-name": "az2"})
    kube.api.merge("ConfigMap", CONFIG, {"data": {"gw-nodes": "n1", "az-name": None}}, NAMESPACE)
    assert kube.api.get("ConfigMap", CONFIG, NAMESPACE)["data"] == {"gw-nodes": "n1"}
    kube.api.delete("ConfigMap", CONFIG, NAMESPACE)
    kube.api.delete("ConfigMap", CONFIG, NAMESPACE)
    with pytest.raises(ApiRequestError, match="404"):
        kube.api.get("ConfigMap", CONFIG, NAMESPACE)


def test_changes_are_watched(kube: TestServer) -> None:
    """A watch sends the existing objects, and then every change."""
    kube.node("n1", "192.0.2.1")
    events = kube.api.watch("/api/v1/nodes")
    kind, node = next(events)
    assert (kind, node["status"]["addresses"][0]["address"]) == ("ADDED", "192.0.2.1")
    kube.api.merge("Node", "n1", {"metadata": {"labels": {"ovn.kubernetes.io/ic-gw": "true"}}})
    kube.api.delete("Node", "n1")
    assert [kind for kind, _ in islice(events, 2)] == ["MODIFIED", "DELETED"]


@pytest.mark.slow
def test_a_crash_loses_nothing(tmp_path: Path) -> None:
    """An API server that is killed and restarted still has its objects."""
    with running_server(tmp_path) as server:
        server.vpc("blue")
        server.stop_apiserver()
        assert not server.api.is_ready()
        server.start_apiserver()
        assert server.api.get("Vpc", "blue")["metadata"]["name"] == "blue"


@pytest.mark.slow
def test_nothing_outlives_a_killed_test(tmp_path: Path) -> None:
    """API server and etcd end with a test run that is killed."""
    code = (
        "import sys; from pathlib import Path; from support.kube.server import TestServer\n"
        "server = TestServer(Path(sys.argv[1])); server.start(); print('up', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    tests = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=tests, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        assert len(children) == 2
        run.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "both are gone")
