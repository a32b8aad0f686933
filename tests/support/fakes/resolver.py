"""Name servers whose answers a test decides."""

import socket
import threading
from typing import Any

import pytest

PATIENCE = 60.0
"""Seconds for which a name server that does not answer keeps a thread at most."""


class FakeResolver:
    """In place of getaddrinfo(3) while a test runs.

    Attributes:
        answers: the addresses by name, or the error (`socket.EAI_…`).
        answering: cleared while no name server answers.
        asked: the names that were looked up, in order.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, list[str] | int] = {}
        self.answering = threading.Event()
        self.answering.set()
        self.asked: list[str] = []
        patch.setattr(socket, "getaddrinfo", self._look_up)

    def stop(self) -> None:
        """Answer everything, and wait until no look-up is left for the next test."""
        self.answering.set()
        for thread in threading.enumerate():
            if thread.name.startswith("resolve "):
                thread.join()

    def _look_up(self, host: str, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        self.answering.wait(PATIENCE)
        answer = self.answers.get(host, socket.EAI_NONAME)
        if isinstance(answer, int):
            raise socket.gaierror(answer, "the system's text")
        return [(0, 0, 0, "", (address, 0)) for address in answer]
