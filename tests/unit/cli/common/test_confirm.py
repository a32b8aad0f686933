"""The confirmation of verbs that remove or replace something."""

import pytest
import typer

from isthmus.cli.common.confirm import confirmed
from isthmus.cli.common.errors import CommandError


def ask(*, yes: bool = False, dry_run: bool = False) -> bool:
    return confirmed("zone az2", "pruning ends all exchange", "check it", yes=yes, dry_run=dry_run)


def terminal(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", lambda _question: answer)


def test_yes_needs_no_question() -> None:
    """--yes proceeds, unless --dry-run is given too."""
    assert ask(yes=True)
    assert not ask(yes=True, dry_run=True)


def test_without_a_terminal_yes_is_required() -> None:
    """A script that does not give --yes gets an error that says that nothing was changed."""
    with pytest.raises(CommandError) as caught:
        ask()
    assert str(caught.value) == (
        "zone az2: --yes: is not given, and pruning ends all exchange; nothing was changed;"
        " check it, then give --yes"
    )


def test_on_a_terminal_the_operator_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer decides; after "no" the exit status is 1."""
    terminal(monkeypatch, answer=True)
    assert ask()
    terminal(monkeypatch, answer=False)
    with pytest.raises(typer.Exit) as ended:
        ask()
    assert ended.value.exit_code == 1
    assert capsys.readouterr().out == "nothing was changed\n"
