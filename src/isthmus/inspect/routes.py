"""Which routes a cluster advertises and has learned, from its NB and from IC-SB. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network

from isthmus.engine.view import View
from isthmus.model.ovn_keys import IC_LEARNED_ROUTE
from isthmus.model.prefixes import parse_network
from isthmus.model.rows import (
    AvailabilityZone,
    IcRoute,
    LogicalRouter,
    LogicalRouterStaticRoute,
    NbGlobal,
    RowId,
)


class Direction(StrEnum):
    """Whether our routers give or take a route."""

    ADVERTISED = "advertised"
    LEARNED = "learned"


@dataclass(frozen=True, slots=True)
class Route:
    """A route between zones.

    Args:
        zone: the zone that advertises it; "?" for a learned route whose source is not in IC-SB.
        router: our router that has learned it or whose route it is, by name.
    """

    direction: Direction
    prefix: str
    nexthop: str
    zone: str
    transit_switch: str
    origin: str
    route_table: str
    router: str


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of one cluster, by its zone's name ("" if it takes no part)."""

    zone: str
    routes: tuple[Route, ...]


def routes(view: View) -> Routes:
    """Read a cluster's routes off a view of its NB and of IC-SB."""
    nb_global = view.table(NbGlobal).single()
    name = nb_global.name if nb_global else ""
    found = [*_advertised(view, name), *_learned(view)]
    return Routes(name, tuple(sorted(found, key=_order)))


def _advertised(view: View, name: str) -> list[Route]:
    zones = view.table(AvailabilityZone)
    own = next((zone.uuid for zone in zones if zone.name == name), None)
    return [
        _route(view, Direction.ADVERTISED, row, row.external_ids.get("lr-id"))
        for row in view.table(IcRoute)
        if row.availability_zone == own
    ]


def _learned(view: View) -> list[Route]:
    held_by = view.relation(LogicalRouter, "static_routes")
    found = []
    for row in view.table(LogicalRouterStaticRoute):
        source = row.external_ids.get(IC_LEARNED_ROUTE)
        if source is None:
            continue
        router = held_by.parent(row.uuid)
        advertised = view.table(IcRoute).get(RowId(source))
        if advertised is not None:
            found.append(_route(view, Direction.LEARNED, advertised, router))
        else:
            origin = row.options.get("origin", "")
            found.append(
                Route(
                    direction=Direction.LEARNED,
                    prefix=row.ip_prefix,
                    nexthop=row.nexthop,
                    zone="?",
                    transit_switch="?",
                    origin=origin,
                    route_table=row.route_table,
                    router=_router_name(view, router),
                )
            )
    return found


def _route(view: View, direction: Direction, row: IcRoute, router: str | None) -> Route:
    zone = view.table(AvailabilityZone).get(row.availability_zone)
    return Route(
        direction=direction,
        prefix=row.ip_prefix,
        nexthop=row.nexthop,
        zone=zone.name if zone else "?",
        transit_switch=row.transit_switch,
        origin=row.origin,
        route_table=row.route_table,
        router=_router_name(view, router),
    )


def _router_name(view: View, uuid: str | None) -> str:
    router = view.table(LogicalRouter).get(RowId(uuid)) if uuid else None
    return router.name if router else ""


def _order(route: Route) -> tuple[object, ...]:
    network = parse_network(route.prefix) or ip_network("::/0")
    address = int(network.network_address)
    key = (network.version, address, network.prefixlen)
    return (route.direction, route.router, *key, route.transit_switch, route.nexthop)
