"""The lab with an API server per cluster: the same networks, configured through Kubernetes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from isthmus_lab.kube.api import ApiRequestError, KubeApi
from isthmus_lab.kube.roles import ACCOUNT
from isthmus_lab.lab import Lab
from isthmus_lab.status import status_of
from isthmus_lab.system import processes
from isthmus_lab.topology.loader import find, load, parse
from isthmus_lab.topology.schema import Topology
from isthmus_lab.traffic import probe
from isthmus_lab.waiting import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.kube]

ISTHMUS = str(Path(sys.executable).with_name("isthmus"))
LABEL = "ovn.kubernetes.io/ic-gw"
EVENTS = "/apis/events.k8s.io/v1/namespaces/kube-system/events"
LIMIT_S = 30.0


def kube_topology(name: str = "demo") -> Topology:
    """A topology with API servers."""
    return load(find(name)).model_copy(update={"kubernetes": True})


def interconn(lab: Lab, node: str) -> str:
    """The value of ovn-is-interconn in a node's Open vSwitch; empty if there is none."""
    socket = f"--db=unix:{lab.layout.run(node) / 'db.sock'}"
    get = ["--if-exists", "get", "Open_vSwitch", ".", "external_ids:ovn-is-interconn"]
    return lab.run(node, ["ovs-vsctl", socket, *get]).strip().strip('"')


@pytest.mark.slow
def test_demo_by_kubectl(lab_name: Callable[[], str]) -> None:
    """The demo passes with API servers and prints its kubectl commands."""
    name = lab_name()
    command = [ISTHMUS, "lab", "demo", "--kube", "-n", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All checks passed" in done.stdout
    assert f"lab kubectl -n {name} az1 patch subnet apps" in done.stdout
    kubectl = [ISTHMUS, "lab", "kubectl", "-n", name, "az2", "get", "subnet", "apps", "-o", "json"]
    subnet = json.loads(subprocess.run(kubectl, capture_output=True, check=True).stdout)
    assert subnet["spec"]["cidrBlock"] == "10.27.0.0/16"


def event_reasons(lab: Lab, *types: str) -> set[str]:
    """The reasons of the Events in az1, of some types or of all."""
    items = lab.cluster("az1").api.request("GET", EVENTS)["items"]
    return {event["reason"] for event in items if not types or event["type"] in types}


@pytest.mark.slow
def test_clusters_with_api_servers(make_lab: Callable[[Topology], Lab]) -> None:
    """Objects and labels work as with Kube-OVN, with no other rights than the shipped role."""
    lab = make_lab(kube_topology())
    paths = probe.paths(lab.plan.pods, lab.plan.pods)
    wait_until(lambda: len(probe.ping(lab.layout, paths)) == len(paths), LIMIT_S, "every ping")
    assert status_of(lab).whole
    assert all(cluster.joined for cluster in status_of(lab).clusters)

    # There are no warnings about the short time before labels take effect. NotEnabled is possible:
    # the daemon may start before its configuration exists.
    # A condition that changes twice in a short time has its second Event later.
    wait_until(lambda: "Joined" in event_reasons(lab), LIMIT_S, "the Event of joining")
    warned = event_reasons(lab, "Warning")
    assert warned <= {"NotEnabled"}

    # The label decides in both directions; a node that never had the label is not a gateway.
    handle = lab.cluster("az1")
    assert interconn(lab, "az1-gw") == "true"
    assert interconn(lab, "az1-worker") == "false"
    handle.objects.merge("ConfigMap", "ovn-ic-config", "data", {"gw-nodes": "az1-worker"})
    wait_until(lambda: interconn(lab, "az1-worker") == "true", LIMIT_S, "the worker to take part")
    wait_until(lambda: interconn(lab, "az1-gw") == "false", LIMIT_S, "the old gateway to leave")
    assert handle.api.get("Node", "az1-worker")["metadata"]["labels"][LABEL] == "true"

    # The kubeconfig of Isthmus grants no rights beyond its role.
    command = Path(f"/proc/{daemon(lab)}/cmdline").read_bytes().decode().split("\0")
    kubeconfig = Path(command[command.index("--kubeconfig") + 1])
    assert kubeconfig.name == f"{ACCOUNT}.kubeconfig"
    isthmus = KubeApi(kubeconfig, lab.layout.netns("az1-gw"))
    assert isthmus.request("GET", "/apis/kubeovn.io/v1/subnets")["items"]
    with pytest.raises(ApiRequestError) as caught:
        isthmus.request("GET", "/api/v1/namespaces/kube-system/secrets")
    assert caught.value.status == 403

    handle.leave()
    wait_until(lambda: not lab.cluster("az2").learned(), LIMIT_S, "the routes to be gone")


@pytest.mark.slow
def test_api_server_comes_back(make_lab: Callable[[Topology], Lab]) -> None:
    """After a crash and restart, an API server has its objects, and edits take effect again."""
    lab = make_lab(kube_topology())
    handle, other = lab.cluster("az1"), lab.cluster("az2")
    wait_until(lambda: "10.26.0.0/16" in other.learned(), LIMIT_S, "the route")
    handle.restart_api_server()
    handle.objects.merge("Subnet", "apps", "spec", {"disableInterConnection": True})
    wait_until(lambda: "10.26.0.0/16" not in other.learned(), LIMIT_S, "the route to be gone")
    assert "10.16.0.0/16" in other.learned()
    wait_until(lambda: status_of(lab).whole, LIMIT_S, "all daemons")


@pytest.mark.slow
def test_third_cluster_gets_an_api_server(make_lab: Callable[[Topology], Lab]) -> None:
    """A cluster added to a lab with API servers has one too, and is reachable."""
    lab = make_lab(kube_topology()).add(find("third-cluster"))
    assert all(cluster.kubernetes for cluster in lab.plan.clusters)
    paths = probe.paths(lab.plan.pods, lab.plan.pods)
    wait_until(lambda: len(probe.ping(lab.layout, paths)) == len(paths), LIMIT_S, "every ping")


@pytest.mark.slow
def test_kubectl_needs_api_servers(make_lab: Callable[[Topology], Lab]) -> None:
    """In a lab without API servers, `isthmus lab kubectl` fails and mentions --kube."""
    text = "clusters: [{name: az1, nodes: [{name: az1-gw, roles: [central, gateway]}]}]"
    lab = make_lab(parse(yaml.safe_load(text), "test"))
    command = [ISTHMUS, "lab", "kubectl", "-n", lab.layout.lab, "az1", "get", "nodes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--kube" in done.stderr


def daemon(lab: Lab) -> int:
    """The process ID of Isthmus in az1."""
    return processes.running_daemons(lab.layout.lab)["az1-gw/isthmus"]
