"""What zones advertise and the import policy refuses: one problem per zone or local prefix.

Derived from `PrefixGroups`, so that a problem costs the same however many routes it is about.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, NamedTuple, TypeAlias

from isthmus.engine.reconciler import DerivedState, Watch
from isthmus.exchange.routes.import_policy import Group, ImportPolicy
from isthmus.exchange.routes.options import Refusal
from isthmus.exchange.routes.prefix_groups import PrefixGroups
from isthmus.model.changes import Change
from isthmus.model.import_policy import LocalPrefix
from isthmus.model.prefix_index import PrefixCounts
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import LogicalRouter, Row, RowId

_EXAMPLES = 3

_RULES: Mapping[Refusal, str] = {
    Refusal.RESERVED: "for one host, multicast or reserved, which are never learned",
    Refusal.BROAD: "that are almost default routes, which are not accepted by name",
    Refusal.NOT_ACCEPTED: "outside the prefixes that are accepted from it",
    Refusal.DEFAULT: "default routes, which are not accepted",
    Refusal.TOO_MANY: "beyond its maximum of {limit}",
}
"""By reason, how prefixes break the rules for their zone."""


class ZoneOnRouter(NamedTuple):
    """Everything that a zone advertises against its rules, on one router."""

    router: RowId
    zone: str


ProblemKey: TypeAlias = Group | ZoneOnRouter
"""A group of prefixes that overlap a local one, or a zone."""


@dataclass(frozen=True, slots=True, order=True)
class Refused:
    """Prefixes of one zone that are not learned, for display.

    Args:
        router: the name of the router.
        zone: the name of the zone.
        rule: why not.
        count: how many prefixes.
        examples: the first of them, in canonical order.
    """

    router: str
    zone: str
    rule: str
    count: int
    examples: tuple[str, ...]


class RefusedRoutes(DerivedState[ProblemKey, None]):
    """The problems; a key is what one problem is about."""

    name: ClassVar[str] = "refused routes"

    def __init__(self, policy: ImportPolicy, groups: PrefixGroups) -> None:
        super().__init__()
        self._policy, self._groups = policy, groups

    def watches(self) -> Mapping[type[Row], Watch[ProblemKey]]:
        return {LogicalRouter: self._of_router}

    def _of_router(self, change: Change) -> Iterable[ProblemKey]:
        """The problems name the router."""
        return [key for key in self.problems if key.router == change.row.uuid]

    def keys(self) -> Iterable[ProblemKey]:
        return (*map(problem_key, self._groups.groups), *self.problems)

    def derive(self, key: ProblemKey) -> Iterable[None]:
        found = self._refused(key) if isinstance(key, ZoneOnRouter) else self._overlap(key)
        self.report(key, *found)
        return ()

    def _overlap(self, key: Group) -> Iterator[Problem]:
        prefixes, local = self._groups.groups.get(key), key.local
        if not prefixes or local is None:
            return
        if key.physical:
            yield self._shared_network(key, local)
            return
        first = prefixes[0]
        owners = {found.owner for found in self._policy.locals_at(key.router, first)}
        others = f" and {len(owners) - 1} more objects here" if len(owners) > 1 else ""
        yield Subject(local.owner, "prefix", str(local.prefix)).problem(
            f"overlaps {first}{and_more(prefixes)} of zone {key.zone}{others}, so VPC"
            f" {self._policy.router_name(key.router)} does not learn that route and its pods do"
            f" not reach those addresses in {key.zone}; all other routes are exchanged",
            f"give one of the two another CIDR, or set disableInterConnection on the one in"
            f" {key.zone}",
            Reason.OVERLAPPING_PREFIX,
        )

    def _shared_network(self, key: Group, local: LocalPrefix) -> Problem:
        """The prefix of an underlay, which may be one physical network or two."""
        return Subject(local.owner, "prefix", str(local.prefix)).problem(
            f"is that of an underlay, and zone {key.zone} advertises the same prefix, so VPC"
            f" {self._policy.router_name(key.router)} does not learn that route and uses its own"
            " network",
            "do nothing if both clusters are attached to one physical network; if they are not,"
            " give one of the two another CIDR",
            Reason.SHARED_UNDERLAY,
        )

    def _refused(self, key: ZoneOnRouter) -> Iterator[Problem]:
        reasons = [
            f"{refused.count} {refused.rule}, e.g. {', '.join(refused.examples)}"
            for refused in self.refused_of(key)
        ]
        if reasons:
            yield Subject(f"zone {key.zone}", "routes").problem(
                "advertises prefixes that VPC"
                f" {self._policy.router_name(key.router)} does not learn: {'; '.join(reasons)}",
                "have the zone withdraw them, or allow them in data.accept of"
                f" {self._policy.current.source}",
                Reason.REFUSED_BY_POLICY,
            )

    def refused(self) -> list[Refused]:
        """Everything that is advertised and not learned, by router, zone and rule."""
        zones = dict.fromkeys(map(problem_key, self._groups.groups))
        found = [
            refused
            for key in zones
            if isinstance(key, ZoneOnRouter)
            for refused in self.refused_of(key)
        ]
        for group, prefixes in self._groups.groups.items():
            if group.local is not None:
                rule = f"overlaps {group.local.prefix} of {group.local.owner}"
                examples = tuple(map(str, islice(prefixes, _EXAMPLES)))
                router = self._policy.router_name(group.router)
                found.append(Refused(router, group.zone, rule, len(prefixes), examples))
        return sorted(found)

    def refused_of(self, key: ZoneOnRouter) -> Iterator[Refused]:
        """What the rules refuse of a zone, by rule."""
        router = self._policy.router_name(key.router)
        for reason, rule in _RULES.items():
            count, prefixes = self._groups.too_many(Group(reason, key.router, key.zone))
            if count:
                broken = rule.format(limit=self._policy.limit_of(key.zone))
                examples = tuple(map(str, islice(prefixes, _EXAMPLES)))
                yield Refused(router, key.zone, broken, count, examples)


def problem_key(group: Group) -> ProblemKey:
    """The problem that a group belongs to."""
    return ZoneOnRouter(group.router, group.zone) if group.reason in _RULES else group


def and_more(prefixes: PrefixCounts) -> str:
    """How many prefixes there are besides the first, for a message; empty if none."""
    more = len(prefixes) - 1
    return f" (and {more} more)" if more else ""
