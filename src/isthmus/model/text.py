"""Text from outside (databases, manifests, the command line) made safe to print.

Used wherever such text reaches a log or a terminal: by `Problem`, and by what verbs print.
Invariant: the result is one line of printable characters, so no value can move the cursor, start a
line of its own or hide text (terminal control characters, line breaks, bidirectional controls).
"""


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
