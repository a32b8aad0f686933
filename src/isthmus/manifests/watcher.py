"""Wakes a poll loop when a directory changes: a thread around `watchfiles`, and a pipe.

Used by the directory source. The thread touches nothing but its pipe; it may miss changes (file
systems without notification, files behind symlinks), so its user looks again now and then.
"""

import contextlib
import os
import threading

from watchfiles import watch

STEP_MS = 50
"""Milliseconds of silence after which a series of changes is reported."""

TURN_MS = 200
"""Milliseconds after which the watch yields even without a change: see `Watcher._run`."""

LONGEST_MS = 400
"""Milliseconds after which a series without end is reported all the same."""


class Watcher:
    """Watches one directory at a time; `fileno()` is readable after a change.

    Attributes:
        failure: why the directory cannot be watched; empty if it can.
    """

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watched: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.failure = ""

    def fileno(self) -> int:
        """The file descriptor to poll for reading."""
        return self._read_end

    def drain(self) -> bool:
        """Whether there was a change since the last call."""
        changed = False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read_end, 4096):
                changed = True
        return changed

    def follow(self, path: str, identity: tuple[int, int]) -> None:
        """Watch `path`, if it is not watched already.

        Args:
            path: a directory.
            identity: its device and inode; a directory replaced by another is watched anew.
        """
        if identity == self._watched:
            return
        self._halt()
        self._watched, self.failure, self._stop = identity, "", threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(path, self._stop), name="manifest watcher", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop watching and close the file descriptors."""
        self._halt()
        os.close(self._read_end)
        os.close(self._write_end)

    def _halt(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, path: str, stop: threading.Event) -> None:
        live = False
        try:
            for changes in watch(
                path,
                watch_filter=None,
                debounce=LONGEST_MS,
                step=STEP_MS,
                stop_event=stop,
                rust_timeout=TURN_MS,
                yield_on_timeout=True,
                recursive=False,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                # The first turn proves that the watch is set up: what changed before went
                # unnoticed, so have it looked at.
                if changes or not live:
                    self._wake()
                live = True
        except OSError as error:
            # The user of this class falls back to looking often, and tells people why.
            self.failure = error.strerror or str(error)
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write_end, b"!")
