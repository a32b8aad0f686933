"""One at a time: a lab is made, changed and removed under a lock on its directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from isthmus_lab.errors import lab_error
from isthmus_lab.topology.layout import Layout
from isthmus_lab.waiting import wait_until

_LIMIT_S = 60.0
"""How long to wait for whoever is at it: longer than making a lab takes."""


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold the lab's lock; its directory exists meanwhile, and goes if it is empty at the end.

    A child between fork and exec still holds the lock of a starter that was killed, so whoever
    gets the lock can be sure that every process of the lab bears its mark by now.

    Raises:
        LabError: somebody else holds it for too long.
    """
    descriptor = wait_until(
        lambda: _try(layout), _LIMIT_S, f"the lock of the lab {layout.lab}", interval_s=0.1
    )
    try:
        yield
    finally:
        with suppress(OSError):
            layout.root.rmdir()
            layout.base.rmdir()
        os.close(descriptor)


def _try(layout: Layout) -> int:
    """The descriptor that holds the lock, or 0."""
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        # Its last holder removed it a moment ago.
        return 0
    except OSError as error:
        raise lab_error(
            f"lab {layout.lab}",
            f"its directory cannot be made: {error}",
            "choose another with --state or ISTHMUS_LAB_STATE",
            key="directory",
            value=str(layout.root),
        ) from error
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == layout.root.stat().st_ino:
                return descriptor
    os.close(descriptor)
    return 0
