"""The state of this host's server of a clustered database, asked over its sockets.

Called by `member_loop`.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from isthmus.icdb.local.database_server import LocalServer
from isthmus.icdb.raft.bootstrap import PeerAnswer, PeerState
from isthmus.icdb.raft.peer_probe import read_rows
from isthmus.icdb.raft.status_parser import RaftServer, RaftStatus, parse_raft_status
from isthmus.model.text import failure_text
from isthmus.ovsdb.jsonrpc import JsonRpcClient, RpcError


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """The state of the local server's database.

    Args:
        answer: as another member would get it.
        leads: whether the server leads its cluster.
        schema: the version of the schema in use; empty if it is not known.
        raft: the server's status in its cluster; None if it is not a member of one.
    """

    answer: PeerAnswer
    leads: bool = False
    schema: str = ""
    raft: RaftStatus | None = None

    @property
    def is_member(self) -> bool:
        """Whether the server is a member of a cluster."""
        return self.answer.state is PeerState.CLUSTER

    @property
    def ready(self) -> bool:
        """Whether the database can be written."""
        return self.is_member and self.answer.connected

    @property
    def write_failed(self) -> bool:
        """Whether the server failed to write; it stays so until it is restarted."""
        return self.raft is not None and self.raft.status == "failed"

    @property
    def servers(self) -> tuple[RaftServer, ...]:
        """The servers of the cluster; none while it is not known to be current."""
        return self.raft.servers if self.raft is not None and self.ready else ()


def local_status(server: LocalServer) -> LocalStatus:
    """Ask the local server."""
    try:
        with JsonRpcClient.over_unix(server.socket) as client:
            rows = client.databases()
    except (OSError, RpcError) as error:
        return LocalStatus(PeerAnswer(PeerState.SILENT, detail=failure_text(error)))
    return _from_rows(server, rows)


def control(server: LocalServer, command: str, *arguments: str) -> str:
    """Run a control command of the local server on its database (ovsdb-server(1)).

    Raises:
        OSError: the server does not answer.
        RpcError: it refuses.
    """
    with JsonRpcClient.over_unix(server.control_socket) as client:
        return str(client.call(command, server.database, *arguments))


@lru_cache(maxsize=8)
def version_of(schema: str) -> str:
    """The version of a schema in JSON; empty if it has none, or is not valid."""
    with suppress(ValueError, RecursionError, AttributeError):
        return str(json.loads(schema).get("version", ""))
    return ""


def _from_rows(server: LocalServer, rows: Sequence[Mapping[str, Any]]) -> LocalStatus:
    answer = read_rows(server.database, rows)
    for row in rows:
        if row["name"] == server.database:
            schema = row["schema"] if isinstance(row["schema"], str) else ""
            raft = None
            if answer.state is PeerState.CLUSTER:
                with suppress(OSError, RpcError):
                    raft = parse_raft_status(control(server, "cluster/status"))
            return LocalStatus(answer, bool(row["leader"]), version_of(schema), raft)
    return LocalStatus(answer)
