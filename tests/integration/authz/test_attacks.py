"""Attacks of a compromised zone with a valid certificate on the authorizing proxy."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.icdb.authz import AuthorizedMembers, authorized_members

pytestmark = pytest.mark.ovn

Row = dict[str, Any]
Site = tuple[AuthorizedMembers, dict[str, list[str]]]
"""The members, and the UUIDs of the zones' rows."""

SB = "OVN_IC_Southbound"
CONTESTED = "10.1.0.0/16"
OF_AZ1 = [(CONTESTED, "169.254.100.1")]
STRANGER = "127.0.0.77"


def new(table: str, own: str = "", /, **row: object) -> Row:
    """An insert, optionally with a name for the row within the transaction."""
    return {"op": "insert", "table": table, "row": row, **({"uuid-name": own} if own else {})}


def port(zone: list[str], name: str, number: int, **more: object) -> Row:
    """A port on ts."""
    row = {"transit_switch": "ts", "availability_zone": zone, "logical_port": name}
    address = f"0a:00:00:00:00:0{number} 169.254.100.{number}/24"
    return new("Port_Binding", **{**row, "tunnel_key": number, "address": address, **more})


def route(zone: list[str], number: int) -> Row:
    """A route to the contested prefix."""
    row = {"transit_switch": "ts", "availability_zone": zone, "ip_prefix": CONTESTED}
    return new("Route", **row, nexthop=f"169.254.100.{number}", origin="connected")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """az1 and az2, each with a port on ts."""
    with authorized_members(tmp_path) as found:
        found.ask("operator", "boss", "nb", new("Transit_Switch", name="ts"))
        for zone, number in (("az1", 1), ("az2", 2)):
            made = found.ask(
                "zone", zone, "sb",
                new("Availability_Zone", "z", name=zone),
                port(["named-uuid", "z"], f"ts-{zone}", number),
            )  # fmt: skip
            assert all("uuid" in one for one in made), made
        yield found, {row["name"]: row["_uuid"] for row in found.rows("sb", "Availability_Zone")}


def advertised(found: AuthorizedMembers) -> list[tuple[str, str]]:
    """All routes: prefix and next hop."""
    return sorted((row["ip_prefix"], row["nexthop"]) for row in found.rows("sb", "Route"))


def test_a_waiting_write_is_not_carried_out_later(site: Site) -> None:
    """A wait ends at once, so a prefix is not written after another zone has taken it."""
    found, zones = site
    wait = {
        "op": "wait", "table": "Route", "where": [["ip_prefix", "==", CONTESTED]],
        "columns": ["ip_prefix"], "until": "==", "rows": [{"ip_prefix": CONTESTED}],
    }  # fmt: skip
    with found.connected("zone", "az2", "sb") as client:
        [first, *_] = client.transact(wait, route(zones["az2"], 2))
        assert first["error"] == "timed out"
    found.ask("zone", "az1", "sb", route(zones["az1"], 1))
    assert advertised(found) == OF_AZ1


def test_a_write_behind_an_unread_answer_is_authorized_when_the_server_reads_it(
    site: Site,
) -> None:
    """The same without a wait: a server reads no request while its answer is unread."""
    found, zones = site
    filler = ["map", [["x", "x" * (8 << 20)]]]
    found.ask("operator", "boss", "nb", new("Transit_Switch", name="x"))
    large = port(zones["az2"], "x", 5, transit_switch="x", external_ids=filler)
    assert "uuid" in found.ask("operator", "boss", "sb", large)[0]
    with found.connected("zone", "az2", "sb") as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.send("transact", SB, {"op": "select", "table": "Port_Binding", "where": []})
        client.send("transact", SB, route(zones["az2"], 2))
        [made] = found.ask("zone", "az1", "sb", route(zones["az1"], 1))
        assert "uuid" in made
        client.receive()
        [refused] = client.receive()["result"]
    assert refused["error"] == "permission error"
    assert advertised(found) == OF_AZ1
    assert found.status()["guard"]["refused"][0]["zone"] == "az2"


def test_the_next_hop_of_another_zones_routes_is_refused(site: Site) -> None:
    """While az1's port is missing, az2 cannot take over its address."""
    found, zones = site
    found.ask("zone", "az1", "sb", route(zones["az1"], 1))
    [gone] = (r["_uuid"] for r in found.rows("sb", "Port_Binding") if r["logical_port"] == "ts-az1")
    delete = {"op": "delete", "table": "Port_Binding", "where": [["_uuid", "==", gone]]}
    assert found.ask("zone", "az1", "sb", delete) == [{"count": 1}]
    [answer] = found.ask("zone", "az2", "sb", port(zones["az2"], "p", 1, tunnel_key=9))
    assert answer["error"] == "permission error", answer
    assert "uuid" in found.ask("zone", "az1", "sb", port(zones["az1"], "ts-az1", 1))[0]


@pytest.mark.parametrize(
    "message",
    [{"method": []}, {"method": {}}, {"method": "transact", "params": ["_Server", {"op": []}]}],
    ids=str,
)
def test_a_malformed_method_is_refused_and_counted(site: Site, message: Row) -> None:
    """It is counted like other refusals and causes no exception."""
    found, _ = site
    with found.connected("zone", "az2", "sb") as client:
        client.socket.sendall(json.dumps({"params": [], "id": 1, **message}).encode())
        assert "permission error" in json.dumps(client.receive())
    assert "Traceback" not in found.proxy_log()
    [refused] = found.status()["guard"]["refused"]
    assert (refused["zone"], refused["count"]) == ("az2", 1)


def test_unauthenticated_connections_do_not_fill_the_memory(site: Site) -> None:
    """Connections without a handshake cost little and do not delay other clients."""
    found, _ = site

    def memory() -> int:
        """The proxy's resident memory, in bytes."""
        return int(Path(f"/proc/{found.proxy_pid()}/statm").read_text().split()[1]) * 4096

    before = memory()
    with ExitStack() as stack:
        for _ in range(600):
            where = (found.first.address, found.ports["sb"])
            stack.enter_context(socket.create_connection(where, 10, (STRANGER, 0)))
        # Behind all of them in the queue.
        found.ask("zone", "az1", "sb", {"op": "comment", "comment": "I come last"})
        assert memory() - before < 64 << 20
