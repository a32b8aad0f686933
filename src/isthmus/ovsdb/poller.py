"""Waiting for sockets, file descriptors and times, on the `ovs` package's poller."""

from math import inf

import ovs.poller
import ovs.timeval


class Poller:
    """What one turn of a loop waits for; make a new one, or reuse it, each turn."""

    def __init__(self) -> None:
        self._poller = ovs.poller.Poller()

    @property
    def raw(self) -> ovs.poller.Poller:
        """The poller of the `ovs` package, for its own sessions."""
        return self._poller

    def wait_readable(self, fd: int) -> None:
        """Wake when `fd` can be read."""
        self._poller.fd_wait(fd, ovs.poller.POLLIN)

    def wake_in(self, seconds: float) -> None:
        """Wake after that time at the latest; 0 or less: do not wait at all; inf: never."""
        if seconds < inf:
            self._poller.timer_wait(max(0, int(seconds * 1000 + 0.999)))

    def block(self) -> None:
        """Wait; forgets everything waited for."""
        self._poller.block()
