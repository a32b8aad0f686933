"""Processes of a lab: start them, find them by an environment variable, stop them by PID.

Used by the code that builds labs, by `down` and by fault injection. Child processes inherit the
environment variable, so no list of PIDs is kept, and the processes of a builder that was killed
half-way are found too.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus_lab.errors import lab_error
from isthmus_lab.system.netns import inside
from isthmus_lab.topology.layout import DAEMON_TAG, TAG

_GRACE_S = 2.0
"""How long a process may take to end after SIGTERM before it gets SIGKILL."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running process of a lab.

    Args:
        pid: process ID.
        parent: process ID of its parent.
        daemon: "NODE/DAEMON", or "" if it is not a daemon started by the lab.
    """

    pid: int
    parent: int
    daemon: str


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without variables of OVS and OVN, plus `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OVS_", "OVN_"))}
    return {**kept, **extra}


def run(
    command: Sequence[str],
    *,
    netns: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = 30.0,
) -> str:
    """Run a command and return its standard output.

    Args:
        command: program and arguments.
        netns: the namespace to run it in.
        env: additional environment variables.
        stdin: its standard input.
        timeout_s: how long it may take.

    Raises:
        LabError: it failed or took too long; the message has its error output.
    """
    with inside(netns):
        try:
            done = subprocess.run(
                command,
                env=environment(env or {}),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _failed(command, netns, f"did not end within {timeout_s:g} s") from error
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"
        raise _failed(command, netns, reason)
    return done.stdout


def _failed(command: Sequence[str], netns: str | None, reason: str) -> Exception:
    shown = " ".join(command)
    return lab_error(
        f"command {shown if len(shown) < 200 else shown[:200] + '…'}",
        reason,
        f"check the logs, or run it manually{f' in the namespace {netns}' if netns else ''}",
    )


def spawn(
    command: Sequence[str], *, netns: str, env: Mapping[str, str], daemon: str, log: Path
) -> int:
    """Start a daemon that outlives this process.

    Args:
        command: program and arguments; must stay in the foreground.
        netns: the namespace to run it in.
        env: additional environment variables, including the lab's name.
        daemon: "NODE/DAEMON".
        log: file for its output.

    Returns:
        Its process ID.
    """
    with inside(netns), log.open("ab") as output:
        started = subprocess.Popen(
            command,
            env=environment({**env, DAEMON_TAG: daemon}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    return started.pid


def of_lab(lab: str) -> list[Process]:
    """The processes of a lab, except this one and its ancestors."""
    mark = f"{TAG}={lab}".encode()
    ours = _ancestry()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in ours:
            continue
        with suppress(OSError):
            variables = (entry / "environ").read_bytes().split(b"\0")
            if mark in variables:
                found.append(_process(int(entry.name), variables))
    return sorted(found, key=lambda process: process.pid)


def _process(pid: int, variables: Iterable[bytes]) -> Process:
    prefix = f"{DAEMON_TAG}=".encode()
    daemon = next((v.removeprefix(prefix) for v in variables if v.startswith(prefix)), b"")
    return Process(pid, _parent(pid), daemon.decode())


def _parent(pid: int) -> int:
    # The name in parentheses may contain anything, so split after it (proc(5)).
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _ancestry() -> set[int]:
    found, pid = set(), os.getpid()
    while pid > 1:
        found.add(pid)
        pid = _parent(pid)
    return found


def running_daemons(lab: str) -> dict[str, int]:
    """The running daemons of a lab, "NODE/DAEMON" to PID, without their child processes."""
    processes = [process for process in of_lab(lab) if process.daemon]
    pids = {process.pid: process.daemon for process in processes}
    return {
        process.daemon: process.pid
        for process in processes
        if pids.get(process.parent) != process.daemon
    }


def stop(pids: Iterable[int], first: signal.Signals = signal.SIGTERM) -> None:
    """Stop processes with the signal `first`, then SIGKILL, and wait until they have ended."""
    handles = {}
    for pid in pids:
        with suppress(ProcessLookupError):
            handles[os.pidfd_open(pid)] = pid
    try:
        for sent, limit_s in ((first, _GRACE_S), (signal.SIGKILL, 10.0)):
            for handle in handles:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, sent)
            _wait(handles, limit_s)
    finally:
        for handle in handles:
            os.close(handle)


def _wait(handles: Mapping[int, int], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    poller = select.poll()
    for handle in handles:
        poller.register(handle, select.POLLIN)
    left = set(handles)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for handle, _ in poller.poll(remaining * 1000):
            poller.unregister(handle)
            left.discard(handle)
            # Children of this process stay zombies until they are reaped.
            with suppress(ChildProcessError):
                os.waitpid(handles[handle], os.WNOHANG)
