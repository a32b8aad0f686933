"""Which of our routers' networks, static routes and VIPs are advertised, and why not the others.

`AdvertisedSources` (derived state) decides, for one source row, which IC-SB routes it asks for
through each attachment of its router. `isthmus.exchange.routes.advertised_routes` writes them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from itertools import chain
from typing import ClassVar, NamedTuple

from isthmus.engine.reconciler import DerivedState, Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.attachments import Attachment, Attachments
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.exchange.routes.load_balancer_vips import RouterVips
from isthmus.exchange.routes.options import (
    CONNECTED,
    CONNECTED_DYNAMIC,
    LOADBALANCER,
    STATIC,
    GlobalRouteOptions,
    Refusal,
)
from isthmus.exchange.routes.static_routes import StaticRoutes
from isthmus.exchange.topology.transit_switches import transit_switch_of
from isthmus.model.changes import Change
from isthmus.model.external_ids import DECLARED
from isthmus.model.indexes import (
    DYNAMIC_ROUTES_BY_DATAPATH,
    DYNAMIC_ROUTES_BY_PREFIX,
    LRPS_BY_NAME,
    LRPS_BY_NETWORK,
    LSPS_BY_ROUTER_PORT,
    ROUTER_PORTS,
    ROUTER_ROUTES,
    SB_DATAPATHS_BY_ROUTER,
    UNLEARNED_ROUTES_BY_PREFIX,
)
from isthmus.model.ovn_keys import SRC_IP
from isthmus.model.prefixes import (
    Address,
    Network,
    canonical,
    is_inside,
    is_link_local_nexthop,
    parse_address,
    parse_interface,
)
from isthmus.model.rows import (
    IcNbGlobal,
    IcRoute,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitchPort,
    Row,
    RowId,
    SbDatapathBinding,
    SbLearnedRoute,
)

DISCARD = "discard"
"""The next hop of a static route that drops packets (ovn-nb(5))."""


class Offer(NamedTuple):
    """A prefix that we advertise on a transit switch, in canonical form, without next hops."""

    ts: str
    route_table: str
    ip_prefix: str


class _Prefix(NamedTuple):
    """A prefix, and its text as `ovn-ic` writes it: with the host bits of its source."""

    network: Network
    written: str


class AdvertiseKey(NamedTuple):
    """What identifies one of our IC-SB routes.

    Args:
        ts: the transit switch.
        route_table: the route table; empty for the main one.
        ip_prefix: the prefix in canonical form.
        nexthop: our address on the transit switch.
        written: the prefix with host bits as it is published; empty for any form, so that rows
            that `ovn-ic` wrote do not change.
    """

    ts: str
    route_table: str
    ip_prefix: str
    nexthop: str
    written: str

    @property
    def offer(self) -> Offer:
        """What is offered, without the next hop."""
        return Offer(*self[:3])


def key_of(row: IcRoute) -> AdvertiseKey:
    """The key of an IC-SB route."""
    prefix = _prefix_of(row.ip_prefix)
    written = row.ip_prefix if prefix is None else prefix.written
    network = canonical(row.ip_prefix)
    return AdvertiseKey(row.transit_switch, row.route_table, network, row.nexthop, written)


def _prefix_of(text: str) -> _Prefix | None:
    interface = parse_interface(text)
    return None if interface is None else _Prefix(interface.network, str(interface))


@dataclass(frozen=True, slots=True, order=True)
class AdvertisedSource:
    """One reason to advertise a route. The least one wins: static before connected before load
    balancers, as in `ovn-ic`, and then by UUID so that every daemon decides alike.

    Args:
        rank: 0 static, 1 connected, 2 load balancer, 3 from a routing daemon.
        row: the UUID of the static route, router port, load balancer or (rank 3) router.
        origin: of the IC-SB route.
        router: the UUID of the router.
        tag: the value of `ic-route-tag`; empty for none.
    """

    rank: int
    row: RowId
    origin: str
    router: RowId
    tag: str

    @property
    def external_ids(self) -> dict[str, str]:
        """The `external_ids` of the IC-SB route."""
        ids = {"nb-id": str(self.row), "lr-id": str(self.router)}
        return {**ids, "ic-route-tag": self.tag} if self.tag else ids


@dataclass(frozen=True, slots=True)
class AdvertiseDecision:
    """What becomes of one prefix of one source at one attachment: a route, or why there is none."""

    source: AdvertisedSource
    attachment: Attachment
    prefix: Network
    route_table: str
    outcome: AdvertiseKey | Refusal


def link_local_of(mac: str) -> Address | None:
    """The EUI-64 link-local address of a MAC (RFC 4291, appendix A), or None."""
    try:
        octets = [int(part, 16) for part in mac.split(":")]
    except ValueError:
        return None
    if len(octets) != 6:
        return None
    eui = [octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]]
    return IPv6Address(bytes([0xFE, 0x80, 0, 0, 0, 0, 0, 0, *eui]))


class AdvertisedSources(DerivedState[RowId, Offer]):
    """What each source asks for; the key is the UUID of a router port, static route, load balancer
    or row of SB's `Learned_Route`.

    A change is an offer that some source asks for now, no longer, or with other details.

    Attributes:
        wanted: by offer, the keys and rows that ask for an IC-SB route, and what they say.
    """

    name: ClassVar[str] = "advertised sources"

    def __init__(  # noqa: PLR0913, PLR0917 - everything that decides about advertising
        self,
        view: View,
        options: GlobalRouteOptions,
        attachments: Attachments,
        routes: StaticRoutes,
        vips: RouterVips,
        policy: ImportPolicy,
    ) -> None:
        super().__init__()
        self._view, self._options, self._policy = view, options, policy
        self._attachments, self._routes, self._vips = attachments, routes, vips
        self._asked: dict[RowId, tuple[AdvertiseKey, ...]] = {}
        self.wanted: dict[Offer, dict[tuple[AdvertiseKey, RowId], AdvertisedSource]] = {}

    def watches(self) -> Mapping[type[Row], Watch[RowId]]:
        return {
            LogicalRouterPort: lambda change: [change.row.uuid],
            LogicalRouter: lambda change: (
                *change.joined.get("ports", ()),
                *change.left.get("ports", ()),
            ),
            LogicalSwitchPort: self._of_switch_port,
            SbLearnedRoute: lambda change: [change.row.uuid],
        }

    def _of_switch_port(self, change: Change) -> Iterator[RowId]:
        """The router port, which may connect to a transit switch now, or not any more."""
        for name in LSPS_BY_ROUTER_PORT.affected(change):
            lrp = self._view.one(LRPS_BY_NAME, name)
            if lrp is not None:
                yield lrp.uuid

    def of_attachment(self, attachment: Attachment) -> Iterator[RowId]:
        """All sources of a router may be advertised through its attachment."""
        router = attachment.router
        yield from (lrp.uuid for lrp in self._view.children(ROUTER_PORTS, router))
        yield from self._routes.own_by_router.get(router, ())
        yield from self._vips.of(router).by_lb
        datapath = self._view.one(SB_DATAPATHS_BY_ROUTER, router)
        if datapath is not None:
            dynamic = self._view.all(DYNAMIC_ROUTES_BY_DATAPATH, datapath.uuid)
            yield from (row.uuid for row in dynamic)

    def of_prefixes(self, prefixes: frozenset[Network] | None) -> Iterable[RowId]:
        """The sources with a prefix inside one of some prefixes; all for None."""
        return self.keys() if prefixes is None else chain.from_iterable(map(self._inside, prefixes))

    def _inside(self, entry: Network) -> Iterator[RowId]:
        yield from self._view.prefixes(LRPS_BY_NETWORK).inside(entry)
        yield from self._view.prefixes(UNLEARNED_ROUTES_BY_PREFIX).inside(entry)
        yield from self._view.prefixes(DYNAMIC_ROUTES_BY_PREFIX).inside(entry)
        for vips in self._vips.by_router.values():
            for balancer, prefixes in vips.by_lb.items():
                if any(is_inside(prefix, entry) for prefix in prefixes):
                    yield balancer

    def keys(self) -> Iterable[RowId]:
        yield from tuple(self._asked)
        yield from self._view.table(LogicalRouterPort).rows
        for uuids in self._routes.own_by_router.values():
            yield from uuids
        for vips in self._vips.by_router.values():
            yield from vips.by_lb
        yield from self._view.table(SbLearnedRoute).rows

    def derive(self, key: RowId) -> Iterator[Offer]:
        asked = dict(self._ask(key))
        for gone in self._asked.pop(key, ()):
            if gone not in asked:
                del self.wanted[gone.offer][gone, key]
                if not self.wanted[gone.offer]:
                    del self.wanted[gone.offer]
                yield gone.offer
        for route, source in asked.items():
            sources = self.wanted.setdefault(route.offer, {})
            if sources.get((route, key)) != source:
                sources[route, key] = source
                yield route.offer
        if asked:
            self._asked[key] = tuple(asked)

    def _ask(self, uuid: RowId) -> Iterator[tuple[AdvertiseKey, AdvertisedSource]]:
        for decision in self.decide(uuid):
            if isinstance(decision.outcome, AdvertiseKey):
                yield decision.outcome, decision.source

    def decide(self, uuid: RowId) -> Iterator[AdvertiseDecision]:
        """What becomes of a source's prefixes at each attachment of its router.

        Rows that are no sources yield nothing: invalid ones, and router ports that connect to a
        transit switch.
        """
        lrp = self._view.get(LogicalRouterPort, uuid)
        if lrp is not None:
            yield from self._decide_connected(lrp)
        elif self._view.get(LogicalRouterStaticRoute, uuid) is not None:
            yield from self._decide_static(uuid)
        elif (dynamic := self._view.get(SbLearnedRoute, uuid)) is not None:
            yield from self._decide_dynamic(dynamic)
        else:
            yield from self._decide_load_balancer(uuid)

    def _decide_connected(self, lrp: LogicalRouterPort) -> Iterator[AdvertiseDecision]:
        router = self._view.parent(ROUTER_PORTS, lrp.uuid)
        if router is None or self._connects_to_transit_switch(lrp):
            return  # the networks between the zones are not exchanged
        for attachment in self._attached(router.uuid):
            for text in sorted(lrp.networks):
                interface = parse_interface(text)
                if interface is None:
                    continue
                prefix = _Prefix(interface.network, str(interface))
                source = AdvertisedSource(1, lrp.uuid, CONNECTED, router.uuid, attachment.tag)
                for table in self._tables_of(attachment):
                    yield self._decision(source, attachment, prefix, table)

    def _connects_to_transit_switch(self, lrp: LogicalRouterPort) -> bool:
        lsps = self._view.all(LSPS_BY_ROUTER_PORT, lrp.name)
        return any(transit_switch_of(self._view, lsp) is not None for lsp in lsps)

    def _tables_of(self, attachment: Attachment) -> tuple[str, ...]:
        """The route tables for connected networks: the port's own one as well, after 26.03."""
        if attachment.route_table and self._knows_dynamic:
            return ("", attachment.route_table)
        return ("",)

    @property
    def _knows_dynamic(self) -> bool:
        return self._view.schema.allows(IcRoute, "origin", CONNECTED_DYNAMIC)

    def _decide_dynamic(self, row: SbLearnedRoute) -> Iterator[AdvertiseDecision]:
        datapath = self._view.get(SbDatapathBinding, row.datapath)
        prefix = _prefix_of(row.ip_prefix)
        if datapath is None or prefix is None:
            return
        router = RowId(datapath.external_ids.get("logical-router", ""))
        origin = CONNECTED_DYNAMIC if self._knows_dynamic else CONNECTED
        for attachment in self._attached(router):
            source = AdvertisedSource(3, router, origin, router, attachment.tag)
            refusal = Refusal.ROUTE_TABLE if attachment.route_table else None
            yield self._decision(source, attachment, prefix, "", refusal)

    def _decide_static(self, uuid: RowId) -> Iterator[AdvertiseDecision]:
        row = self._view.table(LogicalRouterStaticRoute).rows[uuid]
        router = self._view.relation(ROUTER_ROUTES).parent(uuid)
        prefix = _prefix_of(row.ip_prefix)
        is_own = router is not None and uuid in self._routes.own_by_router.get(router, ())
        if router is None or prefix is None or not is_own:
            return
        refusal = self._refuses_static(row)
        for attachment in self._attached(router):
            source = AdvertisedSource(0, uuid, STATIC, router, attachment.tag)
            other = Refusal.ROUTE_TABLE if row.route_table != attachment.route_table else None
            yield self._decision(source, attachment, prefix, row.route_table, refusal or other)

    def _refuses_static(self, row: LogicalRouterStaticRoute) -> Refusal | None:
        if row.policy == SRC_IP:
            return Refusal.BY_SOURCE
        if DECLARED in row.external_ids:
            return Refusal.DECLARED
        if row.nexthop == DISCARD:
            # Versions without sequence numbers in IC-NB (before 24.03) do not advertise these.
            known = self._view.schema.has(IcNbGlobal, "nb_ic_cfg")
            return None if known else Refusal.DISCARDS
        nexthop = parse_address(row.nexthop)
        if nexthop is None:
            return Refusal.UNPARSABLE
        return Refusal.NEXTHOP_LINK_LOCAL if is_link_local_nexthop(nexthop) else None

    def _decide_load_balancer(self, uuid: RowId) -> Iterator[AdvertiseDecision]:
        if not self._view.schema.allows(IcRoute, "origin", LOADBALANCER):
            return
        refusal = None if self._options.current.advertise_lb else Refusal.LOAD_BALANCER
        for router, vips in self._vips.by_router.items():
            for attachment in self._attached(router) if uuid in vips.by_lb else ():
                source = AdvertisedSource(2, uuid, LOADBALANCER, router, attachment.tag)
                for vip in vips.by_lb[uuid]:
                    prefix = _Prefix(vip, str(vip))
                    yield self._decision(source, attachment, prefix, "", refusal)

    def _decision(
        self,
        source: AdvertisedSource,
        attachment: Attachment,
        prefix: _Prefix,
        table: str,
        refusal: Refusal | None = None,
    ) -> AdvertiseDecision:
        outcome = refusal or self._key(attachment, prefix, table)
        return AdvertiseDecision(source, attachment, prefix.network, table, outcome)

    def _attached(self, router: RowId) -> Iterable[Attachment]:
        return self._attachments.by_router.get(router, {}).values()

    def _key(self, attachment: Attachment, prefix: _Prefix, table: str) -> AdvertiseKey | Refusal:
        """The route through one attachment, or why it is not advertised."""
        network = prefix.network
        refusal = self._options.current.refuses_advertising(network)
        refusal = refusal or attachment.advertise.refuses(network)
        refusal = refusal or self._policy.refuses_advertising(network)
        if refusal is not None:
            return refusal
        interface = attachment.nexthop_for(network.version)
        nexthop = None if interface is None else interface.ip
        if nexthop is None and network.version == 6:
            nexthop = link_local_of(attachment.mac)
        if nexthop is None:
            return Refusal.NO_NEXTHOP
        written = prefix.written if self._options.current.host_bits else ""
        return AdvertiseKey(attachment.ts, table, str(network), str(nexthop), written)
