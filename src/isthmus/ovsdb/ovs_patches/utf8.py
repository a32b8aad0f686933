"""Whole UTF-8 characters from streams that are cut anywhere.

The `ovs` package decodes each received chunk separately. A character whose bytes arrive in two
chunks breaks the connection, and breaks it again after each reconnection, since a server sends the
same contents in the same order. Contents with Chinese names trigger this soon.
"""

import codecs
import errno
from typing import Any

import ovs.jsonrpc


class WholeCharacters:
    """An `ovs.stream.Stream` whose `recv` returns only whole characters, and keeps the rest."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def recv(self, size: int) -> tuple[int, bytes]:
        """Read at most `size` bytes; (error, bytes) as from `ovs.stream.Stream.recv`."""
        error, data = self._stream.recv(size)
        if error or not data:
            return error, data
        try:
            text = self._decoder.decode(data)
        except UnicodeDecodeError:
            return errno.EILSEQ, b""
        return (0, text.encode()) if text else (errno.EAGAIN, b"")


class _WholeCharacterConnection(ovs.jsonrpc.Connection):
    def __init__(self, stream: Any) -> None:
        super().__init__(WholeCharacters(stream))


def install() -> None:
    """Make all connections of the `ovs` package use it; called by `isthmus.ovsdb.session`."""
    ovs.jsonrpc.Connection = _WholeCharacterConnection
