"""Changes of a cluster's members and leader, and smaller logs.

Called by `isthmus ic-db leave|kick|move-leader|compact`. Each function makes one change to one
database, waits until the cluster has it, and can be repeated. All raise `IcDbError` if the local
server does not run.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from isthmus.icdb.admin.ovsdb_client import OvsdbClient
from isthmus.icdb.admin.server_control import raft_status, run_command
from isthmus.icdb.admin.status import client_remote
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_server import LocalServer
from isthmus.icdb.local.hosts import bracketed, host_of
from isthmus.icdb.local.ovsdb_tools import ToolError
from isthmus.icdb.raft.reachability import listens, responds
from isthmus.icdb.raft.status_parser import RaftServer, RaftStatus
from isthmus.model.problems import Problem
from isthmus.model.text import failure_text

_POLL = 0.05
_ELECTION_LIMIT = 10.0
"""Seconds for another member to lead: an election takes little more than its timer, 1 s."""


def move_leader(server: LocalServer, limit: float) -> str:
    """Hand leadership over, if the local server leads; `IcDbError` after `limit` seconds.

    Returns:
        the first four digits of the new leader's id; empty if the local server did not lead.
    """
    raft = raft_status(server)
    if raft.role != "leader":
        return ""
    if len(raft.servers) == 1:
        message, remedy = "this is the only member", "let another member join first"
        raise IcDbError(server.subject.problem(message, remedy))
    # The only command that makes a leader step down. It is meant for tests, and sends the message
    # that ends every orderly leadership.
    run_command(server, "cluster/failure-test", "transfer-leadership")

    def moved() -> bool:
        now = raft_status(server)
        return now.role != "leader" and now.leader not in {"unknown", "self"}

    _wait(server, moved, min(limit, _ELECTION_LIMIT), "no other member has taken the lead")
    return raft_status(server).leader


def has_database(server: LocalServer) -> bool:
    """Whether the local server serves the database; a server that has left its cluster does not."""
    return server.database in run_command(server, "ovsdb-server/list-dbs").split()


def check_leaving(server: LocalServer) -> None:
    """Raise `IcDbError` if the local server is the last member, or no majority is or would be."""
    raft = raft_status(server)
    if len(raft.servers) < 2:
        message = "this is the only member, and holds all data"
        raise IcDbError(server.subject.problem(message, "make a backup, and stop it"))
    if raft.leader == "unknown":
        message = "the cluster has no leader"
        remedy = "start the other members, or kick those that are gone for good"
        raise IcDbError(server.subject.problem(message, remedy))
    check_without(server, next(member for member in raft.servers if member.itself))


def leave(server: LocalServer, limit: float) -> None:
    """Take the local server out of its cluster for good, after `check_leaving`.

    Leadership is handed over first. Raises `IcDbError` after `limit` seconds.
    """
    move_leader(server, limit)
    run_command(server, "cluster/leave", server.database)
    _wait(server, lambda: not has_database(server), limit, "it has not left yet")


def find_member(raft: RaftStatus, target: str) -> RaftServer | None:
    """A member by address (with or without method and port) or by four digits or more of its id."""
    for member in raft.servers:
        host = host_of(member.address)
        if target in {member.address, host, bracketed(host)} or (
            len(target) >= len(member.sid) and target.startswith(member.sid)
        ):
            return member
    return None


def settled_member(server: LocalServer, target: str, limit: float) -> RaftServer | None:
    """The member that `find_member` finds; None only once a majority agrees that there is none.

    A removal without a majority may be reverted. Raises `IcDbError` after `limit` seconds.
    """
    found, seen = None, 0

    def settled() -> bool:
        nonlocal found, seen
        raft = raft_status(server)
        found, seen = find_member(raft, target), seen or raft.log[1]
        return found is not None or raft.committed >= seen

    _wait(server, settled, limit, "no majority has its newest list of members yet")
    return found


def is_alive(server: LocalServer, member: RaftServer, client: OvsdbClient) -> bool:
    """Whether a member's server runs, also if it rejects our certificate."""
    if listens(member.address, client.timeout):
        return True
    with suppress(ToolError):
        client.query(client_remote(server, member), "_Server")
        return True
    return False


def check_without(server: LocalServer, leaver: RaftServer) -> None:
    """Check that a majority of the members would remain, and now answers.

    Without a majority nothing can be written and no member removed or added. Raises `IcDbError`
    otherwise. The leaver may be the local member, or down already.
    """
    members = raft_status(server).servers
    silent = [member for member in members if not member.itself and not responds(member.address)]
    problem = majority_lost(server, members, silent, leaver)
    if problem is not None:
        raise IcDbError(problem)


def majority_lost(
    server: LocalServer,
    members: Sequence[RaftServer],
    silent: Sequence[RaftServer],
    leaver: RaftServer,
) -> Problem | None:
    """The problem that there is no majority, or would be none without `leaver`; None if there is.

    `silent` are those of the members that do not answer.
    """
    if not _is_majority(silent, members):
        return server.subject.problem(
            f"no majority of the members answers: {_not_answering(silent)}",
            "start the others, or, if they are gone for good, make a backup here and restore it"
            " into a new cluster",
        )
    staying = [member for member in members if member.address != leaver.address]
    missing = [member for member in staying if member in silent]
    if _is_majority(missing, staying):
        return None
    kicks = " and ".join(f"`isthmus ic-db kick {host_of(member.address)}`" for member in missing)
    return server.subject.problem(
        f"without this member, no majority of the members would be left: {_not_answering(missing)}",
        f"start what does not answer first, or, if it is gone for good, run {kicks}",
    )


def _is_majority(missing: Sequence[RaftServer], of: Sequence[RaftServer]) -> bool:
    return 2 * (len(of) - len(missing)) > len(of)


def _not_answering(members: Sequence[RaftServer]) -> str:
    hosts = ", ".join(sorted(host_of(member.address) for member in members))
    return f"{hosts} {'does' if len(members) == 1 else 'do'} not answer"


def kick(server: LocalServer, member: RaftServer, limit: float) -> None:
    """Remove a member, until a majority has that on disk; `IcDbError` after `limit` seconds."""
    removal = Removal(member)

    def gone() -> bool:
        raft = raft_status(server)
        if removal.is_committed(raft):
            return True
        if removal.is_due(raft) and _request_removal(server, member):
            removal.asked = raft.term
        return False

    _wait(server, gone, limit, f"member {member.address} has not been removed yet")


@dataclass(slots=True)
class Removal:
    """The progress of a member's removal, as the local server shows it.

    A server shows the newest list of members in its log. Until a majority has that entry too, a new
    leader may lack and revert it.

    Args:
        member: the member.
        asked: the term in which the leader was asked (a term has one leader); 0 if none was.
        seen: the log's length when the member was first seen to be missing; 0 if it is not.
    """

    member: RaftServer
    asked: int = 0
    seen: int = 0

    def is_committed(self, raft: RaftStatus) -> bool:
        """Whether the member is removed for good."""
        if any(other.sid == self.member.sid for other in raft.servers):
            self.seen = 0
            return False
        self.seen = self.seen or raft.log[1]
        return raft.committed >= self.seen

    def is_due(self, raft: RaftStatus) -> bool:
        """Whether to ask the leader; if the lost member led, there is none for a moment."""
        return not self.seen and raft.leader != "unknown" and raft.term != self.asked


def _request_removal(server: LocalServer, member: RaftServer) -> bool:
    """Ask the leader, through the local server; whether the request was sent."""
    try:
        run_command(server, "cluster/kick", server.database, member.sid)
    except IcDbError as error:
        if "failed to send" in str(error):  # ovsdb-server's only sign of a lost connection
            return False
        raise
    return True


def compact(server: LocalServer) -> tuple[int, int]:
    """Make the local server replace its log by a snapshot; its size before and after, in bytes."""
    before = _size(server)
    run_command(server, "ovsdb-server/compact", server.database)
    return before, _size(server)


def _size(server: LocalServer) -> int:
    try:
        return server.database_file.stat().st_size
    except OSError as error:
        subject = replace(server.file_subject, key="--data-dir")
        message = f"cannot be read: {failure_text(error)}"
        remedy = "give the --data-dir that `isthmus ic-db run` was started with"
        raise IcDbError(subject.problem(message, remedy)) from error


def _wait(server: LocalServer, state: Callable[[], bool], limit: float, message: str) -> None:
    deadline = time.monotonic() + limit
    while not state():
        if time.monotonic() > deadline:
            remedy = "check with `isthmus ic-db status` that a majority answers, and try again"
            raise IcDbError(server.subject.problem(f"{message} (after {limit:g} s)", remedy))
        time.sleep(_POLL)  # a control socket has no events
