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

# Everything up to the next brace, or up to the quote of a string that this piece does not
# complete: complete strings and all that is outside strings. One match per brace keeps the cost in
# the regular expression engine. Possessive, since backtracking would find nothing; only the
# outermost group is not, because up to Python 3.11.4 such a group accepts an unterminated string
# (CPython issue 106052), and Debian 12 has 3.11.2.
_UP_TO_BRACE = re.compile(r'[^{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^{}"]*+)*', re.DOTALL)
# The same for brackets of both kinds: twice the cost, only where they are counted.
_UP_TO_BRACKET = re.compile(r'[^][{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^][{}"]*+)*', re.DOTALL)
_REST_OF_STRING = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class Piece(NamedTuple):
    """Text of one message.

    Args:
        text: at least one character.
        ends: whether it completes the message.
        depth: how deep the brackets of the message are nested so far, if they are counted.
    """

    text: str
    ends: bool
    depth: int = 0


class MessageScanner:
    """Finds the end of one message without keeping it: `feed` until `is_done`.

    Args:
        brackets: whether to count [ and ] as well as { and }.

    Attributes:
        deepest: how deep they have been nested.
    """

    def __init__(self, *, brackets: bool = False) -> None:
        self._up_to = _UP_TO_BRACKET if brackets else _UP_TO_BRACE
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
        match = self._up_to.match
        while (skipped := match(text, position)) and skipped.end() < len(text):
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
        brackets: whether to count how deep brackets are nested.
    """

    def __init__(self, *, brackets: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._brackets = brackets
        self._scanner = MessageScanner(brackets=brackets)
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
                self._scanner = MessageScanner(brackets=self._brackets)
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
                message = json.loads(text)
                if not isinstance(message, dict):
                    raise ValueError("a message is not a JSON object")
                yield message


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent."""
    return json.dumps(message, separators=(",", ":")).encode()
