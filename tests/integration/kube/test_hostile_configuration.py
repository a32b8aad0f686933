"""Hostile values in a real API server, followed by two replicas of `isthmus run`."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
import yaml

from isthmus_lab.kube.api import ApiRequestError
from support.hostile.configuration import HOSTILE_YAML, LONG_VALUES
from support.kube.roles import with_shipped_role
from support.kube.server import NAMESPACE, TestServer
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import wait_until

pytestmark = [pytest.mark.kube, pytest.mark.ovn]

OWN, REMOTE = "10.1.0.0/16", "10.2.0.0/16"
REPLICAS = ("one", "two")
LIMIT = 120.0
"""Seconds to wait for a state; two replicas and an API server share few cores."""

VALUES: Mapping[str, tuple[str, str]] = {
    **{name: ("accept", text) for name, text in HOSTILE_YAML.items()},
    **{
        name: (key.replace("_", "-"), text)
        for name, changes in LONG_VALUES.items()
        for key, text in changes.items()
    },
}
SUBNETS: Mapping[str, str] = {
    "a CIDR of 500 kB": "1" * 500_000,
    "many CIDRs": ",".join(f"10.{n >> 8 & 255}.{n & 255}.0/24" for n in range(30_000)),
    "control characters": "\x1b]0;x\x07\n10.0.0.0/8",
}


@pytest.fixture
def place(tmp_path: Path, kube: TestServer) -> Iterator[tuple[Cluster, IcServers]]:
    """A cluster that has joined, with two replicas."""
    with cluster_in(tmp_path) as (cluster, ic):
        kube.configure(cluster.configuration(ic))
        kube.node("node1", "192.0.2.1")
        kube.subnet("net", OWN)
        kubeconfig = with_shipped_role(kube)
        for name in REPLICAS:
            cluster.start(name, "--kubernetes", f"--kubeconfig={kubeconfig}")
        wait_until(lambda: cluster.learned() == {REMOTE}, "it has joined", LIMIT)
        yield cluster, ic


def condition(kube: TestServer) -> tuple[str, str]:
    """Status and message of the published condition on the configuration."""
    try:
        data = kube.api.get("ConfigMap", "ovn-ic-status", NAMESPACE).get("data") or {}
    except ApiRequestError:
        return "", ""
    for each in yaml.safe_load(data.get("conditions", "[]")):
        if each["type"] == "Accepted":
            return each["status"], each["message"]
    return "", ""


def test_no_value_of_the_configuration_kills(
    place: tuple[Cluster, IcServers], kube: TestServer
) -> None:
    """Each is named and changes nothing, other objects are obeyed meanwhile, and it passes."""
    cluster, ic = place
    routes = cluster.routes()
    given = 0
    private = False
    for name, (key, text) in VALUES.items():
        try:
            kube.configure(cluster.configuration(ic, **{key: text}))
        except ApiRequestError:
            continue  # the API server stores no ConfigMap above 1 MiB
        given += 1
        wait_until(lambda: condition(kube)[0] == "False", f"{name} is reported", LIMIT)
        assert f"data.{key}" in condition(kube)[1], name
        private = not private
        kube.subnet("net", OWN, disableInterConnection=private)
        shown = partial(_shows, ic, OWN, there=not private)
        wait_until(shown, f"a Subnet at {name} is obeyed", LIMIT)
        assert all(cluster.servers.alive(replica) for replica in REPLICAS), name
        assert cluster.routes() == routes, name
        kube.configure(cluster.configuration(ic))
        wait_until(lambda: condition(kube)[0] == "True", f"{name} is over", LIMIT)
    assert given > 25
    _take_over(place)


def test_no_subnet_kills(place: tuple[Cluster, IcServers], kube: TestServer) -> None:
    """A hostile Subnet is named, and another one is advertised meanwhile."""
    cluster, ic = place
    for number, (name, cidr) in enumerate(SUBNETS.items()):
        kube.subnet("hostile", cidr)
        cluster.zone.add_subnet(f"n{number}", f"10.1{number}.0.1/16")
        kube.subnet(f"n{number}", f"10.1{number}.0.0/16")
        shown = partial(_shows, ic, f"10.1{number}.0.0/16", there=True)
        wait_until(shown, f"a Subnet next to {name} is obeyed", LIMIT)
        assert all(cluster.servers.alive(replica) for replica in REPLICAS), name
        wait_until(
            lambda: any("Subnet hostile" in cluster.servers.log(each) for each in REPLICAS),
            f"{name} is reported",
            LIMIT,
        )
    _take_over(place)


def _shows(ic: IcServers, prefix: str, *, there: bool) -> bool:
    return (prefix in ic.advertised()) is there


def _take_over(place: tuple[Cluster, IcServers]) -> None:
    """The replica that waited has survived as well: it works when the other one ends."""
    cluster, ic = place
    active = next(r for r in REPLICAS if " operations" in cluster.servers.log(r))
    cluster.servers.stop(active)
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: "10.3.0.0/16" in cluster.learned(), "the other replica works", LIMIT)
