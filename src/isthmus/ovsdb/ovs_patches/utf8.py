"""Whole UTF-8 characters from streams that are cut anywhere.

The `ovs` package decodes each received chunk separately. A character whose bytes arrive in two
chunks breaks the connection, and breaks it again after each reconnection, since a server sends the
same contents in the same order. Contents with Chinese names trigger this soon.
"""

import errno
from typing import Any

import ovs.jsonrpc


class WholeCharacters:
    """A stream whose `recv` returns only whole characters; the rest waits for the next call.

    Args:
        stream: an `ovs.stream.Stream`; all other attributes are its own.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._rest = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def recv(self, size: int) -> tuple[int, bytes]:
        """Read at most `size` bytes; (error, bytes) as from `ovs.stream.Stream.recv`."""
        error, data = self._stream.recv(size)
        if error or not data:
            return error, data
        data = self._rest + data
        whole = len(data) - _incomplete(data)
        data, self._rest = data[:whole], data[whole:]
        return (0, data) if data else (errno.EAGAIN, b"")


def _incomplete(data: bytes) -> int:
    """The number of bytes at the end that belong to an incomplete character (RFC 3629)."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < length else 0
    return 0


class _WholeCharacterConnection(ovs.jsonrpc.Connection):
    def __init__(self, stream: Any) -> None:
        super().__init__(WholeCharacters(stream))


def install() -> None:
    """Make all connections of the `ovs` package use it; called by `isthmus.ovsdb.session`."""
    ovs.jsonrpc.Connection = _WholeCharacterConnection
