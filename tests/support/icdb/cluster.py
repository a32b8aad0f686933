"""Clusters of the real IC databases for tests, each member on a loopback address of its own.

The servers have the options and file names of `isthmus ic-db run`, but each is started separately,
so that a test can stop and restart any of them.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from isthmus.model.rows import Database
from support.ovn.servers import INSTALLATION, SCHEMAS, Processes, run_program, wait_until

ISTHMUS = Path(sys.executable).with_name("isthmus")
DATABASES = {"nb": Database.IC_NB, "sb": Database.IC_SB}
NB_PORT, SB_PORT = 26645, 26646
RAFT_PORTS = {"nb": 26647, "sb": 26648}


class ClusterMember:
    """A member of both clusters, or a stand-alone pair of servers."""

    def __init__(self, directory: Path, address: str, tls: Path | None = None) -> None:
        self.address, self.tls = address, tls
        self.method = "tcp" if tls is None else "ssl"
        self.data, self.run_dir = directory / "data", directory / "run"
        self.data.mkdir(parents=True)
        self.run_dir.mkdir()
        self.processes = Processes(directory / "log")

    def file(self, short: str) -> Path:
        """The database's file."""
        return self.data / f"ovn_ic_{short}_db.db"

    def remote(self, short: str) -> str:
        """The server, for clients on this machine."""
        return f"unix:{self.run_dir}/ovn_ic_{short}_db.sock"

    def raft(self, short: str) -> str:
        """The server, for the other members."""
        return f"{self.method}:{self.address}:{RAFT_PORTS[short]}"

    def create(
        self, short: str, contact: "ClusterMember | None", schema: Path | None = None
    ) -> None:
        """Create the database's file.

        Args:
            short: "nb" or "sb".
            contact: a member to join; the member itself to create the cluster; None to stand alone.
            schema: the schema; None for the installed one.
        """
        file, contents = str(self.file(short)), str(schema or SCHEMAS / f"ovn-ic-{short}.ovsschema")
        if contact is None:
            command = ["create", file, contents]
        elif contact is self:
            command = ["create-cluster", file, contents, self.raft(short)]
        else:
            addresses = (self.raft(short), contact.raft(short))
            command = ["join-cluster", file, DATABASES[short], *addresses]
        run_program(INSTALLATION, "ovsdb-tool", *command)

    def start(self, *shorts: str) -> None:
        """Start servers (both if none is named), and wait until they serve."""
        for short in shorts or tuple(DATABASES):
            stem = f"{self.run_dir}/ovn_ic_{short}_db"
            port = NB_PORT if short == "nb" else SB_PORT
            self.processes.start(
                short,
                "ovsdb-server",
                str(self.file(short)),
                f"--remote=punix:{stem}.sock",
                f"--remote=p{self.method}:{port}:{self.address}",
                *self._tls_flags(),
                f"--unixctl={stem}.ctl",
                f"--log-file={stem}.log",
                "-vconsole:off",
            )
        for short in shorts or tuple(DATABASES):
            wait_until(partial(self.serves, short), f"{self.address} serves {short}")

    def _tls_flags(self) -> list[str]:
        if self.tls is None:
            return []
        flags = {"private-key": "tls.key", "certificate": "tls.crt", "ca-cert": "ca.crt"}
        return [f"--{flag}={self.tls / file}" for flag, file in flags.items()]

    def stop(self, *shorts: str) -> None:
        """Kill servers."""
        for short in shorts or tuple(DATABASES):
            with suppress(KeyError):
                self.processes.stop(short, signal.SIGKILL)

    def serves(self, short: str) -> bool:
        """Whether the database can be read here, and a majority is in contact."""
        wait = ("wait", self.remote(short), DATABASES[short], "connected")
        return self._client("--timeout=2", *wait).returncode == 0

    def leads(self, short: str) -> bool:
        """Whether this server leads."""
        status = ("cluster/status", DATABASES[short])
        return "Role: leader" in self.appctl(short, *status)

    def appctl(self, short: str, *command: str) -> str:
        """Run a control command."""
        target = f"{self.run_dir}/ovn_ic_{short}_db.ctl"
        return run_program(INSTALLATION, "ovs-appctl", "-t", target, *command)

    def ctl(self, short: str, *arguments: str) -> str:
        """Run ovn-ic-nbctl or ovn-ic-sbctl on this server."""
        flags = (f"--db={self.remote(short)}", "--no-leader-only", "--timeout=10")
        return run_program(INSTALLATION, f"ovn-ic-{short}ctl", *flags, *arguments)

    def dump(self, short: str) -> str:
        """The rows without their ids, which change with a restoration."""
        done = self._client("--timeout=10", "dump", self.remote(short), DATABASES[short])
        return done.stdout

    def isthmus(self, *arguments: str, ports: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run `isthmus ic-db` on this member's host."""
        verb, *others = arguments
        dirs = [f"--data-dir={self.data}", f"--run-dir={self.run_dir}"]
        named = [f"--nb-port={NB_PORT}", f"--sb-port={SB_PORT}"] if ports else []
        done = subprocess.run(
            [str(ISTHMUS), "ic-db", verb, *dirs, *named, *others],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def _client(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [*INSTALLATION.command("ovsdb-client"), "--no-leader-only", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def cluster_in(
    directory: Path,
    size: int = 3,
    schemas: dict[str, Path] | None = None,
    tls: Path | None = None,
) -> Iterator[list[ClusterMember]]:
    """Members 127.0.0.1, 127.0.0.2, ... of a running cluster; `size` 1 stands alone.

    With `tls`, a directory with tls.crt, tls.key and ca.crt, they use only TLS.
    """
    members = [
        ClusterMember(directory / f"m{number}", f"127.0.0.{number}", tls)
        for number in range(1, size + 1)
    ]
    try:
        for member in members:
            for short in DATABASES:
                contact = None if size == 1 else members[0]
                schema = (schemas or {}).get(short)
                member.create(short, contact, schema if member in members[:1] else None)
            member.start()
        yield members
    finally:
        for member in members:
            member.processes.stop_all()
