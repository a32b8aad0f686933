"""Random histories of rows and limits: which routes are considered depends on nothing else."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.engine.engine import Engine
from isthmus.engine.reconciler import DerivedState, Edge, edges_to_all_keys
from isthmus.engine.view import View
from isthmus.exchange.routes.considered_routes import ConsideredRoutes
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.model.changes import Change
from isthmus.model.import_policy import ImportRules
from isthmus.model.indexes import rank_of
from isthmus.model.route_rules import RouteLimits, RouteRules
from isthmus.model.rows import Database, IcRoute, RowId

ZONES = [RowId(name) for name in ("a", "b", "c")]
PREFIXES = [*(f"10.{n}.0.0/16" for n in range(5)), "10.0.0.0/8", "fd00::/64", "", "no prefix"]
LIMITS = st.builds(RouteLimits, st.integers(0, 6), st.integers(0, 12))
ROWS = st.tuples(st.integers(0, 19), st.sampled_from(ZONES), st.sampled_from(PREFIXES))
STEP = st.one_of(ROWS, st.integers(0, 19), LIMITS)


class Followed(DerivedState[RowId, None]):
    """What another state makes of the changes that `ConsideredRoutes` yields.

    Attributes:
        included: the routes that were included when they were last named.
    """

    name = "followed"

    def __init__(self, view: View, considered: ConsideredRoutes) -> None:
        super().__init__()
        self._view, self._considered = view, considered
        self.included: set[RowId] = set()

    def watches(self) -> Mapping[Any, Any]:
        return {IcRoute: lambda change: [change.row.uuid]}

    def keys(self) -> Iterable[RowId]:
        return tuple(self._view.table(IcRoute).rows)

    def derive(self, key: RowId) -> Iterator[None]:
        row = self._view.get(IcRoute, key)
        self.included.discard(key)
        if row is not None and self._considered.includes(row):
            self.included.add(key)
        yield None


class World:
    """An engine with what decides about the routes that are considered."""

    def __init__(self, limits: RouteLimits) -> None:
        self.view = View()
        self.policy = ImportPolicy(self.view, limits)
        self.considered = ConsideredRoutes(self.view, self.policy)
        self.followed = Followed(self.view, self.considered)
        edge = Edge(self.considered, self.followed, lambda uuid: (uuid,))
        edges = [*edges_to_all_keys(self.policy, self.considered), edge]
        self.engine = Engine(self.view, (self.policy, self.considered, self.followed), edges)

    def write(self, uuid: RowId, row: IcRoute | None) -> None:
        """Insert, change or delete a route."""
        old = self.view.get(IcRoute, uuid)
        if old is not None or row is not None:
            self.engine.apply([Change(old, row)])

    def plan(self) -> None:
        """Handle what is dirty."""
        self.engine.plan(0.0, (), tuple(Database))


def expected(rows: Iterable[IcRoute], limits: RouteLimits) -> set[RowId]:
    """The first routes of each zone: one more of each in turn, while all limits allow it."""
    zones: dict[RowId, list[IcRoute]] = {}
    for row in rows:
        zones.setdefault(row.availability_zone, []).append(row)
    taken = dict.fromkeys(zones, 0)
    while True:
        more = [z for z in zones if taken[z] < min(len(zones[z]), limits.zone)]
        if not more or sum(taken.values()) + len(more) > limits.all:
            break
        for zone in more:
            taken[zone] += 1
    return {
        row.uuid
        for zone, number in taken.items()
        for row in sorted(zones[zone], key=rank_of)[:number]
    }


@given(LIMITS, st.lists(st.tuples(STEP, st.booleans()), max_size=60))
def test_considered_routes_are_the_first_of_each_zone(
    limits: RouteLimits, history: list[tuple[Any, bool]]
) -> None:
    """After any history, exactly the first routes of each zone's share are included, and every
    route whose state has changed was named."""
    world = World(limits)
    for step, plan in history:
        match step:
            case RouteLimits():
                limits = step
                world.policy.set_rules(ImportRules(rules=RouteRules(limits=limits)))
            case int(number):
                world.write(RowId(f"r{number:02}"), None)
            case number, zone, prefix:
                uuid = RowId(f"r{number:02}")
                row = IcRoute(uuid=uuid, availability_zone=zone, ip_prefix=prefix)
                world.write(uuid, row)
        if plan:
            world.plan()
    world.plan()
    rows = list(world.view.table(IcRoute))
    assert world.followed.included == expected(rows, limits)
    problems, included = world.engine.problems(), set(world.followed.included)
    world.engine.recompute("test")
    world.plan()
    assert (world.engine.problems(), world.followed.included) == (problems, included)
    other = World(limits)
    other.policy.set_rules(ImportRules(rules=RouteRules(limits=limits)))
    for row in reversed(rows):
        other.write(row.uuid, replace(row, nexthop="169.254.0.9"))
        other.plan()
    other.plan()
    assert other.followed.included == included
