"""The routes that a cluster advertises and has learned, read from its NB and from IC-SB. Pure.

The answer of `isthmus routes`. Refused routes are known only to a running daemon.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from typing import Any

from isthmus.engine.view import View
from isthmus.inspect.layout import table
from isthmus.model.indexes import ROUTER_ROUTES
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
from isthmus.model.text import counted, printable_lines


class Direction(StrEnum):
    """Whether this cluster advertises or has learned a route."""

    ADVERTISED = "advertised"
    LEARNED = "learned"


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """A route between zones.

    Args:
        zone: the zone that advertises the route; "?" for a learned one that is not in IC-SB.
        router: the name of our router that advertises or has learned the route.
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
class ClusterRoutes:
    """All routes of one cluster; `zone` is its name, or "" if the cluster does not take part."""

    zone: str
    routes: tuple[RouteInfo, ...]


def routes(view: View) -> ClusterRoutes:
    """The routes of a cluster, by direction, router and prefix; the view holds NB and IC-SB."""
    nb_global = view.single(NbGlobal)
    name = nb_global.name if nb_global else ""
    own = next((zone.uuid for zone in view.table(AvailabilityZone) if zone.name == name), None)
    found = []
    for row in view.table(IcRoute):
        if row.availability_zone == own:
            router = view.get(LogicalRouter, RowId(row.external_ids.get("lr-id", "")))
            found.append(_route(view, Direction.ADVERTISED, row, router))
    for learned in view.table(LogicalRouterStaticRoute):
        if source := learned.external_ids.get(IC_LEARNED_ROUTE):
            row = view.get(IcRoute, RowId(source)) or _withdrawn(learned)
            router = view.parent(ROUTER_ROUTES, learned.uuid)
            found.append(_route(view, Direction.LEARNED, row, router))
    return ClusterRoutes(name, tuple(sorted(found, key=_order)))


def _withdrawn(learned: LogicalRouterStaticRoute) -> IcRoute:
    """The route in IC-SB from which a route was learned, as far as NB still has it."""
    return IcRoute(
        uuid=learned.uuid,
        ip_prefix=learned.ip_prefix,
        nexthop=learned.nexthop,
        transit_switch="?",
        origin=learned.options.get("origin", ""),
        route_table=learned.route_table,
    )


def _route(
    view: View, direction: Direction, row: IcRoute, router: LogicalRouter | None
) -> RouteInfo:
    zone = view.get(AvailabilityZone, row.availability_zone)
    return RouteInfo(
        direction=direction,
        prefix=row.ip_prefix,
        nexthop=row.nexthop,
        zone=zone.name if zone else "?",
        transit_switch=row.transit_switch,
        origin=row.origin,
        route_table=row.route_table,
        router=router.name if router else "",
    )


def _order(route: RouteInfo) -> tuple[object, ...]:
    network = parse_network(route.prefix) or ip_network("::/0")
    address = int(network.network_address)
    key = (network.version, address, network.prefixlen)
    return (route.direction, route.router, *key, route.transit_switch, route.nexthop)


def routes_text(found: ClusterRoutes, refused: Sequence[Mapping[str, Any]] = ()) -> str:
    """Routes as plain text: a table for each direction, and one of refused routes if there are any.

    Args:
        found: advertised and learned routes.
        refused: the reply to the control command `engine/refused`.
    """
    return printable_lines(_lines(found, refused))


def _lines(found: ClusterRoutes, refused: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not found.zone:
        yield "this cluster does not take part: NB_Global.name is empty"
    for direction in Direction:
        chosen = [route for route in found.routes if route.direction is direction]
        yield f"{found.zone}: {counted(len(chosen), f'{direction} route')}"
        zone = "VIA ZONE" if direction is Direction.LEARNED else "ZONE"
        headings = ["PREFIX", "NEXT HOP", zone, "TRANSIT SWITCH", "ORIGIN"]
        rows = [[r.prefix, r.nexthop, r.zone, r.transit_switch, r.origin] for r in chosen]
        if any(route.route_table for route in chosen):
            headings.append("ROUTE TABLE")
            for row, route in zip(rows, chosen, strict=True):
                row.append(route.route_table)
        yield from table(headings, rows)
    if refused:
        yield f"{found.zone}: {counted(sum(entry['count'] for entry in refused), 'refused route')}"
        yield from table(("PREFIX", "FROM ZONE", "ROUTER", "RULE"), _refused_rows(refused))


def _refused_rows(refused: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for entry in refused:
        more = entry["count"] - len(entry["examples"])
        prefixes: list[str] = entry["examples"] + ([f"and {more} more"] if more else [])
        yield prefixes[0], entry["zone"], entry["router"], entry["rule"]
        yield from ((prefix, "", "", "") for prefix in prefixes[1:])
