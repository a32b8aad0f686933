"""Wait for sockets, file descriptors and times, with the `ovs` package's poller."""

from math import inf

import ovs.poller
import ovs.timeval


class Poller:
    """Collects the events that a loop waits for; `block` clears them."""

    def __init__(self) -> None:
        self._poller = ovs.poller.Poller()

    @property
    def raw(self) -> ovs.poller.Poller:
        """The `ovs` package's poller, for its own sessions."""
        return self._poller

    def wait_readable(self, fd: int) -> None:
        """Wake when `fd` is readable."""
        self._poller.fd_wait(fd, ovs.poller.POLLIN)

    def wake_in(self, seconds: float) -> None:
        """Wake after this time at the latest; 0 or less: do not wait; inf: no limit."""
        if seconds < inf:
            self._poller.timer_wait(max(0, int(seconds * 1000 + 0.999)))

    def block(self) -> None:
        """Wait for the first event, and clear all."""
        self._poller.block()
