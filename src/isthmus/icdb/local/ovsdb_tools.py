"""`ovsdb-tool` as a function, and what it needs: running OVS's programs, comparing versions.

Used by all of `icdb`. OVS's own programs know the file formats and speak TLS; none of that is
reimplemented.
"""

import subprocess
import tempfile
from pathlib import PurePath

from isthmus.icdb.errors import IcDbError
from isthmus.model.problems import Subject
from isthmus.model.text import foreign_line

_PREFIXES = ("ovsdb-client: ", "ovsdb-tool: ")


class ToolError(Exception):
    """A program failed; the text is the last line of its error output."""


def ovsdb_tool(*arguments: str | PurePath) -> str:
    """Run `ovsdb-tool`, and return its output without white space around it.

    Raises:
        ToolError: it failed.
        IcDbError: it is not installed.
    """
    done = run_program("ovsdb-tool", "-vconsole:warn", *map(str, arguments))
    if done.returncode:
        raise ToolError(last_error(done))
    return done.stdout.decode(errors="replace").strip()


def run_program(*command: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run one of OVS's programs to its end.

    Raises:
        IcDbError: it is not installed.
    """
    try:
        # A file, since programs may seek in their input.
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            return subprocess.run(command, stdin=file, capture_output=True, check=False)
    except FileNotFoundError as error:
        remedy = "install Open vSwitch (on Debian: apt-get install openvswitch-common)"
        problem = Subject(f"program {command[0]}").problem("is not on PATH", remedy)
        raise IcDbError(problem) from error


def last_error(done: "subprocess.CompletedProcess[bytes]") -> str:
    """The last error that a failed program printed, without the program's name."""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    own_lines = [line for line in lines if line.startswith(_PREFIXES)]
    [last] = (own_lines or lines)[-1:] or [f"exit status {done.returncode}"]
    for prefix in _PREFIXES:
        last = last.removeprefix(prefix)
    return foreign_line(last.removesuffix(":"))  # the lines that follow a colon quote the request


def is_older(version: str, other: str) -> bool:
    """Whether a schema's version, such as "1.1.1", precedes another."""
    return _parts(version) < _parts(other)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
