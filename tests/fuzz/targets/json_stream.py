"""Streams of JSON-RPC messages, as servers and clients send them.

Promises: wherever a stream is cut, the same messages come out of it; what is not a message raises
`ValueError`; every reader finds the same messages; a message that is encoded is decoded as the
same; no message exceeds its limits.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from fuzz.promises import require
from isthmus.model.bounds import ZONE_DEPTH, ZONE_MESSAGE, ZONE_VALUES, Limit
from isthmus.ovsdb.json_stream import MessageDecoder, encode
from isthmus.ovsdb.jsonrpc_asyncio import MessageLimits, read_messages
from isthmus.ovsdb.ovs_patches.json_parser import Parser

_LIMITS = MessageLimits(Limit(ZONE_MESSAGE, 4096), Limit(ZONE_DEPTH, 16), Limit(ZONE_VALUES, 500))
WORDS = (
    "{",
    "}",
    "[",
    "]",
    '"',
    "\\",
    "\\u",
    "\\ud800",
    "NaN",
    "-Infinity",
    "1e999",
    "null",
    "true",
    '{"":',
)
"""Words that the fuzzer inserts."""

_LOOP = asyncio.new_event_loop()
_CUTS = (1, 7)
"""Bytes of the pieces in which a stream arrives."""


def run(data: bytes) -> None:
    """Read a stream as a whole and cut up, with all readers."""
    whole, valid = _decoded([data])
    for size in _CUTS:
        found, also_valid = _decoded(data[i : i + size] for i in range(0, len(data), size))
        require(valid == also_valid, f"the size of pieces, {size}, decides whether it is valid")
        # Of a piece that is not UTF-8, no character is decoded.
        require(found[: len(whole)] == whole, f"other messages in pieces of {size}")
        require(not valid or found == whole, f"more messages in pieces of {size}")
    for text in whole:
        message = json.loads(text)
        again, _ = _decoded([encode(message)])
        require(again == [text], f"{text} became {again}")
    if valid:
        by_idl = list(map(_dump, _parsed_by_idl(data)))
        require(by_idl == whole[: len(by_idl)], "the IDL gets other messages")
    limited = _LOOP.run_until_complete(_limited(data))
    require(limited == whole[: len(limited)], "other messages within limits")
    require(all(len(text) <= 2 * 4096 for text in limited), "a message exceeds its limit")


def _decoded(pieces: Iterable[bytes]) -> tuple[list[str], bool]:
    """The messages in canonical form, and whether the stream is valid so far."""
    decoder, found = MessageDecoder(), list[str]()
    try:
        for piece in pieces:
            found += map(_dump, decoder.feed(piece))
    except ValueError:
        return found, False
    return found, True


def _dump(message: Any) -> str:
    """A form that can be compared; not a number is not equal to itself."""
    return json.dumps(message)


def _parsed_by_idl(data: bytes) -> Iterable[Any]:
    """The messages as the `ovs` package gets them, up to the first that is invalid."""
    text = data.decode(errors="ignore")
    while text := text.lstrip():
        parser = Parser()
        text = text[parser.feed(text) :]
        if not parser.is_done():
            return
        message = parser.finish()
        if isinstance(message, str):
            return
        yield message


async def _limited(data: bytes) -> list[str]:
    """The messages as the authorizing proxy gets them, up to the first that is invalid."""
    reader, found = asyncio.StreamReader(), list[str]()
    reader.feed_data(data)
    reader.feed_eof()
    try:
        async for message in read_messages(reader, _LIMITS):
            found.append(_dump(message))
    except ValueError:
        pass
    return found
