"""`isthmus show` and `isthmus routes` against real databases, for users and for programs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.rows import Database
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import wait_until

pytestmark = pytest.mark.ovn

Site = tuple[Cluster, IcServers]
PROGRAM = str(Path(sys.executable).parent / "isthmus")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two zones that have exchanged everything."""
    with cluster_in(tmp_path_factory.mktemp("show")) as (cluster, ic):
        cluster.start()
        wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the peer's prefix is learned")
        wait_until(
            lambda: "10.1.0.0/16" in ic.ctl("ovn-ic-sbctl", Database.IC_SB, "list", "Route"),
            "our prefix is advertised",
        )
        cluster.zone.sbctl("lsp-bind", "cr-az1-ts", "gw1")  # as the gateway's ovn-controller does
        wait_until(lambda: gateways(ic) == {"gw1", "gw2"}, "our gateway serves our port")
        yield cluster, ic


def gateways(ic: IcServers) -> set[str]:
    """The gateways that serve ports."""
    flags = ("--bare", "--columns=gateway")
    return set(ic.ctl("ovn-ic-sbctl", Database.IC_SB, *flags, "list", "Port_Binding").split())


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a verb."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, env=environment, check=False
    )


def show(ic: IcServers, *more: str) -> subprocess.CompletedProcess[str]:
    """Run `isthmus show`."""
    return run(
        "show",
        f"--ic-nb-db={ic.socket(Database.IC_NB)}",
        f"--ic-sb-db={ic.socket(Database.IC_SB)}",
        *more,
    )


def test_show(site: Site) -> None:
    """Zones, gateways with hostnames and tunnel IPs, ports with transit switch and address."""
    _, ic = site
    shown = show(ic)
    assert (shown.returncode, shown.stderr) == (0, "")
    for words in (
        "availability zone az1 (1 route advertised)",
        "availability zone az2",
        "gateway node1 (gw1)",
        "geneve 192.0.2.1",
        "port ts-az1 on transit switch ts: ",
        "port ts-az2 on transit switch ts: 0a:00:00:00:02:02 169.254.100.222/24",
        "transit switch ts: subnet 169.254.100.0/24, 2 of 2 zones attached",
    ):
        assert words in shown.stdout


def test_show_as_json(site: Site) -> None:
    """`-o json` prints the same as one JSON value."""
    _, ic = site
    found: dict[str, Any] = json.loads(show(ic, "-o", "json").stdout)
    assert [zone["name"] for zone in found["zones"]] == ["az1", "az2"]
    (gateway,) = found["zones"][1]["gateways"]
    assert (gateway["hostname"], gateway["tunnels"]) == (
        "gw2",
        [{"type": "geneve", "ip": "192.0.2.2"}],
    )
    assert [port["name"] for port in gateway["ports"]] == ["ts-az2"]
    switch = {"name": "ts", "subnet": "169.254.100.0/24", "zones": 2, "network": ""}
    assert found["transit_switches"] == [switch]


def test_routes(site: Site) -> None:
    """Both directions are shown; the databases' addresses come from the environment."""
    cluster, ic = site
    variables = {
        "OVN_NB_DB": cluster.servers.socket(Database.NB),
        "OVN_IC_SB_DB": ic.socket(Database.IC_SB),
    }
    shown = run("routes", **variables)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["10.2.0.0/16", "169.254.100.222", "az2", "ts", "connected"] in lines
    (advertised,) = [line for line in lines if line[:1] == ["10.1.0.0/16"]]
    assert advertised[2:] == ["az1", "ts", "connected"]
    found: dict[str, Any] = json.loads(run("routes", "-o", "json", **variables).stdout)
    assert found["zone"] == "az1"
    assert [(route["direction"], route["prefix"]) for route in found["routes"]] == [
        ("advertised", "10.1.0.0/16"),
        ("learned", "10.2.0.0/16"),
    ]
    assert {route["router"] for route in found["routes"]} == {"r"}


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        ("unix:/nonexistent/socket", "did not answer within 0.2 s"),
        ("ssl:127.0.0.1:6645", "requires a private key"),
    ],
)
def test_databases_that_cannot_be_read(site: Site, remote: str, message: str) -> None:
    """The error names database, address and remedy, with exit status 1."""
    _, ic = site
    failed = show(ic, f"--ic-nb-db={remote}", "--timeout=0.2")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert f"database OVN_IC_Northbound: remote = '{remote}'" in failed.stderr
    assert message in failed.stderr
    assert "remedy: check the address" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_wrong_database_is_named(site: Site) -> None:
    """The error for an address with another database names the missing one."""
    _, ic = site
    failed = show(ic, f"--ic-nb-db={ic.socket(Database.IC_SB)}", "--timeout=1")
    assert failed.returncode == 1
    assert "does not serve database OVN_IC_Northbound" in failed.stderr
