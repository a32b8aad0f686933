"""Choose a router port's address in a transit switch's subnet. Pure; used by `AddressClaims`."""

from collections.abc import Callable
from hashlib import blake2b
from ipaddress import ip_address, ip_network

from isthmus.model.prefixes import Address, Network

MOST_TRIED = 65536
"""Addresses that are tried before a subnet counts as full: as many as an IPv4 /16 has."""


def parse_subnets(text: str) -> tuple[Network, ...]:
    """The subnets in `Transit_Switch.external_ids:subnet`, at most one per family.

    Args:
        text: "169.254.100.0/24", "fe80:a9fe:64::/112", or both separated by a comma (Kube-OVN).

    Raises:
        ValueError: the text has another form.
    """
    items = filter(None, map(str.strip, text.split(",")))
    subnets = tuple(ip_network(item, strict=False) for item in items)
    if not subnets or len({subnet.version for subnet in subnets}) < len(subnets):
        raise ValueError("no subnet, or two of one family")
    return subnets


def usable(address: Address, subnet: Network) -> bool:
    """Whether a port in the subnet may have the address."""
    if address not in subnet:
        return False
    lowest, highest = _bounds(subnet)
    return lowest <= int(address) <= highest


def choose(subnet: Network, seed: str, taken: Callable[[Address], bool]) -> Address | None:
    """A free address; None if there is none among the first `MOST_TRIED` candidates.

    Args:
        subnet: where to choose. The network address, the IPv4 broadcast address and the IPv6
            subnet-router anycast address (RFC 4291, section 2.6.1) are never chosen.
        seed: where the search starts. Clusters with different seeds that choose at the same moment
            rarely collide, and the same seed finds the same address again.
        taken: whether an address is in use.
    """
    lowest, highest = _bounds(subnet)
    count = highest - lowest + 1
    start = int.from_bytes(blake2b(f"{seed} {subnet}".encode(), digest_size=16).digest())
    for step in range(min(count, MOST_TRIED)):
        number = lowest + (start + step) % count
        address = ip_address(number.to_bytes(subnet.max_prefixlen // 8))
        if not taken(address):
            return address
    return None


def _bounds(subnet: Network) -> tuple[int, int]:
    """The lowest and the highest address that a port may have, as numbers."""
    first, last = int(subnet.network_address), int(subnet.broadcast_address)
    if subnet.max_prefixlen - subnet.prefixlen <= 1:
        return first, last  # a point-to-point link (RFC 3021, RFC 6164) or one address
    return first + 1, last - 1 if subnet.version == 4 else last
