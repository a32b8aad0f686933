"""The guard: what the controller keeps from being learned or advertised.

`LearnedSources` and `AdvertisedSources` ask it for each route, after OVN's own rules. Without a
controller (`isthmus ovn-ic`) it is told nothing and lets everything pass, so that the engine
decides as `ovn-ic` does. Invariant: its answers depend on the view and on what it was last told,
so nothing is refused for longer than its reason lasts.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

from isthmus.engine.view import View
from isthmus.exchange.routes.attachments import Attachment
from isthmus.exchange.routes.options import Refusal
from isthmus.model.import_policy import Guarded, LocalPrefix, LocalPrefixes
from isthmus.model.indexes import IC_ROUTES_BY_PREFIX, IC_ROUTES_BY_ZONE
from isthmus.model.prefixes import Network, is_default, is_inside
from isthmus.model.route_rules import ZoneRule
from isthmus.model.rows import AvailabilityZone, IcRoute, LogicalRouter, RowId


class LearningUser(Protocol):
    """Who learns, as far as the guard must tell it of changes."""

    def guard_changed(self, routes: Iterable[RowId]) -> None:
        """Mark these IC-SB routes, and all that they now mean."""


class Output(Protocol):
    """Who writes, and adds nothing before the guard is known."""

    def guard_known(self) -> None:
        """Mark everything."""


class AdvertisingUser(Protocol):
    """Who advertises."""

    def guard_changed(self) -> None:
        """Mark everything: another list of what may be advertised."""


class Guard:
    """What may not pass.

    Args:
        view: shared with the engine.
        known: whether it is complete as it is. If not, no route is added to the databases until
            it is told the rules: what it does not know yet might forbid it. What is there stays.

    Attributes:
        told: what it was told last.
        learning, advertising, outputs: told of changes.
    """

    def __init__(self, view: View, *, known: bool = True) -> None:
        self._view = view
        self.known = known
        self.told = Guarded()
        self.active = False
        self._local = LocalPrefixes()
        self.learning: LearningUser | None = None
        self.advertising: AdvertisingUser | None = None
        self.outputs: tuple[Output, ...] = ()

    # -- being told --------------------------------------------------------------------------

    def tell(self, values: Guarded) -> None:
        """Take over what is to be kept from harm, and have looked at again what that affects."""
        before, self.told = self.told, values
        was_active, self.active = self.active, True
        affected = dict.fromkeys(self._take_local())
        affected |= dict.fromkeys(self._of_changed_rules(before, every=not was_active))
        if self.learning is not None and affected:
            self.learning.guard_changed(affected)
        if self.advertising is not None and before.rules.advertise != values.rules.advertise:
            self.advertising.guard_changed()
        if values.known and not self.known:
            self.known = True
            for output in self.outputs:
                output.guard_known()

    def _take_local(self) -> Iterator[RowId]:
        """Enter the local prefixes; the routes that overlap those that came or went."""
        routes = self._view.prefixes(IC_ROUTES_BY_PREFIX)
        for prefix in self._local.take(self.told.local):
            yield from routes.overlapping(prefix)

    def _of_changed_rules(self, before: Guarded, *, every: bool) -> Iterator[RowId]:
        for zone in self._view.table(AvailabilityZone):
            old, new = before.rules.of_zone(zone.name), self.told.rules.of_zone(zone.name)
            if every or old != new:
                yield from (row.uuid for row in self._view.all(IC_ROUTES_BY_ZONE, zone.uuid))

    # -- being asked -------------------------------------------------------------------------

    def zone_of(self, route: IcRoute) -> str:
        """The name of the zone that advertises a route; "?" if its row is gone."""
        zone = self._view.get(AvailabilityZone, route.availability_zone)
        return zone.name if zone is not None else "?"

    def rule_of(self, route: IcRoute) -> ZoneRule:
        """What may be learned from the zone that advertises a route."""
        return self.told.rules.of_zone(self.zone_of(route))

    def refuses_learning(
        self, route: IcRoute, prefix: Network, attachment: Attachment
    ) -> Refusal | None:
        """Why a route may not be learned through an attachment, or None.

        A default route contains everything; it counts as no overlap, but has a rule of its own.
        """
        if not self.active:
            return None
        if not is_default(prefix) and self.local_at(attachment.router, prefix) is not None:
            return Refusal.OVERLAP
        rule = self.rule_of(route)
        if rule.prefixes is None or (is_default(prefix) and rule.default_route):
            return None
        inside = any(is_inside(prefix, entry) for entry in rule.prefixes)
        return None if inside else Refusal.NOT_ACCEPTED

    def refuses_advertising(self, prefix: Network) -> Refusal | None:
        """Why a prefix may not be advertised, or None."""
        allowed = self.told.rules.advertise
        if allowed is None or any(is_inside(prefix, entry) for entry in allowed):
            return None
        return Refusal.NOT_ADVERTISED

    def allows_default(self, route: IcRoute) -> bool:
        """Whether its zone may announce default routes."""
        return self.active and self.rule_of(route).default_route

    def detail(self, refusal: Refusal, route: IcRoute | None, prefix: Network, at: RowId) -> str:
        """What people want to know of a refusal of the guard's; "" for others.

        Args:
            route: whose zone the rule is for; None for a prefix of our own.
            at: the router.
        """
        if refusal is Refusal.OVERLAP and (local := self.local_at(at, prefix)) is not None:
            return f"{local.prefix} of {local.owner}"
        if refusal is Refusal.NOT_ADVERTISED:
            return f"advertise: {_listed(self.told.rules.advertise)}"
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
        """The name of a router, which is its VPC's; "" if there is none of that UUID."""
        row = self._view.get(LogicalRouter, router)
        return row.name if row is not None else ""


_SHOWN = 5


def _listed(prefixes: tuple[Network, ...] | None) -> str:
    """The first entries of a list of prefixes."""
    found = prefixes or ()
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return ", ".join([*map(str, found[:_SHOWN]), *more]) or "nothing"
