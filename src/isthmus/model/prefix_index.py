"""Prefixes in canonical order, and which of them contain each other.

The view, the import policy and the controller find overlaps with these. Invariant: a lookup costs
the same however many prefixes there are (except for a binary search, and a move of memory when one
is added), so that a change of one route never costs a walk over all.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from isthmus.model.prefixes import Network

V = TypeVar("V", bound=Hashable)

SortKey = tuple[int, int, int]


def sort_key(prefix: Network) -> SortKey:
    """The canonical order: IPv4 before IPv6, then by address, a prefix before its parts."""
    return prefix.version, int(prefix.network_address), prefix.prefixlen


class PrefixCounts:
    """A multiset of prefixes in canonical order."""

    __slots__ = ("_counts", "_order", "_prefixes")

    def __init__(self) -> None:
        self._counts: dict[SortKey, int] = {}
        self._prefixes: dict[SortKey, Network] = {}
        self._order: list[SortKey] = []

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, rank: int) -> Network:
        return self._prefixes[self._order[rank]]

    def __iter__(self) -> Iterator[Network]:
        return (self._prefixes[key] for key in self._order)

    def __contains__(self, prefix: Network) -> bool:
        return sort_key(prefix) in self._counts

    def rank(self, prefix: Network) -> int:
        """How many different prefixes come before this one."""
        return bisect_left(self._order, sort_key(prefix))

    def add(self, prefix: Network) -> bool:
        """Add a prefix once more; return whether it was not there before."""
        key = sort_key(prefix)
        count = self._counts.get(key, 0)
        self._counts[key] = count + 1
        if not count:
            self._prefixes[key] = prefix
            insort(self._order, key)
        return not count

    def remove(self, prefix: Network) -> bool:
        """Remove a prefix once, which must be there; return whether it is gone now."""
        key = sort_key(prefix)
        self._counts[key] -= 1
        if self._counts[key]:
            return False
        del self._counts[key], self._prefixes[key]
        del self._order[bisect_left(self._order, key)]
        return True

    def inside(self, prefix: Network) -> Iterator[Network]:
        """Those that equal `prefix` or are part of it, in canonical order."""
        last = int(prefix.broadcast_address)
        for rank in range(self.rank(prefix), len(self._order)):
            version, address, _ = key = self._order[rank]
            if version != prefix.version or address > last:
                return
            yield self._prefixes[key]


class PrefixIndex(Generic[V]):
    """Values by prefix; a value may have several prefixes, and a prefix several values.

    It must not be changed while one of its iterators is in use.
    """

    __slots__ = ("_lengths", "_order", "_values")

    def __init__(self) -> None:
        self._values: dict[SortKey, dict[V, None]] = {}
        self._order = PrefixCounts()
        # How many prefixes there are of each length, by version: only these are looked up.
        self._lengths: dict[int, dict[int, int]] = {4: {}, 6: {}}

    def __len__(self) -> int:
        return len(self._order)

    def add(self, prefix: Network, value: V) -> None:
        """Add a value to a prefix; adding it twice is the same as once."""
        values = self._values.setdefault(sort_key(prefix), {})
        if not values:
            self._order.add(prefix)
            lengths = self._lengths[prefix.version]
            lengths[prefix.prefixlen] = lengths.get(prefix.prefixlen, 0) + 1
        values[value] = None

    def remove(self, prefix: Network, value: V) -> None:
        """Remove a value from a prefix, if it is there."""
        values = self._values.get(sort_key(prefix), {})
        if value not in values:
            return
        del values[value]
        if not values:
            del self._values[sort_key(prefix)]
            self._order.remove(prefix)
            lengths = self._lengths[prefix.version]
            lengths[prefix.prefixlen] -= 1
            if not lengths[prefix.prefixlen]:
                del lengths[prefix.prefixlen]

    def equal(self, prefix: Network) -> Iterator[V]:
        """The values of `prefix` itself."""
        return iter(self._values.get(sort_key(prefix), ()))

    def covering(self, prefix: Network) -> Iterator[V]:
        """The values of all prefixes that equal or contain `prefix`, the longest first."""
        version, address, length = sort_key(prefix)
        for covering in sorted(self._lengths[version], reverse=True):
            if covering <= length:
                cut = prefix.max_prefixlen - covering
                yield from self._values.get((version, address >> cut << cut, covering), ())

    def inside(self, prefix: Network) -> Iterator[V]:
        """The values of all prefixes that equal `prefix` or are part of it, in canonical order."""
        for found in self._order.inside(prefix):
            yield from self._values[sort_key(found)]

    def overlapping(self, prefix: Network) -> Iterator[V]:
        """The values around and inside `prefix`, each once for each of its prefixes."""
        yield from self.covering(prefix)
        for found in self._order.inside(prefix):
            if found != prefix:
                yield from self._values[sort_key(found)]
