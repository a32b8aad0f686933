"""The two interconnection daemons under comparison, with a common interface.

The real `ovn-ic` is a process. Our engine runs inside the test step by step: it has no start-up
time, and the test can determine when the engine has nothing left to do. tests/integration tests it
as a process.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from isthmus.daemon.loop import Loop
from isthmus.daemon.service import Settings, engine_alone
from isthmus.model.rows import Database
from isthmus.ovsdb.jsonrpc import JsonRpcClient
from support.ovn.servers import Processes, wait_until

TIMEOUT = 60.0
"""Seconds within which a control socket or server must reply."""

SOON = 0.5
"""Seconds within which a due retry keeps the engine from counting as idle."""


class PeerDiedError(AssertionError):
    """The real `ovn-ic` has exited, so there is nothing to compare with."""


class Daemon(Protocol):
    """An interconnection daemon of one zone."""

    @property
    def running(self) -> bool:
        """Whether it has been started and not stopped."""

    def start(self) -> None:
        """Start the daemon."""

    def stop(self) -> None:
        """Stop the daemon; its rows stay."""

    def pause(self) -> None:
        """Suspend all writes until `resume`."""

    def resume(self) -> None:
        """Resume writing."""

    def turn(self) -> None:
        """Let it work, if it runs inside the test."""

    def quiet(self) -> bool:
        """Whether it has processed all updates and waits for nothing."""


class OvnIc:
    """The real `ovn-ic`.

    Args:
        processes: starts it.
        remotes: its four databases.
    """

    FLAGS: ClassVar = {
        Database.NB: "--ovnnb-db",
        Database.SB: "--ovnsb-db",
        Database.IC_NB: "--ic-nb-db",
        Database.IC_SB: "--ic-sb-db",
    }

    def __init__(self, processes: Processes, remotes: Mapping[Database, str]) -> None:
        self._processes, self._remotes = processes, remotes
        self._control: JsonRpcClient | None = None

    @property
    def running(self) -> bool:
        return self._control is not None

    def start(self) -> None:
        path = self._processes.directory / "ovn-ic.ctl"
        path.unlink(missing_ok=True)
        flags = [f"{self.FLAGS[d]}={remote}" for d, remote in self._remotes.items()]
        self._processes.start("ovn-ic", "ovn-ic", *flags, f"--unixctl={path}", "-vconsole:info")
        wait_until(lambda: _connects(path), "ovn-ic answers")
        self._control = JsonRpcClient.over_unix(path, TIMEOUT)

    def stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
            self._processes.stop("ovn-ic")

    def pause(self) -> None:
        self._ask("pause")

    def resume(self) -> None:
        self._ask("resume")

    def turn(self) -> None:
        if self._control is not None and not self._processes.alive("ovn-ic"):
            raise PeerDiedError("ovn-ic has died")

    def quiet(self) -> bool:
        # It replies once per iteration of its main loop, after reading from its databases. Between
        # the first and the third reply, one whole iteration has seen everything sent before.
        for _ in range(3):
            self._ask("is-paused")
        return True

    def _ask(self, command: str) -> None:
        assert self._control is not None, "only a running daemon is asked"
        self._control.call(command)


class Isthmus:
    """Our engine in this process, with its own connections.

    Args:
        remotes: its four databases.
    """

    def __init__(self, remotes: Mapping[Database, str]) -> None:
        self._remotes = dict(remotes)
        self._loop: Loop | None = None
        self._paused = False

    @property
    def running(self) -> bool:
        return self._loop is not None

    def start(self) -> None:
        self._paused = False
        self._loop = engine_alone(Settings(self._remotes))

    def stop(self) -> None:
        if self._loop is not None:
            self._loop._sessions.close()
            self._loop = None

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def turn(self) -> None:
        while self._loop is not None and not self._paused and self._loop.turn():
            pass

    def quiet(self) -> bool:
        loop = self._loop
        if loop is None or self._paused:
            return True
        if loop.turn() or not loop._sessions.synced >= frozenset(Database):
            return False
        if loop._sessions._in_flight():
            return False
        due = loop._engine.next_wakeup()
        return due is None or due > time.monotonic() + SOON


def _connects(path: Path) -> bool:
    try:
        JsonRpcClient.over_unix(path, TIMEOUT).close()
    except OSError:
        return False
    return True
