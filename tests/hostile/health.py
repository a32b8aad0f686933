"""What the processes of the fleet look like from outside: that they run, and their memory."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from isthmus_lab.system import processes

MOST_MIB = 512
"""What no process of Isthmus and no server of the IC databases may exceed at any time."""

FLAT_MIB, FLAT = 16.0, 0.1
"""By how much the memory may grow after the warm-up, in MiB or as a share, whichever is more."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A process; its start time, in clock ticks since boot, distinguishes a reused PID."""

    pid: int
    started: int
    name: str

    @property
    def measured(self) -> bool:
        """Whether it is one of Isthmus, or a server of the IC databases."""
        return "isthmus" in self.name or self.name.startswith("ic/")


@dataclass(slots=True)
class Health:
    """All processes of a lab at the start, and their memory since then.

    Attributes:
        samples: seconds and MiB, by process.
    """

    watched: Sequence[Watched]
    samples: dict[Watched, list[tuple[float, float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, lab: str) -> "Health":
        """The daemons of a lab and their children."""
        found = [p for p in processes.of_lab(lab) if p.daemon]
        return cls([Watched(p.pid, _started(p.pid), _name(p)) for p in found])

    def ended(self) -> list[str]:
        """The processes that have ended, also those that were started again."""
        return [one.name for one in self.watched if _started(one.pid) != one.started]

    def measure(self, now: float) -> None:
        """Take a sample of the memory."""
        page = os.sysconf("SC_PAGE_SIZE")
        for one in self.watched:
            if one.measured:
                with suppress(OSError):
                    pages = int(Path(f"/proc/{one.pid}/statm").read_text().split()[1])
                    self.samples.setdefault(one, []).append((now, pages * page / (1 << 20)))

    def largest(self) -> Mapping[str, float]:
        """The largest memory that each process has ever had, in MiB."""
        return {one.name: _largest(one.pid) for one in self.samples}

    def grown(self, warm: float, end: float) -> Mapping[str, tuple[float, float]]:
        """The median memory after the warm-up and at the end, in MiB, by process.

        Args:
            warm, end: seconds; a fifth of the time between them counts as after, or as the end.
        """
        part = (end - warm) / 5
        return {
            one.name: (
                _median(mib for at, mib in samples if warm <= at < warm + part),
                _median(mib for at, mib in samples if at >= end - part),
            )
            for one, samples in self.samples.items()
        }


def is_flat(first: float, last: float) -> bool:
    """Whether memory has not grown."""
    return last - first <= max(FLAT_MIB, FLAT * first)


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return median(found) if found else 0.0


def _started(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def _largest(pid: int) -> float:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return 0.0


def _name(process: processes.Process) -> str:
    """The daemon, and what the process is in it."""
    with suppress(OSError):
        words = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
        if "authz" in words:
            return f"{process.daemon} proxy"
        files = [Path(word).stem for word in words if word.endswith(".db")]
        if files:
            return f"{process.daemon} {files[0]}"
    return process.daemon
