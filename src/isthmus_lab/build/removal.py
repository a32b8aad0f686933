"""Remove a lab: all processes, namespaces and files with its name, and nothing else.

Called by `Lab` while it holds the lock of the lab. Searches the machine instead of a record, so
that labs that were partly built, partly removed or killed are removed too.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus_lab.system import netns, processes
from isthmus_lab.system.processes import Process
from isthmus_lab.topology.layout import Layout


@dataclass(frozen=True, slots=True)
class Remains:
    """What exists of a lab.

    Args:
        processes: all processes with its environment variable.
        namespaces: names of its network namespaces, which contain all its links.
        files: the contents of its directory.
    """

    processes: Sequence[Process] = ()
    namespaces: Sequence[str] = ()
    files: Sequence[Path] = ()

    def __bool__(self) -> bool:
        return bool(self.processes or self.namespaces or self.files)


def find(layout: Layout) -> Remains:
    """Find what exists of a lab on this machine."""
    files = list(layout.root.iterdir()) if layout.root.is_dir() else []
    return Remains(processes.of_lab(layout.lab), netns.of_lab(layout.lab), files)


def known(base: Path) -> list[str]:
    """The names of all labs that have a directory or a namespace.

    Args:
        base: the directory of all labs.
    """
    names = {path.name for path in base.iterdir()} if base.is_dir() else set()
    return sorted(names | set(netns.labs()))


def remove(layout: Layout) -> Remains:
    """Remove a lab and return what existed.

    Keeps the empty directory, which has the lock; the holder of the lock removes it.
    """
    found = find(layout)
    while running := processes.of_lab(layout.lab):
        # A process may start another one meanwhile, so repeat until there is none.
        processes.stop(process.pid for process in running)
    if found.namespaces:
        batch = "".join(f"netns del {name}\n" for name in found.namespaces)
        processes.run(["ip", "-force", "-batch", "-"], stdin=batch)
    for path in layout.root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return found
