"""Runs one server's membership: bootstraps, joins, watches, removes replaced servers.

Called by `server.supervisor` about once a second. Asks the local server over its sockets
(`local_status`) and other members over OVSDB (`peer_probe`); `bootstrap` decides what follows.
Invariant: nothing here waits longer than a few seconds, so signals and dead servers are handled.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TypeAlias

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.blocker_log import BlockerLog
from isthmus.icdb.local.database_file import MIN_FREE_SPACE, free_space, nearly_full, space_left
from isthmus.icdb.local.database_server import DatabaseServer
from isthmus.icdb.local.hosts import host_of
from isthmus.icdb.local.ovsdb_tools import is_older
from isthmus.icdb.raft.bootstrap import (
    Blocked,
    CreateCluster,
    JoinCluster,
    PeerAnswer,
    PeerState,
    decide_bootstrap,
    foreign_members,
    joining_problems,
    out_of_contact,
    unlisted_members,
)
from isthmus.icdb.raft.cluster_files import (
    FileState,
    create_cluster_file,
    create_joining_file,
    interrupted_admission,
    prepare_member,
)
from isthmus.icdb.raft.local_status import LocalStatus, control, local_status, version_of
from isthmus.icdb.raft.membership import Membership
from isthmus.icdb.raft.peer_probe import ask_all
from isthmus.icdb.raft.status_parser import RaftServer
from isthmus.model.problems import Problem
from isthmus.model.text import failure_text
from isthmus.ovsdb.jsonrpc import RpcError

RESTART_INTERVAL = 10.0
"""Seconds between restarts of a server that cannot write."""

FOREIGN_INTERVAL = 10.0
"""Seconds between questions to members of the list that are not in the cluster."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestartServer:
    """Restart the server: it failed to write, and does not retry on its own."""


FileAction: TypeAlias = CreateCluster | JoinCluster | RestartServer
"""What must be done while the server is stopped."""


class MemberLoop:
    """One server's membership.

    Args:
        server: the server.
        membership: all members.
        state: what its file holds, from `prepare_member`.
        wake: descriptors that end the wait for other members' answers when they become readable.

    Attributes:
        ready: whether the database can be written.
    """

    def __init__(
        self,
        server: DatabaseServer,
        membership: Membership,
        state: FileState,
        wake: Sequence[int],
    ) -> None:
        self.server = server
        self.ready = False
        self._state = state
        self._membership = membership
        self._wake = wake
        self._blockers = BlockerLog(server.database)
        self._restarted = self._foreign_asked = float("-inf")
        self._foreign: list[Problem] = []
        self._installed = version_of(server.schema.read_text(encoding="utf-8"))

    @property
    def databases(self) -> tuple[PurePath, ...]:
        """The files that the server must serve."""
        if self._state is FileState.NOTHING:
            return (self.server.waiting_file,)
        if self._state is FileState.STANDALONE:
            # Clients continue meanwhile; what they write is converted with the rest.
            return (self.server.database_file, self.server.waiting_file)
        return (self.server.database_file,)

    def step(self) -> FileAction | None:
        """Check the member, and log what prevents it from working.

        Returns:
            what must be done while the server is stopped; None for nothing.
        """
        if self._state in {FileState.NOTHING, FileState.STANDALONE}:
            return self._decide_bootstrap()
        local, now = local_status(self.server), time.monotonic()
        self.ready = local.ready
        if local.is_member and self._state is FileState.JOINING:
            _log.info("%s: joined cluster %s", self.server.database, local.answer.cid)
            self._state = FileState.MEMBER
        if local.leads:
            self._remove_replaced(local.servers)
        joining = self._state is FileState.JOINING
        self._blockers.update(self._problems(local, now), now, joining=joining)
        return self._restart(now) if local.write_failed else None

    def carry_out(self, action: FileAction) -> None:
        """Make the file that `step` decided on, if any; the server must have ended.

        Raises:
            IcDbError: it cannot be created.
        """
        database = self.server.database
        match action:
            case RestartServer():
                _log.warning("%s: its server cannot write; restarting it", database)
                return
            case JoinCluster(cid, hosts):
                create_joining_file(self.server, self._membership, cid, hosts)
                self._state = FileState.JOINING
                _log.info("%s: joining cluster %s", database, cid)
            case CreateCluster():
                kept = create_cluster_file(self.server, self._membership)
                self._state = FileState.MEMBER
                _log.info("%s: created the cluster", database)
                if kept:
                    _log.info("%s: the stand-alone database is kept as %s", database, kept)
        self.server.waiting_file.unlink(missing_ok=True)

    def before_restart(self) -> None:
        """Check that a server that ended on its own can serve the file that it left.

        A fault is logged and checked again at the next start: the other database is served anyway.
        """
        if self._state not in {FileState.JOINING, FileState.MEMBER}:
            return
        try:
            if interrupted_admission(self.server):
                self._state = prepare_member(self.server, self._membership)
        except IcDbError as error:
            _log.error("%s", error)

    def _decide_bootstrap(self) -> CreateCluster | JoinCluster | None:
        decision = decide_bootstrap(
            self.server.database,
            self._ask(self._membership.others),
            self._state is FileState.STANDALONE,
            self._membership.bootstrap_without,
        )
        if isinstance(decision, Blocked):
            self._blockers.update(decision.problems, time.monotonic())
            return None
        self._blockers.update((), time.monotonic())
        return decision

    def _restart(self, now: float) -> RestartServer | None:
        """Restart a server that cannot write, if there is room for it to start."""
        if now - self._restarted < RESTART_INTERVAL or free_space(self.server) < MIN_FREE_SPACE:
            return None
        self._restarted = now
        return RestartServer()

    def _problems(self, local: LocalStatus, now: float) -> list[Problem]:
        server, database, cid = self.server, self.server.database, local.answer.cid
        if local.write_failed:
            return [_write_failed(server)]
        if local.answer.state is PeerState.NOTHING:
            answers = self._ask(self._membership.others)
            return joining_problems(database, answers, self._membership.bootstrap_member)
        if not local.is_member:
            return [_not_served(server, local.answer)]
        if not local.ready:
            answers = self._ask(self._membership.others)
            alone = out_of_contact(database, cid, str(server.database_file), answers)
            return [alone, *foreign_members(database, cid, answers)]
        hosts = [host_of(member.address) for member in local.servers]
        return [
            *self._foreign_members(cid, hosts, now),
            *unlisted_members(database, self._membership.members, hosts),
            *nearly_full(server),
            *newer_schema(server, local.schema, self._installed),
        ]

    def _foreign_members(self, cid: str, hosts: Sequence[str], now: float) -> list[Problem]:
        """Members of the list that are in another cluster than this member's.

        They are asked only now and then: while lists are being changed, a list may name members
        that are gone.
        """
        missing = [host for host in self._membership.others if host not in hosts]
        if not missing or not hosts:
            self._foreign = []
        elif now >= self._foreign_asked + FOREIGN_INTERVAL:
            self._foreign_asked = now
            self._foreign = foreign_members(self.server.database, cid, self._ask(missing))
        return self._foreign

    def _ask(self, hosts: Iterable[str]) -> dict[str, PeerAnswer]:
        return ask_all(self.server, hosts, self._wake)

    def _remove_replaced(self, servers: Sequence[RaftServer]) -> None:
        """Remove servers whose member lost its disk and came back with a new server id.

        Raft admits the new server next to the old one of the same address, which would count as a
        missing member forever.
        """
        hosts = [host_of(server.address) for server in servers]
        twice = sorted({host for host in hosts if hosts.count(host) > 1})
        if not twice:
            return
        database = self.server.database
        for sid in replaced_servers(servers, self._ask(twice)):
            try:
                control(self.server, "cluster/kick", sid)
            except (OSError, RpcError) as error:
                why = failure_text(error)
                _log.warning("%s: cannot remove server %s: %s", database, sid, why)
            else:
                _log.info("%s: removed server %s, which lost its disk", database, sid)


def replaced_servers(servers: Iterable[RaftServer], answers: Mapping[str, PeerAnswer]) -> list[str]:
    """Ids of servers that another server at the same address has replaced.

    Servers of a host that did not answer are left alone.
    """
    by_host: dict[str, list[RaftServer]] = {}
    for server in servers:
        by_host.setdefault(host_of(server.address), []).append(server)
    replaced = []
    for host, answer in answers.items():
        here = by_host.get(host, [])
        alive = [server for server in here if answer.sid.startswith(server.sid)]
        if answer.sid and alive:
            replaced += [server.sid for server in here if server not in alive]
    return replaced


def newer_schema(server: DatabaseServer, schema: str, installed: str) -> list[Problem]:
    """The problem that a database has a newer schema than the installed one, if it has."""
    if not is_older(installed, schema):
        return []
    message = f"is newer than the installed one, {installed}; it is served unchanged"
    remedy = "install the OVN version on this host that the other members have"
    return [replace(server.subject, key="schema", value=schema).problem(message, remedy)]


def _not_served(server: DatabaseServer, answer: PeerAnswer) -> Problem:
    return server.file_subject.problem(
        f"is not served: {answer.detail or answer.state.value}; the member may have left the"
        " cluster or been removed from it",
        f"check {server.log_file}; to rejoin, stop `isthmus ic-db run`, move the file away, and"
        " start again",
    )


def _write_failed(server: DatabaseServer) -> Problem:
    return server.file_subject.problem(
        f"cannot be written to; {space_left(server)}",
        f"free space, or fix what {server.log_file} reports; the server is then restarted"
        " automatically",
    )
