"""The lab's console."""

import pytest

from isthmus_lab.console import SafeConsole


def test_text_is_printed_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets stay, line feeds stay, and all other control characters become escapes."""
    SafeConsole().print("[bold]a\x1b[2J\nb\r")
    assert capsys.readouterr().out == "[bold]a\\x1b[2J\nb\\r\n"
