"""OVSDB's JSON-RPC (RFC 7047, section 4) on asyncio streams.

Used by the authorizing proxy, and by members of the IC databases to ask each other.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from isthmus.model.bounds import SERVER_ANSWER, SERVER_MESSAGE, Bound, Limit
from isthmus.ovsdb.json_stream import Piece, PieceSplitter, encode, parse
from isthmus.ovsdb.jsonrpc import request, result_of

_READ_SIZE, _PORTION = 1 << 16, 1 << 14

LARGE = 1 << 18
"""Characters from which on a message is large, see `read_messages`."""


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """What one message may have: characters, nested brackets, and values."""

    size: Limit
    depth: Limit
    values: Limit


async def call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, *params: Any
) -> Any:
    """The result of one request on an asyncio connection; the first that is made on it.

    The caller limits the time.

    Raises:
        OSError: the connection broke.
        EOFError: it was closed before the reply.
        ValueError: what came is not JSON-RPC, or exceeds `SERVER_ANSWER`.
        RpcError: the server refused the request.
    """
    writer.write(encode(request(method, *params)))
    async with aclosing(read_messages(reader, SERVER_ANSWER)) as messages:
        async for message in messages:
            if message.get("id") == method and not message.get("method"):
                return result_of(message)
    raise EOFError("the connection was closed without a reply")


async def read_pieces(
    reader: asyncio.StreamReader, turn: asyncio.Lock | None = None, most: int = -1
) -> AsyncGenerator[Piece, None]:
    """The pieces of a stream as they arrive.

    Args:
        reader: the stream.
        turn: streams that share one are read in turns and in small portions, so that all of them
            take as much time as one.
        most: how deep brackets may be nested, see `MessageScanner`.

    Raises:
        ValueError: the stream is not UTF-8.
    """
    splitter = PieceSplitter(most)
    while data := await reader.read(_READ_SIZE if turn is None else _PORTION):
        if turn is not None:
            async with turn:
                await asyncio.sleep(0)
        for piece in splitter.feed(data):
            yield piece


async def read_messages(
    reader: asyncio.StreamReader,
    limits: MessageLimits | Bound = SERVER_MESSAGE,
    large: asyncio.Semaphore | None = None,
    pace: Callable[[int, int], Awaitable[None]] | None = None,
    turn: asyncio.Lock | None = None,
) -> AsyncGenerator[dict[str, Any], None]:
    """The messages of a stream.

    Args:
        reader: the stream.
        limits: what a message may have, or how many characters; no message is parsed that exceeds
            them.
        large: held while a message of more than `LARGE` characters is read and processed.
        pace: awaited with the characters of each piece, and how many messages it ends, before the
            next one is read; also for a message that is never parsed.
        turn: that of `read_pieces`, for a stream with limits.

    Raises:
        BoundExceededError: a message exceeds a limit.
        ValueError: the stream does not consist of JSON objects.
    """
    message, held = _Message(limits), False
    turn = None if isinstance(limits, Bound) else turn or asyncio.Lock()
    try:
        depth = -1 if isinstance(limits, Bound) else limits.depth.most
        async with aclosing(read_pieces(reader, turn, depth)) as stream:
            async for piece in stream:
                if pace is not None:
                    await pace(len(piece.text), int(piece.ends))
                message.add(piece)
                if message.size > LARGE and large is not None and not held:
                    held = await large.acquire()
                if piece.ends:
                    text, message = "".join(message.parts), _Message(limits)
                    yield parse(text)
                    if held and large is not None:
                        large.release()
                        held = False
    finally:
        if held and large is not None:
            large.release()


class _Message:
    """The part of a message that has arrived."""

    def __init__(self, limits: MessageLimits | Bound) -> None:
        self.parts = list[str]()
        self.size = 0
        self._values = 0
        self._limits = limits

    def add(self, piece: Piece) -> None:
        """Take the next piece.

        Raises:
            BoundExceededError: the message has too much of something.
        """
        self.parts.append(piece.text)
        self.size += len(piece.text)
        if isinstance(self._limits, Bound):
            self._limits.check(self.size)
            return
        self._limits.size.check(self.size)
        self._limits.depth.check(piece.depth)
        # A value begins after a comma or an opening bracket. Those in strings count as well.
        self._values += sum(map(piece.text.count, ",[{"))
        self._limits.values.check(self._values)
