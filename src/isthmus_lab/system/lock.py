"""The lock of a lab, on its directory: one process at a time builds, changes or removes the lab."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from isthmus_lab.errors import lab_error
from isthmus_lab.topology.layout import Layout
from isthmus_lab.waiting import wait_until

_LIMIT_S = 60.0
"""How long to wait for the current holder: longer than building a lab takes."""


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold the lock of a lab. Create its directory, and remove it afterwards if it is empty.

    A child between fork and exec still holds the lock of a parent that was killed. So once the lock
    is free, all processes of the lab have its environment variables and can be found.

    Raises:
        LabError: another process holds the lock for too long, or the directory cannot be created.
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
    """Return the descriptor that holds the lock, or 0."""
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        # The last holder has just removed it.
        return 0
    except OSError as error:
        raise lab_error(
            f"lab {layout.lab}",
            f"cannot create the directory: {error}",
            "choose another directory with --state or ISTHMUS_LAB_STATE",
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
