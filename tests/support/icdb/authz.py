"""`isthmus ic-db run --authorize` with certificates of `isthmus pki`, and zones behind it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.model.rows import Database
from isthmus.ovsdb.jsonrpc import JsonRpcClient, echo_reply, request
from isthmus.ovsdb.streams.tls import Tls
from isthmus.pki.files import TlsFiles
from support.icdb.run import LIMIT, Member, Members
from support.ovn.servers import RealZone, Servers, wait_until

ISTHMUS = str(Path(sys.executable).with_name("isthmus"))
DATABASES = {"nb": Database.IC_NB, "sb": Database.IC_SB}


def isthmus(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end."""
    command, env = [ISTHMUS, *arguments], {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert "Traceback" not in done.stderr, done.stderr
    return done


class AuthorizedMembers:
    """Members with authorizing proxies; a single member is not a cluster.

    Args:
        directory: for everything.
        addresses: of the members.
    """

    def __init__(self, directory: Path, *addresses: str) -> None:
        self.directory, self.ca = directory, directory / "ca"
        self.pki("init", str(self.ca))
        self.members = Members(directory, *addresses)
        self.first = self.members.all[0]
        self.ports = self.first.ports
        for member in self.members.all:
            tls = self.issue("member", member.address, f"--address={member.address}")
            member.flags = ("--authorize", f"--tls-dir={tls}")
        self.zones: list[RealZone] = []

    def start(self) -> None:
        """Start all members, and wait until they serve."""
        if len(self.members.all) == 1:
            self.first.start_as(f"--listen={self.first.address}")
            wait_until(lambda: self.first.ready, "it serves", LIMIT)
        else:
            for member in self.members.all:
                member.start()
            self.members.complete()

    def issue(self, kind: str, name: str, *more: str) -> Path:
        """Issue a certificate once; its directory."""
        directory = self.directory / "tls" / name
        if not directory.exists():
            directory.parent.mkdir(exist_ok=True)
            self.pki("issue", kind, name, f"--ca={self.ca}", f"--out={directory}", *more)
        return directory

    def renew(self, name: str) -> None:
        """Replace a certificate."""
        self.pki("renew", str(self.directory / "tls" / name), f"--ca={self.ca}", "--yes")

    def remote(self, short: str) -> str:
        """The addresses of all members."""
        hosts = (member.address for member in self.members.all)
        return ",".join(f"ssl:{host}:{self.ports[short]}" for host in hosts)

    def flags(self, kind: str, name: str) -> list[str]:
        """The options of OVS's programs, and of isthmus, for a name's certificate."""
        return list(TlsFiles.in_directory(self.issue(kind, name)).options)

    def ask(self, kind: str, name: str, short: str, *operations: object) -> list[Any]:
        """Send one transaction; its results, or the refusal."""
        with self.connected(kind, name, short) as client:
            return client.transact(*operations)

    @contextmanager
    def connected(
        self, kind: str, name: str, short: str, member: Member | None = None
    ) -> Iterator["RawClient"]:
        """A connection to a member."""
        files = TlsFiles.in_directory(self.issue(kind, name))
        tls = Tls(str(files.private_key), str(files.certificate), str(files.ca_cert))
        address = ((member or self.first).address, self.ports[short])
        with (
            socket.create_connection(address, LIMIT) as plain,
            tls.context().wrap_socket(plain) as wrapped,
        ):
            yield RawClient(wrapped, DATABASES[short])

    def zone(self, name: str, number: int) -> RealZone:
        """A zone with a subnet 10.NUMBER.0.0/16, run by Isthmus through the proxies."""
        zone = RealZone(self.directory, name, Servers(self.directory / "unused"))
        self.zones.append(zone)
        zone.nbctl("set", "NB_Global", ".", "options:ic-route-adv=true")
        zone.nbctl("set", "NB_Global", ".", "options:ic-route-learn=true")
        zone.add_subnet(f"net-{name}", f"10.{number}.0.1/16")
        self.start_engine(zone, name)
        zone.join("ts", f"169.254.100.{number}/24")
        return zone

    def start_engine(self, zone: RealZone, certificate: str) -> None:
        """Start a zone's engine with a certificate."""
        nb, sb = (zone.servers.socket(d) for d in (Database.NB, Database.SB))
        zone.servers.start(
            "engine", ISTHMUS, "ovn-ic", f"--ovnnb-db={nb}", f"--ovnsb-db={sb}",
            f"--ic-nb-db={self.remote('nb')}", f"--ic-sb-db={self.remote('sb')}",
            *self.flags("zone", certificate), f"--unixctl={zone.servers.directory}/ic.ctl",
        )  # fmt: skip

    def status(self, *more: str) -> dict[str, Any]:
        """The output of `isthmus ic-db status` on the first member's host."""
        found: dict[str, Any] = json.loads(self.run("status", "-o", "json", *more).stdout)
        return found

    def run(self, verb: str, *more: str) -> "subprocess.CompletedProcess[str]":
        """Run `isthmus ic-db` on the first member's host."""
        member = self.first
        return isthmus(
            "ic-db", verb, f"--data-dir={member.data}", f"--run-dir={member.run_dir}",
            f"--nb-port={self.ports['nb']}", f"--sb-port={self.ports['sb']}",
            f"--tls-dir={self.issue('member', member.address)}", *more,
        )  # fmt: skip

    def rows(self, short: str, table: str) -> list[dict[str, Any]]:
        """The rows of a table, read from the first member's server directly."""
        with socket.socket(socket.AF_UNIX) as local:
            local.connect(f"{self.first.run_dir}/ovn_ic_{short}_db.sock")
            select = {"op": "select", "table": table, "where": []}
            [found] = RawClient(local, DATABASES[short]).transact(select)
            rows: list[dict[str, Any]] = found["rows"]
            return rows

    def proxy_log(self, member: Member | None = None) -> str:
        """The log of a member's proxy."""
        return ((member or self.first).run_dir / "isthmus-ic-db-guard.log").read_text()

    def proxy_pid(self) -> int:
        """The process of the first member's proxy; 0 if there is none."""
        children = Path(f"/proc/{self.first.pid}/task/{self.first.pid}/children").read_text()
        proxies = [
            int(pid)
            for pid in children.split()
            if b"\0authz\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return proxies[0] if proxies else 0

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a state; on failure show all logs."""
        try:
            wait_until(condition, what, LIMIT)
        except AssertionError as error:
            logs = [member.log.read_text() for member in self.members.all]
            logs += [self.proxy_log(member) for member in self.members.all]
            logs += [zone.servers.log("engine") for zone in self.zones]
            rows = [row["ip_prefix"] for row in self.rows("sb", "Route")]
            tails = "\n--\n".join(log[-3000:] for log in logs)
            raise AssertionError(f"{error}\nroutes: {rows}\n{tails}") from error

    def stop(self) -> None:
        """Stop everything."""
        for zone in self.zones:
            zone.servers.stop_all()
        self.members.stop()

    @staticmethod
    def pki(*arguments: str) -> None:
        """Run `isthmus pki`, which must succeed."""
        done = isthmus("pki", *arguments)
        assert done.returncode == 0, done.stderr


class RawClient:
    """One connection of a client, for requests one after the other."""

    def __init__(self, connected: socket.socket, database: str) -> None:
        self.socket, self._database = connected, database
        self._client = JsonRpcClient(connected)
        self.receive = self._client.receive

    def transact(self, *operations: object) -> list[Any]:
        """The results of a transaction's operations, errors among them."""
        return list(self._client.call("transact", self._database, *operations))

    def send(self, method: str, *params: object) -> None:
        """Send a request."""
        self._client.send(request(method, *params))

    def reply_to(self, probe: Mapping[str, Any]) -> None:
        """Answer an `echo` of the other side."""
        reply = echo_reply(probe)
        assert reply is not None, probe
        self._client.send(reply)


@contextmanager
def authorized_members(directory: Path, *addresses: str) -> Iterator[AuthorizedMembers]:
    """Running members with authorizing proxies, stopped at the end."""
    found = AuthorizedMembers(directory, *(addresses or ("127.0.0.1",)))
    try:
        found.start()
        yield found
    finally:
        found.stop()
