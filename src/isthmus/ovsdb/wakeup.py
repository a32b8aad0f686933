"""Wakes the loop from another thread, through a pipe.

Used by the sources of manifests and by the writers to the Kubernetes API. Invariant: it may be set
at any time, also after it has been closed.
"""

import contextlib
import os
import threading


class Wakeup:
    """Its file descriptor is readable from `set` to `drain`."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._closed = False

    def fileno(self) -> int:
        """The file descriptor to poll for reading."""
        return self._read_end

    def set(self) -> None:
        """Wakeup; from any thread."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if not self._closed:
                os.write(self._write_end, b"!")

    def drain(self) -> bool:
        """Whether it was set since the last call."""
        found = False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read_end, 4096):
                found = True
        return found

    def close(self) -> None:
        """Close the file descriptors."""
        with self._lock:
            self._closed = True
            os.close(self._read_end)
            os.close(self._write_end)
