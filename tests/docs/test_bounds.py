"""The page of bounds: it has every bound, as the code applies it."""

from pathlib import Path

from isthmus.model.bounds import ALL, page_tables

PAGE = (Path(__file__).parents[2] / "docs/reference/bounds.md").read_text()


def test_the_page_lists_the_bounds_of_the_code() -> None:
    """`make bounds-page` writes it."""
    assert PAGE.endswith("\n" + page_tables())


def test_a_counter_belongs_to_one_bound() -> None:
    names = [bound.name for bound in ALL]
    assert len(set(names)) == len(names)
