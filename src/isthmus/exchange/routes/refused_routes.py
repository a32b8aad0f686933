"""What zones announce and do not get: the maximum per zone, and what people are told; derived.

`LearnedSources` says of each IC-SB route what became of it (`Finding`); here that is gathered by
zone, so that a problem costs the same however many routes it is about, and the maximum per zone
is the first so many prefixes in canonical order, whoever came first. Keys are the problems.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

from isthmus.engine.reconciler import Reconciler, Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.import_policy import Guard
from isthmus.exchange.routes.options import Refusal
from isthmus.exchange.routes.static_routes import LearnKey
from isthmus.model.import_policy import LocalPrefix
from isthmus.model.indexes import IC_ROUTES_BY_PREFIX
from isthmus.model.operations import Operation
from isthmus.model.prefix_index import PrefixCounts
from isthmus.model.prefixes import Network, parse_network
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import IcRoute, Row, RowId


class Kind(StrEnum):
    """What prefixes are gathered for."""

    OVERLAP = "overlap"
    NOT_ACCEPTED = "not accepted"
    DEFAULT = "default route"
    COUNTED = "counted"
    SHARED = "shared"


class Group(NamedTuple):
    """Prefixes of one kind, of one zone, on one router.

    Args:
        zone: its name; for `SHARED` those of all, with commas in between.
        local: what they overlap.
    """

    kind: Kind
    router: RowId
    zone: str
    local: LocalPrefix | None = None


class Finding(NamedTuple):
    """What became of one route on one router."""

    group: Group
    prefix: Network


class Prefix(NamedTuple):
    """A prefix on a router that may be learned from several zones."""

    router: RowId
    prefix: Network
    route_table: str


class OfZone(NamedTuple):
    """All that a zone announces and may not, on one router."""

    router: RowId
    zone: str


Key: TypeAlias = Group | Prefix | OfZone

_KIND_OF: Mapping[Refusal, Kind] = {
    Refusal.OVERLAP: Kind.OVERLAP,
    Refusal.NOT_ACCEPTED: Kind.NOT_ACCEPTED,
    Refusal.DEFAULT: Kind.DEFAULT,
}


@dataclass(frozen=True, slots=True, order=True)
class Refused:
    """Prefixes of one zone that are not learned, for people.

    Args:
        rule: why not.
        examples: the first of them, in canonical order.
    """

    router: str
    zone: str
    rule: str
    count: int
    examples: tuple[str, ...]


class Learning(Protocol):
    """`LearnedSources`, as it is asked and told from here."""

    def keys_of(self, route: RowId) -> Iterable[LearnKey]:
        """What a route now means."""

    def learned_prefix_moved(self, router: RowId, prefix: Network) -> None:
        """The prefix moved across the maximum of a zone: look at its learned routes again."""


class Announcements(Reconciler[Key]):
    """The gathered prefixes.

    Attributes:
        learning: set when wired.
    """

    name: ClassVar[str] = "announcements"

    def __init__(self, view: View, guard: Guard) -> None:
        super().__init__()
        self._view, self._guard = view, guard
        self._findings: dict[RowId, tuple[Finding, ...]] = {}
        self._groups: dict[Group, PrefixCounts] = {}
        self._shared: dict[Prefix, Group] = {}
        self.learning: Learning | None = None

    def watches(self) -> Mapping[type[Row], Watch[Key]]:
        return {}  # `LearnedSources` notes what becomes of each route

    def keys(self) -> Iterable[Key]:
        for group in self._groups:
            yield from _keys_of(group)
        yield from tuple(self._shared)
        yield from tuple(self.problems)

    # -- from `LearnedSources` ---------------------------------------------------------------

    def finding(
        self, route: IcRoute, prefix: Network, router: RowId, refusal: Refusal | None
    ) -> Finding | None:
        """What is worth noting about a route: a refusal of the guard's, or that it counts."""
        if not self._guard.active:
            return None
        zone, local = self._guard.zone_of(route), None
        if refusal is None:
            counts = self._guard.rule_of(route).most is not None
            return Finding(Group(Kind.COUNTED, router, zone), prefix) if counts else None
        kind = _KIND_OF.get(refusal)
        if kind is Kind.OVERLAP:
            local = self._guard.local_at(router, prefix)
        return Finding(Group(kind, router, zone, local), prefix) if kind else None

    def note(self, route: RowId, findings: Iterable[Finding]) -> bool:
        """Take note of what became of a route; whether that is another thing than before."""
        new = tuple(dict.fromkeys(findings))
        old = self._findings.pop(route, ())
        if new:
            self._findings[route] = new
        for finding in (*old, *new):
            self.mark(_keys_of(finding.group))
        if old == new:
            return False
        for finding in old:
            self._take_out(finding)
        for finding in new:
            self._enter(finding)
        return True

    def meaning_changed(self, learned: LearnKey) -> None:
        """A zone starts or ceases to be one from which a prefix is learned."""
        prefix = parse_network(learned.ip_prefix)
        if self._guard.active and prefix is not None:
            self.mark((Prefix(learned.router, prefix, learned.route_table),))

    def admits(self, route: RowId, router: RowId) -> bool:
        """Whether a route is within the maximum of its zone."""
        for group, prefix in self._findings.get(route, ()):
            if group.kind is Kind.COUNTED and group.router == router:
                most = self._most(group)
                return most is None or self._groups[group].rank(prefix) < most
        return True

    def _enter(self, finding: Finding) -> None:
        group, prefix = finding
        counts = self._groups.setdefault(group, PrefixCounts())
        if counts.add(prefix):
            self._moved(group, counts, counts.rank(prefix), len(counts))

    def _take_out(self, finding: Finding) -> None:
        group, prefix = finding
        counts = self._groups[group]
        rank, before = counts.rank(prefix), len(counts)
        if counts.remove(prefix):
            self._moved(group, counts, rank, before)
        if not counts:
            del self._groups[group]

    def _moved(self, group: Group, counts: PrefixCounts, rank: int, longer: int) -> None:
        """A prefix came or went: the one that this moved across the maximum.

        Args:
            rank: of what came or went.
            longer: how many there were with it.
        """
        most = self._most(group)
        if most is None or self.learning is None or rank >= most or longer <= most:
            return
        # With it, the one at `most` is the first too many; without it, the one before is the last.
        place = most if len(counts) == longer else most - 1
        self.learning.learned_prefix_moved(group.router, counts[place])

    def _most(self, group: Group) -> int | None:
        return (
            self._guard.told.rules.of_zone(group.zone).most if group.kind is Kind.COUNTED else None
        )

    # -- what people are told ----------------------------------------------------------------

    def reconcile(self, key: Key) -> Iterable[Operation]:
        if isinstance(key, Prefix):
            self._share(key)
        elif isinstance(key, OfZone):
            self.report(key, *self._refused(key))
        elif key.kind is Kind.SHARED:
            self.report(key, *self._ambiguous(key))
        else:
            self.report(key, *self._overlap(key))
        return ()

    def _share(self, key: Prefix) -> None:
        """File a prefix under the zones that it is learned from, if they are several."""
        zones = sorted(
            {
                self._guard.zone_of(route)
                for route in self._view.all(IC_ROUTES_BY_PREFIX, key.prefix)
                if self._learns(route.uuid, key)
            }
        )
        group = Group(Kind.SHARED, key.router, ", ".join(zones)) if len(zones) > 1 else None
        old = self._shared.pop(key, None)
        if group is not None:
            self._shared[key] = group
        if old == group:
            return
        if old is not None:
            self._take_out(Finding(old, key.prefix))
            self.report(old, *self._ambiguous(old))
        if group is not None:
            self._enter(Finding(group, key.prefix))
            self.report(group, *self._ambiguous(group))

    def _learns(self, route: RowId, key: Prefix) -> bool:
        meant = self.learning.keys_of(route) if self.learning is not None else ()
        wanted = any((k.router, k.route_table) == (key.router, key.route_table) for k in meant)
        return wanted and self.admits(route, key.router)

    def _ambiguous(self, group: Group) -> Iterator[Problem]:
        counts = self._groups.get(group)
        if counts:
            yield Subject(f"zones {group.zone}", "routes", str(counts[0])).problem(
                (
                    f"the prefix{_and_more(counts)} is announced by all of them, so that traffic"
                    f" from VPC {self._guard.router_name(group.router)} goes"
                    " now to the one, now to the other"
                ),
                "give one of them another CIDR, or accept the prefix from one zone only",
                Reason.AMBIGUOUS_PREFIX,
            )

    def _overlap(self, group: Group) -> Iterator[Problem]:
        counts, local = self._groups.get(group), group.local
        if not counts or local is None:
            return
        first = counts[0]
        owners = {found.owner for found in self._guard.locals_at(group.router, first)}
        others = f", as well as {len(owners) - 1} more here" if len(owners) > 1 else ""
        yield Subject(local.owner, "prefix", str(local.prefix)).problem(
            (
                f"overlaps {first}{_and_more(counts)} of zone {group.zone}{others}; that is not"
                f" learned into VPC {self._guard.router_name(group.router)}, so its pods"
                f" do not reach those addresses in {group.zone}, and all other routes are exchanged"
            ),
            (
                f"give one of the two another CIDR, or disableInterConnection to the one in"
                f" {group.zone}"
            ),
            Reason.OVERLAPPING_PREFIX,
        )

    def _refused(self, key: OfZone) -> Iterator[Problem]:
        reasons = [
            f"{refused.count} {refused.rule}, e.g. {', '.join(refused.examples)}"
            for refused in self.refused_of(key)
        ]
        if reasons:
            yield Subject(f"zone {key.zone}", "routes").problem(
                f"announces what is not learned into VPC {self._guard.router_name(key.router)}: "
                + "; ".join(reasons),
                (
                    "have the zone withdraw them, or allow them in data.accept of"
                    f" {self._guard.told.source}"
                ),
                Reason.REFUSED_BY_POLICY,
            )

    def refused(self) -> list[Refused]:
        """All that is announced and not learned, by router, zone and rule."""
        of_zones = dict.fromkeys(
            OfZone(group.router, group.zone) for group in self._groups if group.kind in _RULES
        )
        found = [refused for key in of_zones for refused in self.refused_of(key)]
        for group, counts in self._groups.items():
            if group.local is not None:
                rule = f"overlaps {group.local.prefix} of {group.local.owner}"
                examples = tuple(map(str, islice(counts, _EXAMPLES)))
                router = self._guard.router_name(group.router)
                found.append(Refused(router, group.zone, rule, len(counts), examples))
        return sorted(found)

    def refused_of(self, key: OfZone) -> Iterator[Refused]:
        """What policy refuses of a zone, by rule."""
        router = self._guard.router_name(key.router)
        for kind, rule in _RULES.items():
            group = Group(kind, key.router, key.zone)
            counts = self._groups.get(group)
            most = self._most(group) or 0
            if counts is not None and len(counts) > most:
                examples = (str(counts[rank]) for rank in range(most, len(counts))[:_EXAMPLES])
                count = len(counts) - most
                yield Refused(router, key.zone, rule.format(most=most), count, tuple(examples))


_EXAMPLES = 3

_RULES: Mapping[Kind, str] = {
    Kind.NOT_ACCEPTED: "outside the prefixes that are accepted from it",
    Kind.DEFAULT: "by default routes, which are not asked for",
    Kind.COUNTED: "beyond its maximum of {most}",
}
"""By kind, what is wrong with prefixes of a zone."""


def _keys_of(group: Group) -> Iterator[Key]:
    """The problem that a group belongs to."""
    if group.kind in _RULES:
        yield OfZone(group.router, group.zone)
    else:
        yield group


def _and_more(counts: PrefixCounts) -> str:
    more = len(counts) - 1
    return f" (and {more} more)" if more else ""
