"""Waiting for a state: never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

from isthmus_lab.errors import lab_error

T = TypeVar("T")

INTERVAL_S = 0.02
"""Between two looks: short against what is waited for, long against the cost of a look."""


def wait_until(
    look: Callable[[], T], limit_s: float, what: str, *, interval_s: float = INTERVAL_S
) -> T:
    """Look until something true is seen, and return it.

    Args:
        look: called again and again.
        limit_s: how long to go on; generous, as it is only reached when something is broken.
        what: what is waited for, for the message.
        interval_s: between two looks.

    Raises:
        LabError: it was not seen in time.
    """
    deadline = time.monotonic() + limit_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise lab_error(
                what, f"did not come about within {limit_s:g} s", "see `isthmus lab logs`"
            )
        time.sleep(interval_s)
    return found
