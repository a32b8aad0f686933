"""Text for the terminal: tables, and commands that the user can copy."""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from isthmus.inspect.layout import table


def columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An indented table without truncation."""
    return "\n".join(f"  {line}" for line in table(heads, rows))


def command(*words: str) -> str:
    """A command line of this program, with the path and sudo with which it was called."""
    called = sys.argv[0]
    found = shutil.which("isthmus")
    if found is not None and Path(found).resolve() == Path(called).resolve():
        called = "isthmus"
    sudo = "sudo " if "SUDO_USER" in os.environ else ""
    return f"{sudo}{called} {' '.join(words)}"
