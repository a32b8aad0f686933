"""Changing who is a member of a cluster and who leads it; small logs; newer schemas.

Called by `isthmus ic-db join|leave|kick|move-leader|compact|upgrade`. Each function does one
thing to one database, waits until the cluster has it, and is safe to repeat.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus.icdb.admin.server_control import Place, refused
from isthmus.icdb.admin.status import client_remotes, host_of, schema_in_use
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.ovsdb_tools import ClientTool, ToolError, tool
from isthmus.icdb.raft.reachability import listens, responds
from isthmus.icdb.raft.status_parser import RaftServer, RaftStatus
from isthmus.model.problems import Problem, Subject
from isthmus.ovsdb.unixctl_client import CommandFailedError

_POLL = 0.05
_ELECTION_LIMIT = 10.0
"""Seconds for another member to lead: elections take the election timer, 1 s, and a bit."""


def raft_of(place: Place) -> RaftStatus:
    """What the local server says of its cluster.

    Raises:
        IcDbError: it does not run, or its database is not clustered.
    """
    try:
        return place.raft()
    except CommandFailedError as error:
        raise IcDbError(refused(place, error)) from error


def prepare_joins(wanted: Sequence[tuple[Place, str, Sequence[str]]]) -> None:
    """Make the files with which `isthmus ic-db run` joins clusters: all of them, or none.

    Args:
        wanted: for each database, of which there must be no file yet, this member's address for
            Raft, such as "tcp:192.0.2.4:6647", and those of members.

    Raises:
        IcDbError: there is a file, or one cannot be made.
    """
    made: list[Place] = []
    try:
        for place, own, others in wanted:
            _prepare_join(place, own, others)
            made.append(place)
    except IcDbError:
        for place in made:
            place.file.unlink()
        raise


def _prepare_join(place: Place, own: str, others: Sequence[str]) -> None:
    thing = f"database {place.database}"
    try:
        place.data_dir.mkdir(parents=True, exist_ok=True)
        exists = place.file.exists()
    except OSError as error:
        message = f"cannot be used: {error.strerror}"
        remedy = "name a directory that this user may write to"
        directory = str(place.data_dir)
        raise IcDbError(Subject(thing, "--data-dir", directory).problem(message, remedy)) from error
    if exists:
        message = "exists: this member has a database already"
        remedy = (
            "start `isthmus ic-db run`; or, if what it holds is not needed, stop that"
            " and move the file away"
        )
        raise IcDbError(Subject(thing, "file", str(place.file)).problem(message, remedy))
    _with_tool(place, "join-cluster", place.file, place.database, own, *others)


def move_leader(place: Place, limit: float) -> str:
    """Hand leadership over, if the local server leads and there are others.

    Returns:
        who leads now, by four digits of its id; empty if the local server did not lead.

    Raises:
        IcDbError: nobody took it within `limit` seconds.
    """
    raft = raft_of(place)
    if raft.role != "leader":
        return ""
    if len(raft.servers) == 1:
        raise IcDbError(_not_done(place, "it is the only member", "let another member join first"))
    # The one command with which a leader steps down by itself; it is meant for tests, and does
    # no more than send the message that ends every orderly leadership.
    _command(place, "cluster/failure-test", "transfer-leadership")

    def moved() -> bool:
        now = raft_of(place)
        return now.role != "leader" and now.leader not in {"unknown", "self"}

    _wait(place, moved, min(limit, _ELECTION_LIMIT), "no other member has taken the lead")
    return raft_of(place).leader


def still_in(place: Place) -> bool:
    """Whether the local server has the database: one that has left no longer serves it.

    Raises:
        IcDbError: it does not run.
    """
    return _has_database(place)


def check_leaving(place: Place) -> None:
    """See that the local server may leave its cluster; nothing is changed.

    Raises:
        IcDbError: it is the last member, or no majority is there, or would be left.
    """
    raft = raft_of(place)
    if len(raft.servers) < 2:
        message = "it is the only member, and holds all there is"
        raise IcDbError(_not_done(place, message, "make a backup, and stop it"))
    if raft.leader == "unknown":
        remedy = "start the other members, or kick those that are gone for good"
        raise IcDbError(_not_done(place, "the cluster has no leader", remedy))
    check_without(place, next(server for server in raft.servers if server.itself))


def leave(place: Place, limit: float) -> None:
    """Take the local server out of its cluster for good; leadership goes first.

    The caller has done `check_leaving`.

    Raises:
        IcDbError: it took longer than `limit` seconds.
    """
    move_leader(place, limit)
    _command(place, "cluster/leave", place.database)
    # Once it has left, the server stops serving the database.
    _wait(place, lambda: not _has_database(place), limit, "it has not left yet")


def find_member(raft: RaftStatus, target: str) -> RaftServer | None:
    """A member by address (with or without method and port) or by four digits or more of its id."""
    for server in raft.servers:
        host = host_of(server.address)
        if target in {server.address, host, host.strip("[]")} or (
            len(target) >= len(server.sid) and target.startswith(server.sid)
        ):
            return server
    return None


def settled_member(place: Place, target: str, limit: float) -> RaftServer | None:
    """A member, as `find_member` finds it; that there is none, a majority agrees.

    A removal that has not been agreed on may be taken back.

    Raises:
        IcDbError: there was no agreement within `limit` seconds.
    """
    found, seen = None, 0

    def settled() -> bool:
        nonlocal found, seen
        raft = raft_of(place)
        found, seen = find_member(raft, target), seen or raft.log[1]
        return found is not None or raft.committed >= seen

    _wait(place, settled, limit, "no majority has its newest list of members yet")
    return found


def answers(place: Place, server: RaftServer, client: ClientTool) -> bool:
    """Whether a member's server is there, whatever it thinks of our certificate."""
    if listens(server.address, client.timeout):
        return True
    for remote in client_remotes(place, server, client):
        with suppress(ToolError):
            client.query(remote, "_Server")
            return True
    return False


def check_without(place: Place, leaver: RaftServer) -> None:
    """See that a majority of the members would be left, and is there to agree.

    Without one nothing could be written, and no member removed or added: there is no way back.

    Args:
        place: whose cluster.
        leaver: the member that is to go; it may be the local one, or gone already.

    Raises:
        IcDbError: there would be none, or there is none now.
    """
    servers = raft_of(place).servers
    silent = [server for server in servers if not server.itself and not responds(server.address)]
    problem = majority_lost(place, servers, silent, leaver)
    if problem is not None:
        raise IcDbError(problem)


def majority_lost(
    place: Place, servers: Sequence[RaftServer], silent: Sequence[RaftServer], leaver: RaftServer
) -> Problem | None:
    """What is to be said if there is no majority, or none without `leaver`; None if there is.

    Args:
        place: whose cluster.
        servers: all members.
        silent: those of them that do not answer.
        leaver: the one of them that is to go.
    """
    if not _is_majority(silent, servers):
        return _no_majority(place, silent)
    staying = [server for server in servers if server.address != leaver.address]
    missing = [server for server in staying if server in silent]
    return None if _is_majority(missing, staying) else _no_majority_left(place, missing)


def _is_majority(missing: Sequence[RaftServer], of: Sequence[RaftServer]) -> bool:
    return 2 * (len(of) - len(missing)) > len(of)


def kick(place: Place, server: RaftServer, limit: float) -> None:
    """Remove a member that does not come back; done once a majority has it on disk.

    Raises:
        IcDbError: there is no majority to agree, or it took longer than `limit` seconds.
    """
    removal = Removal(server)

    def gone() -> bool:
        raft = raft_of(place)
        if removal.is_committed(raft):
            return True
        if removal.is_due(raft) and _ask_to_remove(place, server):
            removal.asked = raft.term
        return False

    _wait(place, gone, limit, f"member {server.address} has not been removed yet")


@dataclass(slots=True)
class Removal:
    """How far the removal of a member is, by what the local server says of its cluster.

    A server shows the newest members that its log has. Until a majority has that entry, too, a
    new leader may not have it, and take it back.

    Args:
        server: the member.
        asked: the term in which its leader was asked; 0 if none was. Each has one leader.
        seen: the log's length when the member was first seen to be missing; 0 if it is not.
    """

    server: RaftServer
    asked: int = 0
    seen: int = 0

    def is_committed(self, raft: RaftStatus) -> bool:
        """Whether the member is removed, and stays so."""
        if any(other.sid == self.server.sid for other in raft.servers):
            self.seen = 0
            return False
        self.seen = self.seen or raft.log[1]
        return raft.committed >= self.seen

    def is_due(self, raft: RaftStatus) -> bool:
        """Whether a leader is to be asked; there is none yet if the one that is lost led."""
        return not self.seen and raft.leader != "unknown" and raft.term != self.asked


def _ask_to_remove(place: Place, server: RaftServer) -> bool:
    """Ask the leader, through the local server; whether the request went out."""
    try:
        place.command("cluster/kick", place.database, server.sid)
    except CommandFailedError as error:
        if "failed to send" in str(error):
            return False
        raise IcDbError(refused(place, error)) from error
    return True


def compact(place: Place) -> tuple[int, int]:
    """Have the local server replace its log by a snapshot.

    Returns:
        the file's size before and after, in bytes.

    Raises:
        IcDbError: the server does not run, or its file is not there.
    """
    before = _size(place)
    _command(place, "ovsdb-server/compact", place.database)
    return before, _size(place)


def versions(place: Place, client: ClientTool) -> tuple[str, str]:
    """The versions of the schema in use and of the one installed here.

    Raises:
        IcDbError: the server does not run, or does not serve the database.
    """
    return schema_in_use(place, client), _with_tool(place, "schema-version", place.schema)


def older(one: str, other: str) -> bool:
    """Whether one schema's version, such as "1.1.1", is before another's."""
    return _parts(one) < _parts(other)


def upgrade(place: Place, client: ClientTool) -> None:
    """Convert the running database to the installed schema.

    Raises:
        IcDbError: the data do not fit the schema, or the database does not answer.
    """
    try:
        client.convert(place.remote, place.schema)
    except ToolError as error:
        remedy = "nothing was changed; see that a majority runs, and that all have this OVN's files"
        raise IcDbError(_not_done(place, f"it was not converted: {error}", remedy)) from error


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _has_database(place: Place) -> bool:
    return place.database in _command(place, "ovsdb-server/list-dbs").split()


def _size(place: Place) -> int:
    try:
        return place.file.stat().st_size
    except OSError as error:
        message = f"cannot be looked at: {error.strerror}"
        remedy = "give the --data-dir that `isthmus ic-db run` was started with"
        file = str(place.file)
        raise IcDbError(
            Subject(f"database {place.database}", "--data-dir", file).problem(message, remedy)
        ) from error


def _command(place: Place, name: str, *arguments: str) -> str:
    try:
        return place.command(name, *arguments)
    except CommandFailedError as error:
        raise IcDbError(refused(place, error)) from error


def _with_tool(place: Place, *arguments: str | Path) -> str:
    try:
        return tool(*arguments)
    except ToolError as error:
        raise IcDbError(
            _not_done(place, str(error), "mend that, and repeat the command")
        ) from error


def _wait(place: Place, state: Callable[[], bool], limit: float, message: str) -> None:
    deadline = time.monotonic() + limit
    while not state():
        if time.monotonic() > deadline:
            remedy = "see by `isthmus ic-db status` that a majority answers, and repeat the command"
            raise IcDbError(_not_done(place, f"{message} (after {limit:g} s)", remedy))
        time.sleep(_POLL)  # a control socket has no events


def _not_done(place: Place, message: str, remedy: str) -> Problem:
    return Subject(f"database {place.database}").problem(message, remedy)


def _no_majority(place: Place, silent: Sequence[RaftServer]) -> Problem:
    message = f"no majority of the members answers: {_hosts(silent)} {_do(silent)} not"
    remedy = (
        "start the others, or, if they are gone for good, make a backup here and restore it into"
        " a new cluster"
    )
    return _not_done(place, message, remedy)


def _no_majority_left(place: Place, missing: Sequence[RaftServer]) -> Problem:
    who = f"{_hosts(missing)} {_do(missing)} not answer"
    message = f"without it, no majority of the members would be left: {who}"
    kicks = " and ".join(f"`isthmus ic-db kick {_host(server)}`" for server in missing)
    remedy = f"first start what does not answer, or, if it is gone for good, do {kicks}"
    return _not_done(place, message, remedy)


def _do(servers: Sequence[RaftServer]) -> str:
    return "does" if len(servers) == 1 else "do"


def _hosts(servers: Sequence[RaftServer]) -> str:
    return ", ".join(sorted(map(_host, servers)))


def _host(server: RaftServer) -> str:
    return host_of(server.address).strip("[]")
