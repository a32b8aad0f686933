"""Inject faults into the members of a real cluster, and undo them.

Called by `play` in the main thread only: members end with the thread that started them.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from chaos.plan import CLIENTS, Fault, Kind
from isthmus.icdb.server.child_process import STOP_LIMIT
from support.icdb.network import IcNet
from support.icdb.run import DATABASES, ISTHMUS, Member

_PATIENCE = 3 * STOP_LIMIT
"""Seconds for a command on a member that may not respond."""


class Field:
    """The members and their current faults.

    Args:
        net: the members.

    Attributes:
        hit: when each server last had a fault (monotonic seconds).
        frozen: stopped servers, with their process IDs.
        surprises: unexpected exits of members, as sentences.
    """

    def __init__(self, net: IcNet) -> None:
        self.net = net
        self.hit: dict[tuple[int, str], float] = {}
        self.frozen: dict[tuple[int, str], int] = {}
        self.surprises: list[str] = []
        self._down: set[int] = set()
        self._cut_off: frozenset[int] = frozenset()
        self._network_fault: Fault | None = None

    @property
    def running(self) -> frozenset[int]:
        """Members that have been started."""
        return frozenset(range(len(self.net.all))) - self._down

    @property
    def parted(self) -> bool:
        """Whether the network has a fault."""
        return self._network_fault is not None

    @property
    def reached(self) -> frozenset[int]:
        """Members that clients and all other connected members can reach."""
        return frozenset(range(len(self.net.all))) - self._cut_off

    @property
    def calm(self) -> bool:
        """Whether no fault is left to undo."""
        return not (self._down or self.frozen or self.parted)

    def apply(self, fault: Fault) -> Callable[[], None]:
        """Inject a fault, and return the function that undoes it."""
        members = [m for m in fault.members if m != CLIENTS]
        match fault.kind:
            case Kind.KILL_SERVER:
                return self._kill_server(members[0], fault.short)
            case Kind.KILL_MEMBER | Kind.KILL_ALL:
                return self._end(members, self._kill)
            case Kind.STOP:
                return self._end(members, self._stop)
            case Kind.RESTART:
                self._end(members, self._stop)()
            case Kind.WIPE:
                self._end(members, self._wipe)()
            case Kind.FREEZE:
                return self._freeze(members[0], fault.short)
            case Kind.MOVE:
                self._move(members[0])
            case Kind.UNPLUG | Kind.SPLIT | Kind.ONE_WAY:
                return self._part(fault, members)
        return _nothing

    def restart_ended(self) -> None:
        """Record members that exited unexpectedly, and start them again."""
        for number in sorted(self.running):
            member = self.net.all[number]
            if not member.running:
                lines = member.log.read_text(errors="replace").splitlines()[-3:]
                self.surprises.append(f"m{number} ended by itself: {' / '.join(lines)}")
                self._start([number])

    def _kill_server(self, number: int, short: str) -> Callable[[], None]:
        pid = self._server(number, short)
        if pid is not None:
            self._note([number])
            _signal(pid, signal.SIGKILL)
        return _nothing

    def _end(self, numbers: Iterable[int], how: Callable[[Member], None]) -> Callable[[], None]:
        ended = [number for number in numbers if self.net.all[number].running]
        for number in ended:
            self._down.add(number)
            self._note([number])
            how(self.net.all[number])
            for short in DATABASES:
                self.frozen.pop((number, short), None)
        return lambda: self._start(ended)

    def _start(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if not self.net.all[number].running:
                self._note([number])
                self.net.all[number].start()
            self._down.discard(number)

    @staticmethod
    def _kill(member: Member) -> None:
        with suppress(ProcessLookupError):  # The server is just being restarted.
            member.kill()
            return
        member.stop(signal.SIGKILL)

    def _wipe(self, member: Member) -> None:
        self._kill(member)
        member.wipe()

    def _stop(self, member: Member) -> None:
        status = member.stop()
        # Before the process has installed its signal handler, SIGTERM kills it.
        if status not in {0, -signal.SIGTERM}:
            lines = member.log.read_text(errors="replace").splitlines()[-3:]
            self.surprises.append(f"{member.address} stopped with {status}: {' / '.join(lines)}")

    def _freeze(self, number: int, short: str) -> Callable[[], None]:
        pid = self._server(number, short)
        if pid is None:
            return _nothing
        self.frozen[number, short] = pid
        self._note([number])
        _signal(pid, signal.SIGSTOP)

        def thaw() -> None:
            if self.frozen.get((number, short)) == pid:
                del self.frozen[number, short]
                if self._server(number, short) == pid:
                    _signal(pid, signal.SIGCONT)

        return thaw

    def _part(self, fault: Fault, members: list[int]) -> Callable[[], None]:
        self._network_fault = fault
        found = [self.net.all[number] for number in members]
        everyone = frozenset(range(len(self.net.all)))
        match fault.kind:
            case Kind.UNPLUG:
                self._cut_off = frozenset(members)
                self.net.unplug(*found)
            case Kind.SPLIT:
                with_clients = CLIENTS in fault.members
                self._cut_off = everyone - set(members) if with_clients else frozenset(members)
                self.net.split([*found, None] if with_clients else found)
            case _:
                sender, receiver = found
                self._cut_off = frozenset(members[:1])
                self._route("add", sender, receiver)

        def undo() -> None:
            if self._network_fault is fault:
                if fault.kind is Kind.ONE_WAY:
                    self._route("del", *found)
                self.net.heal()
                self._network_fault, self._cut_off = None, frozenset()

        return undo

    def _route(self, verb: str, sender: Member, receiver: Member) -> None:
        """Drop packets in one direction only."""
        self.net.run("ip", "route", verb, "blackhole", f"{receiver.address}/32", at=sender)

    def _move(self, number: int) -> None:
        member = self.net.all[number]
        dirs = (f"--data-dir={member.data}", f"--run-dir={member.run_dir}")
        # During other faults this may be refused, or there may be no leader.
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [str(ISTHMUS), "ic-db", "move-leader", *dirs],
                capture_output=True, check=False, timeout=_PATIENCE,
            )  # fmt: skip

    def _server(self, number: int, short: str) -> int | None:
        """The process of a server; None if it does not run."""
        member = self.net.all[number]
        if not member.running:
            return None
        with suppress(FileNotFoundError, ValueError):
            pid = member.server_pid(short)
            # Another process may reuse the PID of a dead one.
            stat = Path(f"/proc/{pid}/stat").read_text()
            if int(stat.rpartition(")")[2].split()[1]) == member.pid:
                return pid
        return None

    def _note(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            for short in DATABASES:
                self.hit[number, short] = time.monotonic()


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _nothing() -> None:
    """Do nothing: the fault needs no undoing."""
