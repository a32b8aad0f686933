"""Split a JSON-RPC stream into messages (RFC 7047, section 4): the only framing in Isthmus.

OVSDB's messages follow one another without a separator. Their ends are found by counting braces
outside strings; the standard library parses the result. Used by `jsonrpc`, `jsonrpc_asyncio`
and the parser that `ovs_patches` gives the `ovs` package. Invariant: imports only light modules
of the standard library, since health probes and short commands start with it.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'


def _up_to(ends: str, levels: int = 0) -> re.Pattern[str]:
    """Everything up to the next bracket, or to the quote of a string that the piece cuts off.

    One match per bracket keeps the cost in the regular expression engine. Only what repeats a
    class of characters is possessive: up to Python 3.11.4 a possessive group accepts an
    unterminated string (CPython issue 106052), and Debian 12 has 3.11.2.

    Args:
        ends: the brackets, escaped for a class.
        levels: values that are complete in the piece and nest brackets no deeper than this are
            passed over as well.
    """
    plain = rf'[^{ends}"]*+(?:{_STRING}[^{ends}"]*+)*'
    pattern = plain
    for _ in range(levels):
        pattern = rf"{plain}(?:[\[{{]{pattern}[\]}}]{plain})*"
    return re.compile(pattern, re.DOTALL)


LEVELS = 5
"""How deep an operation of a transaction nests brackets, as in {row: {ids: ["map", [[k, v]]]}}."""

_UP_TO_BRACE, _UP_TO_BRACKET = _up_to("{}"), _up_to(r"\]\[{}")
_PAST_OPERATIONS = _up_to(r"\]\[{}", LEVELS)
_REST_OF_STRING = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class Piece(NamedTuple):
    """Text of one message.

    Args:
        text: at least one character.
        ends: whether it completes the message.
        depth: how deep the brackets of the message are nested so far; exact from `most` on.
    """

    text: str
    ends: bool
    depth: int = 0


class MessageScanner:
    """Finds the end of one message without keeping it: `feed` until `is_done`.

    Args:
        most: how deep brackets may be nested; -1 counts only { and }.

    Attributes:
        deepest: how deep brackets have been nested; exact if that is more than `most`.
    """

    def __init__(self, most: int = -1) -> None:
        self._up_to = _UP_TO_BRACE if most < 0 else _UP_TO_BRACKET
        self._safe = most - LEVELS  # values that are passed over stay within `most`
        self.deepest = 0
        self._began = False
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._done = False

    def feed(self, text: str) -> int:
        """Take a piece of the stream; how many of its characters belong to this message."""
        if not self._began:
            self._began = True
            start = text.lstrip()
            if start and start[0] != "{":
                self._done = True  # not a message; the parser reports it
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
        while (skipped := self._skip(text, position)) and skipped.end() < len(text):
            position = skipped.end() + 1
            character = text[skipped.end()]
            if character in "{[":
                self._depth += 1
                self.deepest = max(self.deepest, self._depth)
            elif character in "}]":
                self._depth -= 1
                if self._depth == 0:
                    self._done = True
                    return position
            else:
                self._suspend(text, position)
                break
        return len(text)

    def _skip(self, text: str, position: int) -> re.Match[str] | None:
        # Not between messages, where an operation would hide the end of a message.
        pattern = _PAST_OPERATIONS if 0 < self._depth <= self._safe else self._up_to
        return pattern.match(text, position)

    def _suspend(self, text: str, start: int) -> None:
        """Remember that the piece ends within a string, and whether within an escape."""
        self._in_string = True
        tail = text[start:]
        backslashes = len(tail) - len(tail.rstrip("\\"))
        if text:
            self._escaped = backslashes % 2 == 1


class PieceSplitter:
    """Splits a stream of bytes into pieces of text that never span two messages.

    Args:
        most: that of `MessageScanner`.
    """

    def __init__(self, most: int = -1) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._most = most
        self._scanner = MessageScanner(most)
        self._began = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the text in `data`.

        Raises:
            ValueError: the stream is not UTF-8.
        """
        text = self._decoder.decode(data)
        while text := text if self._began else text.lstrip():
            used = self._scanner.feed(text)
            ends, deepest = self._scanner.is_done(), self._scanner.deepest
            piece, text, self._began = Piece(text[:used], ends, deepest), text[used:], not ends
            if ends:
                self._scanner = MessageScanner(self._most)
            yield piece


class MessageDecoder:
    """Decodes the messages of a stream of bytes."""

    def __init__(self) -> None:
        self._splitter = PieceSplitter()
        self._pieces: list[str] = []

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield the messages that `data` completes.

        Raises:
            ValueError: the stream does not consist of JSON objects.
        """
        for piece in self._splitter.feed(data):
            self._pieces.append(piece.text)
            if piece.ends:
                text, self._pieces = "".join(self._pieces), []
                yield parse(text)


def parse(text: str) -> dict[str, Any]:
    """A message from its text.

    Raises:
        ValueError: it is not a JSON object, or nested too deeply for the parser.
    """
    try:
        message = json.loads(text)
    except RecursionError as error:
        raise ValueError("a message is nested too deeply") from error
    if not isinstance(message, dict):
        raise ValueError("a message is not a JSON object")
    return message


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent."""
    return json.dumps(message, separators=(",", ":")).encode()
