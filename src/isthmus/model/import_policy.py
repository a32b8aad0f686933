"""The rules of the import policy, as values.

`isthmus.controller.import_policy` makes them from the inputs, the daemon passes them on, and
`isthmus.exchange.routes.import_policy` applies them; the two packages do not import each other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TypeAlias

from isthmus.model.prefix_index import PrefixIndex
from isthmus.model.prefixes import Network
from isthmus.model.route_rules import RouteRules


@dataclass(frozen=True, slots=True)
class LocalPrefix:
    """A prefix of this cluster's own, with its object, e.g. "Subnet apps" or "Node node-1"."""

    prefix: Network
    owner: str


PrefixesByOwner: TypeAlias = Mapping[str, Mapping[str, tuple[Network, ...]]]
"""By the name of a logical router, then by object (`LocalPrefix.owner`): its prefixes."""


@dataclass(frozen=True, slots=True)
class ImportRules:
    """All rules.

    Args:
        local: the prefixes that no route learned into each router may overlap. There may be
            thousands of objects: an unchanged tuple of prefixes should be the same object as
            before.
        rules: what may be learned and advertised.
        source: where the rules come from, e.g. "ConfigMap kube-system/ovn-ic-config".
        complete: whether these are all rules; if not, no route may be added yet.
        physical: the prefixes of underlay networks. Another cluster may be attached to the same
            one, and an equal prefix of another zone is shown, but is not a fault.
    """

    local: PrefixesByOwner = field(default_factory=dict)
    rules: RouteRules = field(default_factory=RouteRules)
    source: str = "the configuration"
    complete: bool = True
    physical: frozenset[Network] = frozenset()


class LocalPrefixes:
    """The cluster's own prefixes, to find overlaps.

    An update compares the identity of all objects' prefixes; beyond that it costs what it changes.
    """

    def __init__(self) -> None:
        self._current: PrefixesByOwner = {}
        self._indexes: dict[str, PrefixIndex[LocalPrefix]] = {}

    def update(self, local: PrefixesByOwner) -> list[Network]:
        """Replace the prefixes; return those that came or went, at any router."""
        before, self._current = self._current, local
        changed: list[Network] = []
        for router in {*before, *local}:
            index = self._indexes.setdefault(router, PrefixIndex())
            old, new = before.get(router, {}), local.get(router, {})
            for owner in {*old, *new}:
                had, has = old.get(owner, ()), new.get(owner, ())
                if had is has:
                    continue
                for prefix in set(had).difference(has):
                    index.remove(prefix, LocalPrefix(prefix, owner))
                for prefix in set(has).difference(had):
                    index.add(prefix, LocalPrefix(prefix, owner))
                changed += set(had).symmetric_difference(has)
        return changed

    def overlapping(self, router: str, prefix: Network) -> Iterator[LocalPrefix]:
        """All that a prefix overlaps: those around it, the closest first, then those inside it."""
        index = self._indexes.get(router)
        if index is not None:
            yield from index.overlapping(prefix)

    def first(self, router: str, prefix: Network) -> LocalPrefix | None:
        """The closest around a prefix, or the first inside; None if it overlaps none."""
        found = self.overlapping(router, prefix)
        first = next(found, None)
        if first is None:
            return None
        # Several objects may have one prefix: choose the same one every time.
        equal = takewhile(lambda local: local.prefix == first.prefix, found)
        return min((first, *equal), key=lambda local: local.owner)
