"""The console of rich that makes text safe to print; imported only when a verb needs rich."""

from typing import Any

from rich.console import Console

from isthmus.model.text import printable_lines

_UNLIMITED = 100_000
"""Columns; more than any row has."""


class SafeConsole(Console):
    """Prints text as it is, whatever brackets or numbers it contains, but no control characters.

    Tables keep all of their cells: the terminal wraps a row that is too long.

    Args:
        stderr: whether to print to standard error.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        # rich cuts tables to the console's width. On a dumb terminal it ignores the width unless
        # the height is given as well, which has no other effect.
        super().__init__(
            stderr=stderr,
            width=None if stderr else _UNLIMITED,
            height=None if stderr else 25,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        )

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does; line feeds are kept, other control characters become escapes."""
        safe = (printable_lines(x.split("\n")) if isinstance(x, str) else x for x in objects)
        super().print(*safe, **options)
