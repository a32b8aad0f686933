"""`isthmus ic-db run` as members of a cluster, each on a loopback address of its own.

`Members` has what they share. A `Member` may be started, stopped and wiped in any order. All
processes are children of the test, and end with it. With `support.icdb.network`, each member runs
in its own network namespace instead.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from isthmus.icdb.raft.status_parser import RaftStatus, parse_raft_status
from isthmus.model.rows import Database
from isthmus_lab.system import processes
from support.ovn.servers import wait_until

ISTHMUS = Path(sys.executable).with_name("isthmus")
DATABASES = {"nb": Database.IC_NB, "sb": Database.IC_SB}
LIMIT = 60.0
"""Seconds for a cluster to be complete; it takes five on a machine with nothing else to do."""


class Member:
    """One member.

    Args:
        directory: for its files.
        address: its host in the list of members.
        listed: the list of members.
        ports: "nb", "sb" for clients, "nb-raft", "sb-raft".
    """

    def __init__(
        self, directory: Path, address: str, listed: tuple[str, ...], ports: Mapping[str, int]
    ) -> None:
        self.directory, self.address, self.listed, self.ports = directory, address, listed, ports
        self.data, self.run_dir = directory / "data", directory / "run"
        self.log, self.out = directory / "log", directory / "out"
        directory.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.wrapper: tuple[str, ...] = ()
        """A prefix that replaces itself with the command, such as unshare(1)."""
        self.flags: tuple[str, ...] = ()
        """Options of every start."""

    def start(self, *more: str) -> None:
        """Start it; `ready` shows when it can be written."""
        self.start_as(f"--members={','.join(self.listed)}", f"--address={self.address}", *more)

    def start_as(self, *flags: str) -> None:
        """Start it with other flags than a member's."""
        dirs = (f"--data-dir={self.data}", f"--run-dir={self.run_dir}")
        ports = (f"--{name}-port={port}" for name, port in self.ports.items())
        tie = ("setpriv", "--pdeathsig", "TERM")
        command = [*tie, *self.wrapper, str(ISTHMUS), "ic-db", "run", *dirs, *ports]
        with self.log.open("ab") as log, self.out.open("wb") as out:
            self._process = subprocess.Popen(
                [*command, *self.flags, *flags], stdout=out, stderr=log
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; its exit status."""
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        return process.wait(LIMIT)

    def kill(self) -> None:
        """Kill it and its servers at once, as when its machine fails."""
        servers = self._servers()
        for pid in (self.pid, *servers):
            os.kill(pid, signal.SIGKILL)
        self.stop(signal.SIGKILL)
        processes.stop(servers, signal.SIGKILL)

    def kill_server(self, short: str) -> None:
        """Kill one of its servers, which it restarts."""
        processes.stop([self.server_pid(short)], signal.SIGKILL)

    def server_pid(self, short: str) -> int:
        """The process of one of its servers, which has been started."""
        file = self.run_dir / f"ovn_ic_{short}_db.pid"
        found = ""

        def there() -> bool:
            # A starting server removes its predecessor's file for a moment.
            nonlocal found
            found = _text(file)
            return bool(found)

        wait_until(there, f"{file} is there", LIMIT)
        return int(found)

    def wipe(self) -> None:
        """Lose the disk."""
        shutil.rmtree(self.data)

    def refused(self, *more: str) -> str:
        """Its log when it cannot run."""
        self.start(*more)
        assert self._process is not None
        assert self._process.wait(LIMIT) == 1
        self._process = None
        said = self.log.read_text()
        assert "Traceback" not in said, said
        return said

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it has reported readiness; an error if it has ended instead."""
        assert self.running, self.log.read_text()
        return self.out.read_text().startswith("ready: ")

    def says(self, text: str) -> None:
        """Wait until it has logged something."""

        def said() -> bool:
            logged = self.log.read_text()
            assert self.running or text in logged, logged
            return text in logged

        wait_until(said, f"{self.address} says {text!r}", LIMIT)

    def row(self, short: str) -> dict[str, object]:
        """The row of its database in `_Server`; empty if there is none."""
        where = [["name", "==", DATABASES[short]]]
        select = {"op": "select", "table": "Database", "where": where}
        [found] = self._transact(short, "_Server", select)
        rows = found["rows"]
        assert isinstance(rows, list)
        return dict(rows[0]) if rows else {}

    def state(self, short: str) -> dict[str, object]:
        """The same; empty also if its server does not answer, as during a start."""
        with suppress(subprocess.CalledProcessError):
            return self.row(short)
        return {}

    def cid(self, short: str) -> str:
        """The cluster that it is in."""
        value = self.row(short)["cid"]
        assert isinstance(value, list)
        return str(value[1])

    def leads(self, short: str) -> bool:
        """Whether it leads."""
        return self.state(short).get("leader") is True

    def serves(self, short: str) -> bool:
        """Whether its server is in contact with a majority."""
        return self.state(short).get("connected") is True

    def add_switch(self, name: str) -> None:
        """Write a row, a transit switch, to IC-NB."""
        insert = {"op": "insert", "table": "Transit_Switch", "row": {"name": name}}
        [result] = self._transact("nb", Database.IC_NB, insert)
        assert "uuid" in result, result

    def add_zone(self, name: str, alive: int) -> None:
        """Write a zone to IC-SB with a heartbeat, in seconds since 1970."""
        row: dict[str, object] = {"external_ids": ["map", [[f"isthmus-alive-{name}", str(alive)]]]}
        sign = {"op": "insert", "table": "IC_SB_Global", "row": row}
        zone = {"op": "insert", "table": "Availability_Zone", "row": {"name": name}}
        results = self._transact("sb", Database.IC_SB, sign, zone)
        assert all("uuid" in result for result in results), results

    def beat(self, name: str, alive: int) -> None:
        """Write a zone's heartbeat, in seconds since 1970."""
        key = f"isthmus-alive-{name}"
        changes = [
            ["external_ids", "delete", ["set", [key]]],
            ["external_ids", "insert", ["map", [[key, str(alive)]]]],
        ]
        beat: dict[str, object] = {"op": "mutate", "table": "IC_SB_Global", "where": []}
        self._transact("sb", Database.IC_SB, {**beat, "mutations": changes})

    def zones(self) -> set[str]:
        """The names of the zones in this member's IC-SB."""
        select = {"op": "select", "table": "Availability_Zone", "where": []}
        [found] = self._transact("sb", Database.IC_SB, select)
        rows = found["rows"]
        assert isinstance(rows, list)
        return {row["name"] for row in rows}

    def switches(self) -> dict[str, str]:
        """Names of transit switches, with the ids of their rows."""
        select = {"op": "select", "table": "Transit_Switch", "where": []}
        [found] = self._transact("nb", Database.IC_NB, select)
        rows = found["rows"]
        assert isinstance(rows, list)
        return {row["name"]: row["_uuid"][1] for row in rows}

    def servers(self, short: str) -> str:
        """The list of servers in its `cluster/status`."""
        return self.control(short, "cluster/status").partition("\nServers:\n")[2]

    def raft(self, short: str) -> RaftStatus:
        """Its `cluster/status`: role, term, log, servers."""
        return parse_raft_status(self.control(short, "cluster/status"))

    def control(self, short: str, command: str, *arguments: str) -> str:
        """The reply of its server to a command of ovsdb-server(1) on its database."""
        target = f"{self.run_dir}/ovn_ic_{short}_db.ctl"
        whole = ["ovs-appctl", "-t", target, command, DATABASES[short], *arguments]
        return subprocess.run(whole, capture_output=True, text=True, check=True).stdout

    def terms_led(self, short: str) -> list[int]:
        """The terms that its servers have been elected for, according to their logs."""
        log = self.run_dir / f"ovsdb-server-ic-{short}.log"
        found = re.findall(r"\|term (\d+): elected leader by ", _text(log))
        return [int(term) for term in found]

    def raft_log(self, short: str) -> list[dict[str, object]]:
        """The records of its database's file (ovsdb(5)): terms, votes, leaders, entries.

        A record's data are on a line of their own, after one with their length and checksum.
        """
        lines = _text(self.data / f"ovn_ic_{short}_db.db").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _servers(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def _transact(self, short: str, database: str, *operations: object) -> list[dict[str, object]]:
        command = [
            "ovsdb-client", "--timeout=10", "--no-leader-only", "transact",
            f"unix:{self.run_dir}/ovn_ic_{short}_db.sock", json.dumps([database, *operations]),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result: list[dict[str, object]] = json.loads(done.stdout)
        return result


class Members:
    """All members of one cluster, none of them started.

    Args:
        directory: for the files of all.
        addresses: their hosts, the bootstrap member's first.
        ports: see `Member`; None for free ones.
    """

    def __init__(
        self, directory: Path, *addresses: str, ports: Mapping[str, int] | None = None
    ) -> None:
        if ports is None:
            names = ("nb", "sb", "nb-raft", "sb-raft")
            ports = dict(zip(names, free_ports(len(names), addresses), strict=True))
        self.all = tuple(
            Member(directory / f"m{number}", address, addresses, ports)
            for number, address in enumerate(addresses)
        )

    def complete(self, limit: float = LIMIT) -> None:
        """Wait until the running members are ready, and check that they are in one cluster.

        Args:
            limit: seconds for each condition.
        """
        running = [member for member in self.all if member.running]
        wait_until(lambda: all(member.ready for member in running), "all are ready", limit)
        for short in DATABASES:
            cids: set[str] = set()
            wait_until(partial(self._find_cids, short, cids), f"all serve {short}", limit)
            assert len(cids) == 1, cids
            self.leader(short)

    def _find_cids(self, short: str, found: set[str]) -> bool:
        """Whether all running members serve a database; `found` gets the ids of their clusters."""
        rows = [member.state(short) for member in self.all if member.running]
        found.clear()
        found.update(str(row["cid"]) for row in rows if row.get("connected") is True)
        return all(row.get("connected") is True for row in rows)

    def leader(self, short: str) -> Member:
        """The member that leads, once there is one."""

        def leaders() -> list[Member]:
            return [member for member in self.all if member.running and member.leads(short)]

        wait_until(lambda: len(leaders()) == 1, "one member leads", LIMIT)
        return leaders()[0]

    def stop(self) -> None:
        """Stop the running members."""
        for member in self.all:
            if member.running:
                member.stop()


@contextmanager
def members(directory: Path, *addresses: str) -> Iterator[Members]:
    """Members that are stopped with the context."""
    found = Members(directory, *addresses)
    try:
        yield found
    finally:
        found.stop()


def _text(file: Path) -> str:
    """The contents of a file; empty if it does not exist."""
    with suppress(FileNotFoundError):
        return file.read_text(errors="replace")
    return ""


def free_ports(count: int, addresses: Iterable[str]) -> list[int]:
    """Ports that are free on these addresses."""
    address = next(iter(addresses))
    host = "::1" if ":" in address else "127.0.0.1"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    taken = [socket.create_server((host, 0), family=family) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports
