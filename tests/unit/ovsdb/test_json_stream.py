"""Splitting a stream into JSON-RPC messages."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.ovsdb.json_stream import MessageDecoder, PieceSplitter, encode

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


def counted(text: str) -> tuple[int, int]:
    """Where a message ends, or 0, and how deep it nests, by looking at each character."""
    depth = deepest = 0
    quoted = escaped = False
    for position, character in enumerate(text, 1):
        if quoted:
            escaped, quoted = character == "\\" and not escaped, escaped or character != '"'
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
            if depth == 0:
                return position, deepest
    return 0, deepest


@given(
    st.lists(st.sampled_from(['"', "\\", "[", "]", "{", "}", ",", '"a"', "[]", '{"a":['])),
    st.lists(st.integers(1, 20)),
    st.integers(4, 12),
)
def test_the_end_and_the_depth_of_a_message_are_exact(
    parts: list[str], sizes: list[int], most: int
) -> None:
    """Passing over whole operations changes neither; the depth counts only beyond the limit."""
    text = "{" + "".join(parts)
    splitter, rest, length, depth, end = PieceSplitter(most), text.encode(), 0, 0, 0
    for size in [*sizes, len(text)]:
        for piece in splitter.feed(rest[:size]):
            length += len(piece.text)
            if not end:
                depth, end = max(depth, piece.depth), length if piece.ends else 0
        rest = rest[size:]
    expected_end, expected_depth = counted(text)
    assert end == expected_end
    assert (depth > most) == (expected_depth > most)
    assert depth <= most or depth == expected_depth


def test_a_message_that_is_nested_too_deeply_is_an_error() -> None:
    """It is a `ValueError` as for any other text that is not a message."""
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(ValueError, match="nested too deeply"):
        list(MessageDecoder().feed(deep))


def test_a_stream_of_something_else_is_an_error() -> None:
    """Neither a JSON array nor plain text is a message."""
    for wrong in (b"[1]", b"HTTP/1.1 400", b"{1}"):
        with pytest.raises(ValueError, match=r"."):
            list(MessageDecoder().feed(wrong))
