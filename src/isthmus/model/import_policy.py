"""What the controller tells the engine to keep from harm, as values.

`isthmus.controller.import_policy` makes them of the inputs, the daemon hands them over, and
`isthmus.exchange.routes.import_policy` heeds them; the two packages do not know each other.
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
    """A prefix that is this cluster's own.

    Args:
        owner: the object that says so, e.g. "Subnet apps" or "Node node-1".
    """

    prefix: Network
    owner: str


Local: TypeAlias = Mapping[str, Mapping[str, tuple[Network, ...]]]
"""By the name of a logical router, for each object (`LocalPrefix.owner`) its prefixes."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """All that the engine is told.

    Args:
        local: what must not be learned into each router. There may be thousands of objects: a
            tuple of prefixes that did not change should be the same one as before.
        rules: what may be learned and advertised.
        source: where the rules come from, for people, e.g. "ConfigMap kube-system/ovn-ic-config".
        known: whether the rules are known; if not, no route may be added yet.
    """

    local: Local = field(default_factory=dict)
    rules: RouteRules = field(default_factory=RouteRules)
    source: str = "the configuration"
    known: bool = True


class LocalPrefixes:
    """The cluster's own prefixes, to be asked for overlaps.

    A change of one object costs a comparison of all, and otherwise what it touches.
    """

    def __init__(self) -> None:
        self._told: Local = {}
        self._indexes: dict[str, PrefixIndex[LocalPrefix]] = {}

    def take(self, local: Local) -> list[Network]:
        """Follow a change of the prefixes; those that came or went, at any router."""
        before, self._told = self._told, local
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
        """All that a prefix overlaps: what is around it, the closest first, then what is in it."""
        index = self._indexes.get(router)
        if index is not None:
            yield from index.overlapping(prefix)

    def first(self, router: str, prefix: Network) -> LocalPrefix | None:
        """The closest around a prefix, or the first inside; None if it overlaps none."""
        found = self.overlapping(router, prefix)
        first = next(found, None)
        if first is None:
            return None
        # Several objects may have one prefix: take the same one every time.
        equal = takewhile(lambda local: local.prefix == first.prefix, found)
        return min((first, *equal), key=lambda local: local.owner)
