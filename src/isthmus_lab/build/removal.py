"""Removes a lab: everything that bears its mark, and nothing else.

Called by `Lab` under the lab's lock. What is to be removed is looked for on the machine and not
read from a record, so a lab that was half made, half removed or killed is removed just as well.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from isthmus_lab.system import netns, processes
from isthmus_lab.system.processes import Process
from isthmus_lab.topology.layout import Layout


@dataclass(frozen=True, slots=True)
class Remains:
    """What there is of a lab.

    Args:
        processes: every process with its mark.
        namespaces: names of its network namespaces; its links are all within.
        directory: its directory, or "" if it has none or an empty one.
    """

    processes: tuple[Process, ...]
    namespaces: tuple[str, ...]
    directory: str

    def __bool__(self) -> bool:
        return bool(self.processes or self.namespaces or self.directory)


def find(layout: Layout) -> Remains:
    """What there is of a lab on this machine."""
    return Remains(
        processes=tuple(processes.of_lab(layout.lab)),
        namespaces=tuple(netns.of_lab(layout.lab)),
        directory=str(layout.root) if _has_files(layout) else "",
    )


def known(base: Path) -> list[str]:
    """The names of all labs with a directory or a namespace.

    Args:
        base: the directory of all labs.
    """
    names = {path.name for path in base.iterdir()} if base.is_dir() else set()
    return sorted(names | set(netns.labs()))


def remove(layout: Layout) -> Remains:
    """Remove a lab, and say what there was.

    The directory itself stays, empty: it carries the lock, whose holder removes it.
    """
    found = find(layout)
    while running := processes.of_lab(layout.lab):
        # A process may start another while we look, so look again until there is none.
        processes.stop(process.pid for process in running)
    if found.namespaces:
        batch = "".join(f"netns del {name}\n" for name in found.namespaces)
        processes.run(["ip", "-force", "-batch", "-"], stdin=batch)
    for path in layout.root.iterdir() if layout.root.exists() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return found


def _has_files(layout: Layout) -> bool:
    return layout.root.is_dir() and any(layout.root.iterdir())
