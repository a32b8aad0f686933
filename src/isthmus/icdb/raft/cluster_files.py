"""Files of clustered databases: what is on the disk, and making what founds or joins a cluster.

Called by `supervisor`. Invariant: what holds data is never removed or overwritten; a file appears
complete or not at all.
"""

import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from itertools import chain, count
from pathlib import Path, PurePath
from typing import Any

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.raft.bootstrap import WAITING_DATABASE
from isthmus.icdb.raft.membership import Membership, host_of
from isthmus.icdb.server.plan import Server
from isthmus.icdb.server.preflight import (
    bad_file,
    check_access,
    check_standalone,
    judge_damage,
    said,
    tool,
)
from isthmus.model.problems import Problem

CLEAR_TEXT = "clear-text"
"""In the names of kept files: from before the server went over to TLS."""

_log = logging.getLogger(__name__)


class Holds(Enum):
    """What a database file holds."""

    NOTHING = "no file"
    STANDALONE = "a stand-alone database"
    JOINING = "a member that has not been admitted"
    MEMBER = "a member of a cluster"


def prepare_member(server: Server, membership: Membership) -> Holds:
    """See what there is, and make what a member without a database starts with.

    A member that has nothing gets a file that joins; the founder stays without one, or with its
    stand-alone database, until it is decided what becomes of it.

    Returns:
        what the file holds afterwards.

    Raises:
        IcDbError: the file is damaged, of another database or member, or stand-alone though this
            member is not the founder.
    """
    file = Path(server.database_file)
    try:
        holds = _inspect(server, membership)
        if holds is Holds.MEMBER:
            return holds
        if membership.is_founder:
            _make_waiting(server)
            if holds is Holds.JOINING:
                # One that was made to join and has not been admitted holds nothing.
                file.unlink()
            return Holds.STANDALONE if holds is Holds.STANDALONE else Holds.NOTHING
        if holds is Holds.NOTHING or _asks(file) != set(_remotes(server, membership)):
            join(server, membership, None, membership.others)
    except OSError as error:
        message = f"cannot be used: {error.strerror}"
        remedy = "give --data-dir a directory that this user may read and write, with free space"
        raise IcDbError(bad_file(server, message, remedy)) from error
    return Holds.JOINING


def join(server: Server, membership: Membership, cid: str | None, hosts: Sequence[str]) -> None:
    """Make the file of a member that asks `hosts` to be admitted.

    Args:
        server: whose file.
        membership: names the local member.
        cid: the cluster to join; None for any that these hosts are in.
        hosts: those to ask first; all others are asked too.

    Raises:
        IcDbError: it cannot be made.
    """
    _make(
        server,
        *([f"--cid={cid}"] if cid else []),
        "join-cluster",
        server.database,
        server.raft_address(membership.own),
        *dict.fromkeys((*_addresses(server, hosts), *_remotes(server, membership))),
    )


def found(server: Server, membership: Membership) -> Path | None:
    """Make the file of a cluster's first member, from the stand-alone database if there is one.

    Returns:
        where the stand-alone database is kept.

    Raises:
        IcDbError: it cannot be made; the stand-alone database is as it was.
    """
    file = Path(server.database_file)
    source: PurePath = server.schema
    kept = None
    if file.exists() and file.stat().st_size:
        source = file
        kept = _kept_name(file, "standalone")
        os.link(file, kept)
    _make(server, "create-cluster", source, server.raft_address(membership.own))
    return kept


def in_clear_text(server: Server) -> bool:
    """Whether the server's file, of a member, says that members reach it without TLS."""
    return tool("db-local-address", server.database_file).stdout.startswith(b"tcp:")


def has_left(server: Server) -> bool:
    """Whether the server's file says that it has left its cluster."""
    return _LEFT in tool("check-cluster", server.database_file).stdout


def was_never_admitted(server: Server) -> bool:
    """Whether a member's file ends between what its cluster holds and its own admission.

    A member that joins is sent the contents first, and then the record that makes it a member. One
    that ends in between has counted for nothing yet, and `ovsdb-server` does not serve such a file:
    "server does not belong to cluster".
    """
    file = Path(server.database_file)
    checked = tool("check-cluster", file)
    # The last two: the record of its admission may be the one that was being written.
    early = (_NO_RECORDS, "not found in server list", "(End of file)", "in header line")
    if _NOT_JOINED in checked.stdout or not any(sign in said(checked) for sign in early):
        return False
    sid = tool("db-sid", file).stdout.decode().strip()
    return not any(sid in servers for servers in _server_lists(file))


def set_aside(server: Server, why: str) -> None:
    """Keep the file of a server that is to join anew under another name, which says why."""
    file = Path(server.database_file)
    kept = file.rename(_kept_name(file, why))
    _log.info("%s: the file from before is kept as %s", server.database, kept)


def stand_alone(server: Server) -> None:
    """Make a stand-alone database of that of a cluster's only member, which is kept beside it.

    Raises:
        IcDbError: it cannot be made; the member's file is as it was.
    """
    file = Path(server.database_file)
    kept = _kept_name(file, CLEAR_TEXT)
    os.link(file, kept)
    _make(server, "cluster-to-standalone", kept)


def _kept_name(file: Path, why: str) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    # A second one of the same second has a number.
    suffixes = chain([""], (f"-{number}" for number in count(2)))
    names = (f"{file.stem}.{why}-{stamp}{more}{file.suffix}" for more in suffixes)
    return next(kept for kept in map(file.with_name, names) if not kept.exists())


def _inspect(server: Server, membership: Membership) -> Holds:
    file = Path(server.database_file)
    if not file.exists() or not file.stat().st_size:
        return Holds.NOTHING
    check_access(server)
    if tool("db-is-clustered", file).returncode:
        alone = tool("db-is-standalone", file)
        if alone.returncode:
            raise IcDbError(bad_file(server, f"is damaged: {said(alone)}", _READMITTED))
        check_standalone(server)
        if not membership.is_founder:
            raise IcDbError(_not_the_founder(server, membership))
        return Holds.STANDALONE
    _check_name(server)
    _check_address(server, membership)
    checked = tool("check-cluster", file)
    if _LEFT in checked.stdout:
        if server.from_clear_text and in_clear_text(server):
            # It was interrupted on its way from clear text to TLS.
            _log.info("%s: joining again by TLS", server.database)
            set_aside(server, CLEAR_TEXT)
            return Holds.NOTHING
        raise IcDbError(bad_file(server, "has left its cluster, or was put out of it", _READMITTED))
    if _NOT_JOINED in checked.stdout:
        return Holds.JOINING
    if was_never_admitted(server):
        _log.info("%s: ended while it was being admitted; joining anew", server.database)
        set_aside(server, "not-admitted")
        return Holds.NOTHING
    # Right after founding, or after making it small, all there is may be the first record.
    if checked.returncode and not said(checked).endswith(_NO_RECORDS):
        judge_damage(server, said(checked), _READMITTED)
    return Holds.MEMBER


def _remotes(server: Server, membership: Membership) -> tuple[str, ...]:
    return _addresses(server, membership.others)


def _addresses(server: Server, hosts: Iterable[str]) -> tuple[str, ...]:
    return tuple(address for host in hosts for address in server.raft_addresses(host))


def _asks(file: Path) -> set[str]:
    """Whom a file that has not joined asks: they are in its first record, of one line.

    A file is kept as long as they are the same, for the id in it may have been admitted already.
    """
    return set(next(_records(file))["remote_addresses"])


def _server_lists(file: Path) -> Iterator[Mapping[str, str]]:
    """The members, by id, of each moment that a file tells of."""
    for record in _records(file):
        yield record.get("prev_servers", {})
        yield record.get("servers", {})


def _records(file: Path) -> Iterator[dict[str, Any]]:
    """What is in a file: lines with a length and a checksum, each before one of JSON.

    The last may not be whole; it does not count then, nor what comes after damage.
    """
    with file.open("rb") as lines, suppress(ValueError):
        for _ in lines:
            yield json.loads(next(lines, b""))


def _check_name(server: Server) -> None:
    name = tool("db-name", server.database_file)
    found_name = name.stdout.decode().strip()
    if name.returncode:
        raise IcDbError(bad_file(server, f"is damaged: {said(name)}", _READMITTED))
    if found_name != server.database:
        message = f"holds the database {found_name}, not {server.database}"
        raise IcDbError(bad_file(server, message, "give --data-dir the right directory"))


def _check_address(server: Server, membership: Membership) -> None:
    """A member's address for Raft is part of its identity, and written in its file."""
    address = tool("db-local-address", server.database_file).stdout.decode().strip()
    port = address.rpartition(":")[2]
    if (host_of(address), port) == (membership.own, str(server.raft_port)):
        if address not in server.raft_addresses(membership.own):
            raise IcDbError(_other_method(server, address))
        return
    message = (
        f"is that of the member {address}, but this one is {server.raft_address(membership.own)}"
    )
    remedy = (
        "start it with the address and Raft port that it had; for a new address leave first"
        " (`isthmus ic-db leave`, or `kick` from another member), then move the file away"
    )
    raise IcDbError(bad_file(server, message, remedy))


def _make(server: Server, *command: str | PurePath) -> None:
    """Run `ovsdb-tool COMMAND FILE …`, the file being made aside and put in place when complete."""
    file = Path(server.database_file)
    workshop = file.with_suffix(".new")
    shutil.rmtree(workshop, ignore_errors=True)
    workshop.mkdir(mode=0o750)
    made = workshop / file.name
    at = 2 if str(command[0]).startswith("--") else 1
    result = tool(*command[:at], made, *command[at:])
    if result.returncode:
        shutil.rmtree(workshop, ignore_errors=True)
        remedy = "free space, or mend the installation"
        raise IcDbError(bad_file(server, f"cannot be made: {said(result)}", remedy))
    made.rename(file)
    shutil.rmtree(workshop)
    _sync(file.parent)


def _make_waiting(server: Server) -> None:
    """The empty database that tells others that the founder waits."""
    file, schema = Path(server.waiting_file), Path(server.waiting_file).with_suffix(".ovsschema")
    file.unlink(missing_ok=True)
    schema.write_text(f'{{"name": "{WAITING_DATABASE}", "version": "1.0.0", "tables": {{}}}}')
    result: subprocess.CompletedProcess[bytes] = tool("create", file, schema)
    schema.unlink()
    if result.returncode:
        raise OSError(0, said(result))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _other_method(server: Server, address: str) -> Problem:
    message = (
        f"is that of the member {address}, but members are to talk by {server.method}: their"
        " addresses are part of what they are"
    )
    anew = (
        "make a backup, stop all members, move their files away, start all, and restore it there"
        " (`isthmus ic-db backup`, `isthmus ic-db restore`)"
    )
    while_it_runs = "start all members with --tls-dir and --from-clear-text: they go over to TLS"
    forgotten = f"give --tls-dir (or ISTHMUS_TLS_DIR); to go back to clear text instead, {anew}"
    return bad_file(server, message, while_it_runs if server.method == "ssl" else forgotten)


def _not_the_founder(server: Server, membership: Membership) -> Problem:
    return bad_file(
        server,
        "is a stand-alone database; only the founder's is converted to a cluster, and the founder"
        f" is {membership.founder}",
        f"if its data is wanted, give all members --founder {membership.own}; otherwise move it"
        " away, and keep it, and start again",
    )


_NOT_JOINED = b"has not joined the cluster"

_NO_RECORDS = "all logs are empty"

_LEFT = b"shows that the server left the cluster"

_READMITTED = (
    "move it away and start again: this member is admitted anew by the others, if a majority of"
    " them runs; otherwise restore a backup (`isthmus ic-db restore`)"
)
