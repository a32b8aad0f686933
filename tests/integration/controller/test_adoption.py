"""A cluster that was run by Kube-OVN's controller and `ovn-ic` is adopted without changes.

ovn-nbctl creates the objects exactly as Kube-OVN's controller does, and `ovn-ic` does the rest. The
logs of the databases then show what `isthmus run` has changed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.rows import Database
from isthmus.ovsdb.unixctl_client import ask
from support.kube_ovn.releases import RELEASES, Release
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.servers import FILES, Servers, wait_until

pytestmark = pytest.mark.ovn

GATEWAYS = ("gw1", "gwb")


def switches(release: Release) -> dict[str, str]:
    """The transit switches of a default deployment, at most two, with our address on each."""
    names = ("ts", "ts1")[: release.transit_switches]
    return {name: f"169.254.{100 + index}.1/24" for index, name in enumerate(names)}


def make_as_kube_ovn(cluster: Cluster, release: Release) -> None:
    """Create what Kube-OVN's controller does with gw-nodes "node1,nodeb" and auto-route "true"."""
    zone, found = cluster.zone, switches(release)
    options = ("options:ic-route-adv=true", "options:ic-route-learn=true")
    blacklist = 'options:ic-route-blacklist="10.199.0.0/16,100.64.0.0/16,192.0.2.1/32"'
    zone.nbctl("set", "NB_Global", ".", "name=az1", *options, blacklist)
    names = ("--bare", "--columns=name", "list", "logical_switch")
    wait_until(lambda: found.keys() <= set(zone.nbctl(*names).split()), "ovn-ic's copies")
    for index, (ts, address) in enumerate(found.items()):
        for command in release.connection("az1", ts, index, address, "r", GATEWAYS):
            zone.nbctl(*command)
    if commands := list(release.policies("r", ["10.2.0.0/16"])):
        zone.nbctl(*(word for command in commands for word in ("--", *command)))


def write_manifests(cluster: Cluster) -> None:
    """Write the manifests from which Kube-OVN has derived the blacklist."""
    items: list[dict[str, Any]] = [
        {"kind": "Subnet", "metadata": {"name": "closed"},
         "spec": {"cidrBlock": "10.199.0.0/16", "disableInterConnection": True}},
        {"kind": "Subnet", "metadata": {"name": "join"}, "spec": {"cidrBlock": "100.64.0.0/16"}},
    ]  # fmt: skip
    entry = {"type": "InternalIP", "address": "192.0.2.1"}
    documents = [{"apiVersion": "kubeovn.io/v1", **item} for item in items]
    for name, status in (("node1", {"addresses": [entry]}), ("nodeb", {})):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}
        documents.append(node)
    text = "\n---\n".join(json.dumps(document) for document in documents)
    (cluster.manifests / "objects.yaml").write_text(text + "\n")


class Log:
    """What Isthmus has written to a database since a moment, from the database's log."""

    def __init__(self, servers: Servers, database: Database) -> None:
        self._file: Path = servers.directory / f"{FILES[database]}.db"
        self._start = self._file.stat().st_size

    def written(self) -> set[tuple[str, str]]:
        """The tables and columns; "-" for a deleted row."""
        found: set[tuple[str, str]] = set()
        for line in self._file.read_bytes()[self._start :].splitlines():
            record: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {}
            if str(record.get("_comment", "")).startswith("isthmus: "):
                for table, rows in record.items():
                    for row in rows.values() if isinstance(rows, dict) else ():
                        found |= {(table, column) for column in row or ("-",)}
        return found


@pytest.fixture(params=["1.8", "1.11", "1.12", "1.15", "1.16"])
def release(request: pytest.FixtureRequest) -> Release:
    """A release of Kube-OVN."""
    return RELEASES[request.param]


@pytest.fixture
def adopted(tmp_path: Path, release: Release) -> Iterator[tuple[Cluster, IcServers]]:
    """A cluster of a release of Kube-OVN whose `ovn-ic` has just been stopped."""
    with cluster_in(tmp_path) as (cluster, ic):
        ic.ctl("ovn-ic-nbctl", Database.IC_NB, "clear", "Transit_Switch", "ts", "external_ids")
        for index, ts in enumerate(switches(release)):
            ids = release.transit_switch_ids(ts, index).items()
            pairs = [f'external_ids:{key}="{value}"' for key, value in ids]
            verb = ("set", "Transit_Switch", ts) if ts == "ts" else ("create", "Transit_Switch")
            named = () if ts == "ts" else (f"name={ts}",)
            ic.ctl("ovn-ic-nbctl", Database.IC_NB, *verb, *named, *pairs)
        zone = cluster.zone
        zone.sbctl("chassis-add", "gwb", "geneve", "192.0.2.11")
        zone.sbctl("set", "chassis", "gwb", "hostname=nodeb", "other_config:is-interconn=true")
        zone.start_ovn_ic()
        make_as_kube_ovn(cluster, release)
        ports = ("--bare", "--columns=logical_port,address", "list", "Port_Binding")
        wait_until(
            lambda: (
                ic.ctl("ovn-ic-sbctl", Database.IC_SB, *ports).count("169.254.10")
                == 1 + len(switches(release))
            ),
            "the ports are published",
        )
        wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the peer's route is learned")
        wait_until(
            lambda: any(p.startswith("10.1.") for p in ic.advertised()), "ours is advertised"
        )
        zone.servers.stop("ovn-ic")
        write_manifests(cluster)
        cluster.use(ic, **{"gw-nodes": "node1,nodeb"})
        yield cluster, ic


def ports_and_routes(cluster: Cluster) -> list[str]:
    """The ports and routes that must not change, with UUIDs."""
    nbctl = cluster.zone.nbctl
    return [
        nbctl("--columns=_uuid,name,mac,networks,gateway_chassis", "list", "Logical_Router_Port"),
        nbctl("--columns=_uuid,name,type,addresses,options", "list", "Logical_Switch_Port"),
        nbctl("list", "Gateway_Chassis"),
        nbctl("list", "Logical_Router_Static_Route"),
        nbctl("list", "Logical_Switch"),
        cluster.zone.sbctl("--columns=_uuid,name,hostname,encaps", "list", "Chassis"),
    ]


def test_only_faults_are_corrected(adopted: tuple[Cluster, IcServers], release: Release) -> None:
    """Only marks, claims, the missing MTU and, for 1.8, the missing policies are added."""
    cluster, ic = adopted
    policies = cluster.zone.nbctl("list", "Logical_Router_Policy")
    own = cluster.servers
    logs = {
        **{database: Log(own, database) for database in (Database.NB, Database.SB)},
        **{database: Log(ic, database) for database in (Database.IC_NB, Database.IC_SB)},
    }
    before = ports_and_routes(cluster)
    socket = str(own.directory / "run.ctl")
    cluster.start("run", f"--manifests={cluster.manifests}", f"--unixctl={socket}")
    mtu = ("--bare", "--columns=name", "find", "Logical_Router_Port", "options:gateway_mtu=1400")
    count = len(switches(release))
    wait_until(lambda: len(cluster.zone.nbctl(*mtu).split()) == count, "the ports are taken over")
    wait_until(lambda: json.loads(ask(socket, "engine/show", "json"))["settled"], "all is done")
    assert ports_and_routes(cluster) == before
    written = {database: log.written() for database, log in logs.items()}
    expected = {
        ("NB_Global", "external_ids"),
        ("Logical_Router_Port", "external_ids"),
        ("Logical_Router_Port", "options"),
    }
    if "ls" not in release.switch_port_ids:
        expected.add(("Logical_Switch_Port", "external_ids"))
    if release.policy_origins:
        assert cluster.zone.nbctl("list", "Logical_Router_Policy") == policies
    else:
        columns = ("priority", "match", "action", "external_ids")
        expected |= {("Logical_Router_Policy", column) for column in columns}
        expected.add(("Logical_Router", "policies"))
    assert written[Database.NB] == expected
    assert written[Database.SB] == set()
    assert written[Database.IC_NB] == {("Transit_Switch", "external_ids")}
    # ovn-ic 23.03 does not write down which router a route comes from, as later versions do.
    assert written[Database.IC_SB] == {("IC_SB_Global", "external_ids"), ("Route", "external_ids")}


def test_a_custom_vpc_moves_to_another_router(tmp_path: Path) -> None:
    """A real server accepts a port of the same name on another router in one transaction."""
    with cluster_in(tmp_path) as (cluster, ic):
        blue = ("create", "Transit_Switch", "name=b", 'external_ids:subnet="169.254.200.0/24"')
        marks = ("external_ids:vendor=isthmus", "external_ids:isthmus-network=blue")
        ic.ctl("ovn-ic-nbctl", Database.IC_NB, *blue, *marks)
        nbctl = cluster.zone.nbctl
        for vpc, network in (("shop", "10.1.0.1/16"), ("mall", "10.50.0.1/16")):
            nbctl("lr-add", vpc)
            nbctl("lrp-add", vpc, f"{vpc}-net", "0a:00:00:00:00:02", network)
        cluster.start()

        def on(vpc: str) -> bool:
            listed = nbctl("lrp-list", vpc).split()
            return "(az1-b)" in listed and "10.2.0.0/16" not in nbctl("lr-route-list", vpc)

        cluster.use(ic, vpcs="shop=blue")
        wait_until(lambda: on("shop"), "shop is connected")
        mac = nbctl("--bare", "--columns=mac", "find", "Logical_Router_Port", "name=az1-b")
        cluster.use(ic, vpcs="mall=blue")
        wait_until(lambda: on("mall") and not on("shop"), "mall is connected in its place")
        assert nbctl("--bare", "--columns=mac", "find", "Logical_Router_Port", "name=az1-b") == mac
        wait_until(lambda: "10.50.0.0/16" in ic.advertised(), "mall's network is advertised")
        ts = ("--bare", "--columns=transit_switch", "find", "Route", 'ip_prefix="10.1.0.0/16"')
        wait_until(
            lambda: ic.ctl("ovn-ic-sbctl", Database.IC_SB, *ts).split() == ["ts"],
            "the default VPC alone advertises what shop has as well",
        )
        assert "refused" not in cluster.servers.log("run")
