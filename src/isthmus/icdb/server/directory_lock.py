"""A lock on a directory that lasts as long as any process that was started under it.

Called by `supervisor`.
"""

import fcntl
import os
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePath

from isthmus.icdb.errors import IcDbError
from isthmus.model.problems import Subject
from isthmus.model.text import failure_text
from isthmus.ovsdb.streams.unix import require_private

LEFTOVER_LIMIT = 2.0
"""Seconds for the servers of a killed supervisor to be gone; the kernel kills them with it."""

_POLL = 0.02


class DirectoryLock(AbstractContextManager["DirectoryLock"]):
    """Prevents two supervisors from using one directory.

    The servers inherit the descriptor, so the lock is free only when the last of them is gone.

    Args:
        directory: to lock; created if it does not exist.
        flag: the option that named it, for messages.
        use: "data" or "run"; both may lock the same directory.

    Raises:
        IcDbError: the directory cannot be written to, or another user can write to it, or it is in
            use; from `__enter__`.
    """

    def __init__(self, directory: PurePath, flag: str, use: str) -> None:
        self._directory = Path(directory)
        self._subject = Subject("IC databases", flag, str(directory))
        self._file = self._directory / f".isthmus-ic-db.{use}.lock"

    def __enter__(self) -> "DirectoryLock":
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            require_private(self._directory)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            self._descriptor = os.open(self._file, flags, 0o640)
        except OSError as error:
            message = f"cannot be written to: {failure_text(error)}"
            remedy = "give a directory that this user, and no other, may write to"
            raise IcDbError(self._subject.problem(message, remedy)) from error
        deadline = time.monotonic() + LEFTOVER_LIMIT
        while not self._try():
            if time.monotonic() > deadline:
                holder = os.pread(self._descriptor, 20, 0).decode() or "unknown"
                os.close(self._descriptor)
                message = f"is in use by another `isthmus ic-db run` (process {holder})"
                remedy = "stop that process first, or give another directory"
                raise IcDbError(self._subject.problem(message, remedy))
            time.sleep(_POLL)  # flock(2) has no time limit
        with suppress(OSError):  # Only for the message; the disk may be full.
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        """The descriptor that holds the lock."""
        return self._descriptor

    def _try(self) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
