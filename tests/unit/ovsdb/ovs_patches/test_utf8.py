"""The package's connection with a character that is cut between two chunks."""

import errno
import json
from typing import Any

import ovs.jsonrpc

import isthmus.ovsdb.session  # noqa: F401 - it installs what is tested


class Trickle:
    """A stream that returns one byte every other time, and EAGAIN in between."""

    name = "trickle"

    def __init__(self, data: bytes) -> None:
        self._data, self._pause = data, False

    def recv(self, _size: int) -> tuple[int, bytes]:
        """A byte or EAGAIN, in turns."""
        self._pause = not self._pause
        if self._pause or not self._data:
            return errno.EAGAIN, b""
        byte, self._data = self._data[:1], self._data[1:]
        return 0, byte


def test_a_character_in_two_readings_does_not_break_a_connection() -> None:
    """A notification with Chinese text arrives byte by byte."""
    message = {"id": None, "method": "update", "params": ["集群互联 é 𝄞"]}
    data = json.dumps(message, ensure_ascii=False).encode()
    connection = ovs.jsonrpc.Connection(Trickle(data))
    found: Any = None
    for _ in range(2 * len(data) + 2):
        error, found = connection.recv()
        if found is not None:
            break
        assert error == errno.EAGAIN
    assert found is not None
    assert found.params == message["params"]
