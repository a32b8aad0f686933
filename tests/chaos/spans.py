"""How long nothing could be written while a majority was up. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Span:
    """A time in seconds, monotonic, in which a majority was up."""

    start: float
    end: float


def longest_silence(spans: Iterable[Span], acknowledged: Sequence[float]) -> float:
    """The longest part of any span without an acknowledged write, in seconds.

    Args:
        spans: when a majority was up.
        acknowledged: when writes were, in order.
    """
    longest = 0.0
    for span in spans:
        first, last = (bisect_left(acknowledged, moment) for moment in (span.start, span.end))
        moments = [span.start, *acknowledged[first:last], span.end]
        longest = max(longest, *(b - a for a, b in pairwise(moments)))
    return longest


def resumptions(spans: Iterable[Span], acknowledged: Sequence[float]) -> list[float]:
    """Seconds from the start of each span to the first acknowledged write.

    Spans that end before there was one are left out: `longest_silence` has them.
    """
    waits = []
    for span in spans:
        place = bisect_left(acknowledged, span.start)
        if place < len(acknowledged) and acknowledged[place] < span.end:
            waits.append(acknowledged[place] - span.start)
    return waits
