"""Names of labs and other networks that tests build, and the removal of those of dead test runs.

A name holds the id of the process that builds under it, so that runs beside each other do not
meet, and what a killed run left behind can be told from what is in use.
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
    """A name that nobody else has; whoever builds under it removes it with `Lab.down`."""
    return f"t{os.getpid()}-{next(_NUMBERS)}"


def remove_labs_of_the_dead() -> None:
    """Remove what test runs that were killed have built; without root there is nothing to do."""
    if os.geteuid() != 0:
        return
    for name in known(state_base()):
        owner = re.fullmatch(r"t(\d+)-\d+", name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            Lab.down(name)
