"""Gateways behind a real proxy: what is reserved for a zone that has not registered yet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.icdb.authz import AuthorizedMembers

pytestmark = pytest.mark.ovn

FLAGS = (
    "--gateways=az3=gw3",
    "--tunnels=az3=198.51.100.0/24,fd00:3::/64",
    "--tunnels=az3=10.9.9.9",
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[AuthorizedMembers]:
    """One member, with reservations for az3."""
    found = AuthorizedMembers(tmp_path, "127.0.0.1")
    found.first.flags = (*found.first.flags, *FLAGS)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def register(site: AuthorizedMembers, zone: str, name: str, ip: str) -> list[Any]:
    """Register a zone with a gateway, and return the answers."""
    gateway = {
        "name": name, "availability_zone": ["named-uuid", "z"], "encaps": ["named-uuid", "e"],
    }  # fmt: skip
    encap = {"gateway_name": name, "type": "geneve", "ip": ip}
    return site.ask(
        "zone", zone, "sb",
        {"op": "insert", "table": "Availability_Zone", "row": {"name": zone}, "uuid-name": "z"},
        {"op": "insert", "table": "Encap", "row": encap, "uuid-name": "e"},
        {"op": "insert", "table": "Gateway", "row": gateway},
    )  # fmt: skip


def test_another_zone_cannot_take_what_is_reserved(site: AuthorizedMembers) -> None:
    """The zone registers later, with its name and address; the refusals name it."""
    for name, ip, what in (
        ("gw3", "192.0.2.7", "the chassis name 'gw3'"),
        ("gw7", "198.51.100.3", "the tunnel IP 198.51.100.3"),
        ("gw7", "::ffff:198.51.100.3", "the tunnel IP 198.51.100.3"),
        ("gw7", "10.9.9.9", "the tunnel IP 10.9.9.9"),
    ):
        [refused] = register(site, "az7", name, ip)
        assert refused["error"] == "permission error"
        assert f"{what} is reserved for zone az3" in refused["details"]
    [refused] = register(site, "az3", "gw3", "192.0.2.7")
    assert "is not among those reserved for the zone" in refused["details"]
    for zone, name, ip in (("az3", "gw3", "198.51.100.3"), ("az7", "gw7", "192.0.2.7")):
        made = register(site, zone, name, ip)
        assert all("uuid" in one for one in made), made
    rows = site.rows("sb", "Encap")
    assert sorted(row["ip"] for row in rows) == ["192.0.2.7", "198.51.100.3"]


def test_another_zones_tunnel_ip_is_refused(site: AuthorizedMembers) -> None:
    """Another type would pass the server's index; the refusal names the zone and its gateway."""
    assert all("uuid" in one for one in register(site, "az1", "gw1", "192.0.2.1"))
    assert all("uuid" in one for one in register(site, "az7", "gw7", "192.0.2.7"))
    row = {"gateway_name": "gw7", "type": "vxlan", "ip": "192.0.2.1"}
    [refused] = site.ask("zone", "az7", "sb", {"op": "insert", "table": "Encap", "row": row})
    assert "gateway gw1 of zone az1 has the tunnel IP 192.0.2.1" in refused["details"]
