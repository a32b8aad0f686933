"""Looks after one server as a member of a cluster: founds, joins, watches, puts old selves out.

Called by `supervisor` again and again. Looks at the local server over its sockets and asks other
members by `peers`; what follows is decided in `founding`. Invariant: nothing here waits longer than
a few seconds, so that signals and dead servers are attended to.
"""

import json
import logging
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from isthmus.icdb.admin.membership_changes import older
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.blocker_log import Reasons
from isthmus.icdb.raft import bootstrap as founding
from isthmus.icdb.raft.bootstrap import Answer, Found, Has, Join
from isthmus.icdb.raft.cluster_files import (
    Holds,
    found,
    join,
    prepare_member,
    was_never_admitted,
)
from isthmus.icdb.raft.membership import Membership, host_of
from isthmus.icdb.raft.peer_probe import ask_all, read_rows
from isthmus.icdb.raft.status_parser import RaftServer, RaftStatus, parse_raft_status
from isthmus.icdb.raft.tls_migration import Crossing, GoOver
from isthmus.icdb.server.plan import Server
from isthmus.icdb.server.preflight import SPACE, free_space
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database
from isthmus.ovsdb.jsonrpc import JsonRpcClient, RpcError
from isthmus.ovsdb.tls import Tls
from isthmus.pki.files import TlsFiles

RESTART_AFTER = 10.0
"""Seconds between restarts of a server that cannot write."""

ELSEWHERE = 10.0
"""Seconds from one question to the next to members of the list that are not in the cluster."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the server again: it has failed to write, and does not try again by itself."""


Decision: TypeAlias = Found | Join | Restart | GoOver
"""What is to be done with the server stopped."""


@dataclass(frozen=True, slots=True)
class _Local:
    """What the local server says of its database."""

    answer: Answer
    connected: bool = False
    leads: bool = False
    schema: str = ""


class Tender:
    """One server's membership.

    Args:
        server: which.
        membership: all members.
        holds: what its file holds.
        wake: descriptors that end the asking of others when they become readable.
    """

    def __init__(
        self, server: Server, membership: Membership, holds: Holds, wake: Sequence[int]
    ) -> None:
        self.server = server
        self.holds = holds
        self.ready = False
        self._membership = membership
        self._wake = wake
        self._reasons = Reasons(server.database)
        self._restarted = self._ask_elsewhere = float("-inf")
        self._found_elsewhere: list[Problem] = []
        self._crossing = Crossing(server, membership, self._control)
        self._installed = version_of(Path(server.schema).read_text(encoding="utf-8"))

    def step(self) -> Decision | None:
        """See how things are.

        Returns:
            what is to be done, with the server stopped; None for nothing.
        """
        if self.holds in {Holds.NOTHING, Holds.STANDALONE}:
            return self._found()
        local = self._local()
        self.ready = local.answer.has is Has.CLUSTER and local.connected
        if self._crossing.has_left(local.answer):
            return GoOver()
        if self._was_left_behind(local):
            return GoOver()
        if local.answer.has is Has.CLUSTER and self.holds is Holds.JOINING:
            _log.info("%s: joined cluster %s", self.server.database, local.answer.cid)
            self.holds = Holds.MEMBER
        raft = self._raft() if local.answer.has is Has.CLUSTER else None
        now = time.monotonic()
        if raft is not None and raft.status == "failed":
            self._reasons.update([_failed(self.server)], now)
            return self._restart(now)
        servers = raft.servers if raft is not None and self.ready else ()
        if local.leads:
            self._put_out_old_selves(servers)
        problems = self._problems(local, servers)
        if raft is not None and self.ready:
            crossed = self._crossing.step(raft, self._ask_others)
            if isinstance(crossed, GoOver):
                return crossed
            problems += crossed
        self._reasons.update(problems, now, joining=self.holds is Holds.JOINING)
        return None

    @property
    def databases(self) -> tuple[PurePath, ...]:
        """The files that the server is to serve."""
        if self.holds is Holds.NOTHING:
            return (self.server.waiting_file,)
        if self.holds is Holds.STANDALONE:
            # Clients go on meanwhile; what they write is converted with the rest.
            return (self.server.database_file, self.server.waiting_file)
        return (self.server.database_file,)

    def before_restart(self) -> None:
        """See that the server, which has ended by itself, can serve the file that it left."""
        if self.holds not in {Holds.JOINING, Holds.MEMBER} or not was_never_admitted(self.server):
            return
        try:
            self.holds = prepare_member(self.server, self._membership)
        except IcDbError as error:
            # The other database is served all the same; this is tried again with the next start.
            _log.error("%s", error)

    def carry_out(self, decision: Decision) -> None:
        """Make the file that `step` decided on, if any; the server must have ended.

        Raises:
            IcDbError: it cannot be made.
        """
        database = self.server.database
        if isinstance(decision, Restart):
            _log.warning("%s: its server cannot write; starting it again", database)
            return
        if isinstance(decision, GoOver):
            at_once = self._crossing.carry_out()
            self.holds = Holds.MEMBER if at_once else Holds.JOINING
            return
        Path(self.server.waiting_file).unlink(missing_ok=True)
        if isinstance(decision, Join):
            join(self.server, self._membership, decision.cid, decision.hosts)
            self.holds = Holds.JOINING
            _log.info("%s: joining cluster %s", database, decision.cid)
            return
        kept = found(self.server, self._membership)
        self.holds = Holds.MEMBER
        _log.info("%s: founded the cluster", database)
        if kept:
            _log.info("%s: the stand-alone database is kept as %s", database, kept)

    def _restart(self, now: float) -> Restart | None:
        """A server that failed to write stays so for ever; there must be room for a new start."""
        if now - self._restarted < RESTART_AFTER or _free_space(self.server) < SPACE:
            return None
        self._restarted = now
        return Restart()

    def _found(self) -> Found | Join | None:
        decision = founding.decide(
            self.server.database,
            self._ask_others(),
            self.holds is Holds.STANDALONE,
            self._membership.found_without,
        )
        if isinstance(decision, (Found, Join)):
            self._reasons.update((), time.monotonic())
            return decision
        self._reasons.update(decision.reasons, time.monotonic())
        return None

    def _problems(self, local: _Local, servers: Sequence[RaftServer]) -> list[Problem]:
        database = self.server.database
        if local.answer.has is Has.NOTHING:
            return founding.joining(database, self._ask_others(), self._membership.founder)
        if local.answer.has is not Has.CLUSTER:
            return [self._not_served(local.answer)]
        if not local.connected:
            return self._out_of_contact(local.answer.cid)
        hosts = [host_of(server.address) for server in servers]
        return [
            *self._elsewhere(local.answer.cid, hosts),
            *founding.list_differs(database, self._membership.members, hosts),
            *nearly_full(self.server),
            *newer_schema(database, local.schema, self._installed),
        ]

    def _elsewhere(self, cid: str, hosts: Sequence[str]) -> list[Problem]:
        """Members of the list that the cluster does not have, and that are in another one.

        They are asked now and then: a list is not changed everywhere at once, and whom it still
        names may be gone.
        """
        missing = [host for host in self._membership.others if host not in hosts]
        now = time.monotonic()
        if not missing or not hosts:
            self._found_elsewhere = []
        elif now >= self._ask_elsewhere:
            self._ask_elsewhere = now + ELSEWHERE
            answers = self._ask(missing)
            self._found_elsewhere = founding.strangers(self.server.database, cid, answers)
        return self._found_elsewhere

    def _was_left_behind(self, local: _Local) -> bool:
        apart = local.answer.has is Has.CLUSTER and not local.connected
        if not apart or not self.server.from_clear_text:
            return False
        others, now = self._ask_others(), time.monotonic()
        return self._crossing.was_left_behind(local.answer.cid, others, now)

    def _out_of_contact(self, cid: str) -> list[Problem]:
        answers, server = self._ask_others(), self.server
        file = str(server.database_file)
        return [
            founding.out_of_contact(server.database, cid, file, answers),
            *founding.strangers(server.database, cid, answers),
        ]

    def _not_served(self, answer: Answer) -> Problem:
        return Subject(
            f"database {self.server.database}", "file", str(self.server.database_file)
        ).problem(
            (
                f"is not served: {answer.detail or answer.has.value}; the member may have left"
                " the cluster or been put out of it"
            ),
            (
                f"see {self.server.log_file}; to join anew, stop this, move the file away, and"
                " start again"
            ),
        )

    def _ask_others(self) -> dict[str, Answer]:
        others = self._membership.others
        return self._ask(others)

    def _ask(self, hosts: Iterable[str]) -> dict[str, Answer]:
        server = self.server
        context = None if server.tls is None else partial(client_context, server.tls)
        return ask_all(hosts, server.port, server.database, self._wake, context)

    def _local(self) -> _Local:
        try:
            with JsonRpcClient.over_unix(self.server.socket) as client:
                rows = client.databases()
        except (OSError, RpcError) as error:
            return _Local(Answer(Has.SILENT, detail=str(error)))
        return read_local(self.server, rows)

    def _raft(self) -> RaftStatus | None:
        try:
            return parse_raft_status(self._control("cluster/status"))
        except (OSError, RpcError):
            return None

    def _control(self, command: str, *arguments: str) -> str:
        with JsonRpcClient.over_unix(self.server.control_socket) as client:
            return str(client.call(command, self.server.database, *arguments))

    def _put_out_old_selves(self, servers: Sequence[RaftServer]) -> None:
        """A member that lost its disk comes back under a new id; its old one would count for ever.

        Raft admits the new one beside the old. Of several ids at one address only that which the
        server there says it has is alive.
        """
        hosts = [host_of(server.address) for server in servers]
        twice = sorted({host for host in hosts if hosts.count(host) > 1})
        if not twice:
            return
        answers = self._ask(twice)
        for sid in old_selves(servers, answers):
            try:
                self._control("cluster/kick", sid)
            except (OSError, RpcError) as error:
                _log.warning("%s: cannot put out server %s: %s", self.server.database, sid, error)
            else:
                _log.info("%s: put out server %s, which lost its disk", self.server.database, sid)


def old_selves(servers: Iterable[RaftServer], answers: Mapping[str, Answer]) -> list[str]:
    """Ids of servers in whose place another one lives.

    Args:
        servers: of the cluster.
        answers: what hosts said of themselves; those that said nothing are left alone.
    """
    by_host: dict[str, list[RaftServer]] = {}
    for server in servers:
        by_host.setdefault(host_of(server.address), []).append(server)
    old = []
    for host, answer in answers.items():
        here = by_host.get(host, [])
        alive = [server for server in here if answer.sid.startswith(server.sid)]
        if answer.sid and alive:
            old += [server.sid for server in here if server not in alive]
    return old


def read_local(server: Server, rows: Sequence[Mapping[str, Any]]) -> _Local:
    """What the local server's rows of `_Server` say."""
    answer = read_rows(server.database, rows)
    for row in rows:
        if row["name"] == server.database:
            schema = row["schema"] if isinstance(row["schema"], str) else ""
            return _Local(answer, bool(row["connected"]), bool(row["leader"]), schema)
    return _Local(answer)


def newer_schema(database: Database, schema: str, known: str) -> list[Problem]:
    """Whether a database has a schema that this installation does not know yet.

    Args:
        database: which.
        schema: the one it has, in JSON.
        known: the version of the installed one.
    """
    has = version_of(schema)
    if not older(known, has):
        return []
    return [
        Subject(f"database {database}", "schema", has).problem(
            f"is newer than the installed one, {known}; it is served as it is",
            "install the version of OVN on this machine that the other members have",
        )
    ]


@lru_cache(maxsize=8)
def version_of(schema: str) -> str:
    """The version of a schema in JSON; empty if it has none."""
    return str(json.loads(schema).get("version", "")) if schema else ""


def _failed(server: Server) -> Problem:
    return Subject(f"database {server.database}", "file", str(server.database_file)).problem(
        f"cannot be written to; {_space(server)}",
        f"free space, or mend what {server.log_file} tells; it is tried again by itself",
    )


def nearly_full(server: Server) -> list[Problem]:
    """Whether there is little room where a server's database is."""
    if _free_space(server) >= SPACE:
        return []
    return [
        Subject(f"database {server.database}", "file", str(server.database_file)).problem(
            f"its disk is nearly full; {_space(server)}",
            "free space, or give it more; `isthmus ic-db compact` makes the file smaller",
        )
    ]


def _space(server: Server) -> str:
    return f"{_free_space(server) // 1024} KiB are free on its disk"


def _free_space(server: Server) -> int:
    return free_space(server.files.data_dir)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """What connections by TLS take, read anew from files that may have been replaced.

    Raises:
        OSError: one cannot be read, or they do not fit together.
    """
    return Tls(str(files.private_key), str(files.certificate), str(files.ca_cert)).context()


def server_context(server: Server) -> ssl.SSLContext | None:
    """What a connection to a server of ours takes; None if it speaks plain TCP."""
    return None if server.tls is None else client_context(server.tls)
