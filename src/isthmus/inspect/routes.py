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
    nb_global = view.table(NbGlobal).single()
    name = nb_global.name if nb_global else ""
    found = [*_advertised(view, name), *_learned(view)]
    return ClusterRoutes(name, tuple(sorted(found, key=_order)))


def _advertised(view: View, name: str) -> list[RouteInfo]:
    zones = view.table(AvailabilityZone)
    own = next((zone.uuid for zone in zones if zone.name == name), None)
    return [
        _route(view, Direction.ADVERTISED, row, row.external_ids.get("lr-id"))
        for row in view.table(IcRoute)
        if row.availability_zone == own
    ]


def _learned(view: View) -> list[RouteInfo]:
    held_by = view.relation(ROUTER_ROUTES)
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
            found.append(
                RouteInfo(
                    direction=Direction.LEARNED,
                    prefix=row.ip_prefix,
                    nexthop=row.nexthop,
                    zone="?",
                    transit_switch="?",
                    origin=row.options.get("origin", ""),
                    route_table=row.route_table,
                    router=_router_name(view, router),
                )
            )
    return found


def _route(view: View, direction: Direction, row: IcRoute, router: str | None) -> RouteInfo:
    zone = view.table(AvailabilityZone).get(row.availability_zone)
    return RouteInfo(
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
