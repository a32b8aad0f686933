"""Changes of rows, as a replica reports them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from isthmus.model.rows import Row, RowId

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Change:
    """One row inserted (`old` is None), modified, or deleted (`new` is None).

    `joined` and `left` give, for each column of `Row.CHILDREN` that changed, the UUIDs of the
    rows that it gained and lost; for a deleted row, `left` holds all it had.
    """

    old: Row | None
    new: Row | None
    joined: Mapping[str, frozenset[RowId]] = field(default_factory=dict)
    left: Mapping[str, frozenset[RowId]] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        """The current row, or the last one if it was deleted."""
        row = self.new or self.old
        assert row is not None, "a change has at least one side"  # noqa: S101 - invariant
        return row

    @property
    def sides(self) -> tuple[Row, ...]:
        """The row before and after, as far as they exist: a changed key affects both."""
        return tuple(row for row in (self.old, self.new) if row is not None)

    def of(self, kind: type[R]) -> Iterator[R]:
        """The sides that are rows of one kind."""
        return (row for row in self.sides if isinstance(row, kind))
