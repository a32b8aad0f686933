"""All attacks of one zone at once, and clients without a certificate, on a real proxy."""

import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from support.hostile.zone_messages import ROUTES, SWITCH, Attack, attacks, setup, write
from support.icdb.authz import AuthorizedMembers, RawClient
from support.icdb.run import LIMIT

pytestmark = pytest.mark.ovn

CONNECTIONS = 8
MEMORY, DISK = 512 << 20, 64 << 20
"""Bytes that each process may have, and that the files of the databases may grow by."""

STRANGER = "127.0.0.77"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[AuthorizedMembers]:
    """The databases behind a proxy that hardly delays the attacker, so that all of it arrives."""
    fast = "--quota=az7=zone_changes:20000,zone_characters:16000000,zone_requests:20000"
    found = AuthorizedMembers(tmp_path, "127.0.0.1")
    found.first.flags = (*found.first.flags, fast)
    try:
        found.start()
        switch = {"op": "insert", "table": "Transit_Switch", "row": {"name": SWITCH}}
        found.ask("operator", "boss", "nb", switch)
        yield found
    finally:
        found.stop()


def carry_out(found: AuthorizedMembers, attack: Attack) -> str:
    """Send an attack; what is wrong with the answer."""
    with found.connected("zone", "az7", "sb") as client:
        with suppress(OSError):  # the proxy has closed the connection before all was sent
            client.socket.sendall(attack.data)
        received = b""
        with suppress(OSError):  # closed with data that the proxy has not read
            while more := client.socket.recv(1 << 16):
                received += more
                if not attack.closes and re.search(attack.answer.encode(), received):
                    return ""
    return "" if attack.closes else f"{attack.name}: {received[-300:]!r}"


def other_writes(client: RawClient, port: str, number: int) -> None:
    """Another zone's transaction succeeds."""
    assert client.transact(write(port, str(number))) == [{"count": 1}]


def largest_memory(pid: int) -> int:
    """The largest resident memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def disk(found: AuthorizedMembers) -> int:
    """The size of the databases."""
    return sum(file.stat().st_size for file in found.first.data.rglob("*") if file.is_file())


def test_others_are_served_while_one_zone_attacks_with_everything(
    site: AuthorizedMembers,
) -> None:
    """Each attack is refused or bounded, in memory and on disk, and the status names the zone."""
    ids, other = (
        [made["uuid"][1] for made in site.ask("zone", zone, "sb", *setup(zone, number))]
        for zone, number in (("az7", 7), ("az1", 1))
    )
    before, number = disk(site), 0
    with (
        ThreadPoolExecutor(CONNECTIONS) as pool,
        site.connected("zone", "az1", "sb") as client,
    ):
        running = [pool.submit(carry_out, site, one) for one in attacks(ids[0], ids[1])]
        while not all(one.done() for one in running):
            other_writes(client, other[1], number := number + 1)
        other_writes(client, other[1], number + 1)
        assert [wrong for one in running if (wrong := one.result())] == []
    pids = [site.proxy_pid(), *(site.first.server_pid(short) for short in ("nb", "sb"))]
    assert all(largest_memory(pid) < MEMORY for pid in pids)
    assert disk(site) - before < DISK
    assert len(site.rows("sb", "Route")) == 3 * ROUTES
    [refused] = site.status()["guard"]["refused"]
    assert refused["zone"] == "az7"
    assert set(refused["bounds"]) == {
        "zone_message", "zone_values", "zone_depth", "zone_row", "zone_comment", "zone_scans",
        "zone_clauses", "zone_operations", "zone_monitors", "zone_routes",
    }  # fmt: skip
    assert "refused: zone az7" in site.run("status").stdout


def test_strangers_beyond_the_bound_are_closed_and_logged_once(site: AuthorizedMembers) -> None:
    """3,000 idle clients leave room for others; their address and the reason are in the log."""
    where = (site.first.address, site.ports["sb"])
    with ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(where, LIMIT, (STRANGER, 0)))
            for _ in range(3000)
        ]
        idle[-1].settimeout(LIMIT)
        with suppress(ConnectionResetError):
            assert idle[-1].recv(1) == b""
        assert site.ask("zone", "az1", "sb", {"op": "comment", "comment": "served"}) == [{}]
    log = site.proxy_log()
    assert log.count(f"connection of {STRANGER!r} closed: too many connections from one") == 1
    assert largest_memory(site.proxy_pid()) < MEMORY


def test_a_client_without_a_certificate_is_logged(site: AuthorizedMembers) -> None:
    """The log has its address and the reason, once."""
    context = ssl.create_default_context(cafile=str(site.issue("zone", "az1") / "ca.crt"))
    context.check_hostname = False
    where = (site.first.address, site.ports["sb"])
    for _ in range(3):
        with (
            suppress(OSError),
            socket.create_connection(where, LIMIT, (STRANGER, 0)) as plain,
            context.wrap_socket(plain) as client,
        ):
            client.recv(1)
    site.until(lambda: STRANGER in site.proxy_log(), "it is logged")
    [line] = (line for line in site.proxy_log().splitlines() if STRANGER in line)
    assert "TLS failed" in line
    assert "certificate" in line
