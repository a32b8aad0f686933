"""Tables and trees as plain text. Pure.

Called by everything that prints rows of values. Invariant: a value from outside stays in its cell
or label, because each is made printable before it is measured.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from isthmus.model.text import printable

Branch: TypeAlias = tuple[str, Sequence["Branch"]]
"""A label and what hangs below it."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A heading and one line for each row, in columns; no row is ever cut or wrapped."""
    cells = [tuple(map(printable, row)) for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def tree(branch: Branch) -> Iterator[str]:
    """One line for each label, indented below its parent."""
    label, children = branch
    yield printable(label)
    for number, child in enumerate(children, start=1):
        first, *rest = tree(child)
        last = number == len(children)
        yield ("└── " if last else "├── ") + first
        yield from (("    " if last else "│   ") + line for line in rest)
