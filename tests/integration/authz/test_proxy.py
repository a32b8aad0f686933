"""The authorizing proxy with real servers: ovn-ic and Isthmus as zones, and one attacker."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.rows import Database
from support.ovn.authority import Authority
from support.ovn.servers import Processes, RealFleet, RealZone, wait_until

pytestmark = [
    pytest.mark.ovn,
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed"),
]

IC_SB = "OVN_IC_Southbound"
ISTHMUS = str(Path(sys.executable).with_name("isthmus"))


def free_ports() -> tuple[int, int]:
    """Two unused ports."""
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        return a.getsockname()[1], b.getsockname()[1]


class ProxiedFleet:
    """A fleet whose zones connect through an authorizing proxy."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory / "pki")
        self.servers = RealFleet(directory)
        self.processes = Processes(directory / "proxy")
        self.ports = free_ports()
        for short in ("nb", "sb"):
            link = self.processes.directory / f"ovn_ic_{short}_db.sock"
            link.symlink_to(self.servers.ic.directory / f"ovn-ic-{short}.sock")
        self.servers.ic.ctl("ovn-ic-nbctl", Database.IC_NB, "ts-add", "ts")

    def start(self) -> None:
        """Start the proxy."""
        tls = self.tls("server")
        self.processes.start(
            "proxy", ISTHMUS, "ic-db", "guard",  # the former name of authz
            f"--tls-dir={tls}", "--listen=127.0.0.1", f"--run-dir={self.processes.directory}",
            f"--nb-port={self.ports[0]}", f"--sb-port={self.ports[1]}", "--operator=boss",
        )  # fmt: skip
        wait_until(lambda: "failed" not in self.ask("az9", []), "the proxy serves")

    def tls(self, name: str) -> Path:
        """A directory with a certificate for a name."""
        directory = self.authority.directory / f"tls-{name}"
        if not directory.exists():
            directory.mkdir()
            key, certificate = self.authority.issue(name)
            shutil.copy(key, directory / "tls.key")
            shutil.copy(certificate, directory / "tls.crt")
            shutil.copy(self.authority.certificate, directory / "ca.crt")
        return directory

    def flags(self, name: str) -> list[str]:
        """The flags of OVS's programs for a name's certificate."""
        tls = self.tls(name)
        files = {"private-key": "tls.key", "certificate": "tls.crt", "ca-cert": "ca.crt"}
        return [f"--{flag}={tls / file}" for flag, file in files.items()]

    def ask(self, name: str, operations: list[Any]) -> str:
        """Send a transaction to IC-SB; the answer, or the error."""
        command = ["ovsdb-client", "-t", "10", *self.flags(name), "transact"]
        request = json.dumps([IC_SB, *operations])
        remote = f"ssl:127.0.0.1:{self.ports[1]}"
        done = subprocess.run(
            [*command, remote, request], check=False, capture_output=True, text=True
        )
        return done.stdout if done.returncode == 0 else f"failed: {done.stderr}"

    def join(self, name: str, number: int, *, real: bool) -> RealZone:
        """A zone with a subnet, run by ovn-ic or by Isthmus, through the proxy."""
        zone = self.servers.add_zone(name)
        zone.nbctl("set", "NB_Global", ".", "options:ic-route-adv=true")
        zone.nbctl("set", "NB_Global", ".", "options:ic-route-learn=true")
        zone.add_subnet(f"net-{name}", f"10.{number}.0.1/16")
        nb, sb = (zone.servers.socket(d) for d in (Database.NB, Database.SB))
        program = ["ovn-ic"] if real else [ISTHMUS, "ovn-ic"]
        zone.servers.start(
            "ic", *program, f"--ovnnb-db={nb}", f"--ovnsb-db={sb}",
            f"--ic-nb-db=ssl:127.0.0.1:{self.ports[0]}",
            f"--ic-sb-db=ssl:127.0.0.1:{self.ports[1]}",
            *self.flags(name), f"--unixctl={zone.servers.directory}/ic.ctl",
        )  # fmt: skip
        zone.join("ts", f"169.254.100.{number}/24")
        return zone

    def uuids(self, table: str) -> list[str]:
        """The rows of a table of IC-SB."""
        text = self.servers.ic.ctl("ovn-ic-sbctl", Database.IC_SB, "--bare", "--columns=_uuid",
                                 "list", table)  # fmt: skip
        return text.split()

    def stop(self) -> None:
        """Stop everything."""
        self.processes.stop_all()
        for zone in self.servers.zones:
            zone.servers.stop_all()
        self.servers.ic.stop_all()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[ProxiedFleet]:
    """A fleet with its proxy running."""
    found = ProxiedFleet(tmp_path)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def test_zones_work_through_the_proxy_and_an_attacker_does_not(fleet: ProxiedFleet) -> None:
    """ovn-ic and Isthmus exchange routes; a third zone with a valid certificate changes nothing."""
    az1, az2 = fleet.join("az1", 1, real=True), fleet.join("az2", 2, real=False)
    wait_until(lambda: az1.learned() == {"10.2.0.0/16": {"169.254.100.2"}}, "az1 learns")
    wait_until(lambda: az2.learned() == {"10.1.0.0/16": {"169.254.100.1"}}, "az2 learns")
    before = fleet.servers.ic.dump(Database.IC_SB)
    assert not (fleet.processes.directory / "guard-refusals.json").exists()

    zone = fleet.servers.ic.ctl(
        "ovn-ic-sbctl", Database.IC_SB, "--bare", "--columns=_uuid", "find", "Availability_Zone",
        "name=az1",
    ).strip()  # fmt: skip
    forged = {
        "transit_switch": "ts", "availability_zone": ["uuid", zone], "ip_prefix": "10.66.0.0/16",
        "nexthop": "169.254.100.1", "origin": "connected",
    }  # fmt: skip
    attacks: list[list[Any]] = [
        [{"op": "insert", "table": "Route", "row": forged}],
        [{"op": "delete", "table": "Route", "where": []}],
        *(
            [{"op": "delete", "table": table, "where": [["_uuid", "==", ["uuid", uuid]]]}]
            for table in ("Route", "Port_Binding", "Datapath_Binding")
            for uuid in fleet.uuids(table)
        ),
        [{"op": "update", "table": "Availability_Zone", "where": [["name", "==", "az1"]],
          "row": {"name": "evil"}}],
    ]  # fmt: skip
    for attack in attacks:
        assert "permission error" in fleet.ask("az3", attack), attack
    assert fleet.servers.ic.dump(Database.IC_SB) == before
    assert az1.learned() == {"10.2.0.0/16": {"169.254.100.2"}}

    record = fleet.processes.directory / "guard-refusals.json"
    wait_until(record.exists, "the refusals are recorded")
    wait_until(
        lambda: json.loads(record.read_text())["az3"]["count"] == len(attacks), "all are counted"
    )
    assert set(json.loads(record.read_text())) == {"az3"}
    assert "zone az3 may not" in fleet.processes.log("proxy")


def test_a_registered_attacker_cannot_announce_another_zones_prefix(fleet: ProxiedFleet) -> None:
    """An attacker that joins properly, with its own port, gets no prefix of az1."""
    az1 = fleet.join("az1", 1, real=True)
    az3 = fleet.join("az3", 3, real=True)
    wait_until(lambda: az1.learned() == {"10.3.0.0/16": {"169.254.100.3"}}, "az1 learns")
    az3.add_subnet("stolen", "10.1.7.1/24")
    record = fleet.processes.directory / "guard-refusals.json"
    wait_until(record.exists, "it is refused")
    assert (
        "zone az1 advertises 10.1.0.0/16, which contains 10.1.7.0/24"
        in json.loads(record.read_text())["az3"]["why"]
    )
    assert az1.learned() == {"10.3.0.0/16": {"169.254.100.3"}}


def test_withdrawals_and_operators_pass(fleet: ProxiedFleet) -> None:
    """A zone withdraws its own route; an operator's certificate may write everything."""
    az1, az2 = fleet.join("az1", 1, real=True), fleet.join("az2", 2, real=False)
    wait_until(lambda: "10.2.0.0/16" in az1.learned(), "az1 learns")
    az2.nbctl("lrp-del", "net-az2")
    wait_until(lambda: not az1.learned(), "az1 drops the route")
    assert "uuid" in fleet.ask(
        "boss", [{"op": "insert", "table": "Availability_Zone", "row": {"name": "by-hand"}}]
    )


def test_no_writes_pass_while_a_database_is_down(fleet: ProxiedFleet) -> None:
    """Without the databases' contents the proxy refuses; it recovers with them."""
    az1, az2 = fleet.join("az1", 1, real=True), fleet.join("az2", 2, real=False)
    wait_until(lambda: "10.2.0.0/16" in az1.learned(), "az1 learns")
    fleet.servers.ic.stop("ovn-ic-nb")
    wait_until(lambda: "failed" in fleet.ask("az1", []), "the proxy refuses")
    assert "10.2.0.0/16" in az1.learned()
    fleet.servers.ic.serve(Database.IC_NB)
    az2.add_subnet("more", "10.22.0.1/16")
    wait_until(lambda: "10.22.0.0/16" in az1.learned(), "az1 learns again")


def test_unauthenticated_clients_get_nothing(fleet: ProxiedFleet, tmp_path: Path) -> None:
    """Clients in clear text or with another authority's certificate read nothing."""
    with socket.create_connection(("127.0.0.1", fleet.ports[1]), 5) as plain:
        plain.sendall(b'{"method":"list_dbs","params":[],"id":1}')
        assert b"OVN" not in plain.recv(1000)
    other = Authority(tmp_path / "other")
    key, certificate = other.issue("az1")
    done = subprocess.run(
        ["ovsdb-client", "-t", "5", f"--private-key={key}", f"--certificate={certificate}",
         f"--ca-cert={fleet.authority.certificate}", "list-dbs",
         f"ssl:127.0.0.1:{fleet.ports[1]}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode
    assert "OVN" not in done.stdout
