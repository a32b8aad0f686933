"""Files of clustered databases: what a member's file holds, and making one that starts a cluster.

Called by `server.supervisor`, `member_loop` and `admin.file_check`. The state of a file is read
from its records (raft.c of OVS; ovsdb(5)). Invariant: what holds data is never removed or
overwritten; a file appears complete or not at all.
"""

import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain, count
from pathlib import Path

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_file import (
    DatabaseModel,
    Records,
    check_access,
    check_name,
    check_standalone,
    checked_records,
    create_file,
    is_empty,
    unusable,
)
from isthmus.icdb.local.database_server import DatabaseServer, LocalServer
from isthmus.icdb.local.hosts import host_of
from isthmus.icdb.local.ovsdb_tools import ToolError, ovsdb_tool
from isthmus.icdb.raft.bootstrap import WAITING_DATABASE
from isthmus.icdb.raft.membership import Membership
from isthmus.model.problems import Problem

RECREATE = (
    "move it away and start again: this member gets the data from the others, if a majority of them"
    " runs; otherwise restore a backup (`isthmus ic-db restore`)"
)

_TO_TLS = "convert the cluster to TLS (docs/how-to/tls.md, Convert a clear-text cluster)"
_TO_CLEAR_TEXT = (
    "give --tls-dir (or ISTHMUS_TLS_DIR); to return to clear text, follow the same steps as for TLS"
    " (docs/how-to/tls.md, Convert a clear-text cluster) without --tls-dir"
)

_log = logging.getLogger(__name__)


class FileState(Enum):
    """What a database file holds."""

    NOTHING = auto()
    """No file."""
    STANDALONE = auto()
    """A stand-alone database."""
    JOINING = auto()
    """A member that has not been admitted and asks for it."""
    NOT_ADMITTED = auto()
    """A member that was interrupted while it was admitted, of which `ovsdb-server` would say that
    it "does not belong to cluster": it has the data, but no record that it is a member."""
    MEMBER = auto()
    """A member of a cluster."""
    LEFT = auto()
    """A member that left its cluster or was removed from it."""


@dataclass(frozen=True, slots=True)
class MemberRecords:
    """The records of a member's file.

    Args:
        records: all; the first is the header.
    """

    records: Records

    @property
    def name(self) -> str:
        """The database's name."""
        return str(self.records.contents[0]["name"])

    @property
    def address(self) -> str:
        """The member's address for Raft, e.g. "tcp:192.0.2.1:6647"."""
        return str(self.records.contents[0]["local_address"])

    @property
    def sid(self) -> str:
        """The member's server id."""
        return str(self.records.contents[0]["server_id"])

    @property
    def cid(self) -> str:
        """The cluster's id; empty if the member has not joined."""
        return str(self.records.contents[0].get("cluster_id", ""))

    @property
    def contacts(self) -> tuple[str, ...]:
        """The addresses that a member which has not been admitted asks."""
        return tuple(self.records.contents[0].get("remote_addresses", ()))

    @property
    def state(self) -> FileState:
        """What the file holds.

        A member that joins is sent the data first, and then the record that makes it a member.
        """
        if any(record.get("note") == "left" for record in self.records.contents):
            return FileState.LEFT
        if self.contacts:
            return FileState.JOINING
        lists = ("servers", "prev_servers")
        members = (record.get(key, {}) for record in self.records.contents for key in lists)
        is_member = any(self.sid in servers for servers in members)
        return FileState.MEMBER if is_member else FileState.NOT_ADMITTED


def prepare_member(server: DatabaseServer, membership: Membership) -> FileState:
    """Check a member's file, and create the one that a member without data starts with.

    A member without data gets a file that joins. The bootstrap member stays without one, or with
    its stand-alone database, until `bootstrap` has decided.

    Returns:
        what the file holds afterwards: NOTHING, STANDALONE, JOINING or MEMBER.

    Raises:
        IcDbError: the file is damaged, of another database or member, has left its cluster, or is
            stand-alone although this member is not the bootstrap member.
    """
    try:
        state = _inspect(server, membership)
        if state is FileState.MEMBER:
            return state
        if membership.is_bootstrap_member:
            _create_waiting_database(server)
            if state is FileState.JOINING:
                server.database_file.unlink()  # it holds no data
                return FileState.NOTHING
            return state
        if state is FileState.NOTHING:
            create_joining_file(server, membership, None, membership.others)
    except OSError as error:
        raise IcDbError(unusable(server, error)) from error
    return FileState.JOINING


def create_joining_file(
    server: DatabaseServer, membership: Membership, cid: str | None, hosts: Sequence[str]
) -> None:
    """Create the file of a member that asks to be admitted.

    Args:
        server, membership: the local member.
        cid: the cluster to join; None for any that the members are in.
        hosts: those to ask first; all others are asked too.

    Raises:
        IcDbError: it cannot be created.
    """
    own = server.raft_address(membership.own)
    contacts = _contacts(server, dict.fromkeys((*hosts, *membership.others)))
    options = () if cid is None else (f"--cid={cid}",)
    create_file(server, "join-cluster", server.database, own, *contacts, *options)


def create_cluster_file(server: DatabaseServer, membership: Membership) -> Path | None:
    """Create a cluster's first file, from the stand-alone database if any; where that is kept.

    Raises:
        IcDbError: it cannot be created; the stand-alone database is unchanged.
    """
    source, kept = server.schema, None
    if not is_empty(server):
        source, kept = server.database_file, _unused_name(server.database_file, "standalone")
        os.link(source, kept)
    create_file(server, "create-cluster", source, server.raft_address(membership.own))
    return kept


def interrupted_admission(server: LocalServer) -> bool:
    """Whether a member's file is `NOT_ADMITTED`; `IcDbError` if it is not readable or damaged."""
    try:
        member = MemberRecords(checked_records(server, RECREATE))
    except OSError as error:
        raise IcDbError(unusable(server, error)) from error
    return member.state is FileState.NOT_ADMITTED


def check_member(server: LocalServer, member: MemberRecords) -> None:
    """Raise `IcDbError` unless a member's file is of the server's database, and consistent.

    A file whose last record is incomplete cannot be checked for consistency.
    """
    check_name(server, member.name)
    # Of a file that holds nothing but its header, check-cluster says that "all logs are empty".
    if member.records.torn or len(member.records.contents) == 1:
        return
    try:
        ovsdb_tool("check-cluster", server.database_file)
    except ToolError as error:
        problem = server.file_subject.problem(f"is inconsistent: {error}", RECREATE)
        raise IcDbError(problem) from error


def _inspect(server: DatabaseServer, membership: Membership) -> FileState:
    """The state of a member's file; what it cannot start with is kept under another name."""
    if is_empty(server):
        return FileState.NOTHING
    check_access(server)
    records = checked_records(server, RECREATE)
    if records.model is DatabaseModel.STANDALONE:
        check_standalone(server)
        if not membership.is_bootstrap_member:
            raise IcDbError(_not_the_bootstrap_member(server, membership))
        return FileState.STANDALONE
    member = MemberRecords(records)
    check_name(server, member.name)
    _check_address(server, membership, member.address)
    match member.state:
        case FileState.LEFT:
            message = "has left its cluster, or was removed from it"
            raise IcDbError(server.file_subject.problem(message, RECREATE))
        case FileState.JOINING if not membership.is_bootstrap_member:
            # The id in the file may have been admitted already, so the file is kept unless the
            # list of members has changed.
            same = set(member.contacts) == set(_contacts(server, membership.others))
            return FileState.JOINING if same else FileState.NOTHING
        case FileState.NOT_ADMITTED:
            _log.info("%s: was interrupted while being admitted; joining again", server.database)
            kept = server.database_file.rename(_unused_name(server.database_file, "not-admitted"))
            _log.info("%s: the previous file is kept as %s", server.database, kept)
            return FileState.NOTHING
        case FileState.MEMBER:
            check_member(server, member)
    return member.state


def _contacts(server: DatabaseServer, hosts: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(server.raft_address, hosts))


def _unused_name(file: Path, why: str) -> Path:
    """A name for a file that is kept: with the reason, the time and, if need be, a number."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    suffixes = chain([""], (f"-{number}" for number in count(2)))
    names = (f"{file.stem}.{why}-{stamp}{suffix}{file.suffix}" for suffix in suffixes)
    return next(kept for kept in map(file.with_name, names) if not kept.exists())


def _create_waiting_database(server: LocalServer) -> None:
    """Create the empty database that shows the others that the bootstrap member waits."""
    file, schema = server.waiting_file, server.waiting_file.with_suffix(".ovsschema")
    file.unlink(missing_ok=True)
    schema.write_text(f'{{"name": "{WAITING_DATABASE}", "version": "1.0.0", "tables": {{}}}}')
    try:
        ovsdb_tool("create", file, schema)
    except ToolError as error:
        raise OSError(0, str(error)) from error
    finally:
        schema.unlink()


def _check_address(server: DatabaseServer, membership: Membership, address: str) -> None:
    """Check that a file is this member's: the address for Raft in it is part of its identity."""
    port = address.rpartition(":")[2]
    own = server.raft_address(membership.own)
    if address == own:
        return
    message = f"is that of the member {address}, but this one is {own}"
    remedy = (
        "start it with the address and Raft port that it had; to change them, leave first"
        " (`isthmus ic-db leave`, or `kick` from another member), then move the file away"
    )
    if (host_of(address), port) == (membership.own, str(server.raft_port)):
        message = (
            f"is that of the member {address}, but members are to connect by {server.method}, and"
            " the address is part of a member's identity"
        )
        remedy = _TO_TLS if server.method == "ssl" else _TO_CLEAR_TEXT
    raise IcDbError(server.file_subject.problem(message, remedy))


def _not_the_bootstrap_member(server: LocalServer, membership: Membership) -> Problem:
    return server.file_subject.problem(
        "is a stand-alone database, and only the bootstrap member's is converted to a cluster: that"
        f" of {membership.bootstrap_member}",
        f"to keep its data, give all members --founder {membership.own}; otherwise move the file to"
        " a safe place, and start again",
    )
