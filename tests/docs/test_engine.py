"""The reference of the engine's counters: it lists every field with its meaning."""

import re
from inspect import getdoc
from pathlib import Path

import pytest

from isthmus.engine.report import EngineReport, ReconcilerReport

PAGE = (Path(__file__).parents[2] / "docs/reference/engine.md").read_text()


@pytest.mark.parametrize("kind", [EngineReport, ReconcilerReport])
def test_all_fields_are_listed(kind: type) -> None:
    """A table has each documented field, with the meaning from the docstring."""
    documented = (getdoc(kind) or "").partition("Args:\n")[2]
    fields = re.findall(r"^    (\w+): ((?:.|\n {8})*)", documented, re.MULTILINE)
    table = [f"| `{name}` | {' '.join(text.split()).rstrip('.')} |" for name, text in fields]
    assert len(table) == len(kind.__annotations__)
    assert "| field | meaning |\n|---|---|\n" + "\n".join(table) + "\n\n" in PAGE
