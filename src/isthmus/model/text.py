"""Text from outside (databases, manifests, the command line) made safe to print.

Used wherever such text reaches a log or a terminal: by `Problem`, and by what verbs print.
Invariant: the result is one line of printable characters, so no value can move the cursor, start a
line of its own or hide text (terminal control characters, line breaks, bidirectional controls).
"""

import re
from collections.abc import Iterable, Sequence

FULL_DISK = "the disk is full"
_NO_SPACE = ("No space left on device", "Disk quota exceeded")

_ADDITIONS = re.compile(r"^\[[A-Z].*?\] | \((_ssl\.c:\d+|char \d+)\)$")
"""What Python adds to the texts of the operating system, of OpenSSL and of parsers."""

_NOT_FOR_PEOPLE: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (UnicodeError, "it is not UTF-8 text"),
    (RecursionError, "it is nested too deeply"),
    ((AttributeError, IndexError, TypeError), "it does not have the right structure"),
)
"""Exceptions whose text is about Python, and what happened in the words of users."""


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


def printable_text(text: str) -> str:
    """A text of several lines, each made printable."""
    return printable_lines(text.split("\n"))


def indented(text: str) -> str:
    """A text of several lines for a log, printable and indented: no line looks like a record."""
    return printable_lines(f"  {line}" for line in text.split("\n"))


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s in the plural: "1 route", "2 routes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names separated by commas; of more than `most` only the number: "a, b and 7 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def failure_text(error: BaseException) -> str:
    """What an exception says, for use after a sentence of ours: one printable line.

    It names no file, since the object of the message is that file.
    """
    for kinds, text in _NOT_FOR_PEOPLE:
        if isinstance(error, kinds):
            return text
    if isinstance(error, KeyError):
        return f"it has no {printable(str(error.args[0]))}"
    text = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
    if not text:
        return "no answer in time" if isinstance(error, TimeoutError) else "no reason is given"
    return foreign_line(_ADDITIONS.sub("", text))


def foreign_line(text: str) -> str:
    """The first line of what a tool, a server or the operating system says, made printable."""
    if any(words in text for words in _NO_SPACE):
        return FULL_DISK
    return printable(text.strip().partition("\n")[0])
