"""The shipped roles, for tests."""

from pathlib import Path

from isthmus_lab.kube.api import KubeApi
from isthmus_lab.kube.roles import ACCOUNT, roles
from support.kube.server import NAMESPACE, TestServer
from support.ovn.servers import wait_until


def with_shipped_role(kube: TestServer) -> Path:
    """A kubeconfig with a token of the shipped ServiceAccount, once its roles are in force."""
    for found in roles(NAMESPACE):
        kube.api.apply(found)
    kubeconfig = kube.for_service_account(ACCOUNT)
    api = KubeApi(kubeconfig)
    wait_until(lambda: _may_watch_nodes(api), "the role is in force")
    return kubeconfig


def _may_watch_nodes(api: KubeApi) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "watch", "resource": "nodes"}},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = api.request("POST", path, review)
    return bool(answer["status"]["allowed"])
