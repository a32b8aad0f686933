"""The prefixes that zones advertise, in groups, and with them the limit per zone.

`LearnedSources` decides about each IC-SB route alone. What depends on several routes comes from
these groups: which prefixes are within a zone's limit (the first ones in canonical order, no matter
which came first), and what a problem is about. Invariant: a change of one route costs the same
however many there are.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import ClassVar, NamedTuple, TypeAlias

from isthmus.engine.reconciler import DerivedState
from isthmus.exchange.routes.attachments import Attachment
from isthmus.exchange.routes.import_policy import Finding, Group, ImportPolicy
from isthmus.exchange.routes.learn import LearnedSources
from isthmus.exchange.routes.options import Refusal
from isthmus.exchange.routes.static_routes import Destination, LearnKey
from isthmus.model.prefix_index import PrefixCounts
from isthmus.model.prefixes import Network
from isthmus.model.rows import IcRoute, RowId

GroupsKey: TypeAlias = RowId | Group
"""An IC-SB route, or a group whose limit has changed."""


class GroupChange(NamedTuple):
    """A group that has changed; `moved` moved across its limit, in either direction."""

    group: Group
    moved: tuple[Network, ...] = ()


class PrefixGroups(DerivedState[GroupsKey, GroupChange]):
    """All groups, from the findings of the sources and the limits of the policy."""

    name: ClassVar[str] = "prefix groups"

    def __init__(self, policy: ImportPolicy, sources: LearnedSources) -> None:
        super().__init__()
        self._policy, self._sources = policy, sources
        self._findings: dict[RowId, tuple[Finding, ...]] = {}
        self._limits: dict[Group, int] = {}
        self.groups: dict[Group, PrefixCounts] = {}

    def keys(self) -> Iterable[GroupsKey]:
        return (*self._findings, *self._sources.keys(), *self._limits)

    def of_zones(self, zones: frozenset[str]) -> Iterable[Group]:
        """The groups with a limit for one of these zones."""
        return [group for group in self._limits if group.zone in zones]

    def derive(self, key: GroupsKey) -> Iterator[GroupChange]:
        if isinstance(key, Group):
            yield from self._follow_limit(key)
            return
        before, after = self._findings.pop(key, ()), self._sources.findings(key)
        if after:
            self._findings[key] = after
        if before == after:  # the problem may still be stated differently
            yield from (GroupChange(group) for group, _ in after)
            return
        for group, prefix in before:
            yield GroupChange(group, self._remove(group, prefix))
        for group, prefix in after:
            yield GroupChange(group, self._add(group, prefix))

    def _add(self, group: Group, prefix: Network) -> tuple[Network, ...]:
        """Add a prefix; what this pushed beyond the limit."""
        if group not in self.groups:
            self.groups[group] = PrefixCounts()
            limit = self._policy.limit_of(group.zone)
            if group.reason is Refusal.TOO_MANY and limit is not None:
                self._limits[group] = limit
        prefixes, limit = self.groups[group], self._limits.get(group)
        if not prefixes.add(prefix) or limit is None:
            return ()
        pushed = prefixes.rank(prefix) < limit < len(prefixes)
        return (prefixes[limit],) if pushed else ()

    def _remove(self, group: Group, prefix: Network) -> tuple[Network, ...]:
        """Remove a prefix; what this brought within the limit."""
        prefixes, limit = self.groups[group], self._limits.get(group)
        rank = prefixes.rank(prefix)
        removed = prefixes.remove(prefix)
        if not prefixes:
            del self.groups[group]
            self._limits.pop(group, None)
        if not removed or limit is None:
            return ()
        return (prefixes[limit - 1],) if rank < limit <= len(prefixes) else ()

    def _follow_limit(self, group: Group) -> Iterator[GroupChange]:
        """Take over a changed limit; without one, the routes' findings have changed, too."""
        before, after = self._limits.get(group), self._policy.limit_of(group.zone)
        if before is None or after is None or before == after:
            return
        self._limits[group] = after
        between = sorted((before, after))
        yield GroupChange(group, tuple(islice(self.groups[group], *between)))

    @property
    def wanted(self) -> Iterable[Destination]:
        """The destinations of the routes that are asked for, limits aside."""
        return self._sources.wanted.keys()

    # -- decisions ---------------------------------------------------------------------------

    def admits(self, route: RowId, router: RowId) -> bool:
        """Whether a route is within the limit of its zone."""
        for group, prefix in self._findings.get(route, ()):
            limit = self._limits.get(group)
            if limit is not None and group.router == router:
                return self.groups[group].rank(prefix) < limit
        return True

    def admitted(self, key: Destination) -> dict[LearnKey, list[RowId]]:
        """The routes to learn to a destination, each with the IC-SB routes that ask for it and are
        within their zones' limits."""
        admitted: dict[LearnKey, list[RowId]] = {}
        for uuid, learned in self._sources.wanted.get(key, {}).items():
            if self.admits(uuid, key.router):
                admitted.setdefault(learned, []).append(uuid)
        return admitted

    def refuses(self, route: IcRoute, attachment: Attachment) -> Refusal | None:
        """Why a route is not learned through an attachment, or None if it is."""
        refusal = self._sources.refuses(route, attachment)
        if refusal is None and not self.admits(route.uuid, attachment.router):
            return Refusal.TOO_MANY
        return refusal

    # -- reports -----------------------------------------------------------------------------

    def too_many(self, group: Group) -> tuple[int, Iterator[Network]]:
        """How many prefixes of a group are not learned, and which."""
        prefixes, limit = self.groups.get(group), self._limits.get(group, 0)
        if prefixes is None:
            return 0, iter(())
        return max(0, len(prefixes) - limit), islice(prefixes, limit, None)
