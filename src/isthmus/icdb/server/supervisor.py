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
from isthmus.icdb.local.blocker_log import Reasons
from isthmus.icdb.raft.cluster_files import prepare_member
from isthmus.icdb.raft.member_loop import Tender, nearly_full, server_context
from isthmus.icdb.server.certificate_reload import Renewal
from isthmus.icdb.server.child_process import Child, Slot, StopSignals, stop, wait
from isthmus.icdb.server.directory_lock import DirectoryLock
from isthmus.icdb.server.plan import Plan, Program, Server, plan_problems
from isthmus.icdb.server.preflight import (
    check_logs,
    check_port,
    check_programs,
    check_raft_port,
    make_log_dir,
    prepare_database,
)
from isthmus.icdb.server.transit_switch_creation import NotYetError, create_transit_switches
from isthmus.icdb.server.zone_pruning import Forgetter
from isthmus.model.problems import Problem, Subject
from isthmus.ovsdb.jsonrpc import JsonRpcClient

READY_LIMIT = 30.0
"""Seconds for a server to answer; one that reads a very large database takes a few."""

_LOOK_CLOSELY = 0.25
_LOOK = 1.0
_LOOK_RARELY = 10.0
"""Seconds between looks at a cluster: until it is complete, and then; and at the disk."""

_POLL = 0.02
_log = logging.getLogger(__name__)


def serve(plan: Plan, on_ready: Callable[[tuple[Problem, ...]], None]) -> None:
    """Serve both databases until SIGTERM or SIGINT.

    Args:
        plan: what to serve.
        on_ready: called once, when both databases can be written to and the transit switches
            exist, with those that exist otherwise than planned.

    Raises:
        IcDbError: the databases cannot be served; nothing is left running.
    """
    problems = plan_problems(plan)
    if problems:
        raise IcDbError(*problems)
    with ExitStack() as stack:
        signals = stack.enter_context(StopSignals())
        locks = (
            stack.enter_context(DirectoryLock(plan.files.data_dir, "--data-dir", "data")),
            stack.enter_context(DirectoryLock(plan.files.run_dir, "--run-dir", "run")),
        )
        make_log_dir(plan.files)
        guard = () if plan.guard is None else (plan.guard,)
        check_logs(plan.files, [*(server.program() for server in plan.servers), *guard])
        for server in plan.servers:
            check_programs(server)
            check_port(server)
            if plan.membership is not None:
                check_raft_port(server, plan.membership.own)
        keep_open = tuple(lock.fileno() for lock in locks)
        supervisor = stack.enter_context(Supervisor(plan, signals, keep_open))
        if supervisor.start():
            supervisor.run(on_ready)


@dataclass(slots=True, kw_only=True)
class _ServerSlot(Slot):
    """The place of one server."""

    server: Server
    tender: Tender | None = None

    @property
    def databases(self) -> tuple[PurePath, ...]:
        """The files to serve."""
        return (self.server.database_file,) if self.tender is None else self.tender.databases

    @property
    def ready(self) -> bool:
        """Whether the database can be written to."""
        return self.child is not None and (self.tender is None or self.tender.ready)


class Supervisor(AbstractContextManager["Supervisor"]):
    """Both servers' processes; leaving the context ends them.

    Args:
        plan: what to serve.
        signals: readable when it is time to end.
        keep_open: descriptors that servers inherit (the locks).

    Raises:
        IcDbError: a database file cannot be served.
    """

    def __init__(self, plan: Plan, signals: StopSignals, keep_open: tuple[int, ...]) -> None:
        self._plan = plan
        self._signals = signals
        self._keep_open = keep_open
        tls, apart = plan.nb.tls, plan.nb.members_ca is not None
        self._renewal = None if tls is None else Renewal(tls, apart=apart)
        after = plan.forget_after
        self._forgetter = None if after is None else Forgetter(plan, after)
        self._slots = tuple(
            _ServerSlot(server=server, tender=self._prepare(server)) for server in plan.servers
        )
        self._guard = Slot()
        self._space = Reasons("the disk")

    def __exit__(self, *_: object) -> None:
        stop(self._children())

    def start(self) -> bool:
        """Start both servers, and the guard, and wait until they answer.

        Returns:
            False if a signal came first.

        Raises:
            IcDbError: one ended, or does not answer.
        """
        for slot in self._slots:
            self._launch(slot)
        self._launch_guard()
        return all(map(self._answers, self._slots)) and self._guard_answers()

    def run(self, on_ready: Callable[[tuple[Problem, ...]], None]) -> None:
        """Restart servers that end, and tend the cluster, until a signal comes.

        Raises:
            IcDbError: see `serve`.
        """
        announced = False
        while True:
            self._relaunch()
            if not self._tend():
                return
            if self._renewal is not None and self._renewal.look():
                _log.info("new connections get the renewed certificate")
            if not announced and all(slot.ready for slot in self._slots):
                announced = self._announce(on_ready)
            if announced and self._forgetter is not None:
                self._forgetter.look()
            self._look_at_space()
            for ready in wait((self._signals, *self._children()), self._pause(announced)):
                if isinstance(ready, StopSignals):
                    return
                self._bury(ready)

    def _prepare(self, server: Server) -> Tender | None:
        membership = self._plan.membership
        if membership is None:
            prepare_database(server)
            return None
        holds = prepare_member(server, membership)
        return Tender(server, membership, holds, (self._signals.fileno(),))

    def _relaunch(self) -> None:
        """Start again what has ended, when it is time."""
        for slot in self._slots:
            if slot.child is None and slot.due <= time.monotonic():
                if slot.tender is not None:
                    slot.tender.before_restart()
                self._launch(slot)
                _log.info("%s started again", slot.server.name)
        guard = self._plan.guard
        if guard is not None and self._guard.child is None and self._guard.due <= time.monotonic():
            self._launch_guard()
            _log.info("%s started again", guard.name)

    def _tend(self) -> bool:
        """Do what membership asks for; False if a signal came meanwhile."""
        for slot in self._slots:
            if slot.child is None or slot.tender is None:
                continue
            decision = slot.tender.step()
            if decision is None:
                continue
            child, slot.child = slot.child, None
            stop((child,))
            slot.tender.carry_out(decision)
            self._launch(slot)
            try:
                if not self._answers(slot):
                    return False
            except IcDbError as error:
                # The other database is to be served all the same.
                _log.error("%s", error)
        return True

    def _announce(self, on_ready: Callable[[tuple[Problem, ...]], None]) -> bool:
        """Create the transit switches and tell that all is ready; False to try again."""
        try:
            problems = create_transit_switches(self._plan)
        except NotYetError as error:
            _log.info("%s; trying again", error)
            return False
        on_ready(problems)
        return True

    def _look_at_space(self) -> None:
        """Tell of a disk that is nearly full; of a cluster's database its `Tender` tells."""
        alone = [slot.server for slot in self._slots if slot.tender is None]
        problems = [problem for server in alone for problem in nearly_full(server)]
        self._space.update(problems, time.monotonic())

    def _pause(self, announced: bool) -> float:
        """Seconds until there is something to look at, if nothing happens."""
        tending = self._plan.membership is not None or self._renewal is not None
        dues = [_LOOK_RARELY]
        dues += [slot.due - time.monotonic() for slot in self._slots if slot.child is None]
        if self._plan.guard is not None and self._guard.child is None:
            dues.append(self._guard.due - time.monotonic())
        if tending or not announced:
            dues.append(_LOOK if announced else _LOOK_CLOSELY)
        if announced and self._forgetter is not None:
            dues.append(self._forgetter.pause())
        return max(0.0, min(dues))

    def _launch(self, slot: _ServerSlot) -> None:
        slot.launch(slot.server.program(*slot.databases), self._keep_open)

    def _launch_guard(self) -> None:
        if self._plan.guard is not None:
            self._guard.launch(self._plan.guard, self._keep_open)

    def _children(self) -> list[Child]:
        slots: tuple[Slot, ...] = (self._guard, *self._slots)
        return [slot.child for slot in slots if slot.child is not None]

    def _bury(self, child: Child) -> None:
        slots: tuple[Slot, ...] = (self._guard, *self._slots)
        [slot] = [slot for slot in slots if slot.child is child]
        _log.error("%s", slot.bury())

    def _answers(self, slot: _ServerSlot) -> bool:
        server = slot.server
        where = server.socket if server.guarded else server.address
        what, program = f"database {server.database}", server.program(*slot.databases)
        return self._waits(slot, program, where, lambda: _is_there(server), what)

    def _guard_answers(self) -> bool:
        """See that clients reach the right servers through the guard."""
        guard, address = self._plan.guard, self._plan.nb.address
        return guard is None or self._waits(
            self._guard,
            guard,
            address,
            lambda: all(map(_same_server, self._plan.servers)),
            "IC databases' guard",
        )

    def _waits(
        self,
        slot: Slot,
        program: Program,
        where: object,
        answers: Callable[[], bool],
        what: str,
    ) -> bool:
        """Wait until a process answers; False if a signal came first.

        What is killed meanwhile is started again; a process that ends by itself, before it has
        answered, has been told what cannot be.
        """
        deadline = time.monotonic() + READY_LIMIT
        while not answers():
            for ended in [child for child in self._children() if child.ended()]:
                if ended is slot.child and not ended.was_killed():
                    raise IcDbError(_not_served(program, what, ended.how_it_ended()))
                self._bury(ended)
            if time.monotonic() > deadline:
                tail = slot.child.log_tail() if slot.child is not None else "it was killed"
                message = f"does not answer on {where}: {tail}"
                raise IcDbError(_not_served(program, what, message))
            self._relaunch()
            if self._signals in wait((self._signals, *self._children()), _POLL):
                return False
        return True


def _is_there(server: Server) -> bool:
    """Whether a server answers where clients, or the guard, reach it."""
    return _answers_locally(server) if server.guarded else _same_server(server)


def _answers_locally(server: Server) -> bool:
    try:
        with JsonRpcClient.over_unix(server.socket) as local:
            return bool(local.server_id())
    except OSError:
        return False


def _same_server(server: Server) -> bool:
    """Whether the server behind the Unix socket is the one that clients reach on the port."""
    try:
        with (
            JsonRpcClient.over_unix(server.socket) as local,
            JsonRpcClient.over_tcp(
                server.connect_to, server.port, server_context(server)
            ) as remote,
        ):
            return local.server_id() == remote.server_id()
    except OSError:
        return False


def _not_served(program: Program, what: str, message: str) -> Problem:
    return Subject(what).problem(message, f"mend what {program.log_file} tells, and start again")
