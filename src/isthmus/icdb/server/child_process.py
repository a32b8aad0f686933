"""Child processes that cannot outlive their parent, and the signals that end the parent.

Called by `supervisor`. Only from the main thread: the kernel ties a child's death to the thread
that started it.
"""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from select import select
from types import FrameType

from isthmus.icdb.server.plan import STABLE_AFTER, Program, restart_delay
from isthmus.ovsdb.jsonrpc import JsonRpcClient, RpcError

STOP_LIMIT = 10.0
"""Seconds that a server has to end after SIGTERM before it is killed."""

LOG_LINES = 3
"""Lines of a dead server's log that are shown to people."""

_NOTIFY = "NOTIFY_SOCKET"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """A running (or just ended) process.

    Args:
        program: what it runs.
        keep_open: file descriptors that it inherits.
    """

    def __init__(self, program: Program, keep_open: Sequence[int] = ()) -> None:
        self.program = program
        self._log = Path(program.log_file)
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Whoever is told that we are ready is told by us.
                env={name: value for name, value in os.environ.items() if name != _NOTIFY},
                pass_fds=keep_open,
                # Ctrl-C in a terminal reaches the whole group; servers are to end in order.
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
            )
        self._descriptor = os.pidfd_open(self._process.pid)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def fileno(self) -> int:
        """A descriptor that becomes readable when the process ends."""
        return self._descriptor

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def was_killed(self) -> bool:
        """Whether a signal ended it, as a crash does too, rather than its own decision."""
        return self._process.wait() < 0

    def how_it_ended(self) -> str:
        """The exit status or signal, and the last lines that it logged, for people."""
        status = self._process.wait()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        said = self.log_tail()
        return f"ended with {how}: {said}" if said else f"ended with {how}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        self._process.send_signal(number)

    def leave(self) -> bool:
        """Ask it to end in good order; whether it has said that it does."""
        if self.program.control_socket is None:
            return False
        try:
            with JsonRpcClient.over_unix(self.program.control_socket) as client:
                client.call("exit")
        except (OSError, RpcError):
            return False
        return True

    def close(self) -> None:
        """Forget an ended process."""
        self._process.wait()
        os.close(self._descriptor)

    def log_tail(self) -> str:
        """The last lines that it logged, for people; may be empty."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return " / ".join(lines[-LOG_LINES:])


@dataclass(slots=True)
class Slot:
    """The place of a process: which runs there, or when to start it again (monotonic seconds)."""

    child: Child | None = None
    started: float = 0.0
    due: float = 0.0
    deaths: int = 0

    def launch(self, program: Program, keep_open: Sequence[int]) -> Child:
        """Start it."""
        self.started = time.monotonic()
        self.child = Child(program, keep_open)
        return self.child

    def bury(self) -> str:
        """Forget the process, which has ended; how it did, for people."""
        assert self.child is not None  # noqa: S101 - it was waited for
        child, self.child = self.child, None
        now = time.monotonic()
        self.deaths = 1 if now - self.started > STABLE_AFTER else self.deaths + 1
        delay = restart_delay(self.deaths)
        self.due = now + delay
        how = f"{child.program.name} {child.how_it_ended()}; restarting in {delay:.1f} s"
        child.close()
        return how


def stop(children: Iterable[Child]) -> None:
    """End processes, all at once; kill those that do not end within `STOP_LIMIT`.

    Servers are asked over their control sockets: at a signal, one that leads its cluster would
    be gone without handing over, and nothing could be written until the others miss it.
    """
    running = list(children)
    for child in running:
        if not child.leave():
            child.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_LIMIT
    for child in running:
        if not select([child], [], [], max(0.0, deadline - time.monotonic()))[0]:
            child.send(signal.SIGKILL)
        child.close()


def _die_with(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # The parent died before prctl.
            os._exit(1)

    return prepare


class StopSignals(AbstractContextManager["StopSignals"]):
    """Turns SIGTERM and SIGINT into something that `select` sees, while the context lasts."""

    def __enter__(self) -> "StopSignals":
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers = {
            number: signal.signal(number, _ignore) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """A descriptor that becomes readable when a signal has come, and stays so."""
        return self._reader.fileno()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Nothing: Python has written to the wake-up descriptor already."""


def wait(
    readable: Iterable[Child | StopSignals], seconds: float | None
) -> list[Child | StopSignals]:
    """Those of `readable` that have ended or been signalled, within `seconds` (None: no limit)."""
    return select(list(readable), [], [], seconds)[0]
