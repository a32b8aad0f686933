"""Serves the IC databases in the foreground: starts both servers, and keeps them running.

Called by `isthmus ic-db run`, from the main thread. Invariant: no server outlives this process,
however it ends.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import PurePath

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.blocker_log import BlockerLog
from isthmus.icdb.local.database_file import nearly_full, prepare_database
from isthmus.icdb.local.database_server import DatabaseServer, Program
from isthmus.icdb.raft.cluster_files import prepare_member
from isthmus.icdb.raft.member_loop import MemberLoop
from isthmus.icdb.raft.peer_probe import tls_context
from isthmus.icdb.server.certificate_reload import CertificateReload
from isthmus.icdb.server.child_process import ChildProcess, ProcessSlot, stop, wait
from isthmus.icdb.server.directory_lock import DirectoryLock
from isthmus.icdb.server.plan import Plan, plan_problems
from isthmus.icdb.server.preflight import check_environment
from isthmus.icdb.server.transit_switch_creation import NotYetError, create_transit_switches
from isthmus.icdb.server.transit_switch_watch import TransitSwitchWatch
from isthmus.icdb.server.zone_pruning import ZonePruning
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database
from isthmus.ovsdb.jsonrpc import JsonRpcClient
from isthmus.ovsdb.stop_signal import StopSignal

READY_LIMIT = 30.0
"""Seconds for a server to answer; one that reads a very large database takes a few."""

_INTERVAL_STARTING = 0.25
_INTERVAL = 1.0
_INTERVAL_STANDALONE = 10.0
"""Seconds between checks: until the databases can be written, then, and of the disk alone."""

_POLL = 0.02

_log = logging.getLogger(__name__)

_Check = Callable[[], bool]


def serve(plan: Plan, on_ready: Callable[[tuple[Problem, ...]], None]) -> None:
    """Serve both databases until SIGTERM or SIGINT.

    Args:
        plan: what to serve.
        on_ready: called once, when both databases can be written and the transit switches exist;
            with the problems of `create_transit_switches`.

    Raises:
        IcDbError: the databases cannot be served; nothing is left running.
    """
    problems = plan_problems(plan)
    if problems:
        raise IcDbError(*problems)
    with ExitStack() as stack:
        signals = StopSignal()
        stack.callback(signals.close)
        locks = (
            stack.enter_context(DirectoryLock(plan.files.data_dir, "--data-dir", "data")),
            stack.enter_context(DirectoryLock(plan.files.run_dir, "--run-dir", "run")),
        )
        check_environment(plan)
        keep_open = tuple(lock.fileno() for lock in locks)
        supervisor = stack.enter_context(Supervisor(plan, signals, keep_open))
        if supervisor.start():
            supervisor.run(on_ready)


@dataclass(slots=True, kw_only=True)
class _ServerSlot(ProcessSlot):
    """The process of one server; without a member loop if the database stands alone."""

    server: DatabaseServer
    member: MemberLoop | None = None

    @property
    def program(self) -> Program:
        """The process to start."""
        alone: tuple[PurePath, ...] = (self.server.database_file,)
        return self.server.program(*(alone if self.member is None else self.member.databases))

    @property
    def ready(self) -> bool:
        """Whether the database can be written."""
        return self.child is not None and (self.member is None or self.member.ready)


class Supervisor(AbstractContextManager["Supervisor"]):
    """The processes of both servers and the authorizing proxy; leaving the context stops them.

    Args:
        plan: what to serve.
        signals: readable when it is time to stop.
        keep_open: descriptors that the processes inherit (the locks).

    Raises:
        IcDbError: a database file cannot be served.
    """

    def __init__(self, plan: Plan, signals: StopSignal, keep_open: tuple[int, ...]) -> None:
        self._plan = plan
        self._signals = signals
        self._keep_open = keep_open
        self._certificates = None
        if plan.nb.tls is not None:
            separate = plan.nb.members_ca is not None
            self._certificates = CertificateReload(plan.nb.tls, separate_members_ca=separate)
        after = plan.prune_after
        remotes = {server.database: server.remote for server in plan.servers}
        self._pruning = None if after is None else ZonePruning(remotes, after)
        self._transit_switches = TransitSwitchWatch(remotes[Database.IC_NB])
        self._servers = tuple(
            _ServerSlot(server=server, member=self._prepare(server)) for server in plan.servers
        )
        self._proxy = ProcessSlot()
        self._disk_blockers = BlockerLog("the disk")

    def __exit__(self, *_: object) -> None:
        stop(self._children())

    def start(self) -> bool:
        """Start both servers and the proxy, and wait until they answer; False after a signal.

        Raises:
            IcDbError: a process ended, or does not answer.
        """
        for slot in self._servers:
            slot.launch(slot.program, self._keep_open)
        if self._plan.proxy is not None:
            self._proxy.launch(self._plan.proxy, self._keep_open)
        return all(map(self._server_answers, self._servers)) and self._proxy_answers()

    def run(self, on_ready: Callable[[tuple[Problem, ...]], None]) -> None:
        """Restart processes that end, and run the members, until a signal comes.

        Raises:
            IcDbError: see `serve`.
        """
        ready = False
        while True:
            self._relaunch()
            if not self._run_members():
                return
            if self._certificates is not None and self._certificates.check():
                _log.info("new connections use the renewed certificate")
            if not ready and all(slot.ready for slot in self._servers):
                ready = self._complete(on_ready)
            if ready and self._pruning is not None:
                self._pruning.check()
            if ready:
                self._transit_switches.check()
            self._check_disk()
            for woken in wait((self._signals, *self._children()), self._pause(ready)):
                if isinstance(woken, StopSignal):
                    return
                self._release(woken)

    def _prepare(self, server: DatabaseServer) -> MemberLoop | None:
        membership = self._plan.membership
        if membership is None:
            prepare_database(server)
            return None
        state = prepare_member(server, membership)
        return MemberLoop(server, membership, state, (self._signals.fileno(),))

    def _relaunch(self) -> None:
        """Restart processes that have ended, when it is time."""
        for slot in self._servers:
            if slot.is_due:
                if slot.member is not None:
                    slot.member.before_restart()
                slot.launch(slot.program, self._keep_open)
                _log.info("%s restarted", slot.server.name)
        if self._plan.proxy is not None and self._proxy.is_due:
            self._proxy.launch(self._plan.proxy, self._keep_open)
            _log.info("%s restarted", self._plan.proxy.name)

    def _run_members(self) -> bool:
        """Run each member's loop once; False if a signal came meanwhile."""
        for slot in self._servers:
            if slot.child is None or slot.member is None:
                continue
            action = slot.member.step()
            if action is None:
                continue
            child, slot.child = slot.child, None
            stop((child,))
            slot.member.carry_out(action)
            slot.launch(slot.program, self._keep_open)
            try:
                if not self._server_answers(slot):
                    return False
            except IcDbError as error:
                # The other database is served anyway.
                _log.error("%s", error)
        return True

    def _complete(self, on_ready: Callable[[tuple[Problem, ...]], None]) -> bool:
        """Create the transit switches and report readiness; False to try again."""
        try:
            problems = create_transit_switches(self._plan)
        except NotYetError as error:
            _log.info("%s; retrying", error)
            return False
        on_ready(problems)
        return True

    def _check_disk(self) -> None:
        """Log a disk that is nearly full; for a cluster's database, `MemberLoop` does so."""
        alone = [slot.server for slot in self._servers if slot.member is None]
        problems = [problem for server in alone for problem in nearly_full(server)]
        self._disk_blockers.update(problems, time.monotonic())

    def _pause(self, ready: bool) -> float:
        """Seconds until the next check, if nothing happens."""
        now = time.monotonic()
        dues = [_INTERVAL_STANDALONE]
        dues += [slot.due - now for slot in self._servers if slot.child is None]
        if self._plan.proxy is not None and self._proxy.child is None:
            dues.append(self._proxy.due - now)
        if not ready:
            dues.append(_INTERVAL_STARTING)
        elif self._plan.membership is not None or self._certificates is not None:
            dues.append(_INTERVAL)
        if ready and self._pruning is not None:
            dues.append(self._pruning.pause())
        if ready:
            dues.append(self._transit_switches.pause())
        return max(0.0, min(dues))

    @property
    def _slots(self) -> tuple[ProcessSlot, ...]:
        return (self._proxy, *self._servers)

    def _children(self) -> list[ChildProcess]:
        return [slot.child for slot in self._slots if slot.child is not None]

    def _release(self, child: ChildProcess) -> None:
        [slot] = [slot for slot in self._slots if slot.child is child]
        _log.error("%s", slot.release())

    def _server_answers(self, slot: _ServerSlot) -> bool:
        server, what = slot.server, slot.server.subject.object
        where = server.socket if server.behind_proxy else server.address
        return self._wait_until(slot, slot.program, where, lambda: _answers(server), what)

    def _proxy_answers(self) -> bool:
        """Wait until clients reach the right servers through the proxy."""
        plan = self._plan
        return plan.proxy is None or self._wait_until(
            self._proxy,
            plan.proxy,
            plan.nb.address,
            lambda: all(map(_same_server, plan.servers)),
            "authorizing proxy",
        )

    def _wait_until(
        self, slot: ProcessSlot, program: Program, where: object, answers: _Check, what: str
    ) -> bool:
        """Wait until a process answers; False if a signal came first.

        A process that a signal killed meanwhile is restarted. A process that exits before it has
        answered has logged what is wrong.
        """
        deadline = time.monotonic() + READY_LIMIT
        while not answers():
            for ended in [child for child in self._children() if child.ended()]:
                if ended is slot.child and not ended.was_killed():
                    raise IcDbError(_not_served(program, what, ended.how_it_ended()))
                self._release(ended)
            if time.monotonic() > deadline:
                tail = slot.child.log_tail() if slot.child is not None else "it was killed"
                message = f"does not answer on {where}: {tail}"
                raise IcDbError(_not_served(program, what, message))
            self._relaunch()
            if self._signals in wait((self._signals, *self._children()), _POLL):
                return False
        return True


def _answers(server: DatabaseServer) -> bool:
    """Whether a server answers where clients, or the proxy, reach it."""
    if not server.behind_proxy:
        return _same_server(server)
    try:
        with JsonRpcClient.over_unix(server.socket) as local:
            return bool(local.server_id())
    except OSError:
        return False


def _same_server(server: DatabaseServer) -> bool:
    """Whether the server behind the Unix socket is the one that clients reach on the port."""
    try:
        context = tls_context(server.tls) if server.tls else None
        with (
            JsonRpcClient.over_unix(server.socket) as local,
            JsonRpcClient.over_tcp(server.connect_to, server.port, context) as remote,
        ):
            return local.server_id() == remote.server_id()
    except OSError:
        return False


def _not_served(program: Program, what: str, message: str) -> Problem:
    return Subject(what).problem(message, f"fix what {program.log_file} reports, and start again")
