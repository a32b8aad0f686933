"""Where our routers attach to transit switches; derived state for the route reconcilers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from isthmus.engine.reconciler import AnyReconciler, Reconciler, Watch
from isthmus.engine.view import View
from isthmus.exchange.routes.options import IPV4_BY_IPV6, Filter, RoutePolicy, is_true
from isthmus.exchange.topology.published_ports import ROUTER_ID
from isthmus.exchange.zones.registration import Only, OwnZone, watch_only
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    IC_PORTS_BY_NAME,
    LRPS_BY_NAME,
    LSPS_BY_NAME,
    LSPS_BY_ROUTER_PORT,
    ROUTER_PORTS,
)
from isthmus.model.operations import Operation
from isthmus.model.ovn_keys import ROUTER_PORT
from isthmus.model.prefixes import Address, Interface, Network, parse_interface, parse_port_address
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    IcPortBinding,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A router port on a transit switch, as far as routes depend on it.

    Args:
        mac: of the *published* port address: a link-local next hop comes from it.
        addresses: of the published port address, in its order: the next hops we advertise.
        networks: of the router port: the next hops that we can reach through it.
        ipv4_by_ipv6: IPv4 prefixes may have IPv6 next hops (`ic-route-ipv4-next-hop-ipv6`).
    """

    port: str
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
        """Whether a next hop's family is one that a prefix may have here."""
        return prefix.version == nexthop.version or (prefix.version == 4 and self.ipv4_by_ipv6)


class AttachmentUser(Protocol):
    """A reconciler whose keys depend on attachments."""

    def attachment_changed(self, attachment: Attachment) -> None:
        """Mark what depends on an attachment that came, went, or is one side of a change."""


class Attachments(Reconciler[str]):
    """All attachments; the key is the logical switch port's name.

    Attributes:
        by_port, by_router, by_ts: the current attachments.
        dependents: told of the routers and transit switches whose attachments changed.
    """

    name: ClassVar[str] = "attachments"

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__()
        self._view, self._zone = view, zone
        self.by_port: dict[str, Attachment] = {}
        self.by_router: dict[RowId, dict[str, Attachment]] = {}
        self.by_ts: dict[str, dict[str, Attachment]] = {}
        self.dependents: Sequence[AttachmentUser] = ()

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            IcPortBinding: _port_names,
            LogicalSwitchPort: _port_names,
            LogicalRouterPort: self._of_router_port,
            LogicalRouter: self._of_router,
            LogicalSwitch: self._of_switch,
        }

    def _of_router_port(self, change: Change) -> Iterator[str]:
        for side in change.sides:
            if isinstance(side, LogicalRouterPort):
                yield from (lsp.name for lsp in self._view.all(LSPS_BY_ROUTER_PORT, side.name))

    def _of_router(self, change: Change) -> Iterator[str]:
        yield from self.by_router.get(change.row.uuid, ())
        for uuid in change.joined.get("ports", ()):
            lrp = self._view.get(LogicalRouterPort, uuid)
            if lrp is not None:
                yield from (lsp.name for lsp in self._view.all(LSPS_BY_ROUTER_PORT, lrp.name))

    def _of_switch(self, change: Change) -> Iterator[str]:
        for children in (change.joined.get("ports", ()), change.left.get("ports", ())):
            for uuid in children:
                lsp = self._view.get(LogicalSwitchPort, uuid)
                if lsp is not None:
                    yield lsp.name

    def keys(self) -> Iterable[str]:
        yield from tuple(self.by_port)
        yield from (port.logical_port for port in self._view.table(IcPortBinding))

    def reconcile(self, key: str) -> Iterable[Operation]:
        before, after = self.by_port.get(key), self._attachment(key)
        bad = (*after.advertise.bad_entries, *after.learn.bad_entries) if after else ()
        self.report(key, *(_bad_filter(key, entry) for entry in dict.fromkeys(bad)))
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
        for side in filter(None, (before, after)):
            for dependent in self.dependents:
                dependent.attachment_changed(side)
        return ()

    def _attachment(self, name: str) -> Attachment | None:
        zone = self._zone.current
        port = self._view.one(IC_PORTS_BY_NAME, name)
        lsp = self._view.one(LSPS_BY_NAME, name)
        if zone is None or port is None or lsp is None or port.availability_zone != zone.uuid:
            return None
        lrp = self._view.one(LRPS_BY_NAME, lsp.options.get(ROUTER_PORT, ""))
        router = self._view.parent(ROUTER_PORTS, lrp.uuid) if lrp else None
        if lrp is None or router is None or port.external_ids.get(ROUTER_ID) != router.uuid:
            return None
        interfaces = (parse_interface(network) for network in lrp.networks)
        return Attachment(
            port=name,
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


class GlobalPolicy(Reconciler[Only]):
    """The `ic-route-*` options; when they change, every route is looked at anew."""

    name: ClassVar[str] = "route policy"

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self.current = RoutePolicy()
        self.dependents: Sequence[AnyReconciler] = ()

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        return watch_only((NbGlobal,))

    def keys(self) -> Iterable[Only]:
        return [()]

    def reconcile(self, key: Only) -> Iterable[Operation]:
        nb_global = self._view.single(NbGlobal)
        policy = RoutePolicy.of(nb_global.options if nb_global else {})
        self.report(key, *(_bad_entry(entry) for entry in policy.bad_entries))
        if policy != self.current:
            self.current = policy
            for dependent in self.dependents:
                dependent.mark(dependent.keys())
        return ()


def _bad_filter(port: str, entry: str) -> Problem:
    return Subject(
        f"Logical_Switch_Port {port}",
        "options:ic-route-filter-* or ic-route-deny-* of its router port or router",
        entry,
    ).problem(
        "the entry is no prefix and is skipped", "write it as ADDRESS/LENGTH", Reason.INVALID_OPTION
    )


def _bad_entry(entry: str) -> Problem:
    return Subject("NB_Global", "options:ic-route-denylist", entry).problem(
        "the entry is no prefix and is skipped", "write it as ADDRESS/LENGTH", Reason.INVALID_OPTION
    )


def _port_names(change: Change) -> Iterator[str]:
    for side in change.sides:
        if isinstance(side, LogicalSwitchPort):
            yield side.name
        elif isinstance(side, IcPortBinding):
            yield side.logical_port
