"""Names of labs and networks that tests build, and the removal of those of killed test runs.

A name contains the PID of the process that builds under it, so that concurrent runs do not collide
and the remains of a killed run can be distinguished from those in use.
"""

import os
import re
from itertools import count
from pathlib import Path

from isthmus_lab.build.removal import known
from isthmus_lab.lab import Lab
from isthmus_lab.topology.layout import state_base

_NUMBERS = count()


def new_lab_name() -> str:
    """A unique name; the caller must remove what it builds under it with `Lab.down`."""
    return f"t{os.getpid()}-{next(_NUMBERS)}"


def remove_labs_of_the_dead() -> None:
    """Remove what killed test runs have built; does nothing without root."""
    if os.geteuid() != 0:
        return
    for name in known(state_base()):
        owner = re.fullmatch(r"t(\d+)-\d+", name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            Lab.down(name)
