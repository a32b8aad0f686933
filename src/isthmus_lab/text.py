"""How the lab prints: columns, and commands as the reader has to type them."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Rows under heads, each column as wide as its widest cell; nothing is ever cut.

    Args:
        heads: one per column.
        rows: as many cells each.
        indent: before every line.
    """
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    cells = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    return "\n".join(indent + line.rstrip() for line in cells)


def command(*words: str) -> str:
    """A command line of this program, the way it was called: by path or not, with sudo or not."""
    called = sys.argv[0]
    found = shutil.which("isthmus")
    if found is not None and Path(found).resolve() == Path(called).resolve():
        called = "isthmus"
    sudo = "sudo " if "SUDO_USER" in os.environ else ""
    return f"{sudo}{called} {' '.join(words)}"
