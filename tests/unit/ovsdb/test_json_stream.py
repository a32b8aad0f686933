"""Splitting a stream into JSON-RPC messages."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.ovsdb.json_stream import MessageDecoder, encode

MESSAGES: list[dict[str, Any]] = [
    {"id": 1, "result": ["ä}{", '\\"']},
    {"method": "echo", "params": [], "id": "echo"},
    {},
]


@given(st.lists(st.integers(1, 20)))
def test_messages_are_found_however_the_stream_is_cut(sizes: list[int]) -> None:
    """Each message is returned once, also if a character or an escape is cut in two."""
    stream = "\n".join(encode(message).decode() for message in MESSAGES).encode()
    decoder = MessageDecoder()
    received: list[dict[str, Any]] = []
    for size in [*sizes, len(stream)]:
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    assert received == MESSAGES


def test_a_stream_of_something_else_is_an_error() -> None:
    """Neither a JSON array nor plain text is a message."""
    for wrong in (b"[1]", b"HTTP/1.1 400", b"{1}"):
        with pytest.raises(ValueError, match=r"."):
            list(MessageDecoder().feed(wrong))
