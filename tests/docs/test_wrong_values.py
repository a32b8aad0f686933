"""The table of wrong values in the configuration reference is the list that the lab tries."""

import re
from pathlib import Path

import pytest

from isthmus.controller.config.configmap import KEYS
from support.lab.wrong_values import WRONG_VALUES, batches, table

REFERENCE = Path(__file__).parents[2] / "docs/reference"
MARKS = r"<!-- wrong values -->\n+.*?\|\n\|[-|]+\|\n(.*?)<!-- end -->"


def rows(page: str) -> list[tuple[str, ...]]:
    """The rows of the table of a page."""
    (table,) = re.findall(MARKS, (REFERENCE / page).read_text(encoding="utf-8"), re.DOTALL)
    return [tuple(line.strip("| ").split(" | ")) for line in table.splitlines()]


def test_the_table_is_the_list_that_the_lab_tries() -> None:
    """Each value is in a row, with what happens, the reason and the packets that are lost."""
    assert rows("configuration.md") == table()


@pytest.mark.parametrize("column", [0, 3])
def test_the_chinese_table_has_the_same_rows(column: int) -> None:
    """Its keys and reasons are those of the English table."""
    found = [row[column] for row in rows("configuration.zh-CN.md")]
    assert found == [row[column] for row in table()]


def test_every_key_has_wrong_values() -> None:
    """No key of the ConfigMap is left out, and every value is in one batch of the lab."""
    assert {wrong.key for wrong in WRONG_VALUES if not wrong.subnet} >= set(KEYS)
    tried = [wrong for batch in batches() for wrong in batch]
    assert len(tried) == len(WRONG_VALUES) == len({(w.cells, w.kind) for w in WRONG_VALUES})
