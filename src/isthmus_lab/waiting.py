"""Wait for a state, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

from isthmus_lab.errors import lab_error

T = TypeVar("T")

INTERVAL_S = 0.02
"""Time between two checks: short compared to the wait, long compared to a check."""


def wait_until(
    check: Callable[[], T], limit_s: float, what: str, *, interval_s: float = INTERVAL_S
) -> T:
    """Call a function until it returns a true value, and return that.

    Args:
        check: the function.
        limit_s: how long to wait; generous, as it only matters when something is broken.
        what: the expected state, for the message.
        interval_s: time between two calls.

    Raises:
        LabError: the time limit was exceeded.
    """
    deadline = time.monotonic() + limit_s
    while not (found := check()):
        if time.monotonic() > deadline:
            raise lab_error(what, f"not reached within {limit_s:g} s", "see `isthmus lab logs`")
        time.sleep(interval_s)
    return found
