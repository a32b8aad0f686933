"""Pass a server's answers on to a client while the proxy writes messages of its own in between.

Used by `session`. Invariant: the client receives whole messages, and no answer is kept in memory.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc_asyncio import read_pieces

SHORT = 256
"""Characters below which a message may be an answer to the proxy's own `echo`."""


async def relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    between: asyncio.Lock,
    is_own: Callable[[str], bool],
    drain: Callable[[], Awaitable[None]],
) -> None:
    """Pass a stream on until it ends, no faster than the receiver accepts it.

    Args:
        reader, writer: from where to where.
        between: held within a message; a task that holds it may write a message of its own.
        is_own: whether a message of less than `SHORT` characters must not be passed on.
        drain: waits until the receiver accepts more.
    """
    began, piece = False, ""
    async with aclosing(read_pieces(reader)) as stream:
        async for more in stream:
            ends = more.ends
            piece += more.text
            if not began and not ends and len(piece) < SHORT:
                continue  # still short enough for a message that must not be passed on
            if not began and ends and len(piece) < SHORT and is_own(piece):
                piece = ""
                continue
            if not began:
                await between.acquire()
            writer.write(piece.encode())
            piece = ""
            began = not ends
            if ends:
                between.release()
            await drain()


class ServerBarrier:
    """Waits until a server has no unsent answers for a client, by an `echo` of the proxy's own.

    A server reads no further request while the client does not accept its answers. Without the
    barrier, a client could delay a transaction until long after it was authorized.
    """

    def __init__(self, server: asyncio.StreamWriter) -> None:
        self._server = server
        self._mark = ""
        self._reached = asyncio.Event()

    async def wait(self) -> None:
        """Return when the server reads the client's next request at once."""
        # Random, so that the client cannot pretend to be the server's answer.
        self._mark = secrets.token_hex(16)
        self._reached.clear()
        self._server.write(encode({"method": "echo", "params": [], "id": self._mark}))
        await self._server.drain()
        await self._reached.wait()

    def is_answer(self, text: str) -> bool:
        """Whether a message is the server's answer to the `echo`."""
        if not self._mark or self._mark not in text:
            return False
        self._mark = ""
        self._reached.set()
        return True
