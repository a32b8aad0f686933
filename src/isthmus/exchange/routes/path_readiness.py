"""Whether packets to a next hop would arrive yet; used by `LearnedRoutes` if there is a controller.

A new transit switch carries nothing until a gateway serves our port there, the gateway of the other
zone's port is known, and every node has flows for it. A route through it is used as soon as it
exists, by a share of the packets if there are other routes to its prefix (ECMP). No database shows
when the nodes are done, so they are given some time.
"""

from collections.abc import Collection, Iterable
from math import inf
from typing import ClassVar, NamedTuple

from isthmus.engine.reconciler import DerivedState, Only, SingleKey
from isthmus.engine.view import View
from isthmus.exchange.routes.attachments import Attachments
from isthmus.model.indexes import BINDINGS_BY_PORT, IC_PORTS_BY_ADDRESS, IC_PORTS_BY_NAME
from isthmus.model.prefixes import parse_address
from isthmus.model.rows import IcPortBinding, Row, RowId, SbPortBinding

SETTLE = 1.0
"""Seconds from when both gateways are known until packets are sent that way. Some tens of
milliseconds are needed, more on busy nodes; waiting costs nothing, since there is another route."""


class Path(NamedTuple):
    """From one of our routers over a transit switch to a next hop."""

    router: RowId
    transit_switch: str
    nexthop: str


class PathReadiness(SingleKey, DerivedState[Only, None]):
    """Which paths are ready; a change means that any path may have become ready, or not ready.

    State in memory: since when both gateways of a path are known. After a restart, the wait begins
    again for routes that do not exist yet.

    Args:
        settle: seconds for which both gateways must have been known; with more than 0, `tick` must
            be called.
    """

    name: ClassVar[str] = "path readiness"
    tables: ClassVar[tuple[type[Row], ...]] = (IcPortBinding, SbPortBinding)

    def __init__(self, view: View, attachments: Attachments, settle: float) -> None:
        super().__init__()
        self._view, self._attachments, self._settle = view, attachments, settle
        self._settling: dict[Path, float] = {}
        self._ready: set[Path] = set()

    def is_ready(self, path: Path) -> bool:
        """Whether packets will arrive; if only time is lacking, a change follows later."""
        if not self._has_gateways(path):
            return False
        if path in self._ready or not self._settle:
            return True
        self._settling.setdefault(path, inf)
        return False

    def works(self, router: RowId, nexthop: str, zones: Collection[RowId]) -> bool:
        """Whether a next hop is the address of a zone among these, and the path has gateways."""
        address = parse_address(nexthop)
        return any(
            self._has_gateways(Path(router, own.ts, nexthop))
            and any(
                port.availability_zone in zones
                for port in self._view.all(IC_PORTS_BY_ADDRESS, (own.ts, address))
            )
            for own in self._attachments.by_router.get(router, {}).values()
        )

    def derive(self, key: Only) -> Iterable[None]:
        # Paths that have lost a gateway must settle again.
        known = (*self._ready, *self._settling)
        for path in [path for path in known if not self._has_gateways(path)]:
            self._ready.discard(path)
            self._settling.pop(path, None)
        return (None,)

    def tick(self, now: float) -> float:
        """Mark what is due; return when to be called again, in monotonic seconds, or inf."""
        for path, due in self._settling.items():
            self._settling[path] = min(due, now + self._settle)
        for path in [path for path, due in self._settling.items() if due <= now]:
            del self._settling[path]
            self._ready.add(path)
            self.mark(self.keys())
        return min(self._settling.values(), default=inf)

    def _has_gateways(self, path: Path) -> bool:
        address = path.transit_switch, parse_address(path.nexthop)
        remote = self._view.all(IC_PORTS_BY_ADDRESS, address)
        return self._has_own_gateway(path) and any(map(self._is_bound, remote))

    def _has_own_gateway(self, path: Path) -> bool:
        ours = self._attachments.by_router.get(path.router, {}).values()
        names = (own.port for own in ours if own.ts == path.transit_switch)
        ports = (self._view.one(IC_PORTS_BY_NAME, name) for name in names)
        return any(port is not None and port.gateway for port in ports)

    def _is_bound(self, remote: IcPortBinding) -> bool:
        binding = self._view.one(BINDINGS_BY_PORT, remote.logical_port)
        return binding is not None and binding.chassis is not None
