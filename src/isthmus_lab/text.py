"""Text for the terminal: tables, and commands that the user can copy."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """A table whose columns are as wide as their widest cells, without truncation.

    Args:
        heads: titles of the columns.
        rows: cells, as many as there are columns.
        indent: prefix of every line.
    """
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    cells = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    return "\n".join(indent + line.rstrip() for line in cells)


def command(*words: str) -> str:
    """A command line of this program, with the path and sudo with which it was called."""
    called = sys.argv[0]
    found = shutil.which("isthmus")
    if found is not None and Path(found).resolve() == Path(called).resolve():
        called = "isthmus"
    sudo = "sudo " if "SUDO_USER" in os.environ else ""
    return f"{sudo}{called} {' '.join(words)}"
