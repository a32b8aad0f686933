"""Authorize the zones' transactions, one slice after the other, against the committed rows.

Called by the authorizing proxy. A large transaction is checked in slices so that other zones are
served meanwhile; routes that other zones add in that time count as well. Invariant: no other task
runs between the last check and the return from `check`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from isthmus.authz.database_state import DatabaseState, JsonRow
from isthmus.authz.limits.row_quotas import RowQuotas
from isthmus.authz.request import AuthorizationPolicy, JsonOperation, RefusedError
from isthmus.authz.rules import checked
from isthmus.authz.slices import in_slices
from isthmus.authz.zone_rows import route_conflict
from isthmus.model.prefix_index import PrefixIndex
from isthmus.model.prefixes import Network, parse_network


class Authorizer:
    """Decides which transactions of zones reach the server.

    Args:
        state: the committed rows.
        policy: the operator's.
        require_complete: raises `ConnectionResetError` while `state` is not complete.
        report: called with each committed route that conflicts with another zone's route. This
            happens when two zones write to two members at the same moment.

    Attributes:
        quotas: the number of rows of each zone.
    """

    def __init__(
        self,
        state: DatabaseState,
        policy: AuthorizationPolicy,
        require_complete: Callable[[], None],
        report: Callable[[RefusedError], None],
    ) -> None:
        self._state, self._policy = state, policy
        self.quotas = RowQuotas(state, policy)
        self._require_complete, self._report = require_complete, report
        self._turns: dict[str, asyncio.Lock] = {}
        self._new_prefixes: dict[str, list[Network]] = {}

    async def check(self, operations: list[Any], zone: str) -> list[JsonOperation]:
        """Authorize a transaction; arguments and result are those of `rules.checked`.

        Raises:
            RefusedError: the zone may not do this.
            ConnectionResetError: the committed rows are not complete.
        """
        # One transaction per zone at a time: with many, a zone would take most of the time.
        async with self._turns.setdefault(zone, asyncio.Lock()):
            new_prefixes = self._new_prefixes[zone] = []
            try:
                while True:
                    self._require_complete()
                    checking = checked(operations, zone, self._state, self._policy)
                    slices = in_slices(checking, self._require_complete)
                    passed = [operation async for operation in slices]
                    if not await self._overlaps(operations, new_prefixes):
                        self.quotas.take(operations, zone, time.monotonic())
                        return passed
            finally:
                del self._new_prefixes[zone]

    async def _overlaps(self, operations: list[Any], new_prefixes: list[Network]) -> bool:
        """Whether other zones have meanwhile added routes within these operations' prefixes."""
        if not new_prefixes:
            return False
        own: PrefixIndex[None] = PrefixIndex()
        async for prefix in in_slices(_route_prefixes(operations), self._require_complete):
            own.add(prefix, None)
        overlaps = any(True for prefix in new_prefixes for _ in own.inside(prefix))
        new_prefixes.clear()
        return overlaps

    def route_applied(self, row: JsonRow) -> None:
        """Consider a committed route, new or changed, in the checks that are under way."""
        zone = self._state.zone_of(row)
        if (prefix := parse_network(str(row.get("ip_prefix")))) is not None:
            for waiting, new_prefixes in self._new_prefixes.items():
                if waiting != zone:
                    new_prefixes.append(prefix)

    def route_written(self, row: JsonRow) -> None:
        """Report a committed route, new or changed, that conflicts with another one."""
        prefix, zone = parse_network(str(row.get("ip_prefix"))), self._state.zone_of(row)
        try:
            self._require_complete()
        except ConnectionResetError:
            return  # the route belongs to the first download and was there before
        if prefix is None:
            return
        if zone and (why := route_conflict(self._state, self._policy, zone, prefix, row)):
            why = f"{why}; it was accepted, since both routes were written at the same moment"
            self._report(RefusedError(zone, "insert", "Route", why))


def _route_prefixes(operations: list[Any]) -> Iterator[Network]:
    for operation in operations:
        row = operation.get("row")
        if operation.get("table") == "Route" and isinstance(row, dict):
            prefix = parse_network(str(row.get("ip_prefix")))
            if prefix is not None:
                yield prefix
