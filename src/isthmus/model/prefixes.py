"""Prefixes and addresses as OVN's columns hold them, parsed leniently and only once.

The parsers take text from databases, which any client may have written, and return None for
invalid text: the caller decides whether to report it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, wraps
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from itertools import product
from typing import TypeVar

from isthmus.model.bounds import PREFIX

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface

# RFC 3927 and RFC 4291: never exchanged, because they have a different meaning on each link.
LINK_LOCAL: dict[int, Network] = {4: IPv4Network("169.254.0.0/16"), 6: IPv6Network("fe80::/10")}

DEFAULT_ROUTES: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))

_LINK_LOCAL_NEXTHOPS = IPv6Network("fe80::/64")

_CACHE = 1 << 16

_Parsed = TypeVar("_Parsed")


def _cached(parse: Callable[[str], _Parsed]) -> Callable[[str], _Parsed]:
    """Parse each text once; longer ones, which any client may write, are not kept."""
    kept = lru_cache(_CACHE)(parse)

    @wraps(parse)
    def parsed(text: str) -> _Parsed:
        return kept(text if len(text) <= PREFIX.most else "")

    return parsed


@_cached
def parse_interface(text: str) -> Interface | None:
    """An address with its network, "10.0.0.1/24"; without a length, that of a single host."""
    try:
        return ip_interface(text)
    except ValueError:
        return None


@_cached
def parse_network(text: str) -> Network | None:
    """A prefix; bits after its length are ignored, a missing length means a single host."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def canonical(text: str) -> str:
    """A prefix as its network address and length; invalid text is unchanged.

    `ovn-ic` up to 23.03 publishes a connected network with its host bits ("10.0.0.1/16").
    """
    return _canonical(text) or text


@_cached
def _canonical(text: str) -> str:
    network = parse_network(text)
    return "" if network is None else str(network)


@_cached
def parse_address(text: str) -> Address | None:
    """A bare address."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def parse_port_address(text: str) -> tuple[Interface, ...]:
    """The interfaces of a port's "MAC IP/length [IP/length…]"; other words are left out."""
    parsed = (parse_interface(word) for word in text.split()[1:])
    return tuple(interface for interface in parsed if interface is not None)


def is_link_local(prefix: Network) -> bool:
    """Whether a prefix lies inside its family's link-local range."""
    return is_inside(prefix, LINK_LOCAL[prefix.version])


def is_link_local_nexthop(address: Address) -> bool:
    """Whether OVN treats a next hop as link-local: in fe80::/64 only.

    Router ports on transit switches have addresses in 169.254.0.0/16, and with Kube-OVN in
    fe80:a9fe::/32: those must count as ordinary next hops.
    """
    return isinstance(address, IPv6Address) and address in _LINK_LOCAL_NEXTHOPS


def is_inside(prefix: Network, entry: Network) -> bool:
    """Whether `prefix` equals `entry` or is part of it."""
    return (
        prefix.version == entry.version
        and entry.prefixlen <= prefix.prefixlen
        and prefix.network_address in entry
    )


class PrefixSet:
    """Prefixes, to find whether one of them contains another; this costs a lookup per length.

    Args:
        prefixes: they may overlap.
    """

    __slots__ = ("_addresses",)

    def __init__(self, prefixes: Iterable[Network] = ()) -> None:
        self._addresses: dict[tuple[int, int], set[int]] = {}
        for prefix in prefixes:
            kind = prefix.version, prefix.prefixlen
            self._addresses.setdefault(kind, set()).add(int(prefix.network_address))

    def contains(self, prefix: Network) -> bool:
        """Whether a prefix equals one of them or is part of it."""
        address, longest = int(prefix.network_address), prefix.max_prefixlen
        return any(
            version == prefix.version
            and length <= prefix.prefixlen
            and address >> (longest - length) << (longest - length) in addresses
            for (version, length), addresses in self._addresses.items()
        )


# RFC 6890, RFC 5771, RFC 4291: this host, loopback, multicast, reserved; unspecified, loopback,
# IPv4-mapped and all else in ::/16, multicast. No other cluster can be there.
RESERVED: tuple[Network, ...] = tuple(
    map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/16", "ff00::/8"))
)
_RESERVED = PrefixSet(RESERVED)
_SHORTEST = {4: 9, 6: 16}
_PRIVATE = PrefixSet(map(ip_network, ("10.0.0.0/8", "fc00::/7")))
"""The private ranges with prefixes that are shorter than that (RFC 1918, RFC 4193)."""


def is_reserved(prefix: Network) -> bool:
    """Whether a prefix lies inside a range that is never routed between clusters."""
    return _RESERVED.contains(prefix) and not is_default(prefix)


def is_broad(prefix: Network) -> bool:
    """Whether it takes so much of the Internet that, with few others, it is a default route."""
    length = prefix.prefixlen
    return 0 < length < _SHORTEST[prefix.version] and not _PRIVATE.contains(prefix)


def changed_entries(
    before: tuple[Network, ...] | None, after: tuple[Network, ...] | None
) -> frozenset[Network] | None:
    """The entries by which two lists differ; None if one list is None, which matches anything.

    Whether a prefix lies inside a list can differ only for prefixes inside one of these entries.
    """
    if before == after:
        return frozenset()
    if before is None or after is None:
        return None
    return frozenset(before).symmetric_difference(after)


def is_default(prefix: Network) -> bool:
    """Whether it is 0.0.0.0/0 or ::/0."""
    return prefix.prefixlen == 0


def parse_list(text: str) -> tuple[tuple[Network, ...], tuple[str, ...]]:
    """A comma-separated list of prefixes: the valid ones, and the invalid entries."""
    networks: list[Network] = []
    bad: list[str] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        network = parse_network(entry)
        if network is None:
            bad.append(entry)
        else:
            networks.append(network)
    return tuple(networks), tuple(bad)


def overlapping(
    ones: Iterable[Network], others: Sequence[Network]
) -> Iterator[tuple[Network, Network]]:
    """The pairs that have addresses in common."""
    for one, other in product(ones, others):
        if one.version == other.version and one.overlaps(other):
            yield one, other
