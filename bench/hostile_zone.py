"""One zone attacks the databases from 8 connections while another zone writes.

Run by hand: `PYTHONPATH=tests python -m bench.hostile_zone [SECONDS] [FILE]`. A scenario runs all
attacks of `support.hostile.zone_messages` at once, over and over, next to 3,000 idle clients
without a certificate. Prints the time that the other zone's writes take before and during the
attack, the largest memory of the proxies and servers, and how much the files of the databases grow,
and appends the same as JSON to FILE. The attackers have a lower priority, since they would run on
other machines. An earlier version is measured with its `src` in front of PYTHONPATH.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from support.hostile.zone_messages import SWITCH, Attack, attacks, setup, write
from support.icdb.authz import AuthorizedMembers, authorized_members
from support.icdb.run import Member
from support.ovn.servers import wait_until

CONNECTIONS = 8
STRANGERS = 3000
INTERVAL = 0.05
"""Seconds between two writes of the other zone."""

ATTACKER, STRANGER = ("127.0.0.98", 0), ("127.0.0.99", 0)
"""Where they connect from."""

PRIORITY = 15
"""What attackers add to their nice value."""

SCENARIOS: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "standalone": (("127.0.0.1",), False),
    "Raft, leader": (("127.0.0.1", "127.0.0.2", "127.0.0.3"), False),
    "Raft, follower": (("127.0.0.1", "127.0.0.2", "127.0.0.3"), True),
}
"""The members, and whether both zones connect to a follower."""


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one scenario.

    Args:
        quiet: p50, p99 and the largest time of a write before the attack, in ms.
        attacked: the same during the attack.
        writes: how many were made during the attack.
        proxies, servers: the largest resident memory of each process, in MB.
        disk: how much the largest member's files grew at most, in MB.
        load: of the machine at the end, over one minute.
    """

    scenario: str
    seconds: float
    quiet: tuple[int, int, int]
    attacked: tuple[int, int, int]
    writes: int
    proxies: list[int]
    servers: list[int]
    disk: int
    load: float


@dataclass(frozen=True, slots=True)
class Attacker:
    """What one attacking process needs.

    Args:
        address: of the proxy.
        files: key, certificate and CA certificate.
        ring: the attacks.
        number: of this connection.
        sent: where to count the attacks that were sent.
    """

    address: tuple[str, int]
    files: tuple[str, str, str]
    ring: list[Attack]
    number: int
    sent: Path

    def run(self) -> None:
        """Send all attacks over and over on one connection, which is made again when it breaks."""
        os.nice(PRIORITY)
        context = ssl.create_default_context(cafile=self.files[2])
        context.check_hostname = False
        context.load_cert_chain(self.files[1], self.files[0])
        sent = Counter[str]()
        index = self.number * 3
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(self.address, 10, ATTACKER) as plain,
                context.wrap_socket(plain) as client,
            ):
                while True:
                    attack = self.ring[index % len(self.ring)]
                    index += 1
                    sent[attack.name] += 1
                    self.sent.write_text(json.dumps(sent))
                    send(client, attack)


def send(client: ssl.SSLSocket, attack: Attack) -> None:
    """Send an attack, and read answers until none comes for a moment."""
    client.settimeout(30)
    client.sendall(attack.data)
    client.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            if not client.recv(1 << 16):
                raise ConnectionResetError


def stand_around(address: tuple[str, int]) -> None:
    """Hold connections that never begin TLS."""
    os.nice(PRIORITY)
    idle = [socket.create_connection(address, 10, STRANGER) for _ in range(STRANGERS)]
    while idle:
        signal.pause()


def memory(pid: int) -> int:
    """The largest resident memory that a process has had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def processes(member: Member) -> tuple[list[int], list[int]]:
    """The proxy and the servers of a member."""
    found = Path(f"/proc/{member.pid}/task/{member.pid}/children").read_text().split()
    proxies = [p for p in found if b"\0authz\0" in Path(f"/proc/{p}/cmdline").read_bytes()]
    return [int(p) for p in proxies], [int(p) for p in found if p not in proxies]


class Disk(threading.Thread):
    """The largest size of each member's files."""

    def __init__(self, members: tuple[Member, ...]) -> None:
        super().__init__(daemon=True)
        self._members, self._end = members, threading.Event()
        self._first, self._most = self._sizes(), self._sizes()

    def _sizes(self) -> list[int]:
        sizes = []
        for member in self._members:
            total = 0
            for file in member.data.rglob("*"):
                with contextlib.suppress(OSError):
                    total += file.stat().st_size
            sizes.append(total)
        return sizes

    def run(self) -> None:
        """Look until `growth` is asked for."""
        while not self._end.wait(0.2):
            self._most = list(map(max, self._most, self._sizes()))

    def growth(self) -> int:
        """In MB."""
        self._end.set()
        self.join()
        return max(most - first for most, first in zip(self._most, self._first, strict=True)) >> 20


def write_times(client: Any, port: str, seconds: float) -> list[float]:
    """How long writes of the other zone take, in seconds."""
    times = list[float]()
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        start = time.monotonic()
        [done] = client.transact(write(port, str(len(times))))
        assert done == {"count": 1}, done
        times.append(time.monotonic() - start)
        threading.Event().wait(INTERVAL)
    return times


def summary(times: list[float]) -> tuple[int, int, int]:
    """p50, p99 and the largest, in ms."""
    found = statistics.median(times), statistics.quantiles(times, n=100)[98], max(times)
    return tuple(round(one * 1000) for one in found)  # type: ignore[return-value]


@contextlib.contextmanager
def attacking(
    found: AuthorizedMembers, member: Member, rows: tuple[str, str]
) -> Iterator[list[Path]]:
    """All attackers at work."""
    tls = found.issue("zone", "az7")
    files = (str(tls / "tls.key"), str(tls / "tls.crt"), str(tls / "ca.crt"))
    address = (member.address, found.ports["sb"])
    ring = attacks(*rows)
    sent = [found.directory / f"sent{number}" for number in range(CONNECTIONS)]
    attackers = [
        Attacker(address, files, ring, number, sent[number]) for number in range(CONNECTIONS)
    ]
    spawned = [multiprocessing.Process(target=one.run, daemon=True) for one in attackers]
    spawned.append(multiprocessing.Process(target=stand_around, args=(address,), daemon=True))
    try:
        for process in spawned:
            process.start()
        wait_until(lambda: all(file.exists() for file in sent), "all attack", 60)
        yield sent
    finally:
        for process in spawned:
            process.kill()
            process.join()


def measure(scenario: str, seconds: float) -> Result:
    """Run one scenario."""
    addresses, at_follower = SCENARIOS[scenario]
    with (
        tempfile.TemporaryDirectory() as directory,
        authorized_members(Path(directory), *addresses) as found,
    ):
        member = found.first
        if len(addresses) > 1:
            leader = found.members.leader("sb")
            member = next(m for m in found.members.all if (m is leader) != at_follower)
        found.ask("operator", "boss", "nb",
                  {"op": "insert", "table": "Transit_Switch", "row": {"name": SWITCH}})  # fmt: skip
        rows, other = (
            [made["uuid"][1] for made in found.ask("zone", zone, "sb", *setup(zone, number))]
            for zone, number in (("az7", 7), ("az1", 1))
        )
        disk = Disk(found.members.all)
        disk.start()
        pids = [processes(one) for one in found.members.all]
        with found.connected("zone", "az1", "sb", member) as client:
            quiet = write_times(client, other[1], 5)
            with attacking(found, member, (rows[0], rows[1])) as sent:
                times = write_times(client, other[1], seconds)
                total = sum((Counter(json.loads(s.read_text())) for s in sent), Counter[str]())
        print(f"attacks sent: {dict(total)}", file=sys.stderr)
        return Result(
            scenario, seconds, summary(quiet), summary(times), len(times),
            [memory(p) for proxies, _ in pids for p in proxies],
            [memory(p) for _, servers in pids for p in servers],
            disk.growth(), os.getloadavg()[0],
        )  # fmt: skip


def main() -> None:
    """Measure all scenarios."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    for scenario in SCENARIOS:
        result = measure(scenario, seconds)
        print(result)
        if len(sys.argv) > 2:
            with Path(sys.argv[2]).open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")


if __name__ == "__main__":
    main()
