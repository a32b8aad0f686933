"""Which IC-SB routes are considered for learning: so many of each zone, and so many of all zones.

`LearnedSources` derives nothing of the others, so that no zone fills the memory of this daemon.
Whether a route counts depends on the rows in IC-SB and on the limits alone, never on which came
first: of each zone, the first ones in canonical order count. If all zones have too many, each has
the same share, so that a zone with few routes loses none (docs/decisions/0021-route-limits.md).
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, TypeAlias

from isthmus.engine.reconciler import DerivedState, Only, SingleKey
from isthmus.engine.view import View
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.exchange.zones.own_zone import zone_name
from isthmus.model.indexes import IC_ROUTES_RANKED, Rank, rank_of
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.route_rules import RouteLimits
from isthmus.model.rows import AvailabilityZone, IcRoute, Row, RowId
from isthmus.model.text import counted

_Cut: TypeAlias = Rank | tuple[()]
"""The rank of the last route that is considered; empty if none is."""


class ConsideredRoutes(SingleKey, DerivedState[Only, RowId]):
    """The limits in force; yields the routes that are now considered, or not any more.

    Invariant: without a zone beyond its limit, an update costs the same however many routes there
    are; otherwise it costs in proportion to the zones and to the routes whose state changes.
    """

    name: ClassVar[str] = "considered routes"
    tables: ClassVar[tuple[type[Row], ...]] = (IcRoute, AvailabilityZone)

    def __init__(self, view: View, policy: ImportPolicy) -> None:
        super().__init__()
        self._view, self._policy = view, policy
        self._cuts: dict[RowId, _Cut] = {}

    def includes(self, route: IcRoute) -> bool:
        """Whether a route is considered."""
        cut = self._cuts.get(route.availability_zone) if self._cuts else None
        return cut is None or rank_of(route) <= cut

    def derive(self, key: Only) -> Iterable[RowId]:
        ranks: Mapping[RowId, list[Rank]] = self._view.ranks(IC_ROUTES_RANKED)
        before, limits = self._cuts, self._policy.limits
        most = 0 if limits is None else self._most(ranks, limits)
        self._cuts = (
            {}
            if limits is None
            else {
                zone: found[most - 1] if most else ()
                for zone, found in ranks.items()
                if len(found) > most
            }
        )
        self.report(key, *self._problems(ranks, most))
        for zone in {**before, **self._cuts}:
            yield from _between(ranks.get(zone, ()), before.get(zone), self._cuts.get(zone))

    @staticmethod
    def _most(ranks: Mapping[RowId, list[Rank]], limits: RouteLimits) -> int:
        """How many routes of each zone are considered."""
        numbers = sorted(min(len(found), limits.zone) for found in ranks.values())
        left = limits.all
        for position, number in enumerate(numbers):
            share = left // (len(numbers) - position)
            if number > share:
                return share
            left -= number
        return limits.zone

    def _problems(self, ranks: Mapping[RowId, list[Rank]], most: int) -> Iterator[Problem]:
        rules, source = self._policy.current.rules.limits, self._policy.current.source
        numbers = {zone: len(ranks[zone]) for zone in self._cuts}
        for zone, number in numbers.items():
            if number > rules.zone:
                yield Subject(f"zone {zone_name(self._view, zone)}", "routes").problem(
                    f"has {number} routes in IC-SB, more than the {rules.zone} that are considered"
                    f" of one zone, so {number - most} of them are not learned, in order of their"
                    " prefixes; other zones are not affected",
                    f"have the zone withdraw routes, or raise max-routes-per-zone in {source}",
                    Reason.TOO_MANY_ROUTES,
                )
        if numbers and most < rules.zone:
            total, refused = sum(map(len, ranks.values())), sum(numbers.values())
            largest = max(sorted(numbers), key=numbers.__getitem__)
            yield Subject("all zones", "routes").problem(
                f"have {total} routes in IC-SB, more than the {rules.all} that are considered, so"
                f" only {most} are considered of {counted(len(numbers), 'zone')} with more, most of"
                f" all {zone_name(self._view, largest)}, and {refused - most * len(numbers)} routes"
                " are not learned; zones with fewer routes are not affected",
                f"have these zones withdraw routes, or raise max-routes in {source}",
                Reason.TOO_MANY_ROUTES,
            )


def _between(ranks: Sequence[Rank], *cuts: _Cut | None) -> Iterator[RowId]:
    """The routes between two cuts."""
    places = (len(ranks) if cut is None else bisect_right(ranks, cut) for cut in cuts)
    first, last = sorted(places)
    return (rank[-1] for rank in ranks[first:last])
