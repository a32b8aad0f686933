"""The status reference: it lists every reason with its severity and meaning."""

import re
from pathlib import Path

from isthmus.model.reasons import ConditionReason, Reason

DIRECTORY = Path(__file__).parents[2] / "docs/reference"
PAGE = (DIRECTORY / "status.md").read_text()


def rows(heading: str) -> list[tuple[str, str, str]]:
    """The rows of the first table with this header row, as three cells each."""
    table = PAGE.partition(f"{heading}\n|---|---|---|\n")[2].partition("\n\n")[0]
    found = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", table, re.MULTILINE)
    assert len(found) == len(table.splitlines())
    return found


def test_all_reasons_of_problems_are_listed() -> None:
    """The table has every reason in the order of urgency, with its severity and meaning."""
    expected = [(str(reason), str(reason.severity), reason.meaning) for reason in Reason]
    assert rows("| reason | severity | meaning |") == expected


def test_all_reasons_of_conditions_are_listed() -> None:
    """The table has every reason that no problem explains, with its meaning."""
    listed = [(reason, meaning) for reason, _, meaning in rows("| reason | condition | meaning |")]
    assert listed == [(str(reason), reason.meaning) for reason in ConditionReason]


def test_the_translation_lists_the_same_reasons() -> None:
    """Reasons and severities are the same in both languages, in the same order."""
    cells = re.compile(r"^\| `(\w+)` \| (?:(error|warning|info) \|)?", re.MULTILINE)
    assert cells.findall((DIRECTORY / "status.zh-CN.md").read_text()) == cells.findall(PAGE)
