"""Whole characters from streams that are cut anywhere.

The `ovs` package decodes UTF-8 anew with each reading of a connection: a character whose bytes
come in two readings breaks the connection, and again after each reconnection, since a server sends
the same contents in the same order. Contents with names in Chinese meet that soon.
"""

import errno
from typing import Any

import ovs.jsonrpc


class WholeCharacters:
    """A stream whose `recv` gives only whole characters; the rest waits for the next call.

    Args:
        stream: an `ovs.stream.Stream`; whatever else is asked of it is passed on.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._rest = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def recv(self, size: int) -> tuple[int, bytes]:
        """Read at most `size` bytes; (error, bytes) as `ovs.stream.Stream.recv` has it."""
        error, data = self._stream.recv(size)
        if error or not data:
            return error, data
        data = self._rest + data
        whole = len(data) - _begun(data)
        data, self._rest = data[:whole], data[whole:]
        return (0, data) if data else (errno.EAGAIN, b"")


def _begun(data: bytes) -> int:
    """How many bytes at the end belong to a character that is not complete (RFC 3629)."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < length else 0
    return 0


class _Connection(ovs.jsonrpc.Connection):
    def __init__(self, stream: Any) -> None:
        super().__init__(WholeCharacters(stream))


def install() -> None:
    """Have all connections of the `ovs` package read so; called by `isthmus.ovsdb.session`."""
    ovs.jsonrpc.Connection = _Connection
