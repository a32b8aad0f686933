"""Turns SIGTERM and SIGINT into a readable file descriptor, so that the loop wakes and ends."""

import signal
import socket
from types import FrameType


class StopSignal:
    """Installed by the loop for as long as it runs; the first signal asks it to end."""

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
        """Readable once a signal has come."""
        return self._reader.fileno()

    def close(self) -> None:
        """Give the signals back."""
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
