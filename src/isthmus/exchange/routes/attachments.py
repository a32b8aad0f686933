"""Where our routers attach to transit switches; derived state for the route reconcilers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from isthmus.engine.reconciler import DerivedState, Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.options import IPV4_BY_IPV6, Filter, invalid_entries, is_true
from isthmus.exchange.topology.replaced_ports import (
    published_on,
    successor_of,
    with_replaced,
)
from isthmus.exchange.zones.own_zone import OwnZone
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    IC_PORTS_BY_NAME,
    LRPS_BY_NAME,
    LSPS_BY_NAME,
    LSPS_BY_ROUTER_PORT,
    ROUTER_PORTS,
    SWITCH_PORTS,
)
from isthmus.model.ovn_keys import ROUTER_ID, ROUTER_PORT, transit_switch_named
from isthmus.model.prefixes import Address, Interface, Network, parse_interface, parse_port_address
from isthmus.model.problems import Problem
from isthmus.model.rows import (
    IcPortBinding,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    Row,
    RowId,
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A router port on a transit switch, as far as routes depend on it.

    Args:
        port, ts: the names of the published port and of the transit switch.
        zone: the UUID of our availability zone, whose port it is.
        router, lrp: the UUIDs of the router and of its port.
        mac: of the *published* port address: a link-local next hop comes from it.
        addresses: of the published port address, in its order: the next hops that we advertise.
        networks: of the router port: the next hops that we can reach through it.
        route_table, tag, filter_tag: options `route_table`, `ic-route-tag` and
            `ic-route-filter-tag` of the router port.
        advertise, learn: the filters for the two directions.
        router_enabled: whether the router forwards.
        ipv4_by_ipv6: IPv4 prefixes may have IPv6 next hops (`ic-route-ipv4-next-hop-ipv6`).
    """

    port: str
    zone: RowId
    ts: str
    router: RowId
    lrp: RowId
    mac: str
    addresses: tuple[Interface, ...]
    networks: frozenset[Network]
    route_table: str
    tag: str
    filter_tag: str
    advertise: Filter
    learn: Filter
    router_enabled: bool
    ipv4_by_ipv6: bool = False

    def nexthop_for(self, version: int) -> Interface | None:
        """The address to advertise as next hop for prefixes of an IP version."""
        own = next((a for a in self.addresses if a.version == version), None)
        if own is None and version == 4 and self.ipv4_by_ipv6:
            return self.nexthop_for(6)
        return own

    def takes_nexthop(self, prefix: Network, nexthop: Address) -> bool:
        """Whether a prefix may have a next hop of that IP version here."""
        return prefix.version == nexthop.version or (prefix.version == 4 and self.ipv4_by_ipv6)


class Attachments(DerivedState[str, Attachment]):
    """All attachments; the key is the logical switch port's name.

    A change is an attachment that came or went; a changed one came and went.

    Attributes:
        by_port, by_router, by_ts: the current attachments.
    """

    name: ClassVar[str] = "attachments"

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__()
        self._view, self._zone = view, zone
        self.by_port: dict[str, Attachment] = {}
        self.by_router: dict[RowId, dict[str, Attachment]] = {}
        self.by_ts: dict[str, dict[str, Attachment]] = {}

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            IcPortBinding: IC_PORTS_BY_NAME.affected,
            LogicalSwitchPort: self._of_switch_port,
            LogicalRouterPort: self._of_router_port,
            LogicalRouter: self._of_router,
            LogicalSwitch: self._of_switch,
        }

    def _of_switch_port(self, change: Change) -> Iterator[str]:
        for side in change.of(LogicalSwitchPort):
            yield from with_replaced(self._view, self._zone.current, side)

    def _of_router_port(self, change: Change) -> Iterator[str]:
        for side in change.of(LogicalRouterPort):
            yield from self._connected_by(side)

    def _of_router(self, change: Change) -> Iterator[str]:
        yield from self.by_router.get(change.row.uuid, ())
        for lrp in self._view.moved(ROUTER_PORTS, change):
            yield from self._connected_by(lrp)

    def _of_switch(self, change: Change) -> Iterator[str]:
        yield from (port.name for port in self._view.moved(SWITCH_PORTS, change))
        for side in change.of(LogicalSwitch):
            yield from published_on(self._view, self._zone.current, transit_switch_named(side))

    def _connected_by(self, lrp: LogicalRouterPort) -> Iterator[str]:
        for lsp in self._view.all(LSPS_BY_ROUTER_PORT, lrp.name):
            yield from with_replaced(self._view, self._zone.current, lsp)

    def keys(self) -> Iterable[str]:
        yield from tuple(self.by_port)
        yield from self._view.index(IC_PORTS_BY_NAME).keys()

    def derive(self, key: str) -> Iterable[Attachment]:
        before, after = self.by_port.get(key), self._attachment(key)
        self.report(key, *(_problems(after) if after is not None else ()))
        if before == after:
            return ()
        if before is not None:
            del self.by_port[key]
            del self.by_router[before.router][key]
            del self.by_ts[before.ts][key]
        if after is not None:
            self.by_port[key] = after
            self.by_router.setdefault(after.router, {})[key] = after
            self.by_ts.setdefault(after.ts, {})[key] = after
        return filter(None, (before, after))

    def _attachment(self, name: str) -> Attachment | None:
        zone = self._zone.current
        port = self._view.one(IC_PORTS_BY_NAME, name)
        if zone is None or port is None or port.availability_zone != zone.uuid:
            return None
        lsp = self._view.one(LSPS_BY_NAME, name) or successor_of(self._view, port)
        if lsp is None:
            return None
        lrp = self._view.one(LRPS_BY_NAME, lsp.options.get(ROUTER_PORT, ""))
        router = self._view.parent(ROUTER_PORTS, lrp.uuid) if lrp else None
        if lrp is None or router is None or port.external_ids.get(ROUTER_ID) != router.uuid:
            return None
        interfaces = (parse_interface(network) for network in lrp.networks)
        return Attachment(
            port=name,
            zone=zone.uuid,
            ts=port.transit_switch,
            router=router.uuid,
            lrp=lrp.uuid,
            mac=port.address.partition(" ")[0],
            addresses=parse_port_address(port.address),
            networks=frozenset(i.network for i in interfaces if i is not None),
            route_table=lrp.options.get("route_table", ""),
            tag=lrp.options.get("ic-route-tag", ""),
            filter_tag=lrp.options.get("ic-route-filter-tag", ""),
            advertise=Filter.of("adv", lrp.options, router.options),
            learn=Filter.of("learn", lrp.options, router.options),
            router_enabled=router.enabled is not False,
            ipv4_by_ipv6=is_true(lrp.options, IPV4_BY_IPV6)
            or is_true(router.options, IPV4_BY_IPV6),
        )


def _problems(attachment: Attachment) -> Iterator[Problem]:
    row = f"Logical_Switch_Port {attachment.port}"
    for direction, read in (("adv", attachment.advertise), ("learn", attachment.learn)):
        options = f"ic-route-filter-{direction} or ic-route-deny-{direction}"
        yield from invalid_entries(row, f"{options} of its router port or router", read)
