"""Honest zones at scale, behind a real authorizing proxy with the default limits.

Run by hand, as it takes long: `python -m bench.scale [learned|reconnect|subnets …]` (with
`PYTHONPATH=tests`). `learned`: one daemon learns the routes of 512 zones. `reconnect`: 256 zones
reconnect at once, because the proxy was killed. `subnets`: one zone has 10,000 Subnets, which a
second zone learns. No bound may be met, so the benchmark fails if the proxy refuses anything.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any

from bench.zone import Client, StaticRoute, cpu_seconds
from isthmus.controller.inputs.snapshot import Manifest
from isthmus.model.operations import Insert, Mutate, NewRef, Operation, Value
from isthmus.model.rows import Database, LogicalRouter, LogicalRouterPort
from support.fakes.manifests import subnet
from support.icdb.authz import AuthorizedMembers
from support.icdb.fleet import Fleet, peak_mib, refusals
from support.ovn.daemon import Cluster, IcServers
from support.ovn.servers import RealZone, Servers

ZONES, ROUTES, RECONNECTING, SUBNETS = 512, 200, 256, 10_000

LIMIT = 900.0
"""Seconds for any state."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One measurement.

    Args:
        what: was done.
        seconds: until it was done.
        broken: connections that the proxy broke meanwhile, after the one interruption.
        proxy_cpu_s: CPU seconds of the proxy meanwhile.
        proxy_mib, servers_mib, daemon_mib: peak resident memory; of the larger server.
        refused: requests that the proxy refused.
    """

    what: str
    seconds: float
    broken: int
    proxy_cpu_s: float
    proxy_mib: int
    servers_mib: int
    daemon_mib: int
    refused: int


@dataclass(slots=True)
class Found:
    """What a step counts itself."""

    broken: int = 0
    seconds: float = 0.0


class Site:
    """The IC databases, and what one step costs."""

    def __init__(self, directory: Path) -> None:
        self.members = AuthorizedMembers(directory, "127.0.0.1")
        self.members.first.flags += ("--transit-switch=ts=169.254.0.0/16",)
        self.members.start()

    @contextmanager
    def measured(self, what: str, daemon: int = 0) -> Iterator["Found"]:
        """Measure what happens within the context; fail if the proxy has refused anything."""
        began, proxy = time.monotonic(), self.members.proxy_pid()
        before = cpu_seconds(proxy)
        found = Found()
        yield found
        seconds, refused = time.monotonic() - began, refusals(self.members)
        now = self.members.proxy_pid()
        result = Scale(
            what=what,
            seconds=round(found.seconds or seconds, 1),
            broken=found.broken,
            proxy_cpu_s=round(cpu_seconds(now) - (before if now == proxy else 0), 1),
            proxy_mib=peak_mib(now),
            servers_mib=max(peak_mib(self.members.first.server_pid(one)) for one in ("nb", "sb")),
            daemon_mib=peak_mib(daemon) if daemon else 0,
            refused=sum(one["count"] for one in refused),
        )
        print(json.dumps(asdict(result)), flush=True)
        assert not refused, refused

    def kill_proxy(self) -> None:
        """Kill the proxy, and wait until another one serves in its place."""
        pid = self.members.proxy_pid()
        os.kill(pid, signal.SIGKILL)
        self.members.until(lambda: self.members.proxy_pid() not in {0, pid}, "a new proxy")
        self.members.until(lambda: self.members.status()["guard"]["ready"], "the proxy is ready")


def learned(site: Site, zones: int = ZONES, routes: int = ROUTES) -> None:
    """Zones register their routes, and a daemon that starts afterwards learns all of them."""
    learner = _learner(site)
    fleet = Fleet(site.members, zones)
    with site.measured(f"{zones} zones register {routes} routes each"):
        fleet.register(routes)
    client = Client(Database.NB, learner.servers.socket(Database.NB), StaticRoute)
    site.members.start_engine(learner, learner.name)
    with site.measured(f"a daemon learns {zones * routes} routes", learner.servers.pid("engine")):
        client.until(lambda: client.count(StaticRoute) >= zones * routes)


def _learner(site: Site) -> RealZone:
    """A zone with a published port, whose daemon and northd do not run."""
    members = site.members
    zone = RealZone(members.directory, "learner", Servers(members.directory / "unused"))
    members.zones.append(zone)
    for option in ("ic-route-adv", "ic-route-learn"):
        zone.nbctl("set", "NB_Global", ".", f"options:{option}=true")
    zone.add_subnet("net", "172.31.0.1/16")
    members.start_engine(zone, zone.name)
    zone.join("ts", "169.254.200.1/16")
    members.until(
        lambda: any(r["ip_prefix"] == "172.31.0.0/16" for r in members.rows("sb", "Route")),
        "it advertises",
    )
    zone.servers.stop("engine")
    zone.servers.stop("northd")
    return zone


def reconnect(site: Site, zones: int = RECONNECTING, routes: int = 20) -> None:
    """The proxy is killed; all zones connect again at once and replicate everything."""
    fleet = Fleet(site.members, zones)
    fleet.register(routes)
    with site.measured(f"{zones} zones with {routes} routes each reconnect at once") as found:
        found.broken, found.seconds = fleet.reconnect(zones, site.kill_proxy)


def subnets(site: Site, number: int = SUBNETS) -> None:
    """One zone's manifests get so many Subnets, and a second zone learns their routes."""
    members = site.members
    first, second = (_cluster(site, n) for n in (1, 2))
    members.until(lambda: len(members.rows("sb", "Route")) == 2, "both zones advertise")
    for cluster in (first, second):
        cluster.servers.stop("northd")
    prefixes = [f"{IPv4Address('10.64.0.0') + (n << 6)}/26" for n in range(number + 1)]
    objects = [subnet(f"subnet{n}", prefix) for n, prefix in enumerate(prefixes)]
    objects[-1] = subnet("private", prefixes[-1], disableInterConnection=True)
    client = Client(Database.NB, second.servers.socket(Database.NB), StaticRoute)
    with site.measured(f"{number} Subnets of one zone reach another", second.servers.pid("run")):
        draft = first.manifests.parent / "draft"
        draft.write_text("".join(f"---\n{json.dumps(_manifest(one))}\n" for one in objects))
        draft.rename(first.manifests / "subnets.yaml")
        _add_networks(first, prefixes)
        # The zones' own networks, and all but the private one.
        members.until(lambda: len(members.rows("sb", "Route")) == number + 2, "all are advertised")
        client.until(lambda: client.count(StaticRoute) == number + 1)
    print(f"the first zone's daemon: {peak_mib(first.servers.pid('run'))} MiB", flush=True)


def _cluster(site: Site, number: int) -> Cluster:
    members, directory = site.members, site.members.directory
    ic = IcServers(directory / "unused")
    ic.ports = {Database.IC_NB: members.ports["nb"], Database.IC_SB: members.ports["sb"]}
    cluster = Cluster(directory, ic, number)
    members.zones.append(cluster.zone)
    tls = members.issue("zone", cluster.zone.name)
    cluster.start("run", f"--manifests={cluster.manifests}", f"--ic-tls-dir={tls}")
    return cluster


def _manifest(one: Manifest) -> dict[str, Any]:
    metadata = {"name": one.key.name}
    return {"apiVersion": "kubeovn.io/v1", "kind": one.key.kind, "metadata": metadata, **one.body}


def _add_networks(cluster: Cluster, prefixes: Sequence[str]) -> None:
    """Add what Kube-OVN adds to the router for each Subnet."""
    client = Client(Database.NB, cluster.servers.socket(Database.NB), LogicalRouter)
    router = next(iter(client.rows[LogicalRouter]))
    for start in range(0, len(prefixes), 1000):
        refs, inserts = [], list[Operation]()
        for number, prefix in enumerate(prefixes[start : start + 1000], start):
            network = ip_network(prefix)
            refs.append(NewRef())
            row: dict[str, Value] = {"name": f"subnet{number}", "mac": "0a:00:00:00:00:01"}
            row["networks"] = frozenset({f"{network[1]}/{network.prefixlen}"})
            inserts.append(Insert(LogicalRouterPort, row, refs[-1]))
        joined = Mutate(LogicalRouter, router, (("ports", "insert", frozenset(refs)),))
        client.write([*inserts, joined])
    client.session.close()


STEPS: dict[str, Callable[..., object]] = {
    "learned": learned, "reconnect": reconnect, "subnets": subnets,
}  # fmt: skip


def main() -> None:
    """Measure what was asked for, each on databases of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("steps", nargs="*", default=list(STEPS), metavar="|".join(STEPS))
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="other numbers of a step")
    arguments = parser.parse_args()
    for step in arguments.steps:
        with tempfile.TemporaryDirectory() as directory:
            site = Site(Path(directory))
            try:
                STEPS[step](site, *arguments.sizes)
            finally:
                site.members.stop()


if __name__ == "__main__":
    main()
