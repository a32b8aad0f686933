"""Text from outside (databases, manifests, the command line) made safe to print.

Used wherever such text reaches a log or a terminal: by `Problem`, and by what verbs print.
Invariant: the result is one line of printable characters, so no value can move the cursor, start a
line of its own or hide text (terminal control characters, line breaks, bidirectional controls).
"""

from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """The text with every character that is not printable written as an escape, e.g. `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def quoted(text: str) -> str:
    """The printable text in single quotes."""
    return "'" + printable(text).replace("'", "\\'") + "'"


def printable_lines(lines: Iterable[str]) -> str:
    """Lines joined with line feeds, each made printable; for text with values from outside."""
    return "\n".join(map(printable, lines))


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s in the plural: "1 route", "2 routes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names separated by commas; of more than `most` only the number: "a, b and 7 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
