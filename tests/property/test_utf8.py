"""UTF-8 characters that are cut between two chunks."""

import errno

from hypothesis import given
from hypothesis import strategies as st

from isthmus.ovsdb.ovs_patches.utf8 import WholeCharacters


class Pieces:
    """A stream that returns one chunk per call, then EAGAIN."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes, self.name = data, sizes, "pieces"

    def recv(self, _size: int) -> tuple[int, bytes]:
        """The next chunk."""
        if not self._data:
            return errno.EAGAIN, b""
        size = self._sizes[0]
        self._sizes = [*self._sizes[1:], size]
        piece, self._data = self._data[:size], self._data[size:]
        return 0, piece


@given(st.text(alphabet="aé中𝄞", max_size=40), st.lists(st.integers(1, 7), min_size=1))
def test_every_reading_can_be_decoded_alone(text: str, sizes: list[int]) -> None:
    """For any chunks, each reading returns whole characters, and together they are the text."""
    data = text.encode()
    stream = WholeCharacters(Pieces(data, sizes))
    found = ""
    for _ in range(len(data) + 1):
        error, piece = stream.recv(4096)
        assert error in {0, errno.EAGAIN}
        found += piece.decode()
    assert found == text
    assert stream.name == "pieces"
