"""Starts a cluster's API server in the namespace of its central node, and fills it.

Called by `starter`, which says how daemons are started, while it builds everything else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
"""For an API server to be ready: ten times what it takes."""

Spawn = Callable[[str, str, Sequence[str]], None]
"""Starts a daemon: node, name, command."""


@dataclass(frozen=True, slots=True)
class KubeStarter:
    """Starts API servers.

    Args:
        layout: where things go.
        spawn: starts a daemon.
    """

    layout: Layout
    spawn: Spawn

    def start(self, cluster: ClusterPlan) -> None:
        """Start etcd, the API server and what plays Kube-OVN's daemon on the nodes.

        Returns when the cluster's Nodes, Subnets and VPCs are there, and Isthmus's ServiceAccount
        with its roles and kubeconfig.

        Raises:
            LabError: something did not come up.
            ApiError: an object was refused.
        """
        host, server = cluster.central.name, kube_server(self.layout, cluster)
        server.prepare()
        # A new namespace has no loopback address.
        run(["ip", "link", "set", "lo", "up"], netns=self.layout.netns(host))
        self.spawn(host, "etcd", server.etcd())
        self.spawn(host, "kube-apiserver", server.apiserver())
        api = kube_api(self.layout, cluster)
        wait_until(api.is_ready, _LIMIT_S, f"the API server of {cluster.name} to be ready")
        api.apply_files(crds())
        for manifest in (*kube_ovn.objects(cluster), *roles(kube_ovn.NAMESPACE)):
            api.apply(manifest)
        server.for_token(ACCOUNT, api.service_account_token(kube_ovn.NAMESPACE, ACCOUNT))
        self.spawn(host, "node-agent", node_agent(self.layout, cluster))
