"""Changes of DER that keep its form, so that certificates still are certificates (X.690)."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

_CONSTRUCTED, _OCTETS = 0x20, 0x04
_STRINGS = (0x0C, 0x13, 0x14, 0x16, 0x1C, 0x1E)
"""Tags of texts: UTF-8, printable, Teletex, IA5, universal, BMP."""

_ODD = (
    b"", b"\x00", b"\xff", b"az1\x00az2", b"\x1b[2J", "\u202e".encode(), b"member", b"operator",
    b"isthmus", b"zone", b"\n", b"*", b"a" * 70, b"\x00a\x00b", b"9" * 20, b"20991231235959Z",
)  # fmt: skip


@dataclass(slots=True)
class Element:
    """A tag with contents: bytes, or elements."""

    tag: int
    content: bytes = b""
    parts: list["Element"] = field(default_factory=list)

    @classmethod
    def read_all(cls, data: bytes) -> list[Self]:
        """The elements in a text; ValueError if it is anything else."""
        found, position = [], 0
        while position < len(data):
            tag, start, end = _head(data, position)
            content = data[start:end]
            parts: list[Self] = []
            if tag & _CONSTRUCTED or tag == _OCTETS:
                try:
                    parts = cls.read_all(content)
                except ValueError:
                    parts = []
            found.append(cls(tag, content, list(parts)))
            position = end
        return found

    def encoded(self) -> bytes:
        """The text of it."""
        content = b"".join(part.encoded() for part in self.parts) if self.parts else self.content
        return bytes([self.tag]) + _length(len(content)) + content


def _head(data: bytes, position: int) -> tuple[int, int, int]:
    """The tag at a position, and where its contents begin and end."""
    if len(data) < position + 2:
        raise ValueError("cut")
    tag, size, start = data[position], data[position + 1], position + 2
    if size >= 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[start : start + count]), start + count
    if start + size > len(data):
        raise ValueError("cut")
    return tag, start, start + size


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([0x80 | len(digits)]) + digits


def mutate_der(data: bytes, longest: int, seed: int) -> bytes:
    """Other elements, with one to three differences; errors as `Element.read_all` raises them."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    elements = Element.read_all(data)
    for _ in range(chance.randint(1, 3)):
        _change(elements, chance)
    made = b"".join(element.encoded() for element in elements)
    return made if len(made) <= longest else data[:longest]


def _change(elements: list[Element], chance: random.Random) -> None:
    places = list(_places(elements))
    if not places:
        return
    siblings, index = chance.choice(places)
    element = siblings[index]
    others, other = chance.choice(places)
    kind = chance.randrange(6)
    if kind == 0:
        siblings[index] = others[other]
    elif kind == 1:
        siblings.insert(index, others[other])
    elif kind == 2:
        del siblings[index]
    elif kind == 3:
        tag = chance.choice((*_STRINGS, element.tag ^ 1 << chance.randrange(8)))
        siblings[index] = Element(tag, element.content, element.parts)
    elif kind == 4:
        siblings[index] = Element(element.tag, chance.choice(_ODD))
    elif element.content:
        cut = chance.randrange(len(element.content))
        odd = bytes([chance.randrange(256)])
        content = element.content[:cut] + odd + element.content[cut + 1 :]
        siblings[index] = Element(element.tag, content)


def _places(elements: list[Element]) -> Iterator[tuple[list[Element], int]]:
    for index, element in enumerate(elements):
        yield elements, index
        yield from _places(element.parts)
