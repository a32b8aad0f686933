"""Start the API server of a cluster in the namespace of its central node, and create its objects.

Called by the starter, in parallel with the rest of the lab.
"""

from collections.abc import Callable, Sequence

from isthmus_lab.build.daemons import node_agent
from isthmus_lab.kube.objects import kube_api
from isthmus_lab.kube.roles import ACCOUNT, roles
from isthmus_lab.kube.server import crds, kube_server
from isthmus_lab.system.processes import run
from isthmus_lab.topology import kube_ovn
from isthmus_lab.topology.layout import Layout
from isthmus_lab.topology.plan import ClusterPlan
from isthmus_lab.waiting import wait_until

_LIMIT_S = 60.0
"""How long an API server may take to start: ten times the usual time."""

Spawn = Callable[[str, str, Sequence[str]], None]
"""Starts a daemon: node, name, command."""


def start_api_server(layout: Layout, cluster: ClusterPlan, spawn: Spawn) -> None:
    """Start etcd, the API server and the emulation of Kube-OVN's daemon.

    Returns when the Nodes, Subnets and VPCs of the cluster exist, and the ServiceAccount of
    Isthmus with its roles and kubeconfig.

    Raises:
        LabError: a daemon did not start.
        ApiError: an object was rejected.
    """
    host, server = cluster.central.name, kube_server(layout, cluster)
    server.prepare()
    # The loopback interface of a new namespace is down.
    run(["ip", "link", "set", "lo", "up"], netns=layout.netns(host))
    spawn(host, "etcd", server.etcd())
    spawn(host, "kube-apiserver", server.apiserver())
    api = kube_api(layout, cluster)
    wait_until(api.is_ready, _LIMIT_S, f"the API server of {cluster.name} to be ready")
    api.apply_files(crds())
    for manifest in (*kube_ovn.objects(cluster), *roles(kube_ovn.NAMESPACE)):
        api.apply(manifest)
    server.for_token(ACCOUNT, api.service_account_token(kube_ovn.NAMESPACE, ACCOUNT))
    spawn(host, "node-agent", node_agent(layout, cluster))
