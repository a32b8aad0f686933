"""Lets time pass for paths that are to settle (`isthmus.exchange.paths`); a feed of the loop."""

from collections.abc import Sequence

from isthmus.exchange.paths import Paths
from isthmus.model.problems import Problem
from isthmus.ovsdb.poller import Poller


class Settling:
    """Gives some paths the time.

    Args:
        paths: of the engine.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def run(self, now: float) -> None:
        """Open the paths whose time has come."""
        self._paths.tick(now)

    def problems(self) -> Sequence[Problem]:
        """None: whoever waits has another way."""
        return ()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake for the next path."""
        poller.wake_in(self._paths.tick(now) - now)

    def close(self) -> None:
        """Nothing to let go of."""
