"""Python's representations do not appear in messages."""

from pathlib import Path

import isthmus


def test_messages_quote_values_without_repr() -> None:
    """`quoted` also makes control characters harmless, in one way everywhere."""
    package = Path(isthmus.__file__).parent
    found = [file.name for file in package.rglob("*.py") if "!r}" in file.read_text("utf-8")]
    assert found == []
