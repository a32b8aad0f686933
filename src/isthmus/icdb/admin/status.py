"""The health of an IC database: every member, as its own server and as the local server see it.

Called by `isthmus ic-db status` and `backup`. Details of the local servers come from their control
sockets, those of the others over OVSDB, from the database `_Server` that every server has
(ovsdb-server(5)). Reads only.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from isthmus.icdb.admin.ovsdb_client import OvsdbClient
from isthmus.icdb.admin.schema_upgrade import row_at, schema_in_use, server_row
from isthmus.icdb.admin.security_warnings import clear_text, expiring_soon
from isthmus.icdb.admin.served_certificate import served_certificate
from isthmus.icdb.admin.server_control import raft_status, run_command
from isthmus.icdb.local.database_file import MIN_FREE_SPACE, DatabaseModel, free_space
from isthmus.icdb.local.database_server import LocalServer
from isthmus.icdb.local.hosts import bracketed, host_of
from isthmus.icdb.local.ovsdb_tools import ToolError
from isthmus.icdb.raft.local_status import version_of
from isthmus.icdb.raft.peer_probe import optional_uuid
from isthmus.icdb.raft.reachability import listens
from isthmus.icdb.raft.status_parser import RaftServer, RaftStatus

UNREACHABLE = "unreachable"
_NO_MAJORITY = (
    "no majority of the members is in contact, so writes fail; start the others, or, if they are"
    " gone for good, make a backup here and restore it into a new cluster"
)
_NO_CERTIFICATES = "cannot be asked without certificates: give --tls-dir"


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A member; None is what is not known.

    Args:
        address: host name or IP address, the latter in brackets if it is IPv6.
        sid: the server's id, as much of it as is known.
        role: "leader", "follower", "candidate", "joining", "standalone" or "unreachable".
        local: whether it is on this host.
        cid: the cluster that it reports.
        connected: whether it is in contact with a majority.
        term, index, lag: of its log; `lag` in entries behind the member that has most.
        clients: connections of clients and control commands.
        size: of the database's file, in bytes.
        schema: its version.
        certificate_expires: in OpenSSL's format.
        certificate_fault: why its certificate is rejected; empty if it is accepted.
        message: why it cannot be asked; empty if it can.
        there: whether its server runs, although it may reject our certificate.
    """

    address: str
    sid: str
    role: str
    local: bool
    cid: str = ""
    connected: bool = False
    term: int | None = None
    index: int | None = None
    lag: int | None = None
    clients: int | None = None
    size: int | None = None
    schema: str = ""
    certificate_expires: str = ""
    certificate_fault: str = ""
    message: str = ""
    there: bool = True


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """A database and all of its members.

    Args:
        database: its name.
        model: "clustered" or "standalone".
        cid: the cluster's id; empty if it stands alone.
        members: the local one first.
        problems: why it is unhealthy; none if it is healthy.
        weaknesses: what is not a fault, but not safe.
        remotes: what the local server listens on (ovsdb(7)).
    """

    database: str
    model: str
    cid: str
    members: tuple[MemberStatus, ...]
    problems: tuple[str, ...]
    weaknesses: tuple[str, ...]
    remotes: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def database_status(server: LocalServer, client: OvsdbClient) -> DatabaseStatus:
    """Ask the local server and all members that it knows.

    Raises:
        IcDbError: the local server does not run, or does not serve the database.
    """
    row = server_row(server, client)
    remotes = tuple(run_command(server, "ovsdb-server/list-remotes").split())
    if row["model"] == DatabaseModel.CLUSTERED:
        raft = raft_status(server)
        cid, weak = raft.cid, clear_text([*remotes, raft.address])
        members = _members(server, client, raft)
        problems = [*_cluster_problems(raft, members), *_member_problems(members)]
    else:
        cid, weak = "", clear_text(remotes)
        members = (_standalone_member(server, client, row),)
        problems = [] if row["connected"] else ["the database has lost its storage"]
    now = datetime.now(UTC)
    expiring = (expiring_soon(each.address, each.certificate_expires, now) for each in members)
    return DatabaseStatus(
        database=server.database,
        model=row["model"],
        cid=cid,
        members=members,
        problems=(*problems, *_nearly_full(server)),
        weaknesses=(*weak, *chain.from_iterable(expiring)),
        remotes=remotes,
    )


def client_remote(server: LocalServer, member: RaftServer) -> str:
    """Where clients reach a member: the same host and method as Raft's, the clients' port."""
    method = member.address.partition(":")[0]
    return f"{method}:{bracketed(host_of(member.address))}:{server.port}"


def _members(
    server: LocalServer, client: OvsdbClient, raft: RaftStatus
) -> tuple[MemberStatus, ...]:
    members = sorted(raft.servers, key=lambda member: (not member.itself, member.address))
    if not members:
        host = bracketed(host_of(raft.address))
        return (MemberStatus(host, raft.sid, "joining", local=True, message=raft.status),)
    with ThreadPoolExecutor(len(members)) as pool:
        found = list(pool.map(lambda member: _member(server, client, raft, member), members))
    most = max((member.index or 0 for member in found), default=0)
    return tuple(
        member if member.index is None else replace(member, lag=most - member.index)
        for member in found
    )


def _member(
    server: LocalServer, client: OvsdbClient, raft: RaftStatus, member: RaftServer
) -> MemberStatus:
    remote = client_remote(server, member)
    expires, fault = served_certificate(remote, client.tls, client.timeout)
    unreachable = MemberStatus(
        address=bracketed(host_of(member.address)),
        sid=member.sid,
        role=UNREACHABLE,
        local=member.itself,
        certificate_expires=expires,
        certificate_fault=fault,
        there=False,
    )
    try:
        row = row_at(server, client, server.remote if member.itself else remote)
    except ToolError as error:
        return _unreachable(replace(unreachable, message=fault or str(error)), remote, client)
    if row is None:
        return replace(unreachable, message="its server does not have the database")
    role = "leader" if row["leader"] else "follower"
    return replace(
        unreachable,
        there=True,
        sid=optional_uuid(row["sid"]) or member.sid,
        role=raft.role if member.itself else role,
        cid=optional_uuid(row["cid"]),
        connected=row["connected"],
        term=raft.term if member.itself else None,
        index=row["index"] if isinstance(row["index"], int) else None,
        clients=_sessions(server) if member.itself else None,
        size=_size(server) if member.itself else None,
        schema=version_of(row["schema"] if isinstance(row["schema"], str) else ""),
    )


def _unreachable(member: MemberStatus, remote: str, client: OvsdbClient) -> MemberStatus:
    """A member that does not answer; with TLS, it may only lack or reject certificates."""
    if client.tls is not None and member.certificate_expires:
        ours = client.tls.certificate
        rejected = f"; it may reject {ours}: its ca.crt must contain the CA that signed that"
        message = member.message + ("" if member.certificate_fault else rejected)
        return replace(member, there=True, message=message)
    if remote.startswith("ssl:") and client.tls is None and listens(remote, client.timeout):
        return replace(member, there=True, message=_NO_CERTIFICATES)
    return member


def _standalone_member(
    server: LocalServer, client: OvsdbClient, row: dict[str, Any]
) -> MemberStatus:
    return MemberStatus(
        address="",
        sid="",
        role=DatabaseModel.STANDALONE,
        local=True,
        connected=row["connected"],
        clients=_sessions(server),
        size=_size(server),
        schema=schema_in_use(server, client),
    )


def _nearly_full(server: LocalServer) -> list[str]:
    free = free_space(server)
    message = f"the disk of {server.files.data_dir} is nearly full: {free // 1024} KiB are free"
    return [message] if free < MIN_FREE_SPACE else []


def _cluster_problems(raft: RaftStatus, members: Sequence[MemberStatus]) -> list[str]:
    # A server takes up to two elections to notice that it is alone, and then reports this status.
    alone = raft.status.startswith("disconnected from the cluster")
    if raft.status != "cluster member" and not alone:
        return [f"this member is not part of the cluster: {raft.status}"]
    majority = 2 * sum(member.there for member in members) > len(members)
    if alone or not members[0].connected or not majority:
        return [_NO_MAJORITY]
    return ["the cluster has no leader at the moment"] if raft.leader == "unknown" else []


def _member_problems(members: Sequence[MemberStatus]) -> Iterable[str]:
    cid = members[0].cid
    for member in members:
        if member.role == UNREACHABLE:
            silent = "" if member.message == _NO_CERTIFICATES else "does not answer: "
            yield f"member {member.address} {silent}{member.message}"
        elif member.cid != cid:
            yield f"member {member.address} is in another cluster, {member.cid}"
        elif not member.connected and not member.local:
            yield f"member {member.address} is cut off from the majority"
        elif member.certificate_fault:
            yield f"member {member.address}: {member.certificate_fault}"


def _sessions(server: LocalServer) -> int:
    """Connections to the local server."""
    parts = run_command(server, "memory/show").split()
    counts = dict(part.split(":", 1) for part in parts if ":" in part)
    return int(counts.get("sessions", 0))


def _size(server: LocalServer) -> int | None:
    with suppress(OSError):  # --data-dir may be another directory
        return server.database_file.stat().st_size
    return None
