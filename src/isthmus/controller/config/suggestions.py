"""Suggestions for misspelt keys, and values shortened for messages. Used by all parsers."""

from collections.abc import Iterable
from difflib import get_close_matches

CLOSE = 0.8
"""Similarity (0 to 1, as in difflib) from which a key counts as a misspelling of another."""

_LONGEST = 60


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` resembles most, ignoring case; None if it resembles none."""
    if len(word) > _LONGEST:
        return None
    by_folded = {_fold(candidate): candidate for candidate in known}
    close = get_close_matches(_fold(word), list(by_folded), 1, CLOSE)
    return by_folded[close[0]] if close else None


def shortened(value: object) -> str:
    """A value from a manifest as text for a problem, at most 60 characters long."""
    if isinstance(value, dict | list):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 4 * _LONGEST:
        return "a number"  # Python refuses to print very long ones
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _fold(word: str) -> str:
    return word.lower().replace("_", "-")
