"""The lab's standard output and standard error, with styles and progress where there is a terminal.

Called by the verbs `isthmus lab`.
"""

from typing import Any

from rich.console import Console

from isthmus.model.text import printable_lines


class SafeConsole(Console):
    """Prints text unchanged, whatever brackets or numbers it contains, but no control characters.

    Args:
        stderr: whether to print to standard error.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does; line feeds are kept, other control characters become escapes."""
        safe = (printable_lines(x.split("\n")) if isinstance(x, str) else x for x in objects)
        super().print(*safe, **options)
