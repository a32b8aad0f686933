"""Judges the zones' transactions in turns, by what is committed when they are passed on.

Called by `guard`. A large transaction is judged in slices, so that others are served meanwhile;
what other zones announce in that time counts as well. Invariant: between the last look at what is
known and the return nobody else has had a turn.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from isthmus.authz.database_state import Known, Wire
from isthmus.authz.request import Operation, Policy, RefusedError
from isthmus.authz.rules import judged
from isthmus.authz.zone_rows import outdone
from isthmus.model.prefix_index import PrefixIndex
from isthmus.model.prefixes import Network, parse_network

SLICE = 0.01
"""Seconds of judging after which others have their turn."""

_LOOK = 20
"""Operations between two looks at the clock."""


class Judge:
    """Lets transactions of zones pass, or refuses them.

    Args:
        known: what is committed.
        policy: the operator's.
        see: raises `ConnectionResetError` if what is known is not all there is.
        tell: told of routes that are committed although another zone has their prefix, as far as
            that can be: by two members in the same moment.
    """

    def __init__(
        self,
        known: Known,
        policy: Policy,
        see: Callable[[], None],
        tell: Callable[[RefusedError], None],
    ) -> None:
        self._known, self._policy, self._see, self._tell = known, policy, see, tell
        self._turns: dict[str, asyncio.Lock] = {}
        self._news: dict[str, list[Network]] = {}
        known.on_route = self._route

    async def check(self, operations: list[Any], zone: str) -> list[Operation]:
        """Judge a transaction; see `guard_rules.check`.

        Raises:
            RefusedError: it may not be passed on.
        """
        # One of a zone's at a time: with many, it would have most of the turns.
        async with self._turns.setdefault(zone, asyncio.Lock()):
            news = self._news[zone] = []
            try:
                while True:
                    passed = await self._once(operations, zone)
                    if not await self._concerns(operations, news):
                        return passed
            finally:
                del self._news[zone]

    async def _once(self, operations: list[Any], zone: str) -> list[Operation]:
        passed: list[Operation] = []
        begun = time.monotonic()
        self._see()
        for operation in judged(operations, zone, self._known, self._policy):
            passed.append(operation)
            if len(passed) % _LOOK == 0 and time.monotonic() - begun > SLICE:
                await asyncio.sleep(0)
                self._see()
                begun = time.monotonic()
        return passed

    async def _concerns(self, operations: list[Any], news: list[Network]) -> bool:
        """Whether another zone has announced meanwhile what these operations announce."""
        if not news:
            return False
        own: PrefixIndex[None] = PrefixIndex()
        begun = time.monotonic()
        for number, prefix in enumerate(_announced(operations)):
            own.add(prefix, None)
            if number % _LOOK == 0 and time.monotonic() - begun > SLICE:
                await asyncio.sleep(0)
                begun = time.monotonic()
        concerned = any(True for prefix in news for _ in own.inside(prefix))
        news.clear()
        return concerned

    def _route(self, row: Wire) -> None:
        """A route is new, or not as it was."""
        prefix, zone = parse_network(str(row.get("ip_prefix"))), self._known.zone_of(row)
        try:
            self._see()
        except ConnectionResetError:
            return  # It is among the first, which were there before.
        if prefix is None:
            return
        for judging, news in self._news.items():
            if judging != zone:
                news.append(prefix)
        if zone and (why := outdone(self._known, self._policy, zone, prefix, row)):
            why = f"{why}, and was let in: both came in the same moment"
            self._tell(RefusedError(zone, "insert", "Route", why))


def _announced(operations: list[Any]) -> Iterator[Network]:
    for operation in operations:
        row = operation.get("row")
        if operation.get("table") == "Route" and isinstance(row, dict):
            prefix = parse_network(str(row.get("ip_prefix")))
            if prefix is not None:
                yield prefix
