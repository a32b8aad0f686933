"""Whether packets to a next hop would arrive yet; asked by `LearnedRoutes` beside a controller.

A transit switch that is new carries nothing until a gateway serves our port there, it is known
which one serves the other zone's, and every node has made flows of that. A route through it is
used as soon as it is there, by a share of the packets if there are others for its prefix (ECMP).
No database tells when the nodes are done, so they are given some time.
"""

from collections.abc import Callable, Iterable
from math import inf
from typing import NamedTuple

from isthmus.engine.view import View
from isthmus.exchange.routes.attachments import Attachments
from isthmus.model.indexes import BINDINGS_BY_PORT, IC_PORTS_BY_ADDRESS, IC_PORTS_BY_NAME
from isthmus.model.prefixes import parse_address
from isthmus.model.rows import IcPortBinding, RowId

SETTLE = 1.0
"""Seconds from when both gateways are known until packets are sent that way: some tens
of milliseconds are needed, more on busy nodes, and nobody waits, since there is another way."""


class Path(NamedTuple):
    """From one of our routers over a transit switch to a next hop."""

    router: RowId
    transit_switch: str
    nexthop: str


class Paths:
    """Looks for the gateways of both ends.

    Args:
        view: shared with the engine.
        attachments: where our routers attach.
        settle: seconds for which both must have been known; with more than 0, `tick` must be
            called.

    Attributes:
        opened: called when a path that was asked for is open now.
    """

    def __init__(self, view: View, attachments: Attachments, settle: float) -> None:
        self._view, self._attachments, self._settle = view, attachments, settle
        self._fresh: dict[Path, float] = {}
        self._open: set[Path] = set()
        self.opened: Callable[[], None] = lambda: None

    def open(self, path: Path) -> bool:
        """Whether packets will arrive; if only time is lacking, `opened` will be called."""
        if not self._has_gateways(path):
            return False
        if path in self._open or not self._settle:
            return True
        self._fresh.setdefault(path, inf)
        return False

    def gateways_changed(self) -> None:
        """Forget the paths that are no longer open: they must settle anew."""
        closed = [path for path in (*self._open, *self._fresh) if not self._has_gateways(path)]
        for path in closed:
            self._open.discard(path)
            self._fresh.pop(path, None)

    def tick(self, now: float) -> float:
        """Let time pass.

        Args:
            now: monotonic seconds.

        Returns:
            when to be called again even if nothing happens: monotonic seconds, or inf.
        """
        for path, due in self._fresh.items():
            self._fresh[path] = min(due, now + self._settle)
        ripe = [path for path, due in self._fresh.items() if due <= now]
        for path in ripe:
            del self._fresh[path]
            self._open.add(path)
        if ripe:
            self.opened()
        return min(self._fresh.values(), default=inf)

    def _has_gateways(self, path: Path) -> bool:
        address = path.transit_switch, parse_address(path.nexthop)
        ends = self._view.all(IC_PORTS_BY_ADDRESS, address)
        return self._has_own_gateway(path) and any(map(self._is_bound, ends))

    def _has_own_gateway(self, path: Path) -> bool:
        ours = self._attachments.by_router.get(path.router, {}).values()
        names = (own.port for own in ours if own.ts == path.transit_switch)
        ports: Iterable[IcPortBinding | None] = map(self._view.index(IC_PORTS_BY_NAME).one, names)
        return any(port is not None and port.gateway for port in ports)

    def _is_bound(self, remote: IcPortBinding) -> bool:
        binding = self._view.one(BINDINGS_BY_PORT, remote.logical_port)
        return binding is not None and binding.chassis is not None
