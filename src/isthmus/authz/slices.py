"""Work through many items while other tasks run in between.

Used by the authorizing proxy for the operations of a transaction and the rows of an update.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")

SLICE = 0.003
"""Seconds after which other tasks run. The request of another zone takes several turns of the
loop."""

_STRIDE = 20
"""Items between two readings of the clock."""


async def in_slices(
    items: Iterable[_Item], resumed: Callable[[], None] = lambda: None
) -> AsyncIterator[_Item]:
    """Yield items; after each slice of time, other tasks run.

    Args:
        items: made one after the other.
        resumed: called after other tasks have run; may raise.
    """
    began = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if number % _STRIDE == 0 and time.monotonic() - began > SLICE:
            await asyncio.sleep(0)
            resumed()
            began = time.monotonic()
