"""Bound how many zones receive large answers at the same time, and how slowly.

Used by `session`; all zones share one `AnswerTurns`. A server keeps an answer in memory until its
zone has read it: without turns, 256 zones that reconnect at once would cost it 256 times the
database, and none of them would be complete before all are. Only the time counts that a zone lets
the proxy wait, since a busy server is not the zone's fault.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

from isthmus.model.bounds import ANSWERS

TURN = 10.0
"""Seconds that a zone may let the proxy wait before its answer does not count any more."""

LIMIT = 120.0
"""Seconds that a zone may let the proxy wait until its connection is closed."""


class Answer:
    """An answer on its way to a zone.

    Args:
        end_turn: called, maybe repeatedly, when it does not count any more.
    """

    def __init__(self, end_turn: Callable[[], object]) -> None:
        self._end_turn, self._waited = end_turn, 0.0

    async def drain(self, writer: asyncio.StreamWriter) -> None:
        """Wait until the zone accepts more.

        Raises:
            OSError: the connection broke, or the zone is too slow.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        late = loop.call_later(max(0.0, TURN - self._waited), self._end_turn)
        try:
            async with asyncio.timeout(max(0.0, LIMIT - self._waited)):
                await writer.drain()
        finally:
            late.cancel()
            self._waited += loop.time() - began


class AnswerTurns:
    """Lets `ANSWERS` answers pass at the same time, in the order of the requests."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(ANSWERS.most)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Answer]:
        """Wait for a turn, and take it until the context ends or the zone is too slow."""
        await self._free.acquire()
        with ExitStack() as taken:
            taken.callback(self._free.release)
            yield Answer(taken.close)
