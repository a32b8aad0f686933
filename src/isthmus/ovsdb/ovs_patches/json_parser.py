"""A faster parser for the `ovs` package's JSON-RPC streams.

The package parses JSON character by character in Python unless its C extension was compiled
against OVS's own library, which the one from PyPI is not. That takes 85 % of the CPU time of a
start with 10,000 routes (docs/decisions/0008-json-stream.md). This parser only finds the end of a
message; the standard library parses it.
"""

import json
import re
from typing import Any

import ovs.json

from isthmus.model.bounds import SERVER_MESSAGE
from isthmus.model.text import failure_text
from isthmus.ovsdb.json_stream import MessageScanner

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Half of a character, maybe without the other half: then no UTF-8 text can contain the value."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class Parser(MessageScanner):
    """Has the interface of `ovs.json.Parser`: `feed` until `is_done`, then `finish`."""

    def __init__(self, check_trailer: bool = False) -> None:  # noqa: ARG002 - not needed here
        super().__init__()
        self._pieces: list[str] = []
        self._size = 0

    def feed(self, text: str) -> int:
        """Take a piece of the stream and keep it; how many characters belong to this message.

        Raises:
            BoundExceededError: the message is too long.
        """
        used = super().feed(text)
        self._size += used
        SERVER_MESSAGE.check(self._size)
        self._pieces.append(text[:used])
        return used

    def finish(self) -> Any:
        """The message, or what is wrong with it as text."""
        text = "".join(self._pieces)
        try:
            message = json.loads(text)
            if _SURROGATE.search(text):
                json.dumps(message, ensure_ascii=False).encode()
            return message
        except (ValueError, RecursionError) as error:
            return f"not JSON: {failure_text(error)}"


def install() -> None:
    """Make all connections of the `ovs` package use it; called by `isthmus.ovsdb.session`.

    This also replaces the package's encoder, which sorts all keys although no receiver needs that.
    """
    ovs.json.Parser = Parser
    ovs.json.to_string = _to_string


def _to_string(value: Any, pretty: bool = False, sort_keys: bool = True) -> str:
    """Has the interface of `ovs.json.to_string`."""
    if pretty:
        return json.dumps(value, indent=ovs.json.SPACES_PER_LEVEL, sort_keys=sort_keys)
    return _ENCODER.encode(value)
