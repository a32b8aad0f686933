"""Ports of ours that another one replaces, e.g. because the zone was renamed.

The new port is in NB before northd has bound it, and cannot be published until then. Meanwhile the
old one stays published, and the routes through it do not change.
"""

from collections.abc import Iterator

from isthmus.engine.view import View
from isthmus.exchange.topology.transit_switches import ports_on_copies, transit_switch_of
from isthmus.model.indexes import (
    IC_PORTS_BY_NAME,
    IC_PORTS_BY_ZONE_AND_TS,
    LRPS_BY_NAME,
    ROUTER_PORTS,
)
from isthmus.model.ovn_keys import ROUTER_ID, ROUTER_PORT
from isthmus.model.rows import AvailabilityZone, IcPortBinding, LogicalSwitchPort


def successor_of(view: View, port: IcPortBinding) -> LogicalSwitchPort | None:
    """The port in NB that connects the same router, and is not published yet; None if none does."""
    found = (
        lsp
        for lsp in ports_on_copies(view, port.transit_switch)
        if view.one(IC_PORTS_BY_NAME, lsp.name) is None
        and (lrp := view.one(LRPS_BY_NAME, lsp.options.get(ROUTER_PORT, ""))) is not None
        and (router := view.parent(ROUTER_PORTS, lrp.uuid)) is not None
        and router.uuid == port.external_ids.get(ROUTER_ID)
    )
    return min(found, key=lambda lsp: lsp.name, default=None)


def with_replaced(
    view: View, zone: AvailabilityZone | None, lsp: LogicalSwitchPort
) -> Iterator[str]:
    """The name of a port, and those of our published ports that it may replace."""
    yield lsp.name
    yield from published_on(view, zone, transit_switch_of(view, lsp))


def published_on(view: View, zone: AvailabilityZone | None, ts: str | None) -> Iterator[str]:
    """The names of our published ports on a transit switch."""
    if zone is not None and ts is not None:
        ports = view.all(IC_PORTS_BY_ZONE_AND_TS, (zone.uuid, ts))
        yield from (port.logical_port for port in ports)
