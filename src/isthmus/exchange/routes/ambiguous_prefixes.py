"""Prefixes that a router learns from several zones, so that traffic goes to either.

A problem is about all prefixes that the same zones share, so that it costs the same however many
there are.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, NamedTuple, TypeAlias

from isthmus.engine.reconciler import DerivedState, Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.exchange.routes.learn import LearnedSources
from isthmus.exchange.routes.prefix_groups import PrefixGroups
from isthmus.exchange.routes.refused_routes import and_more
from isthmus.exchange.routes.static_routes import Destination
from isthmus.model.changes import Change
from isthmus.model.indexes import IC_ROUTES_BY_PREFIX
from isthmus.model.prefix_index import PrefixCounts
from isthmus.model.prefixes import Network, parse_network
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import LogicalRouter, Row, RowId


class SharingZones(NamedTuple):
    """Zones, by name, that advertise the same prefix, which a router learns from all of them."""

    router: RowId
    names: tuple[str, ...]


AmbiguityKey: TypeAlias = Destination | SharingZones
"""A destination that may be shared, or what a problem is about."""


class AmbiguousPrefixes(DerivedState[AmbiguityKey, None]):
    """All ambiguous prefixes, where there is an import policy."""

    name: ClassVar[str] = "ambiguous prefixes"

    def __init__(
        self, view: View, policy: ImportPolicy, sources: LearnedSources, groups: PrefixGroups
    ) -> None:
        super().__init__()
        self._view, self._policy, self._sources, self._groups = view, policy, sources, groups
        self._zones: dict[Destination, SharingZones] = {}
        self._prefixes: dict[SharingZones, PrefixCounts] = {}

    def watches(self) -> Mapping[type[Row], Watch[AmbiguityKey]]:
        return {LogicalRouter: self._of_router}

    def _of_router(self, change: Change) -> Iterable[AmbiguityKey]:
        """The problems name the router."""
        return [key for key in self.problems if key.router == change.row.uuid]

    def keys(self) -> Iterable[AmbiguityKey]:
        wanted = self._sources.wanted if self._policy.active else ()
        return (*self._zones, *wanted, *self.problems)

    def derive(self, key: AmbiguityKey) -> Iterable[None]:
        if isinstance(key, SharingZones):
            self.report(key, *self._problems(key))
        elif self._policy.active:
            self._file(key)
        return ()

    def _file(self, key: Destination) -> None:
        """File a prefix under the zones that it is learned from, if there are several."""
        prefix = parse_network(key.ip_prefix)
        if prefix is None:
            return
        before, after = self._zones.pop(key, None), self._sharing(key, prefix)
        if before is not None:
            self._prefixes[before].remove(prefix)
        if after is not None:
            self._zones[key] = after
            self._prefixes.setdefault(after, PrefixCounts()).add(prefix)
        for zones in filter(None, dict.fromkeys((before, after))):
            self.report(zones, *self._problems(zones))

    def _sharing(self, key: Destination, prefix: Network) -> SharingZones | None:
        names = {
            self._policy.zone_of(route)
            for route in self._view.all(IC_ROUTES_BY_PREFIX, prefix)
            if self._learns(route.uuid, key)
        }
        return SharingZones(key.router, tuple(sorted(names))) if len(names) > 1 else None

    def _learns(self, route: RowId, key: Destination) -> bool:
        wanted = route in self._sources.wanted.get(key, ())
        return wanted and self._groups.admits(route, key.router)

    def _problems(self, zones: SharingZones) -> Iterator[Problem]:
        prefixes = self._prefixes.get(zones)
        if not prefixes:
            self._prefixes.pop(zones, None)
            return
        yield Subject(f"zones {', '.join(zones.names)}", "routes", str(prefixes[0])).problem(
            f"all of them advertise this prefix{and_more(prefixes)}, so traffic from VPC"
            f" {self._policy.router_name(zones.router)} goes to any of them",
            "give one of them another CIDR, or accept the prefix from one zone only",
            Reason.AMBIGUOUS_PREFIX,
        )
