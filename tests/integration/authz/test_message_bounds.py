"""Messages of a zone that exceed a bound: refused whole and early, named and counted."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from support.icdb.authz import AuthorizedMembers, authorized_members

pytestmark = pytest.mark.ovn

SB = "OVN_IC_Southbound"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthorizedMembers]:
    """The databases behind a proxy."""
    with authorized_members(tmp_path_factory.mktemp("site")) as found:
        yield found


def counted(found: AuthorizedMembers, zone: str) -> dict[str, int]:
    """How often a zone has met each bound."""
    refused = found.status()["guard"]["refused"]
    return next((dict(one["bounds"]) for one in refused if one["zone"] == zone), {})


def message(*operations: object) -> str:
    """A transaction."""
    return json.dumps({"method": "transact", "id": 1, "params": [SB, *operations]})


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        ("zone_message", message({"op": "comment", "comment": "x" * (5 << 20)})),
        ("zone_depth", '{"id":1,"method":"echo","params":' + "[" * 900 + "]" * 900 + "}"),
        ("zone_depth", '{"id":1,"method":"echo","params":' + "[" * 30_000 + "]" * 30_000 + "}"),
        ("zone_values", '{"id":1,"method":"echo","params":[' + "[]," * 600_000 + "[]]}"),
    ],
    ids=["5 MB", "900 levels", "30,000 levels", "600,000 values"],
)
def test_a_message_beyond_a_bound_ends_its_connection(
    site: AuthorizedMembers, bound: str, text: str
) -> None:
    """The answer names the bound and the option; the proxy does not parse the message."""
    before = counted(site, "az7").get(bound, 0)
    with site.connected("zone", "az7", "sb") as client:
        with suppress(OSError):  # the proxy has closed the connection before all was sent
            client.socket.sendall(text.encode())
        answer = json.dumps(client.receive())
        assert bound in answer
        assert f"--quota az7={bound}:NUMBER" in answer
    site.until(lambda: counted(site, "az7").get(bound) == before + 1, "it is counted")
    assert site.ask("zone", "az1", "sb", {"op": "comment", "comment": "served"}) == [{}]


def test_a_long_request_of_another_kind_is_refused(site: AuthorizedMembers) -> None:
    """A monitor's request passes unchecked to the server, so it must be short."""
    wanted: dict[str, Any] = {"Route": [{"columns": ["ip_prefix"]}] * 5000}
    with site.connected("zone", "az7", "sb") as client:
        client.send("monitor", SB, "m", wanted)
        assert "zone_request" in json.dumps(client.receive())
        assert client.transact({"op": "comment", "comment": "the connection stays open"}) == [{}]
