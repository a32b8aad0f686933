"""Sections of the document of results."""

from pathlib import Path

import pytest

from support.icdb import results as ic_results
from support.icdb.results import record, table


def test_a_run_replaces_its_own_section_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sections of other targets stay, and the earlier section of the same run is replaced."""
    monkeypatch.setattr(ic_results, "environment", lambda: "here")
    document = tmp_path / "RESULTS.md"
    document.write_text("# Results\n\nSome words.\n")
    for section, text in [("A", "one"), ("A b", "two"), ("C", "three"), ("A", "x\n\n### s\n\ny")]:
        record(section, "make it", text, document)
    record("C", "make it", "four", document)
    text = document.read_text()
    assert text.startswith("# Results\n\nSome words.\n\n## A\n\n`make it`, ")
    assert "### s\n\ny\n\n## A b\n" in text
    assert "\n\ntwo\n\n## C\n" in text
    assert text.endswith("here.\n\nfour\n")
    assert "one" not in text
    assert "three" not in text


def test_a_table() -> None:
    """A table has a header and a line per row."""
    assert table(["a", "b"], [(1, "x")]) == "| a | b |\n| --- | --- |\n| 1 | x |\n"
