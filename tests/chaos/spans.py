"""How long writes were impossible although there was a majority. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Span:
    """A time span with a majority, in monotonic seconds."""

    start: float
    end: float


def longest_silence(spans: Iterable[Span], acknowledged: Sequence[float]) -> float:
    """The longest part of any span without an acknowledged write, in seconds.

    Args:
        spans: with a majority.
        acknowledged: times of acknowledged writes, in order.
    """
    longest = 0.0
    for span in spans:
        first, last = (bisect_left(acknowledged, moment) for moment in (span.start, span.end))
        moments = [span.start, *acknowledged[first:last], span.end]
        longest = max(longest, *(b - a for a, b in pairwise(moments)))
    return longest


def resumptions(spans: Iterable[Span], acknowledged: Sequence[float]) -> list[float]:
    """Seconds from the start of each span to the first acknowledged write.

    Spans without one are omitted; `longest_silence` covers them.
    """
    waits = []
    for span in spans:
        place = bisect_left(acknowledged, span.start)
        if place < len(acknowledged) and acknowledged[place] < span.end:
            waits.append(acknowledged[place] - span.start)
    return waits
