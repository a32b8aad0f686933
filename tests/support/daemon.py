"""One cluster under `isthmus run`, with IC databases on TCP ports of the loopback interface.

The other zone is made of rows in the IC databases alone, so that a test says exactly what there
is to learn.
"""

import json
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.model.rows import Database
from support.ovn import FILES, SCHEMAS, RealZone, Servers, wait_until

IC = (Database.IC_NB, Database.IC_SB)

PEER = """
--id=@z create Availability_Zone name=az2 --
--id=@e create Encap type=geneve ip=192.0.2.2 gateway_name=gw2 --
create Gateway name=gw2 hostname=gw2 availability_zone=@z encaps=@e --
create Port_Binding logical_port=ts-az2 transit_switch=ts availability_zone=@z tunnel_key=77
  gateway=gw2 'address="0a:00:00:00:02:02 169.254.100.222/24"'
"""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class IcServers(Servers):
    """A pair of IC databases; `ports` are those of IC-NB and IC-SB."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.ports = {database: free_port() for database in IC}

    def serve_pair(self) -> None:
        """Start both servers, on the data that is there."""
        for database in IC:
            file = self.directory / f"{FILES[database]}.db"
            if not file.exists():
                schema = SCHEMAS / f"{FILES[database]}.ovsschema"
                subprocess.run(["ovsdb-tool", "create", file, schema], check=True)
            self.start(
                FILES[database],
                "ovsdb-server",
                str(file),
                f"--remote=p{self.socket(database)}",
                f"--remote=ptcp:{self.ports[database]}:127.0.0.1",
                f"--unixctl={self.directory}/{FILES[database]}.ctl",
                "-vconsole:warn",
            )
        for database in IC:
            wait_until((self.directory / f"{FILES[database]}.sock").exists, f"{database} listens")

    def kill_pair(self) -> None:
        """Let both servers crash."""
        for database in IC:
            self.stop(FILES[database], 9)
            (self.directory / f"{FILES[database]}.sock").unlink(missing_ok=True)

    def copied_to(self, directory: Path) -> "IcServers":
        """The same data elsewhere, on other ports; not served yet."""
        copy = IcServers(directory)
        for database in IC:
            shutil.copy(self.directory / f"{FILES[database]}.db", directory)
        return copy

    def add_peer(self) -> None:
        """Register a zone az2 with a port on the transit switch ts."""
        ts = ("create", "Transit_Switch", "name=ts", 'external_ids:subnet="169.254.100.0/24"')
        self.ctl("ovn-ic-nbctl", Database.IC_NB, *ts, "external_ids:vendor=kube-ovn")
        self.ctl("ovn-ic-sbctl", Database.IC_SB, *shlex.split(PEER))

    def advertise(self, *prefixes: str) -> None:
        """Have az2 advertise prefixes."""
        zone = self.ctl("ovn-ic-sbctl", Database.IC_SB, "--bare", "--columns=_uuid", "find",
                        "Availability_Zone", "name=az2").strip()  # fmt: skip
        for prefix in prefixes:
            self.ctl(
                "ovn-ic-sbctl", Database.IC_SB, "create", "Route", "transit_switch=ts",
                f"availability_zone={zone}", f'ip_prefix="{prefix}"', 'nexthop="169.254.100.222"',
                "origin=connected",
            )  # fmt: skip


class Cluster:
    """Databases, northd, a gateway chassis, and manifests; daemons are started by the test."""

    def __init__(self, directory: Path, ic: IcServers) -> None:
        self.zone = RealZone(directory, "az1", ic)
        self.servers = self.zone.servers
        self.manifests = directory / "manifests"
        self.manifests.mkdir()
        self.zone.sbctl("chassis-add", "gw1", "geneve", "192.0.2.1")
        self.zone.sbctl("set", "chassis", "gw1", "hostname=node1", "other_config:is-interconn=true")
        self.zone.add_subnet("net", "10.1.0.1/16")
        self.use(ic)

    def use(self, ic: IcServers, **changes: str) -> None:
        """Write the ConfigMap, with the ports of a pair of IC databases."""
        data = {
            "enable-ic": "true",
            "az-name": "az1",
            "ic-db-host": "127.0.0.1",
            "ic-nb-port": str(ic.ports[Database.IC_NB]),
            "ic-sb-port": str(ic.ports[Database.IC_SB]),
            "gw-nodes": "node1",
            "auto-route": "true",
            **changes,
        }
        metadata = {"name": "ovn-ic-config", "namespace": "kube-system"}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        # JSON is YAML; written beside and renamed, as editors do.
        draft = self.manifests.parent / "draft"
        draft.write_text(json.dumps(manifest) + "\n")
        draft.rename(self.manifests / "config.yaml")

    def start(self, name: str = "run") -> None:
        """Start `isthmus run`."""
        flags = {Database.NB: "--ovnnb-db", Database.SB: "--ovnsb-db"}
        remotes = [f"{flag}={self.servers.socket(database)}" for database, flag in flags.items()]
        manifests = f"--manifests={self.manifests}"
        program = str(Path(sys.executable).parent / "isthmus")
        self.servers.start(name, program, "run", *remotes, manifests, "--vpc=r", "-v")

    def learned(self) -> set[str]:
        """The prefixes that have been learned."""
        return set(self.zone.learned())

    def routes(self) -> str:
        """The learned routes with their UUIDs, in a stable order."""
        columns = ("--format=csv", "--columns=_uuid,ip_prefix,nexthop")
        text = self.zone.nbctl(*columns, "list", "logical_router_static_route")
        return "\n".join(sorted(text.splitlines()))

    def deleted_routes(self) -> int:
        """How many static routes have ever been deleted from NB, by its log."""
        file = self.servers.directory / f"{FILES[Database.NB]}.db"
        found = 0
        for line in file.read_bytes().splitlines():
            if line.startswith(b"{"):
                record: dict[str, Any] = json.loads(line)
                rows = record.get("Logical_Router_Static_Route") or {}
                found += sum(row is None for row in rows.values())
        return found


@contextmanager
def cluster_in(directory: Path) -> Iterator[tuple[Cluster, IcServers]]:
    """A cluster and its IC databases, with a peer that advertises one prefix; all is stopped."""
    ic = IcServers(directory / "ic")
    cluster: Cluster | None = None
    try:
        ic.serve_pair()
        ic.add_peer()
        ic.advertise("10.2.0.0/16")
        cluster = Cluster(directory, ic)
        yield cluster, ic
    finally:
        if cluster is not None:
            cluster.servers.stop_all()
        ic.stop_all()
