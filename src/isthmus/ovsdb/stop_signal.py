"""Turns SIGTERM and SIGINT into a readable file descriptor, which wakes a loop."""

import signal
import socket
from types import FrameType


class StopSignal:
    """Installed by a loop while it runs, in the main thread.

    Attributes:
        received: the name of the signal that has come; empty if none has.
    """

    def __init__(self) -> None:
        self.received: str = ""
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGTERM, signal.SIGINT)
        }

    def fileno(self) -> int:
        """Readable after a signal has come."""
        return self._reader.fileno()

    def close(self) -> None:
        """Restore the previous handlers."""
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
