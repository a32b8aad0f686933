"""Which router has which load balancer VIPs; derived state for the route reconcilers."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import ClassVar

from isthmus.engine.reconciler import DerivedState, Watch
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.indexes import LB_GROUPS_BY_LB, ROUTERS_BY_LB, ROUTERS_BY_LB_GROUP
from isthmus.model.prefixes import Address, Network, parse_address
from isthmus.model.rows import LoadBalancer, LoadBalancerGroup, LogicalRouter, Row, RowId


@dataclass(frozen=True, slots=True)
class Vips:
    """One router's VIPs.

    Args:
        by_lb: the VIPs of each load balancer, as host prefixes.
        numbers: all of them as sorted integers, by IP version.
    """

    by_lb: Mapping[RowId, tuple[Network, ...]]
    numbers: Mapping[int, tuple[int, ...]]

    def any_inside(self, prefix: Network) -> bool:
        """Whether a VIP is inside a prefix."""
        numbers = self.numbers.get(prefix.version, ())
        first = bisect_left(numbers, int(prefix.network_address))
        return first < len(numbers) and numbers[first] <= int(prefix.broadcast_address)


NONE = Vips({}, {})


@dataclass(frozen=True, slots=True)
class VipsChange:
    """Load balancers of a router that came, went, or have other VIPs."""

    router: RowId
    load_balancers: tuple[RowId, ...]


class RouterVips(DerivedState[RowId, VipsChange]):
    """The VIPs of each router's load balancers and groups; the key is the router's UUID.

    Attributes:
        by_router: only routers that have a VIP.
    """

    name: ClassVar[str] = "load balancer VIPs"

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self.by_router: dict[RowId, Vips] = {}

    def watches(self) -> Mapping[type[Row], Watch[RowId]]:
        return {
            LogicalRouter: self._of_router,
            LoadBalancer: lambda change: self._with(change.row.uuid),
            LoadBalancerGroup: self._of_group,
        }

    @staticmethod
    def _of_router(change: Change) -> Iterable[RowId]:
        sides = list(change.of(LogicalRouter))
        held = {(side.load_balancer, side.load_balancer_group) for side in sides}
        return [change.row.uuid] if len(held) > 1 or len(sides) == 1 else []

    def _of_group(self, change: Change) -> Iterable[RowId]:
        return [row.uuid for row in self._view.all(ROUTERS_BY_LB_GROUP, change.row.uuid)]

    def _with(self, load_balancer: RowId) -> Iterator[RowId]:
        yield from (row.uuid for row in self._view.all(ROUTERS_BY_LB, load_balancer))
        for group in self._view.all(LB_GROUPS_BY_LB, load_balancer):
            yield from (row.uuid for row in self._view.all(ROUTERS_BY_LB_GROUP, group.uuid))

    def keys(self) -> Iterable[RowId]:
        return (*self.by_router, *self._view.table(LogicalRouter).rows)

    def derive(self, key: RowId) -> Iterable[VipsChange]:
        before, after = self.by_router.pop(key, NONE), self._vips(key)
        if after.by_lb:
            self.by_router[key] = after
        both = before.by_lb.keys() | after.by_lb.keys()
        changed = sorted(lb for lb in both if before.by_lb.get(lb) != after.by_lb.get(lb))
        return (VipsChange(key, tuple(changed)),) if changed else ()

    def _vips(self, uuid: RowId) -> Vips:
        router = self._view.get(LogicalRouter, uuid)
        if router is None:
            return NONE
        groups = (self._view.get(LoadBalancerGroup, group) for group in router.load_balancer_group)
        held = router.load_balancer.union(*(g.load_balancer for g in groups if g is not None))
        rows = (self._view.get(LoadBalancer, lb) for lb in held)
        by_lb = {row.uuid: vips for row in rows if row is not None and (vips := _hosts(row.vips))}
        numbers: dict[int, set[int]] = {}
        for vips in by_lb.values():
            for vip in vips:
                numbers.setdefault(vip.version, set()).add(int(vip.network_address))
        return Vips(by_lb, {version: tuple(sorted(found)) for version, found in numbers.items()})

    def of(self, router: RowId) -> Vips:
        """A router's VIPs."""
        return self.by_router.get(router, NONE)


def parse_vip(text: str) -> Address | None:
    """The address of "IP", "IP:port" or "[IP]:port", or None."""
    if text.startswith("["):
        return parse_address(text[1:].partition("]")[0])
    bare = parse_address(text)
    return bare if bare is not None else parse_address(text.rpartition(":")[0])


def _hosts(vips: Iterable[str]) -> tuple[Network, ...]:
    addresses = {address for text in vips if (address := parse_vip(text)) is not None}
    return tuple(ip_network(a) for a in sorted(addresses, key=lambda a: (a.version, int(a))))
