"""The console of verbs, on narrow terminals and through pipes."""

import pytest
from rich.table import Table

from isthmus.cli.common.output import console

CELLS = (
    "ic-database-member-1.example.org (here)",
    "d54e",
    "unreachable",
    "Dec 20 10:00:00 2026 GMT",
)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"COLUMNS": "40"},
        {"FORCE_COLOR": "1", "COLUMNS": "40"},
        {"FORCE_COLOR": "1", "TERM": "dumb"},
    ],
)
def test_a_table_is_never_cut(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At any width of the terminal, each row is one line with all of its cells."""
    for name in ("COLUMNS", "TERM", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    table = Table(title="members", title_justify="left", box=None, pad_edge=False)
    for heading in ("MEMBER", "SID", "ROLE", "CERTIFICATE UNTIL"):
        table.add_column(heading, no_wrap=True)
    table.add_column("RULE")
    rule = "a sentence that says why something was refused " * 3
    table.add_row(*CELLS, rule.strip())
    console().print(table)
    _, _, row = capsys.readouterr().out.rstrip().splitlines()
    assert all(cell in row for cell in (*CELLS, rule.strip()))


def test_text_is_printed_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets stay, line feeds stay, and all other control characters become escapes."""
    console().print("[bold]a\x1b[2J\nb\r")
    assert capsys.readouterr().out == "[bold]a\\x1b[2J\nb\\r\n"
