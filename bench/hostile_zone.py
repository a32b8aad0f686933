"""One zone attacks the databases from 8 connections while another zone writes.

Run by hand: `python -m bench.hostile_zone [SECONDS]`. Prints the largest memory of the proxy and of
the servers, the time that the other zone's writes take, and how much the databases grow on disk.
"""

import contextlib
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from support.icdb.authz import AuthorizedMembers, authorized_members

SB = "OVN_IC_Southbound"
CONNECTIONS = 8
INTERVAL = 0.05
"""Seconds between two writes of the other zone."""


def attacks() -> list[bytes]:
    """Messages of a zone that cost much."""

    def transact(*operations: object) -> bytes:
        return json.dumps({"method": "transact", "id": 1, "params": [SB, *operations]}).encode()

    tables = ("Availability_Zone", "IC_SB_Global", "Route")
    monitors: list[Any] = [
        {"method": "monitor", "id": n, "params": [SB, n, {"IC_SB_Global": {}}]} for n in range(500)
    ]
    return [
        transact({"op": "comment", "comment": "x" * (25 << 20)}),
        b'{"method":"echo","id":1,"params":[' + b"[]," * (8 << 20) + b"1]}",
        b'{"method":"echo","id":1,"params":' + b"[" * 900 + b"]" * 900 + b"}",
        transact(*({"op": "select", "table": tables[n % 3], "where": []} for n in range(1000))),
        transact({"op": "insert", "table": "Route", "row": {"ip_prefix": "1" * (20 << 20)}}),
        b"".join(json.dumps(monitor).encode() for monitor in monitors),
        *(transact({"op": "comment", "comment": "x" * 1000}) for _ in range(20)),
        transact({"op": "insert", "table": "Availability_Zone", "row": {"name": "az7"}}),
    ]


def attack(address: tuple[str, int], files: tuple[str, str, str], number: int) -> None:
    """Send all attacks over and over from one connection, which is made again when it breaks."""
    import ssl  # noqa: PLC0415 - in the attacker's process only

    context = ssl.create_default_context(cafile=files[2])
    context.check_hostname = False
    context.load_cert_chain(files[1], files[0])
    messages = attacks()
    while True:
        for index in range(len(messages)):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(address, 10) as plain,
                context.wrap_socket(plain) as client,
            ):
                client.settimeout(5)
                client.sendall(messages[(index + number) % len(messages)])
                client.recv(1 << 16)


def memory(pid: int) -> int:
    """The largest resident memory that a process has had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def disk(found: AuthorizedMembers) -> int:
    """The size of the databases, in MB."""
    return sum(file.stat().st_size for file in found.first.data.rglob("*.db")) >> 20


def main() -> None:
    """Measure and print one line."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as directory, authorized_members(Path(directory)) as found:
        tls = found.issue("zone", "az7")
        files = tuple(str(tls / name) for name in ("tls.key", "tls.crt", "ca.crt"))
        address, before = (found.first.address, found.ports["sb"]), disk(found)
        zone = {"op": "insert", "table": "Availability_Zone", "row": {"name": "az1"}}
        [made] = found.ask("zone", "az1", "sb", zone)
        attackers = [
            multiprocessing.Process(target=attack, args=(address, files, number * 3), daemon=True)
            for number in range(CONNECTIONS)
        ]
        for attacker in attackers:
            attacker.start()
        times = list[float]()
        children = Path(f"/proc/{found.first.pid}/task/{found.first.pid}/children").read_text()
        try:
            with found.connected("zone", "az1", "sb") as client:
                began = time.monotonic()
                while time.monotonic() < began + seconds:
                    start = time.monotonic()
                    client.transact(
                        {"op": "update", "table": "Availability_Zone",
                         "where": [["_uuid", "==", made["uuid"]]],
                         "row": {"nb_ic_cfg": len(times)}},
                    )  # fmt: skip
                    times.append(time.monotonic() - start)
                    threading.Event().wait(INTERVAL)
        finally:
            for attacker in attackers:
                attacker.terminate()
        proxy = found.proxy_pid()
        servers = [int(pid) for pid in children.split() if int(pid) != proxy]
        print(
            f"proxy {memory(proxy)} MB, servers {[memory(pid) for pid in servers]} MB,"
            f" writes {len(times)}, p50 {statistics.median(times) * 1000:.0f} ms,"
            f" p99 {statistics.quantiles(times, n=100)[98] * 1000:.0f} ms,"
            f" largest {max(times) * 1000:.0f} ms, disk +{disk(found) - before} MB"
        )


if __name__ == "__main__":
    main()
