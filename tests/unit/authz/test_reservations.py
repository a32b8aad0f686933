"""Chassis names and tunnel IPs of zones, also of those that have not registered yet."""

from ipaddress import ip_network
from typing import Any

import pytest

from isthmus.authz.request import AuthorizationPolicy, RefusedError
from isthmus.authz.rules import checked
from unit.authz.test_rules import AZ2, ENCAP1, GW2, committed, insert, update, uuid

POLICY = AuthorizationPolicy(
    gateways={"az1": frozenset({"gw1"}), "az3": frozenset({"gw3", "gw4"})},
    tunnels={
        "az1": (ip_network("192.0.2.0/28"),),
        "az3": (ip_network("198.51.100.0/24"), ip_network("fd00:3::/64")),
    },
)


def gateway(name: str, ip: str, zone: str = AZ2, type_: str = "geneve") -> list[Any]:
    """A gateway with its tunnel, as ovn-ic inserts it."""
    row = {"name": name, "availability_zone": ["uuid", zone], "encaps": ["named-uuid", "e"]}
    encap = insert("Encap", gateway_name=name, type=type_, ip=ip) | {"uuid-name": "e"}
    return [encap, insert("Gateway", **row)]


def refusal(operations: list[Any], zone: str = "az2", policy: Any = POLICY) -> str:
    """Why a zone may not do something; empty if it may."""
    state = committed()
    rows = state.apply(
        {
            "Availability_Zone": {uuid(3): {"new": {"name": "az3"}}},
            "Encap": {
                ENCAP1: {"new": {"gateway_name": "gw1", "type": "geneve", "ip": "192.0.2.1"}},
                uuid(15): {"new": {"gateway_name": "gw1", "type": "geneve", "ip": "fd00::1"}},
            },
        }
    )
    list(rows)
    try:
        list(checked(operations, zone, state, policy))
    except RefusedError as error:
        return error.why
    return ""


def test_a_reserved_name_is_refused_to_others() -> None:
    """The refusal names the zone; an update cannot take the name either."""
    why = "the chassis name 'gw3' is reserved for zone az3"
    assert refusal(gateway("gw3", "192.0.2.77")) == why
    assert refusal([update("Gateway", GW2, name="gw3")]) == why
    assert refusal(gateway("gw5", "192.0.2.77")) == ""


@pytest.mark.parametrize(
    "ip",
    ["198.51.100.7", "::ffff:198.51.100.7", "::FFFF:c633:6407", "fd00:3::7", "FD00:3:0::0007"],
)
def test_a_reserved_tunnel_ip_is_refused_to_others(ip: str) -> None:
    """In any spelling; the refusal names the zone."""
    assert refusal(gateway("gw5", ip)).endswith("is reserved for zone az3")


def test_a_zone_with_reservations_uses_only_these() -> None:
    """So it cannot take what belongs to a zone without reservations."""
    az3 = {"zone": uuid(3)}
    assert refusal(gateway("gw3", "198.51.100.7", **az3), "az3") == ""
    assert refusal(gateway("gw4", "fd00:3::7", **az3), "az3") == ""
    why = refusal(gateway("gw5", "198.51.100.7", **az3), "az3")
    assert why == "the chassis name 'gw5' is not among those reserved for the zone"
    why = refusal(gateway("gw3", "203.0.113.7", **az3), "az3")
    assert why == "the tunnel IP 203.0.113.7 is not among those reserved for the zone"


@pytest.mark.parametrize(
    ("ip", "type_"),
    [
        ("192.0.2.1", "geneve"),
        ("192.0.2.1", "vxlan"),
        ("::ffff:192.0.2.1", "geneve"),
        ("FD00::1", "geneve"),
        ("fd00:0::1", "stt"),
    ],
)
def test_a_tunnel_ip_of_another_zone_is_refused_in_any_form(ip: str, type_: str) -> None:
    """The server's index would accept another type or spelling; no policy is needed."""
    why = refusal(gateway("gw5", ip, type_=type_), policy=AuthorizationPolicy())
    assert why.startswith("gateway gw1 of zone az1 has the tunnel IP ")


def test_a_zone_may_use_its_own_tunnel_ip_again() -> None:
    """A gateway may have tunnels of two types with one address."""
    encap = insert("Encap", gateway_name="gw1", type="vxlan", ip="192.0.2.1")
    assert refusal([encap], "az1", AuthorizationPolicy()) == ""


@pytest.mark.parametrize("ip", ["", "192.0.2.077", "gw.example.com", "192.0.2.7/32", "9" * 100])
def test_a_tunnel_ip_that_is_none_is_refused(ip: str) -> None:
    """It might be another spelling of an address that is another zone's."""
    assert refusal(gateway("gw5", ip)).endswith("is not an IP address")


def test_a_tunnel_ip_is_free_when_its_row_is_gone() -> None:
    """Another zone may use the address of a gateway that was removed."""
    state = committed()
    encap = {"gateway_name": "gw1", "type": "geneve", "ip": "192.0.2.1"}
    list(state.apply({"Encap": {ENCAP1: {"new": encap}}}))
    with pytest.raises(RefusedError):
        list(checked(gateway("gw5", "192.0.2.1"), "az2", state, AuthorizationPolicy()))
    list(state.apply({"Encap": {ENCAP1: {"old": encap}}}))
    assert list(checked(gateway("gw5", "192.0.2.1"), "az2", state, AuthorizationPolicy()))
