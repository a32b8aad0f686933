"""The parts of the loop besides sessions and engine, and what works for them in threads."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from isthmus.model.problems import Problem
from isthmus.ovsdb.poller import Poller

Offer_contra = TypeVar("Offer_contra", contravariant=True)


class EventSource(Protocol):
    """A part of the loop that can wake it; by default it has nothing to report or to close."""

    def run(self, now: float) -> None:
        """Do what can be done without waiting: the only method that may mark keys."""

    def problems(self) -> Sequence[Problem]:
        """The problems that it has now."""
        return ()

    def wait(self, poller: Poller, now: float) -> None:  # noqa: ARG002 - a default
        """Have the poller wake when `run` has something to do."""
        return

    def close(self) -> None:
        """Release all resources."""
        return


class Writer(Protocol[Offer_contra]):
    """Writes the latest offer where users look, without delaying the loop."""

    def offer(self, offer: Offer_contra, /) -> None:
        """Take over what to write; never blocks."""

    def problems(self) -> Sequence[Problem]:
        """What prevents it from writing."""

    def fileno(self) -> int:
        """Readable when `problems` has changed; reading them makes it unreadable."""

    def close(self) -> None:
        """End."""
