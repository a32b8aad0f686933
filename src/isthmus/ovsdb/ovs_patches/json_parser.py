"""A quicker parser for the `ovs` package's JSON-RPC streams.

The package parses JSON character by character in Python unless its C extension was compiled
against OVS's own library, which the one from PyPI is not: 85 % of the CPU time of a start with
10,000 routes (docs/decisions/0008-json-stream.md). This one finds where a message ends by its
braces, outside strings, and leaves the parsing to the standard library.
"""

import json
import re
from typing import Any

import ovs.json

# Whatever comes before the next brace, or before the quote that begins a string that this piece
# does not end: complete strings and all that is outside of strings. One match per brace keeps the
# cost in the regular expression engine. Possessive, since going back would find nothing else; only
# the outermost group is not, because up to Python 3.11.4 such a group takes a string that does not
# end for a match (CPython issue 106052), and Debian 12 has 3.11.2.
_UP_TO_BRACE = re.compile(r'[^{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^{}"]*+)*', re.DOTALL)
_REST_OF_STRING = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class Scanner:
    """Finds where a message ends, and keeps nothing of it: `feed` until `is_done`."""

    def __init__(self) -> None:
        self._begun = False
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._done = False

    def feed(self, text: str) -> int:
        """Take a piece of the stream; how many characters of it belong to this message."""
        if not self._begun:
            self._begun = True
            start = text.lstrip()
            if start and start[0] != "{":
                self._done = True  # whoever parses it sees why
        return len(text) if self._done else self._scan(text)

    def is_done(self) -> bool:
        """Whether the message is complete, or can never become one."""
        return self._done

    def _scan(self, text: str) -> int:
        position = 0
        if self._in_string:
            rest = _REST_OF_STRING.match(text, 1 if self._escaped and text else 0)
            if rest is None:
                self._suspend(text, 1 if self._escaped else 0)
                return len(text)
            self._in_string = self._escaped = False
            position = rest.end()
        while (skipped := _UP_TO_BRACE.match(text, position)) and skipped.end() < len(text):
            position = skipped.end() + 1
            character = text[skipped.end()]
            if character == "{":
                self._depth += 1
            elif character == "}":
                self._depth -= 1
                if self._depth == 0:
                    self._done = True
                    return position
            else:
                self._suspend(text, position)
                break
        return len(text)

    def _suspend(self, text: str, start: int) -> None:
        """Note that the piece ends within a string, and whether with half an escape."""
        self._in_string = True
        tail = text[start:]
        backslashes = len(tail) - len(tail.rstrip("\\"))
        if text:
            self._escaped = backslashes % 2 == 1


class Parser(Scanner):
    """Takes the interface of `ovs.json.Parser`: `feed` until `is_done`, then `finish`.

    Args:
        check_trailer: accepted for compatibility; what follows a message is the next one's.
    """

    def __init__(self, check_trailer: bool = False) -> None:  # noqa: ARG002 - theirs
        super().__init__()
        self._pieces: list[str] = []

    def feed(self, text: str) -> int:
        """Take a piece of the stream, and keep it; see `Scanner`."""
        used = super().feed(text)
        self._pieces.append(text[:used])
        return used

    def finish(self) -> Any:
        """The message, or what is wrong with it as text."""
        try:
            return json.loads("".join(self._pieces))
        except ValueError as error:
            return f"not JSON: {error}"


def install() -> None:
    """Have all connections of the `ovs` package use it; called by `isthmus.ovsdb.session`.

    Its encoder, too, is passed by: it sorts all keys, which nobody needs on the wire.
    """
    ovs.json.Parser = Parser
    ovs.json.to_string = _to_string


def _to_string(value: Any, pretty: bool = False, sort_keys: bool = True) -> str:
    """Takes the interface of `ovs.json.to_string`."""
    if pretty:
        return json.dumps(value, indent=ovs.json.SPACES_PER_LEVEL, sort_keys=sort_keys)
    return _ENCODER.encode(value)
