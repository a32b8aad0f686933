"""Whole UTF-8 characters from streams that are cut anywhere, a bounded share in each turn.

The `ovs` package decodes each received chunk separately. A character whose bytes arrive in two
chunks breaks the connection, and breaks it again after each reconnection, since a server sends the
same contents in the same order. Contents with Chinese names trigger this soon. It also reads as
long as a server sends, so that a server that never stops would keep the process from all others.
"""

import codecs
import errno
from typing import Any

import ovs.jsonrpc

from isthmus.model.bounds import SERVER_READ


class WholeCharacters:
    """An `ovs.stream.Stream` whose `recv` returns only whole characters, and keeps the rest."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._taken = 0

    @property
    def has_share(self) -> bool:
        """Whether it may read more in this turn."""
        return self._taken < SERVER_READ.most

    def new_turn(self) -> None:
        """Grant the share of another turn."""
        self._taken = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def recv(self, size: int) -> tuple[int, bytes]:
        """Read at most `size` bytes; (error, bytes) as from `ovs.stream.Stream.recv`."""
        if not self.has_share:
            return errno.EAGAIN, b""
        error, data = self._stream.recv(size)
        if error or not data:
            return error, data
        self._taken += len(data)
        try:
            text = self._decoder.decode(data)
        except UnicodeDecodeError:
            return errno.EILSEQ, b""
        return (0, text.encode()) if text else (errno.EAGAIN, b"")


class _WholeCharacterConnection(ovs.jsonrpc.Connection):
    def __init__(self, stream: Any) -> None:
        super().__init__(WholeCharacters(stream))

    def run(self) -> None:
        """Send what is left to send. Called once in a turn, before what was received is read."""
        if not self.status:
            self.stream.new_turn()
        super().run()

    def recv_wait(self, poller: Any) -> None:
        """Wake for data, at once if some may be left of this turn."""
        if not self.status and not self.stream.has_share:
            poller.immediate_wake()
        super().recv_wait(poller)


def install() -> None:
    """Make all connections of the `ovs` package use it; called by `isthmus.ovsdb.session`."""
    ovs.jsonrpc.Connection = _WholeCharacterConnection
