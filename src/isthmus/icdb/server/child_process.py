"""Child processes that cannot outlive their parent.

Called by `supervisor`. Only from the main thread: the kernel ties a child's death to the thread
that started it.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from select import select

from isthmus.icdb.local.database_server import Program
from isthmus.icdb.server.plan import STABLE_AFTER, restart_delay
from isthmus.ovsdb.jsonrpc import JsonRpcClient, RpcError
from isthmus.ovsdb.stop_signal import StopSignal

STOP_LIMIT = 10.0
"""Seconds that a server has to end after SIGTERM before it is killed."""

LOG_LINES = 3
"""Lines of a dead server's log that messages quote."""

_NOTIFY = "NOTIFY_SOCKET"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


class ChildProcess:
    """A running (or just ended) process of a program; it inherits the descriptors `keep_open`."""

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
                # Only the supervisor reports readiness.
                env={name: value for name, value in os.environ.items() if name != _NOTIFY},
                pass_fds=keep_open,
                # Ctrl-C in a terminal signals the whole process group, but the supervisor stops
                # the servers in order.
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
        """Whether a signal ended it (a crash is one, too); it must have ended."""
        return self._process.wait() < 0

    def how_it_ended(self) -> str:
        """The exit status or signal, and its last log lines, for messages."""
        status = self._process.wait()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        tail = self.log_tail()
        return f"ended with {how}: {tail}" if tail else f"ended with {how}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        self._process.send_signal(number)

    def exit_by_control_socket(self) -> bool:
        """Send it the command `exit`; whether it accepted that."""
        if self.program.control_socket is None:
            return False
        try:
            with JsonRpcClient.over_unix(self.program.control_socket) as client:
                client.call("exit")
        except (OSError, RpcError):
            return False
        return True

    def close(self) -> None:
        """Release an ended process."""
        self._process.wait()
        os.close(self._descriptor)

    def log_tail(self) -> str:
        """Its last log lines, for messages; may be empty."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return " / ".join(lines[-LOG_LINES:])


@dataclass(slots=True)
class ProcessSlot:
    """A program to keep running: its process, or when to start it again (monotonic seconds)."""

    child: ChildProcess | None = None
    started: float = 0.0
    due: float = 0.0
    ends: int = 0

    def launch(self, program: Program, keep_open: Sequence[int]) -> None:
        """Start a process."""
        self.started = time.monotonic()
        self.child = ChildProcess(program, keep_open)

    def release(self) -> str:
        """Release the process, which has ended, schedule its restart, and say how it ended."""
        assert self.child is not None  # noqa: S101 - its end was waited for
        child, self.child = self.child, None
        now = time.monotonic()
        self.ends = 1 if now - self.started > STABLE_AFTER else self.ends + 1
        delay = restart_delay(self.ends)
        self.due = now + delay
        how = f"{child.program.name} {child.how_it_ended()}; restarting in {delay:.1f} s"
        child.close()
        return how

    @property
    def is_due(self) -> bool:
        """Whether it is time to start a process."""
        return self.child is None and self.due <= time.monotonic()


def stop(children: Iterable[ChildProcess]) -> None:
    """Stop processes, all at once; kill those that do not end within `STOP_LIMIT`.

    Servers are stopped over their control sockets. At a signal, the leader of a cluster would end
    without handing over, and writes would fail until the others elect a new one.
    """
    running = list(children)
    for child in running:
        if not child.exit_by_control_socket():
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


def wait(
    readable: Iterable[ChildProcess | StopSignal], seconds: float | None
) -> list[ChildProcess | StopSignal]:
    """Those of `readable` that ended or were signalled within `seconds` (None: no limit)."""
    return select(list(readable), [], [], seconds)[0]
