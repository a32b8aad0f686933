"""The operator's rules for routes, as values.

`isthmus.controller` reads them from the configuration; the engine applies them.

Facts about the configuration's keys: docs/reference/configuration.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.model.bounds import ROUTES, ROUTES_PER_ZONE
from isthmus.model.prefixes import Network


@dataclass(frozen=True, slots=True)
class ZoneRule:
    """What may be learned from one zone.

    Args:
        prefixes: only what equals one of these or lies inside one; None for anything.
        most: how many prefixes at most; None for any number.
        default_route: whether 0.0.0.0/0 and ::/0 may be learned, even if `prefixes` excludes them.
    """

    prefixes: tuple[Network, ...] | None = None
    most: int | None = None
    default_route: bool = False


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """How many routes in IC-SB are considered for learning.

    Args:
        zone: of each zone.
        all: of all zones.
    """

    zone: int = ROUTES_PER_ZONE.most
    all: int = ROUTES.most


@dataclass(frozen=True, slots=True)
class RouteRules:
    """What may be learned and advertised.

    Args:
        zones: the rules for zones by name.
        others: the rule for every zone that is not named.
        advertise: only what equals one of these or lies inside one; None for anything.
        limits: how many routes are considered for learning.
    """

    zones: Mapping[str, ZoneRule] = field(default_factory=dict)
    others: ZoneRule = ZoneRule()
    advertise: tuple[Network, ...] | None = None
    limits: RouteLimits = RouteLimits()

    def of_zone(self, zone: str) -> ZoneRule:
        """The rule for a zone."""
        return self.zones.get(zone, self.others)


@dataclass(frozen=True, slots=True)
class DeclaredRoute:
    """A route to another zone that stays in place no matter what that zone advertises.

    Args:
        prefix: the destination.
        zone: the zone whose port is the next hop.
        transit_switch: the transit switch to use; empty for all of the VPC's.
        vpc: the VPC whose router gets the route; empty for the default one.
    """

    prefix: Network
    zone: str
    transit_switch: str = ""
    vpc: str = ""
