"""Latency from a request to the API server to the changed route in another cluster.

Two clusters with databases, northd and `isthmus run` each; one of them is configured through a real
API server, with the shipped role. The Subnet to edit exists all the time, among many others; its
`disableInterConnection` is set and unset in turn.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.zone import Client, StaticRoute, follow, peak_mib
from isthmus.model.rows import Database
from isthmus_lab.kube.api import KubeApi
from support.kube.roles import with_shipped_role
from support.kube.server import TestServer, running_server
from support.ovn.daemon import Cluster, IcServers

REST = 0.3
"""Seconds without events between two edits."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The edits of one cluster, observed in the other.

    Args:
        subnets, nodes: number of objects.
        edits: number of edits.
        request_ms: median milliseconds until the API server has replied to a request.
        withdrawn_ms: median milliseconds from the request until the route is gone in the other
            cluster.
        advertised_ms: median milliseconds from the request until the route is back.
        worst_ms: the maximum of both kinds.
        peak_mib: peak resident memory of the daemon that watches the API server.
    """

    subnets: int
    nodes: int
    edits: int
    request_ms: float
    withdrawn_ms: float
    advertised_ms: float
    worst_ms: float
    peak_mib: float


def measure(subnets: int, nodes: int, edits: int) -> Flags:
    """Join two clusters, then edit the flag of a Subnet.

    Args:
        subnets, nodes: number of objects in the API server.
        edits: number of edits; every second one withdraws.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        ic = IcServers(directory / "ic")
        clusters: list[Cluster] = []
        try:
            ic.serve_pair()
            ic.add_ts()
            clusters += (Cluster(directory, ic, number) for number in (1, 2))
            with running_server(directory / "kube") as kube:
                _fill(kube, clusters[0], ic, subnets, nodes)
                kubeconfig = with_shipped_role(kube)
                clusters[0].start("run", "--kubernetes", f"--kubeconfig={kubeconfig}")
                clusters[1].start()
                return _edit(kube.api, clusters, subnets, nodes, edits)
        finally:
            for cluster in clusters:
                cluster.servers.stop_all()
            ic.stop_all()


def _fill(kube: TestServer, cluster: Cluster, ic: IcServers, subnets: int, nodes: int) -> None:
    """Create objects, and the router ports that Kube-OVN would create for the Subnets."""
    kube.configure(cluster.configuration(ic))
    for n in range(nodes):
        kube.node(f"node{n + 1}", f"192.168.{n // 250}.{n % 250 + 1}")
    ports: list[str] = []
    for n in range(subnets):
        kube.subnet(_name(n), f"10.100.{n}.0/24")
        ports += ["--", "lrp-add", "r", _name(n), "0a:00:00:00:00:01", f"10.100.{n}.1/24"]
    cluster.zone.nbctl(*ports[1:])


def _edit(api: KubeApi, clusters: Sequence[Cluster], subnets: int, nodes: int, edits: int) -> Flags:
    edited, watched = clusters
    client = Client(Database.NB, watched.zone.remotes[Database.NB], StaticRoute)
    every = subnets + 1  # includes the other cluster's own subnet
    client.until(lambda: client.count(StaticRoute) == every)
    requests: list[float] = []
    times: dict[bool, list[float]] = {True: [], False: []}
    for edit in range(edits):
        rest = time.monotonic() + REST
        client.until(lambda rest=rest: time.monotonic() >= rest)  # type: ignore[misc]
        disabled = edit % 2 == 0
        wanted = every - disabled
        began = time.monotonic()
        api.merge("Subnet", _name(subnets // 2), {"spec": {"disableInterConnection": disabled}})
        requests.append(time.monotonic() - began)
        follow([client], lambda wanted=wanted: client.count(StaticRoute) == wanted)  # type: ignore[misc]
        times[disabled].append(time.monotonic() - began)
    return Flags(
        subnets=subnets,
        nodes=nodes,
        edits=edits,
        request_ms=_ms(statistics.median(requests)),
        withdrawn_ms=_ms(statistics.median(times[True])),
        advertised_ms=_ms(statistics.median(times[False])),
        worst_ms=_ms(max(max(found) for found in times.values())),
        peak_mib=round(peak_mib(edited.servers.pid("run")), 1),
    )


def _name(n: int) -> str:
    return f"subnet{n}"


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)
