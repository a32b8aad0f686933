"""Records the results of long runs against the IC databases, one section each in one document.

Called by `make test-icdb-orders` and similar targets. A run replaces its own section, so the
document has the last run of each; older ones are in git.
"""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from support.ovn.servers import INSTALLATION, run_program

RESULTS = Path(__file__).parents[2] / "icdb/RESULTS.md"


def record(section: str, command: str, text: str, document: Path = RESULTS) -> None:
    """Replace a section of the document, or add it at the end.

    Args:
        section: its heading; the same at each run.
        command: what was run.
        text: Markdown: what was done, and the figures; no headings of the first two levels.
        document: the document, which exists.
    """
    now = datetime.now(UTC)
    head = f"`{command}`, {now:%Y-%m-%d %H:%M} UTC, {environment()}."
    whole = f"## {section}\n\n{head}\n\n{text.strip()}\n"
    before = document.read_text(encoding="utf-8")
    # Up to the next heading of the same level, or the end.
    old = re.compile(rf"^## {re.escape(section)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    match = old.search(before)
    if match is None:
        after = f"{before.rstrip()}\n\n{whole}"
    else:
        rest = before[match.end() :]
        after = before[: match.start()] + whole + (f"\n{rest}" if rest else "")
    # In place, so that the document keeps its owner if root runs this.
    document.write_text(after, encoding="utf-8")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def environment() -> str:
    """The versions of OVN and its server, and the machine."""
    server = run_program(INSTALLATION, "ovsdb-server", "--version").splitlines()[0].split()[-1]
    machine = f"{platform.machine()} with {os.cpu_count()} processors"
    return f"OVN {INSTALLATION.version()}, ovsdb-server {server}, {machine}"
