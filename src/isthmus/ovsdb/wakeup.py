"""Wakes the loop from another thread, through an event file descriptor (eventfd(2)).

Used by the sources of manifests and by the writers to the Kubernetes API. Invariant: it may be set
at any time, also after it has been closed.
"""

import os
import threading


class Wakeup:
    """Its file descriptor is readable from `set` to `drain`."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._closed = False

    def fileno(self) -> int:
        """The file descriptor to poll for reading."""
        return self._fd

    def set(self) -> None:
        """Wake the loop; from any thread."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._fd, 1)

    def drain(self) -> bool:
        """Whether it was set since the last call."""
        try:
            return os.eventfd_read(self._fd) > 0
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the file descriptor; may be called again."""
        with self._lock:
            if not self._closed:
                os.close(self._fd)
            self._closed = True
