"""Choosing an address in a transit switch's subnet."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from isthmus.controller.reconcilers.address_allocation import (
    choose,
    parse_subnets,
    usable,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("169.254.100.0/24", ["169.254.100.0/24"]),
        ("fe80:a9fe:64::/112", ["fe80:a9fe:64::/112"]),
        ("169.254.100.0/24,fe80:a9fe:64::/112", ["169.254.100.0/24", "fe80:a9fe:64::/112"]),
        ("169.254.100.0/24, ,", ["169.254.100.0/24"]),
        ("169.254.100.7/24", ["169.254.100.0/24"]),
    ],
)
def test_subnets(text: str, expected: list[str]) -> None:
    """One family or both, as Kube-OVN writes them."""
    assert [str(subnet) for subnet in parse_subnets(text)] == expected


@pytest.mark.parametrize("text", ["", "x", "10.0.0.0/24,10.1.0.0/24", ","])
def test_bad_subnets(text: str) -> None:
    """Other texts are refused."""
    with pytest.raises(ValueError):  # noqa: PT011 - of ipaddress
        parse_subnets(text)


def test_the_choice_is_stable_and_spread() -> None:
    """The same seed finds the same address; different clusters rarely collide."""
    subnet = ip_network("169.254.100.0/24")
    chosen = [choose(subnet, f"cluster {i}", lambda _: False) for i in range(20)]
    assert chosen[3] == choose(subnet, "cluster 3", lambda _: False)
    assert len(set(chosen)) > 15


@pytest.mark.parametrize(
    ("subnet", "count"),
    [("10.0.0.0/29", 6), ("10.0.0.0/31", 2), ("10.0.0.1/32", 1), ("fd00::/125", 7)],
)
def test_every_usable_address_is_found_and_then_it_is_full(subnet: str, count: int) -> None:
    """Network, broadcast and anycast addresses are never chosen; the last free address is found."""
    network = ip_network(subnet)
    taken: set[IPv4Address | IPv6Address] = set()
    for _ in range(count):
        address = choose(network, "seed", taken.__contains__)
        assert address is not None
        assert usable(address, network)
        assert address not in taken
        taken.add(address)
    assert choose(network, "seed", taken.__contains__) is None


def test_addresses_that_a_port_may_not_have() -> None:
    """A port may not have the network address or an address of another subnet."""
    assert not usable(ip_address("10.0.0.0"), ip_network("10.0.0.0/24"))
    assert not usable(ip_address("10.0.0.255"), ip_network("10.0.0.0/24"))
    assert not usable(ip_address("10.0.1.1"), ip_network("10.0.0.0/24"))
    assert usable(ip_address("10.0.0.254"), ip_network("10.0.0.0/24"))
    assert not usable(ip_address("fd00::"), ip_network("fd00::/112"))
