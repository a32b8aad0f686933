"""What one zone may have at a time behind a real proxy: monitors, answers, and its quotas."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from select import select

import pytest

from support.icdb.authz import AuthorizedMembers, authorized_members
from support.icdb.run import LIMIT

pytestmark = pytest.mark.ovn

NB = "OVN_IC_Northbound"
MONITOR: dict[str, dict[str, str]] = {"Transit_Switch": {}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthorizedMembers]:
    """The databases behind a proxy, with a transit switch that has 8 MB."""
    with authorized_members(tmp_path_factory.mktemp("site")) as found:
        row = {"name": "large", "other_config": ["map", [["x", "x" * (8 << 20)]]]}
        found.ask("operator", "boss", "nb", {"op": "insert", "table": "Transit_Switch", "row": row})
        yield found


def test_monitors_of_a_connection_are_limited(site: AuthorizedMembers) -> None:
    """Each costs the server time at every change; a refused or a cancelled one does not count."""
    with site.connected("zone", "az7", "sb") as client:
        for number in range(8):
            client.send("monitor", "OVN_IC_Southbound", f"m{number}", {"Route": {}})
            assert client.receive()["error"] is None
        for name in ("m8", "m9"):
            client.send("monitor", "OVN_IC_Southbound", name, {"Route": {}})
            assert "zone_monitors" in json.dumps(client.receive())
        client.send("echo", "still served")
        assert client.receive()["result"] == ["still served"]
        client.send("monitor_cancel", "m0")
        assert client.receive()["error"] is None
        client.send("monitor", "OVN_IC_Southbound", "m9", {"Route": {}})
        assert client.receive()["error"] is None
    [refused] = (one for one in site.status()["guard"]["refused"] if one["zone"] == "az7")
    assert refused["bounds"] == {"zone_monitors": 2}


def test_a_zone_gets_one_large_answer_at_a_time(site: AuthorizedMembers) -> None:
    """A server keeps answers that a client does not read; other zones get theirs meanwhile."""
    with (
        site.connected("zone", "az7", "nb") as slow,
        site.connected("zone", "az7", "nb") as next_one,
        site.connected("zone", "az8", "nb") as other,
    ):
        for client in (slow, next_one):
            assert client.transact() == []  # which also reads what TLS sends at first
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        slow.send("monitor", NB, None, MONITOR)
        assert select([slow.socket], [], [], LIMIT)[0], "its answer has begun"
        next_one.send("monitor", NB, None, MONITOR)
        other.send("monitor", NB, None, MONITOR)
        assert other.receive()["error"] is None
        assert next_one.receive()["method"] == "echo", "it waits, and the proxy shows that it lives"
        assert slow.receive()["error"] is None
        while "method" in (answer := next_one.receive()):
            next_one.reply_to(answer)
        assert answer["error"] is None
        assert next_one.transact() == [], "the server ignores the answers to the proxy"


def test_a_client_that_leaves_before_its_answers_adds_no_log_lines(site: AuthorizedMembers) -> None:
    """After the end of TLS, each answer that is not sent any more would be a line."""
    refused = {"op": "delete", "table": "Route", "where": []}
    one = {"method": "transact", "params": ["OVN_IC_Southbound", refused], "id": 1}
    with site.connected("zone", "az9", "sb") as client:
        assert client.transact() == []
        client.socket.sendall(json.dumps(one).encode() * 2000)
        assert client.socket.recv(100)
        client.socket.settimeout(LIMIT)
        assert isinstance(client.socket, ssl.SSLSocket)
        with suppress(ssl.SSLError):  # it has received answers instead of an answer to its end
            client.socket.unwrap()
    site.until(lambda: "az9" not in site.status()["guard"]["quotas"], "its connection is closed")
    assert "asyncio" not in site.proxy_log()


def test_one_connection_too_many_is_closed_with_the_reason(site: AuthorizedMembers) -> None:
    """The client receives the bound and the option that changes it."""
    with ExitStack() as stack:
        for _ in range(64):
            client = stack.enter_context(site.connected("zone", "az9", "sb"))
            assert client.transact() == []
        refused = stack.enter_context(site.connected("zone", "az9", "sb"))
        answer = json.dumps(refused.receive())
        assert "zone_connections" in answer
        assert "--quota az9=zone_connections:NUMBER" in answer
        assert refused.socket.recv(1) == b""


def test_the_status_shows_the_use_of_quotas(site: AuthorizedMembers) -> None:
    """Use and limit of each bound, of the zones that are connected."""
    row = {"op": "insert", "table": "Availability_Zone", "row": {"name": "az7"}, "uuid-name": "z"}
    encap = {
        "op": "insert", "table": "Encap", "uuid-name": "e",
        "row": {"gateway_name": "gw7", "type": "geneve", "ip": "192.0.2.7"},
    }  # fmt: skip
    gateway = {
        "name": "gw7", "availability_zone": ["named-uuid", "z"], "encaps": ["named-uuid", "e"],
    }  # fmt: skip
    with site.connected("zone", "az7", "sb") as client:
        made = client.transact(row, encap, {"op": "insert", "table": "Gateway", "row": gateway})
        assert all("uuid" in one for one in made), made
        site.until(
            lambda: site.status()["guard"]["quotas"]["az7"]["zone_gateways"] == [1, 1024], "one"
        )
        text = site.run("status").stdout
    assert "quotas: zone az7: zone_gateways 1 of 1024, zone_tunnels 1 of 4096" in text
