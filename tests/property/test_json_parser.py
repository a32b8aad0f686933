"""The parser of JSON-RPC streams against the standard library, on arbitrary pieces."""

import json

from hypothesis import given
from hypothesis import strategies as st

from isthmus.ovsdb.ovs_patches.json_parser import Parser

TEXT = st.text(alphabet=st.sampled_from('ab"\\{}[]:, \n\u00e9\u4e2d'), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXT, children, max_size=4),
    max_leaves=12,
)
MESSAGES = st.lists(st.dictionaries(TEXT, VALUES, max_size=4), min_size=1, max_size=4)


@given(MESSAGES, st.lists(st.integers(1, 9), min_size=1), st.booleans())
def test_messages_are_found_in_any_pieces(
    messages: list[dict[str, object]], sizes: list[int], ascii_only: bool
) -> None:
    """Each message is found whole, and no character of the next one is taken."""
    stream = "".join(json.dumps(message, ensure_ascii=ascii_only) for message in messages)
    found = []
    parser, turn = Parser(), 0
    while stream:
        piece = stream[: sizes[turn % len(sizes)]]
        turn += 1
        used = parser.feed(piece)
        stream = stream[used:]
        if parser.is_done():
            found.append(parser.finish())
            parser = Parser()
    assert found == messages


@given(st.sampled_from(["HTTP/1.1 400 Bad Request\r\n", "[1]", "}", "\x16\x03\x01"]))
def test_other_protocols_are_rejected_at_once(text: str) -> None:
    """A stream that does not begin with an object is done at its first character."""
    parser = Parser()
    parser.feed(text)
    assert parser.is_done()
    assert not isinstance(parser.finish(), dict)
