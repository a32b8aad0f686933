"""How the IC databases fare: every member, as its own server and as the local one see it.

Called by `isthmus ic-db status`. Details of the local servers come from their control sockets,
those of the others over OVSDB, from the database `_Server` that every server has
(ovsdb-server(5)). Looks only.
"""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from isthmus.icdb.admin.security_warnings import clear_text, ending
from isthmus.icdb.admin.served_certificate import Shown, shown_by
from isthmus.icdb.admin.server_control import Place, not_running
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.ovsdb_tools import ClientTool, ToolError
from isthmus.icdb.raft.reachability import listens
from isthmus.icdb.raft.status_parser import RaftServer, RaftStatus
from isthmus.icdb.server.preflight import SPACE, free_space
from isthmus.model.problems import Subject
from isthmus.model.rows import Database

UNREACHABLE = "unreachable"
STANDALONE = "standalone"
_BLIND = "cannot be asked without certificates: give --tls-dir"


@dataclass(frozen=True, slots=True)
class Member:
    """A member as it is now; None is what cannot be known.

    Args:
        address: host name or IP address.
        sid: the server's id, as much of it as is known.
        role: "leader", "follower", "candidate", "joining", "standalone" or "unreachable".
        local: whether it is on this machine.
        cid: the cluster that it says it is in.
        connected: whether it is in contact with a majority.
        term, index, lag: of its log; `lag` in entries behind the member that has most.
        clients: connections of clients and servers' control.
        size: of the database's file, in bytes.
        schema: its version.
        certificate_expires: as OpenSSL writes it.
        certificate_fault: why its certificate is not accepted; empty if it is.
        message: why it cannot be asked; empty if it can.
        there: whether its server is there; it may be, though our certificates let us ask nothing.
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
    """A database, over all of its members.

    Args:
        database: its name.
        model: "clustered" or "standalone".
        cid: the cluster's id; empty if it stands alone.
        members: the local one first.
        problems: what keeps it from being well; it is healthy if there are none.
        weaknesses: what is not a fault, but not safe.
        remotes: what the local server listens on (ovsdb(7)).
    """

    database: str
    model: str
    cid: str
    members: tuple[Member, ...]
    problems: tuple[str, ...]
    weaknesses: tuple[str, ...]
    remotes: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def database_status(place: Place, client: ClientTool) -> DatabaseStatus:
    """Ask the local server, and all members that it knows.

    Raises:
        IcDbError: the local server does not run, or does not serve the database.
    """
    row = server_row(place, client)
    remotes = tuple(place.command("ovsdb-server/list-remotes").split())
    if row["model"] != "clustered":
        member = _standalone(place, client, row)
        problems = [] if row["connected"] else ["the database is not connected to its storage"]
        problems += _nearly_full(place)
        weak = clear_text(remotes)
        return DatabaseStatus(
            place.database, STANDALONE, "", (member,), tuple(problems), weak, remotes
        )
    raft = place.raft()
    members = _members(place, client, raft)
    return DatabaseStatus(
        database=place.database,
        model="clustered",
        cid=raft.cid,
        members=members,
        problems=(*_problems(raft, members), *_nearly_full(place)),
        weaknesses=(*clear_text([*remotes, raft.address]), *_ending(members)),
        remotes=remotes,
    )


def server_row(place: Place, client: ClientTool) -> dict[str, Any]:
    """The local server's row about the database.

    Raises:
        IcDbError: it does not run, or does not serve the database.
    """
    try:
        row = _server_row(client, place.remote, place.database)
    except ToolError as error:
        raise IcDbError(not_running(place, error)) from error
    if row is None:
        raise IcDbError(
            Subject(f"database {place.database}", value=place.remote).problem(
                ("is not served: this member waits to found or join a cluster, or has left it"),
                "look at what `isthmus ic-db run` logs",
            )
        )
    return row


def schema_in_use(place: Place, client: ClientTool) -> str:
    """The version of the schema that the local server has the database by.

    Raises:
        IcDbError: it does not run, or does not serve the database.
    """
    server_row(place, client)
    try:
        # Not from that row: where the database stands alone, it keeps the schema that the server
        # started with (ovsdb-server 3.1).
        return client.schema_version(place.remote, place.database)
    except ToolError as error:
        raise IcDbError(not_running(place, error)) from error


def host_of(address: str) -> str:
    """The host of "tcp:HOST:PORT", with its brackets if it is an IPv6 address."""
    return address.partition(":")[2].rpartition(":")[0]


def client_remotes(place: Place, server: RaftServer, client: ClientTool) -> tuple[str, ...]:
    """Where clients may reach a member: the same host as Raft, the clients' port.

    By the same method, too; but one that goes over to TLS serves clients by it already while
    members reach it in clear text.
    """
    method = server.address.partition(":")[0]
    methods = ("tcp", "ssl") if method == "tcp" and client.credentials.certificate else (method,)
    return tuple(f"{way}:{host_of(server.address)}:{place.port}" for way in methods)


def _server_row(client: ClientTool, remote: str, database: Database) -> dict[str, Any] | None:
    where = [["name", "==", database]]
    columns = ["model", "connected", "leader", "cid", "sid", "index", "schema"]
    select = {"op": "select", "table": "Database", "where": where, "columns": columns}
    [result] = client.query(remote, "_Server", select)
    return result["rows"][0] if result["rows"] else None


def _first_row(place: Place, client: ClientTool, remotes: Sequence[str]) -> dict[str, Any] | None:
    """A server's row about the database, from the first remote that answers."""
    *others, last = remotes
    for remote in others:
        with suppress(ToolError):
            return _server_row(client, remote, place.database)
    return _server_row(client, last, place.database)


def _members(place: Place, client: ClientTool, raft: RaftStatus) -> tuple[Member, ...]:
    servers = sorted(raft.servers, key=lambda server: (not server.itself, server.address))
    if not servers:
        return (_joining(raft),)
    with ThreadPoolExecutor(len(servers)) as pool:
        found = list(pool.map(lambda server: _member(place, client, raft, server), servers))
    most = max((member.index or 0 for member in found), default=0)
    return tuple(_with_lag(member, most) for member in found)


def _joining(raft: RaftStatus) -> Member:
    return Member(host_of(raft.address), raft.sid, "joining", local=True, message=raft.status)


def _member(place: Place, client: ClientTool, raft: RaftStatus, server: RaftServer) -> Member:
    remotes = client_remotes(place, server, client)
    host = host_of(server.address)
    shown = shown_by(remotes[-1], client.credentials, client.timeout)
    try:
        row = _first_row(place, client, (place.remote,) if server.itself else remotes)
    except ToolError as error:
        member = _unreachable(server, shown, shown.fault or str(error))
        return _perhaps_there(member, remotes[-1], client)
    if row is None:
        return _unreachable(server, shown, "its server does not have the database")
    role = "leader" if row["leader"] else "follower"
    return Member(
        address=host,
        sid=_optional(row["sid"]) or server.sid,
        role=raft.role if server.itself else role,
        local=server.itself,
        cid=_optional(row["cid"]),
        connected=row["connected"],
        term=raft.term if server.itself else None,
        index=row["index"] if isinstance(row["index"], int) else None,
        clients=_sessions(place) if server.itself else None,
        size=_size(place) if server.itself else None,
        schema=schema_version(row["schema"]),
        certificate_expires=shown.expires,
        certificate_fault=shown.fault,
    )


def _unreachable(server: RaftServer, shown: Shown, message: str) -> Member:
    return Member(
        address=host_of(server.address),
        sid=server.sid,
        role=UNREACHABLE,
        local=server.itself,
        certificate_expires=shown.expires,
        certificate_fault=shown.fault,
        message=message,
        there=False,
    )


def _perhaps_there(member: Member, remote: str, client: ClientTool) -> Member:
    """One that does not answer; where TLS is spoken, that may be for want of certificates."""
    if not remote.startswith("ssl:"):
        return member
    ours = client.credentials.certificate
    if ours and member.certificate_expires:
        refused_us = f"; it may not accept {ours}: its CA must be among those that it has"
        message = member.message + ("" if member.certificate_fault else refused_us)
        return replace(member, there=True, message=message)
    if not ours and listens(remote, client.timeout):
        return replace(member, there=True, message=_BLIND)
    return member


def _standalone(place: Place, client: ClientTool, row: dict[str, Any]) -> Member:
    return Member(
        address="",
        sid="",
        role=STANDALONE,
        local=True,
        connected=row["connected"],
        clients=_sessions(place),
        size=_size(place),
        schema=schema_in_use(place, client),
    )


def _with_lag(member: Member, most: int) -> Member:
    return member if member.index is None else replace(member, lag=most - member.index)


def _nearly_full(place: Place) -> list[str]:
    free = free_space(place.data_dir)
    told = f"the disk of {place.data_dir} is nearly full: {free // 1024} KiB are free"
    return [told] if free < SPACE else []


def _problems(raft: RaftStatus, members: Sequence[Member]) -> list[str]:
    local = members[0]
    found = []
    # A server takes up to two elections to notice that it is alone, and then says so.
    alone = raft.status.startswith("disconnected from the cluster")
    if raft.status != "cluster member" and not alone:
        found.append(f"this member is not part of the cluster: {raft.status}")
    elif alone or not local.connected or not _is_majority(members):
        found.append(
            "no majority of the members is in contact: nothing can be written; start the others,"
            " or, if they are gone for good, make a backup here and restore it into a new cluster"
        )
    elif raft.leader == "unknown":
        found.append("the cluster has no leader at the moment")
    for member in members:
        if member.role == UNREACHABLE:
            silent = "" if member.message == _BLIND else "does not answer: "
            found.append(f"member {member.address} {silent}{member.message}")
        elif member.cid != local.cid:
            found.append(f"member {member.address} is in another cluster, {member.cid}")
        elif not member.connected and not member.local:
            found.append(f"member {member.address} is cut off from the majority")
        elif member.certificate_fault:
            found.append(f"member {member.address}: {member.certificate_fault}")
    return found


def _ending(members: Sequence[Member]) -> Iterable[str]:
    now = datetime.now(UTC)
    for member in members:
        yield from ending(member.address, member.certificate_expires, now)


def _is_majority(members: Sequence[Member]) -> bool:
    return 2 * sum(member.there for member in members) > len(members)


def _sessions(place: Place) -> int:
    """Connections to the local server, less the one that asks."""
    counts = dict(
        part.split(":", 1) for part in place.command("memory/show").split() if ":" in part
    )
    return int(counts.get("sessions", 0))


def _size(place: Place) -> int | None:
    with suppress(OSError):  # another --data-dir is no reason to say nothing
        return place.file.stat().st_size
    return None


def schema_version(schema: Any) -> str:
    """The version in the text of a schema; empty if there is none yet."""
    if not isinstance(schema, str):
        return ""
    return str(json.loads(schema).get("version", ""))


def _optional(value: Any) -> str:
    """An optional UUID: ["uuid", X], or ["set", []]."""
    return value[1] if value[0] == "uuid" else ""
