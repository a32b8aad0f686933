"""Unix sockets to listen on that only their owner can use, and directories that are safe for them.

Called by the servers of control sockets, and for the directories of the IC databases. Invariant:
nothing is created in a directory in which another user could have put, or could replace, a file.
"""

import errno
import logging
import os
import socket
from contextlib import suppress
from math import inf
from pathlib import Path

from isthmus.model.text import failure_text

SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of accept(2) that last until the process or the machine has resources again."""

ACCEPT_RETRY = 1.0
"""Seconds between attempts to accept during a shortage, as in asyncio."""

_REPORT_INTERVAL = 60.0
_OTHERS_WRITE = 0o022


def require_private(directory: int | Path) -> None:
    """Refuse a directory, or an open descriptor of one, that another user can write to.

    Raises:
        PermissionError: its mode allows that, or it belongs to neither root nor this user.
        OSError: it does not exist or cannot be read.
    """
    status = os.stat(directory)  # noqa: PTH116 - a Path cannot be a descriptor
    if status.st_mode & _OTHERS_WRITE or status.st_uid not in {0, os.geteuid()}:
        raise PermissionError(errno.EACCES, "other users can write to the directory")


def private_socket(path: Path) -> socket.socket:
    """A listening socket with mode 0600, whatever the umask is. It replaces what is at its path.

    Args:
        path: of the socket; its directory is created if only that is missing.

    Raises:
        PermissionError: another user can write to the directory.
        OSError: the socket cannot be created.
    """
    with suppress(FileExistsError):
        path.parent.mkdir(mode=0o700)
    # Names relative to a descriptor cannot be redirected meanwhile, and are short enough.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        require_private(directory)
        with suppress(FileNotFoundError):
            os.unlink(path.name, dir_fd=directory)
        listener = socket.socket(socket.AF_UNIX)
        try:
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(f"/proc/self/fd/{directory}/{path.name}")
            listener.setblocking(False)
            listener.listen()
        except OSError:
            listener.close()
            raise
    finally:
        os.close(directory)
    return listener


class ShortageLog:
    """Reports that connections cannot be accepted, at most once a minute.

    Args:
        log: the logger.
        what: whose connections, e.g. "control connections".
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log, self._what = log, what
        self._next = -inf

    def report(self, error: OSError, now: float) -> None:
        """Log an error of accept(2), unless another one was logged recently."""
        if now >= self._next:
            self._next = now + _REPORT_INTERVAL
            self._log.warning("%s have to wait: %s", self._what, failure_text(error))
