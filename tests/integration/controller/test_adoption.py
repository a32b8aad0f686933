"""A cluster that was run by Kube-OVN's controller and `ovn-ic` is adopted without changes.

ovn-nbctl creates the objects exactly as Kube-OVN's controller does, and `ovn-ic` does the rest. The
logs of the databases then show what `isthmus run` has changed.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.rows import Database
from isthmus.ovsdb.unixctl_client import ask
from support.kube_ovn.releases import RELEASES, Release
from support.ovn.daemon import IC, Cluster, IcServers, cluster_in
from support.ovn.servers import FILES, Servers, wait_until

pytestmark = pytest.mark.ovn

GATEWAYS = ("gw1", "gwb")


def switches(release: Release) -> dict[str, str]:
    """The transit switches of a default deployment, at most two, with our address on each."""
    names = ("ts", "ts1")[: release.transit_switches]
    return {name: f"169.254.{100 + index}.1/24" for index, name in enumerate(names)}


def start_kube_ovn(cluster: Cluster) -> None:
    """Start ovn-ic, and write what Kube-OVN's controller always writes when it starts."""
    options = ("options:ic-route-adv=true", "options:ic-route-learn=true")
    blacklist = 'options:ic-route-blacklist="10.199.0.0/16,100.64.0.0/16,192.0.2.1/32"'
    cluster.zone.nbctl("set", "NB_Global", ".", "name=az1", *options, blacklist)
    cluster.zone.start_ovn_ic()


def make_as_kube_ovn(cluster: Cluster, release: Release) -> None:
    """Create what Kube-OVN's controller does with gw-nodes "node1,nodeb" and auto-route "true"."""
    zone, found = cluster.zone, switches(release)
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


MIGRATION = Path(__file__).parents[3] / "docs" / "how-to" / "migrate-from-kube-ovn.md"
DATABASES = {"NB": Database.NB, "SB": Database.SB, "IC-NB": Database.IC_NB, "IC-SB": Database.IC_SB}

CHECKED = (Database.NB, *IC)
"""Isthmus writes nothing to SB that stays; northd computes most of it."""

Columns = dict[Database, set[tuple[str, str]]]
"""Tables and columns; "all" for those of a new row."""


def listed(release: Release, *, added: bool = False) -> Columns:
    """The changes that the migration page names for a release.

    Args:
        release: whose objects have no faults that are corrected.
        added: only what the release itself lacks, which stays after the way back.
    """
    found: Columns = {database: set() for database in Database}
    for row in re.findall(r"^\| ([A-Z-]+) \|(.*)\|$", MIGRATION.read_text(), re.MULTILINE):
        table, column, when, _ = (cell.strip(" `") for cell in row[1].split(" | "))
        before = re.match(r"before 1\.(\d+)", when)
        if before is not None:
            applies = int(release.version.split(".")[1]) < int(before[1])
        else:
            applies = not when.startswith("only if") and not (added and when == "always")
        if applies:
            found[DATABASES[row[0]]].add((table, column))
    return found


def undo_commands() -> list[list[str]]:
    """The commands of the migration page that remove what Isthmus has written."""
    back = MIGRATION.read_text().partition("## Roll back")[2]
    commands = re.findall(r"^(?:kubectl ko )?(\S*ctl .*remove .*)$", back, re.MULTILINE)
    return [command.split() for command in commands]


class Log:
    """What Isthmus has written to a database since a moment, from the database's log."""

    def __init__(self, servers: Servers, database: Database) -> None:
        self._file: Path = servers.directory / f"{FILES[database]}.db"
        self._start = self._file.stat().st_size
        self._known = self._file.read_text()

    def written(self) -> set[tuple[str, str]]:
        """The tables and columns; "-" for a deleted row."""
        found: set[tuple[str, str]] = set()
        for line in self._file.read_bytes()[self._start :].splitlines():
            record: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {}
            if str(record.get("_comment", "")).startswith("isthmus: "):
                for table, rows in record.items():
                    for uuid, row in rows.items() if isinstance(rows, dict) else ():
                        new = uuid not in self._known
                        found |= {(table, "all" if new else column) for column in row or ("-",)}
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
        start_kube_ovn(cluster)
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


def contents(servers: Servers, database: Database) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of a database by table and UUID, without what northd writes all the time."""
    dump = ["ovsdb-client", "--format=json", "dump", servers.socket(database), database]
    found = {}
    for line in subprocess.run(dump, check=True, capture_output=True).stdout.splitlines():
        table = json.loads(line)
        for values in table["data"]:
            row = dict(zip(table["headings"], values, strict=True))
            key = table["caption"].removesuffix(" table"), row["_uuid"][1]
            found[key] = {k: v for k, v in row.items() if not re.search("_cfg|^_version$", k)}
    return found


def test_only_what_the_page_names_changes_and_back(
    adopted: tuple[Cluster, IcServers], release: Release
) -> None:
    """Isthmus writes what the migration page names; the way back leaves what it says stays."""
    cluster, ic = adopted
    own, zone = cluster.servers, cluster.zone
    servers = dict.fromkeys((Database.NB, Database.SB), own) | dict.fromkeys(IC, ic)
    origin = {database: contents(servers[database], database) for database in CHECKED}
    logs = {database: Log(servers[database], database) for database in Database}
    before = ports_and_routes(cluster)
    socket = str(own.directory / "run.ctl")
    cluster.start("run", f"--manifests={cluster.manifests}", f"--unixctl={socket}")
    mtu = ("--bare", "--columns=name", "find", "Logical_Router_Port", "options:gateway_mtu=1400")
    count = len(switches(release))
    wait_until(lambda: len(zone.nbctl(*mtu).split()) == count, "the ports are taken over")
    wait_until(lambda: json.loads(ask(socket, "engine/show", "json"))["settled"], "all is done")
    assert ports_and_routes(cluster) == before
    assert {database: log.written() for database, log in logs.items()} == listed(release)

    own.stop("run")
    start_kube_ovn(cluster)
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16", "10.3.0.0/16"}, "ovn-ic learns")
    ic.ctl("ovn-ic-sbctl", Database.IC_SB, "destroy", "Route", *routes_to(ic, "10.3.0.0/16"))
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "ovn-ic removes what it learned")
    assert ports_and_routes(cluster) == before
    for program, *words in undo_commands():
        arguments = [word for word in words if word != "--no-leader-only"]
        for index, ts in enumerate(switches(release)):
            here = [
                re.sub(r"^(az1-)?ts$", rf"\g<1>{ts}", word).replace(".100.", f".{100 + index}.")
                for word in arguments
            ]
            if program == "nbctl":
                zone.nbctl(*here)
            else:
                ic.ctl(program, Database.IC_NB if "nb" in program else Database.IC_SB, *here)
    for database in CHECKED:
        now, past = contents(servers[database], database), origin[database]
        different = {
            (key[0], column)
            for key in now.keys() | past.keys()
            for column in (now.get(key, {}) if key in past else ("all",))
            if now.get(key, {}).get(column) != past.get(key, {}).get(column, "")
        }
        assert different == listed(release, added=True)[database]


def routes_to(ic: IcServers, prefix: str) -> list[str]:
    """The UUIDs of the advertised routes with a prefix."""
    find = ("--bare", "--columns=_uuid", "find", "Route", f'ip_prefix="{prefix}"')
    return ic.ctl("ovn-ic-sbctl", Database.IC_SB, *find).split()


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
