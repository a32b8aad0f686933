"""Reduce a failing history to the steps that are necessary for the failure (Zeller's ddmin)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """The smallest part found that still fails.

    Args:
        items: a sequence that fails.
        fails: whether a part of the sequence, in the same order, fails as well.
    """
    kept, size = list(items), max(1, len(items) // 2)
    while True:
        start, removed = 0, False
        while start < len(kept):
            candidate = kept[:start] + kept[start + size :]
            if fails(candidate):
                kept, removed = candidate, True
            else:
                start += size
        if size == 1 and not removed:
            return kept
        size = max(1, size // 2)
