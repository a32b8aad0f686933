"""Wakes a poll loop when a directory changes: a thread that runs `watchfiles`.

Used by the directory source. The thread changes nothing but a wake-up and `failure`. It may miss
changes (file systems without notification, files behind symbolic links), so its user also reads the
directory from time to time.
"""

import threading

from watchfiles import watch

from isthmus.model.text import failure_text
from isthmus.ovsdb.wakeup import Wakeup

STEP_MS = 50
"""Milliseconds without a change after which a series of changes is reported."""

TURN_MS = 200
"""Milliseconds after which the watch yields even without a change: see `DirectoryWatcher._run`."""

LONGEST_MS = 400
"""Milliseconds after which an endless series of changes is reported."""


class DirectoryWatcher:
    """Watches one directory at a time.

    Attributes:
        changed: readable after a change.
        failure: why the directory cannot be watched; empty if it can.
    """

    def __init__(self) -> None:
        self.changed = Wakeup()
        self._watched: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.failure = ""

    def follow(self, path: str, identity: tuple[int, int]) -> None:
        """Watch `path`, unless it is watched already.

        Args:
            path: a directory.
            identity: its device and inode; a directory that replaces another is watched instead.
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
        self.changed.close()

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
                # The first turn proves that the watch is set up: earlier changes went unnoticed.
                if changes or not live:
                    self.changed.set()
                live = True
        except OSError as error:
            # The directory source then reads the directory often, and reports the failure.
            self.failure = failure_text(error)
            self.changed.set()
