"""One cluster under `isthmus run`, with IC databases on TCP ports of the loopback interface.

The other zone consists of rows in the IC databases only, so a test controls exactly what can be
learned.
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
from support.ovn.servers import FILES, SCHEMAS, RealZone, Servers, wait_until

IC = (Database.IC_NB, Database.IC_SB)

PEER = """
--id=@z create Availability_Zone name=az2 --
--id=@e create Encap type=geneve ip=192.0.2.2 gateway_name=gw2 --
create Gateway name=gw2 hostname=gw2 availability_zone=@z encaps=@e --
create Port_Binding logical_port=ts-az2 transit_switch=ts availability_zone=@z tunnel_key=77
  gateway=gw2 'address="0a:00:00:00:02:02 169.254.100.222/24"'
"""


def free_port() -> int:
    """A free TCP port of the loopback interface."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class IcServers(Servers):
    """A pair of IC databases; `ports` are those of IC-NB and IC-SB."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.ports = {database: free_port() for database in IC}

    def serve_pair(self, *tls: str) -> None:
        """Start both servers on the existing data.

        Args:
            tls: flags with key, certificate and CA; if given, the ports accept TLS only.
        """
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
                f"--remote={'pssl' if tls else 'ptcp'}:{self.ports[database]}:127.0.0.1",
                *tls,
                f"--unixctl={self.directory}/{FILES[database]}.ctl",
                "-vconsole:warn",
            )
        for database in IC:
            wait_until((self.directory / f"{FILES[database]}.sock").exists, f"{database} listens")

    def kill_pair(self) -> None:
        """Kill both servers."""
        for database in IC:
            self.stop(FILES[database], 9)
            (self.directory / f"{FILES[database]}.sock").unlink(missing_ok=True)

    def copied_to(self, directory: Path) -> "IcServers":
        """A copy of the data on other ports, not served yet."""
        copy = IcServers(directory)
        for database in IC:
            shutil.copy(self.directory / f"{FILES[database]}.db", directory)
        return copy

    def add_ts(self, name: str = "ts", subnet: str = "169.254.100.0/24") -> None:
        """Create a transit switch."""
        ts = ("create", "Transit_Switch", f"name={name}", f'external_ids:subnet="{subnet}"')
        self.ctl("ovn-ic-nbctl", Database.IC_NB, *ts, "external_ids:vendor=kube-ovn")

    def add_peer(self) -> None:
        """Create the transit switch, and register a zone az2 with a port on it."""
        self.add_ts()
        self.ctl("ovn-ic-sbctl", Database.IC_SB, *shlex.split(PEER))

    def advertise(self, *prefixes: str) -> None:
        """Advertise prefixes as az2."""
        zone = self.ctl("ovn-ic-sbctl", Database.IC_SB, "--bare", "--columns=_uuid", "find",
                        "Availability_Zone", "name=az2").strip()  # fmt: skip
        for prefix in prefixes:
            self.ctl(
                "ovn-ic-sbctl", Database.IC_SB, "create", "Route", "transit_switch=ts",
                f"availability_zone={zone}", f'ip_prefix="{prefix}"', 'nexthop="169.254.100.222"',
                "origin=connected",
            )  # fmt: skip

    def advertised(self) -> set[str]:
        """The advertised prefixes of all zones."""
        columns = ("--bare", "--columns=ip_prefix", "list", "Route")
        return set(self.ctl("ovn-ic-sbctl", Database.IC_SB, *columns).split())


class Cluster:
    """Databases, northd, a gateway chassis, and manifests; the test starts daemons.

    Args:
        directory: for data, sockets and manifests.
        ic: the IC databases.
        number: makes names and addresses unique: az1, gw1, node1, 10.1.0.0/16.
    """

    def __init__(self, directory: Path, ic: IcServers, number: int = 1) -> None:
        self.number = number
        self.zone = RealZone(directory, f"az{number}", ic)
        self.servers = self.zone.servers
        self.manifests = self.servers.directory / "manifests"
        self.manifests.mkdir()
        chassis = f"gw{number}"
        self.zone.sbctl("chassis-add", chassis, "geneve", f"192.0.2.{number}")
        self.zone.sbctl("set", "chassis", chassis, f"hostname=node{number}")
        self.zone.sbctl("set", "chassis", chassis, "other_config:is-interconn=true")
        self.zone.add_subnet("net", f"10.{number}.0.1/16")
        self.use(ic)

    def configuration(self, ic: IcServers, **changes: str) -> dict[str, str]:
        """The data of the ConfigMap, with the ports of a pair of IC databases."""
        return {
            "enable-ic": "true",
            "az-name": self.zone.name,
            "ic-db-host": "127.0.0.1",
            "ic-nb-port": str(ic.ports[Database.IC_NB]),
            "ic-sb-port": str(ic.ports[Database.IC_SB]),
            "gw-nodes": f"node{self.number}",
            "auto-route": "true",
            **changes,
        }

    def use(self, ic: IcServers, **changes: str) -> None:
        """Write the ConfigMap into the directory of manifests."""
        data = self.configuration(ic, **changes)
        metadata = {"name": "ovn-ic-config", "namespace": "kube-system"}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        # JSON is valid YAML. Write and rename, as editors do.
        draft = self.manifests.parent / "draft"
        draft.write_text(json.dumps(manifest) + "\n")
        draft.rename(self.manifests / "config.yaml")

    def leave(self) -> None:
        """Delete the ConfigMap."""
        (self.manifests / "config.yaml").unlink()

    def start(
        self,
        name: str = "run",
        *origin: str,
        tls: tuple[str, ...] = (),
        wrapper: tuple[str, ...] = (),
    ) -> None:
        """Start `isthmus run`.

        Args:
            name: of the process.
            origin: flags for the source of manifests, by default the directory.
            tls: flags of `isthmus` with key, certificate and CA.
            wrapper: a command that runs the one after it.
        """
        flags = {Database.NB: "--ovnnb-db", Database.SB: "--ovnsb-db"}
        remotes = [f"{flag}={self.servers.socket(database)}" for database, flag in flags.items()]
        origin = origin or (f"--manifests={self.manifests}",)
        program = str(Path(sys.executable).parent / "isthmus")
        self.servers.start(name, *wrapper, program, *tls, "run", *remotes, *origin, "--vpc=r", "-v")

    def learned(self) -> set[str]:
        """The learned prefixes."""
        return set(self.zone.learned())

    def routes(self) -> str:
        """The learned routes with their UUIDs, in a stable order."""
        columns = ("--format=csv", "--columns=_uuid,ip_prefix,nexthop")
        text = self.zone.nbctl(*columns, "list", "logical_router_static_route")
        return "\n".join(sorted(text.splitlines()))

    def deleted_routes(self) -> int:
        """How many static routes have ever been deleted from NB, according to its log."""
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
    """A cluster, and IC databases with a zone that advertises one prefix; stopped at the end."""
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
