"""Bound how fast one zone sends, and how many large messages of its connections are in memory.

Used by `session`; all connections of a zone share one `ZoneTraffic`. A zone that is too fast is
delayed: the proxy does not read its next message, so nothing piles up.
"""

import asyncio
from dataclasses import dataclass, field

from isthmus.model.bounds import Limit

BURST = 64.0
"""Seconds of its rate that a zone may send at once: with the default, 32 MB."""


@dataclass(slots=True)
class Rate:
    """A token bucket that delays.

    Args:
        limit: what may pass in a second.
    """

    limit: Limit
    _used_until: float = field(init=False, default=0.0)

    def delay(self, amount: int, now: float) -> float:
        """Seconds to wait before `amount` may pass; negative or 0 if it may pass at once.

        Args:
            amount: in the limit's unit.
            now: a monotonic time, in seconds.
        """
        self._used_until = max(self._used_until, now - BURST) + amount / max(self.limit.most, 1)
        return self._used_until - now


@dataclass(slots=True)
class ZoneTraffic:
    """What all connections of a zone share.

    Args:
        characters, requests, operations: per second.
        large: held while a large message of the zone is read and processed.
        turn: makes the connections of the zone take turns, see `read_pieces`.
        answers: held while an answer that may be large is on its way to the zone.
    """

    characters: Rate
    requests: Rate
    operations: Rate
    large: asyncio.Semaphore = field(default_factory=asyncio.Semaphore)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    answers: asyncio.Semaphore = field(default_factory=asyncio.Semaphore)

    async def pace(self, characters: int = 0, requests: int = 0, operations: int = 0) -> None:
        """Wait until so many characters, requests and operations may pass."""
        now = asyncio.get_running_loop().time()
        delay = max(
            self.characters.delay(characters, now),
            self.requests.delay(requests, now),
            self.operations.delay(operations, now),
        )
        if delay > 0:
            await asyncio.sleep(delay)
