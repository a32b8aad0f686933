"""OVSDB's JSON-RPC (RFC 7047, section 4) on asyncio streams.

Used by the authorizing proxy, and by members of the IC databases to ask each other.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from isthmus.ovsdb.json_stream import PieceSplitter, encode
from isthmus.ovsdb.jsonrpc import request, result_of

_READ_SIZE = 1 << 16

LARGE = 1 << 20
"""Characters from which on a message is large, see `read_messages`."""


async def call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, *params: Any
) -> Any:
    """The result of one request on an asyncio connection; the first that is made on it.

    Raises:
        OSError: the connection broke.
        EOFError: it was closed before the reply.
        ValueError: what came is not JSON-RPC.
        RpcError: the server refused the request.
    """
    writer.write(encode(request(method, *params)))
    async with aclosing(read_messages(reader)) as messages:
        async for message in messages:
            if not isinstance(message, dict):
                raise ValueError("a message is not a JSON object")
            if message.get("id") == method and not message.get("method"):
                return result_of(message)
    raise EOFError("the connection was closed without a reply")


async def read_pieces(reader: asyncio.StreamReader) -> AsyncGenerator[tuple[str, bool], None]:
    """The pieces of a stream as they arrive, see `PieceSplitter.feed`.

    Raises:
        ValueError: the stream is not UTF-8.
    """
    splitter = PieceSplitter()
    while data := await reader.read(_READ_SIZE):
        for piece in splitter.feed(data):
            yield piece


async def read_messages(
    reader: asyncio.StreamReader, limit: int | None = None, large: asyncio.Semaphore | None = None
) -> AsyncGenerator[Any, None]:
    """The messages of a stream.

    Args:
        reader: the stream.
        limit: the most characters that a message may have.
        large: held while a message of more than `LARGE` characters is read and processed.

    Raises:
        ValueError: the stream is not JSON, or a message exceeds the limit.
    """
    parts, size, held = list[str](), 0, False
    try:
        async with aclosing(read_pieces(reader)) as stream:
            async for piece, ends in stream:
                parts.append(piece)
                size += len(piece)
                if size > LARGE and large is not None and not held:
                    held = await large.acquire()
                if limit is not None and size > limit:
                    raise ValueError(f"a message is longer than {limit} characters")
                if ends:
                    text, parts, size = "".join(parts), [], 0
                    yield json.loads(text)
                    if held and large is not None:
                        large.release()
                        held = False
    finally:
        if held and large is not None:
            large.release()
