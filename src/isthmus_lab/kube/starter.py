"""Starts a cluster's API server in the namespace of its central node, and fills it.

Called by `starter`, which says how daemons are started, while it builds everything else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isthmus_lab.build.commands import kube_server, node_agent
from isthmus_lab.build.processes import run
from isthmus_lab.kube.api import KubeApi
from isthmus_lab.kube.roles import ACCOUNT, roles
from isthmus_lab.kube.server import crds
from isthmus_lab.topology import kube_ovn_rows as kubeovn
from isthmus_lab.topology.names import Places
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
        places: where things go.
        spawn: starts a daemon.
    """

    places: Places
    spawn: Spawn

    def start(self, cluster: ClusterPlan) -> None:
        """Start etcd, the API server and what plays Kube-OVN's daemon on the nodes.

        Returns when the cluster's Nodes, Subnets and VPCs are there, and Isthmus's ServiceAccount
        with its roles and kubeconfig.

        Raises:
            LabError: something did not come up.
            ApiError: an object was refused.
        """
        host, server = cluster.central.name, kube_server(self.places, cluster)
        server.prepare()
        # A new namespace has no loopback address.
        run(["ip", "link", "set", "lo", "up"], netns=self.places.netns(host))
        self.spawn(host, "etcd", server.etcd())
        self.spawn(host, "kube-apiserver", server.apiserver())
        api = kube_api(self.places, cluster)
        wait_until(api.is_ready, _LIMIT_S, f"the API server of {cluster.name} to be ready")
        api.apply_files(crds())
        for manifest in (*kubeovn.objects(cluster), *roles(kubeovn.NAMESPACE)):
            api.apply(manifest)
        server.for_token(ACCOUNT, api.service_account_token(kubeovn.NAMESPACE, ACCOUNT))
        self.spawn(host, "node-agent", node_agent(self.places, cluster))


def kube_api(places: Places, cluster: ClusterPlan) -> KubeApi:
    """A cluster's API server, as its administrator."""
    network = places.netns(cluster.central.name)
    return KubeApi(kube_server(places, cluster).kubeconfig, network)
