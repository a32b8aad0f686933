"""Takes one member of a running cluster from clear text to TLS, when it is its turn.

Called by `tending`. `to_tls` says when; here a backup is taken, the member leaves, and its file
is made anew. Invariant: nothing that held data is removed: the file that the member had stays
beside the new one, and there is a backup besides.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus.icdb.admin import backup
from isthmus.icdb.admin.server_control import Place
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.ovsdb_tools import ClientTool, Credentials
from isthmus.icdb.raft.bootstrap import Answer, Has
from isthmus.icdb.raft.cluster_files import (
    CLEAR_TEXT,
    found,
    has_left,
    in_clear_text,
    join,
    set_aside,
    stand_alone,
)
from isthmus.icdb.raft.membership import Membership
from isthmus.icdb.raft.status_parser import RaftStatus
from isthmus.icdb.raft.tls_migration_order import in_the_way, is_clear
from isthmus.icdb.server.plan import Server
from isthmus.model.problems import Problem
from isthmus.ovsdb.jsonrpc import RpcError

_log = logging.getLogger(__name__)


LEFT_BEHIND = 5.0
"""Seconds for which the others have to be together without a server that may have left them."""


@dataclass(frozen=True, slots=True)
class GoOver:
    """Join the cluster anew, by TLS: the member has left it, or is the only one in it."""


class Crossing:
    """One member's way from clear text to TLS.

    Args:
        server: nothing happens unless it is to go over, and its file is from before.
        membership: all members.
        control: has the server carry out a command on its database.
    """

    def __init__(
        self, server: Server, membership: Membership, control: Callable[[str], str]
    ) -> None:
        self._server = server
        self._membership = membership
        self._control = control
        self._cid = ""
        self._leaving = False
        self._apart_since: float | None = None

    def has_left(self, answer: Answer) -> bool:
        """Whether the server is out of the cluster, by what it says of its database."""
        gone = self._leaving and answer.has in {Has.OTHER, Has.SILENT}
        return gone and has_left(self._server)

    def was_left_behind(self, cid: str, others: Mapping[str, Answer], now: float) -> bool:
        """Whether the cluster has let the server go, and its file does not say so.

        It was ended in the moment of leaving. Its backup was made before that, and what its file
        holds, the others hold, too.

        Args:
            cid: the cluster that it is not in contact with.
            others: what the other members say of themselves.
            now: seconds.
        """
        together = any(answer.cid == cid and answer.connected for answer in others.values())
        server = self._server
        if not together or not self._backups() or not in_clear_text(server):
            self._apart_since = None
            return False
        self._apart_since = now if self._apart_since is None else self._apart_since
        self._cid = cid
        return now - self._apart_since >= LEFT_BEHIND

    def step(
        self, raft: RaftStatus, ask_others: Callable[[], Mapping[str, Answer]]
    ) -> GoOver | list[Problem]:
        """Go on, if the member is still reached in clear text.

        Args:
            raft: what the server says of its cluster.
            ask_others: asks all other members by TLS.

        Returns:
            what is to be done with the server stopped, or what is in the way.
        """
        wanted = self._server.from_clear_text and is_clear(raft.address)
        if self._leaving or not wanted:
            return []
        database = self._server.database
        others = ask_others()
        reasons = in_the_way(database, self._membership, raft.servers, others)
        if reasons is None or reasons:
            return reasons or []
        try:
            self._back_up()
        except IcDbError as error:
            return list(error.problems)
        if not self._membership.others:
            return GoOver()
        try:
            self._control("cluster/leave")
        except (OSError, RpcError) as error:
            _log.warning("%s: cannot leave the cluster: %s", database, error)
            return []
        self._cid, self._leaving = raft.cid, True
        _log.info("%s: leaving, to join again by TLS", database)
        return []

    def carry_out(self) -> bool:
        """Make the file anew; the server must have ended.

        Returns:
            whether it is a member's at once, and need not be admitted.

        Raises:
            IcDbError: it cannot be made.
        """
        self._leaving = False
        if not self._membership.others:
            stand_alone(self._server)
            found(self._server, self._membership)
            return True
        _log.info("%s: joining again by TLS", self._server.database)
        set_aside(self._server, CLEAR_TEXT)
        join(self._server, self._membership, self._cid or None, self._membership.others)
        return False

    @property
    def _backup(self) -> str:
        """How the names of its backups begin."""
        return f"before-tls-{self._server.short}"

    def _backups(self) -> list[Path]:
        return list(Path(self._server.files.data_dir).glob(f"{self._backup}-*.tar.gz"))

    def _back_up(self) -> None:
        server, tls = self._server, self._server.tls
        files = server.files
        dirs = (Path(files.data_dir), Path(files.run_dir), Path(files.schema_dir))
        place = Place(server.short, server.port, *dirs)
        credentials = Credentials()
        if tls is not None:
            paths = (tls.private_key, tls.certificate, tls.ca_cert)
            credentials = Credentials(*map(str, paths))
        now = time.gmtime()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", now)
        taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
        file = Path(files.data_dir) / f"{self._backup}-{stamp}.tar.gz"
        backup.take([place], ClientTool(credentials=credentials), file, taken, replace=True)
        _log.info("%s: backed up into %s", server.database, file)
