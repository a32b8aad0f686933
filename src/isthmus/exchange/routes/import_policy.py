"""The import policy: what the controller keeps from being learned or advertised.

`LearnedSources` and `AdvertisedSources` ask it about each route, after OVN's own rules. Without a
controller (`isthmus ovn-ic`) it has no rules and refuses nothing, so that the engine decides as
`ovn-ic` does. Invariant: its answers depend on the view and the current rules alone, so nothing is
refused for longer than its reason lasts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from isthmus.engine.reconciler import DerivedState, Only, SingleKey
from isthmus.engine.view import View
from isthmus.exchange.routes.options import Refusal
from isthmus.exchange.zones.own_zone import zone_name
from isthmus.model.import_policy import ImportRules, LocalPrefix, LocalPrefixes
from isthmus.model.indexes import IC_ROUTES_BY_PREFIX, IC_ROUTES_BY_ZONE
from isthmus.model.prefixes import (
    DEFAULT_ROUTES,
    RESERVED,
    Network,
    changed_entries,
    is_broad,
    is_default,
    is_inside,
    is_reserved,
)
from isthmus.model.route_rules import RouteLimits, RouteRules, ZoneRule
from isthmus.model.rows import AvailabilityZone, IcRoute, LogicalRouter, RowId


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What a change of the rules affects.

    Args:
        routes: IC-SB routes that may now be learned, or not any more.
        limited: names of zones from which another number of prefixes may be learned.
        advertised: our prefixes inside one of these may now be advertised, or not any more; None
            for any prefix.
        completed: the rules have just become complete.
        limits: another number of routes is considered.
    """

    routes: tuple[RowId, ...]
    limited: frozenset[str]
    advertised: frozenset[Network] | None
    completed: bool
    limits: bool


class Group(NamedTuple):
    """Prefixes of one zone that concern the policy for one reason, on one router.

    Args:
        reason: why they are not learned; `TOO_MANY` ones may be learned, but only so many.
        router: the UUID of the router.
        zone: the name of the zone.
        local: the local prefix that they overlap.
        physical: whether that is an underlay's, and they are equal to it.
    """

    reason: Refusal
    router: RowId
    zone: str
    local: LocalPrefix | None = None
    physical: bool = False


class Finding(NamedTuple):
    """One prefix of a group: what the policy makes of one IC-SB route on one router."""

    group: Group
    prefix: Network


class ImportPolicy(SingleKey, DerivedState[Only, PolicyChange]):
    """The rules in force.

    State in memory: the rules, which the controller supplies again after a restart; until then
    they are incomplete.

    Args:
        view: shared with the engine.
        limits: if given, the policy is complete with them alone. If not, no route is added to the
            databases until `set_rules` is called, because a rule might forbid it. Existing routes
            stay.

    Attributes:
        complete: whether routes may be added.
        active: whether there are rules.
        current: the rules.
    """

    name: ClassVar[str] = "import policy"

    def __init__(self, view: View, limits: RouteLimits | None = None) -> None:
        super().__init__()
        self._view = view
        self.complete = limits is not None
        self.active = False
        self.current = ImportRules()
        if limits is not None:
            self.current = ImportRules(rules=RouteRules(limits=limits), source=_COMMAND_LINE)
        self._next: ImportRules | None = None
        self._local = LocalPrefixes()

    def set_rules(self, rules: ImportRules) -> None:
        """Replace the rules; this takes effect with the engine's next plan."""
        self._next = rules
        self.mark(self.keys())

    def derive(self, key: Only) -> Iterator[PolicyChange]:
        rules, self._next = self._next, None
        if rules is None:
            return
        before, self.current = self.current, rules
        first, self.active = not self.active, True
        completed = rules.complete and not self.complete
        self.complete |= rules.complete
        changed = (*self._local.update(rules.local), *(before.physical ^ rules.physical))
        routes = dict.fromkeys(self._overlapping(changed))
        if first:
            routes |= dict.fromkeys(self._view.table(IcRoute).rows)
        else:
            routes |= dict.fromkeys(self._accepted_differently(before.rules, rules.rules))
        advertised = changed_entries(before.rules.advertise, rules.rules.advertise)
        if first and advertised is not None:
            advertised |= frozenset(RESERVED)
        yield PolicyChange(
            routes=tuple(routes),
            limited=frozenset(self._limited_differently(before.rules, rules.rules)),
            advertised=advertised,
            completed=completed,
            limits=first or before.rules.limits != rules.rules.limits,
        )

    def _overlapping(self, changed: Iterable[Network]) -> Iterator[RowId]:
        """The routes that overlap a local prefix that came, went or changed its kind."""
        routes = self._view.prefixes(IC_ROUTES_BY_PREFIX)
        for prefix in changed:
            yield from routes.overlapping(prefix)

    def _accepted_differently(self, before: RouteRules, after: RouteRules) -> Iterator[RowId]:
        """The routes that the rules for their zones may treat in another way."""
        zones: dict[tuple[ZoneRule, ZoneRule], set[RowId]] = {}
        for zone in self._view.table(AvailabilityZone):
            pair = before.of_zone(zone.name), after.of_zone(zone.name)
            if pair[0] != pair[1]:
                zones.setdefault(pair, set()).add(zone.uuid)
        for (old, new), uuids in zones.items():
            entries = changed_entries(old.prefixes, new.prefixes)
            if entries is None or (old.most is None) is not (new.most is None):
                for uuid in uuids:
                    yield from (row.uuid for row in self._view.all(IC_ROUTES_BY_ZONE, uuid))
                continue
            yield from self._routes_in(uuids, entries)
            if old.default_route is not new.default_route:
                for default in DEFAULT_ROUTES:
                    yield from self._view.prefixes(IC_ROUTES_BY_PREFIX).equal(default)

    def _routes_in(self, zones: set[RowId], entries: Iterable[Network]) -> Iterator[RowId]:
        """The routes of some zones inside some prefixes."""
        rows = self._view.table(IcRoute).rows
        for entry in entries:
            for uuid in self._view.prefixes(IC_ROUTES_BY_PREFIX).inside(entry):
                if rows[uuid].availability_zone in zones:
                    yield uuid

    def _limited_differently(self, before: RouteRules, after: RouteRules) -> Iterator[str]:
        for zone in self._view.table(AvailabilityZone):
            if before.of_zone(zone.name).most != after.of_zone(zone.name).most:
                yield zone.name

    # -- decisions ---------------------------------------------------------------------------

    def zone_of(self, route: IcRoute) -> str:
        """The name of the zone that advertises a route; "?" if its row is gone."""
        return zone_name(self._view, route.availability_zone)

    def rule_of(self, route: IcRoute) -> ZoneRule:
        """The rule for the zone that advertises a route."""
        return self.current.rules.of_zone(self.zone_of(route))

    @property
    def limits(self) -> RouteLimits | None:
        """How many routes are considered; None for all, because a limit is not known yet."""
        return self.current.rules.limits if self.complete else None

    def limit_of(self, zone: str) -> int | None:
        """How many prefixes may be learned from a zone; None for any number."""
        return self.current.rules.of_zone(zone).most

    def refuses_learning(self, route: IcRoute, prefix: Network, router: RowId) -> Refusal | None:
        """Why a route may not be learned into a router, or None.

        A default route contains everything. It counts as no overlap, but has a rule of its own.
        """
        if not self.active:
            return None
        if is_reserved(prefix):
            return Refusal.RESERVED
        if not is_default(prefix) and self.local_at(router, prefix) is not None:
            return Refusal.OVERLAP
        rule = self.rule_of(route)
        named = (entry for entry in rule.prefixes or () if not is_default(entry))
        if is_broad(prefix) and not any(is_inside(prefix, entry) for entry in named):
            return Refusal.BROAD
        if rule.prefixes is None or (is_default(prefix) and rule.default_route):
            return None
        inside = any(is_inside(prefix, entry) for entry in rule.prefixes)
        return None if inside else Refusal.NOT_ACCEPTED

    def refuses_advertising(self, prefix: Network) -> Refusal | None:
        """Why a prefix may not be advertised, or None."""
        if self.active and is_reserved(prefix):
            return Refusal.RESERVED
        allowed = self.current.rules.advertise
        if allowed is None or any(is_inside(prefix, entry) for entry in allowed):
            return None
        return Refusal.NOT_ADVERTISED

    def allows_default(self, route: IcRoute) -> bool:
        """Whether default routes may be learned from the route's zone."""
        return self.active and self.rule_of(route).default_route

    def finding(
        self, route: IcRoute, prefix: Network, router: RowId, refusal: Refusal | None
    ) -> Finding | None:
        """What the policy makes of a route; None for a route that needs no report.

        Args:
            route, prefix: the IC-SB route and its prefix.
            router: the UUID of the router that might learn it.
            refusal: why it does not, the limit of its zone aside; None if it does.
        """
        reason = refusal or Refusal.TOO_MANY
        if not self.active or reason not in _GROUPED:
            return None
        zone = self.zone_of(route)
        if refusal is None and self.limit_of(zone) is None:
            return None
        local = self.local_at(router, prefix) if refusal is Refusal.OVERLAP else None
        equal = local is not None and local.prefix == prefix
        physical = equal and prefix in self.current.physical
        return Finding(Group(reason, router, zone, local, physical), prefix)

    # -- explanations ------------------------------------------------------------------------

    def detail(
        self, refusal: Refusal, route: IcRoute | None, prefix: Network, router: RowId
    ) -> str:
        """What the rule behind a refusal says; empty if the refusal is not by this policy.

        The route is None for a prefix of our own; the router does not get or advertise it.
        """
        if refusal is Refusal.OVERLAP and (local := self.local_at(router, prefix)) is not None:
            return f"{local.prefix} of {local.owner}"
        if refusal is Refusal.NOT_ADVERTISED:
            return f"advertise: {_listed(self.current.rules.advertise)}"
        if refusal is Refusal.NOT_ACCEPTED and route is not None:
            return f"accept from {self.zone_of(route)}: {_listed(self.rule_of(route).prefixes)}"
        if refusal is Refusal.TOO_MANY and route is not None:
            return f"accept from {self.zone_of(route)}: max {self.rule_of(route).most}"
        return ""

    def local_at(self, router: RowId, prefix: Network) -> LocalPrefix | None:
        """The local prefix that a prefix overlaps: the closest around it, or the first inside."""
        return self._local.first(self.router_name(router), prefix)

    def locals_at(self, router: RowId, prefix: Network) -> Iterator[LocalPrefix]:
        """All local prefixes that a prefix overlaps."""
        return self._local.overlapping(self.router_name(router), prefix)

    def router_name(self, router: RowId) -> str:
        """The name of a router, which is its VPC's; empty if there is no such router."""
        row = self._view.get(LogicalRouter, router)
        return row.name if row is not None else ""


_GROUPED = {
    Refusal.OVERLAP,
    Refusal.RESERVED,
    Refusal.BROAD,
    Refusal.NOT_ACCEPTED,
    Refusal.DEFAULT,
    Refusal.TOO_MANY,
}

_SHOWN = 5

_COMMAND_LINE = "the command line of ovn-ic"


def _listed(prefixes: tuple[Network, ...] | None) -> str:
    """The first entries of a list of prefixes."""
    found = prefixes or ()
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return ", ".join([*map(str, found[:_SHOWN]), *more]) or "nothing"
