"""The text of `cluster/status` (ovsdb-server(1)) as values. Pure.

Called by `local_status` and by `icdb.admin`. The text is made for operators, and its form is not
guaranteed. What cannot be parsed is left out, so a newer server is still shown.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_ID = re.compile(r"\(([0-9a-f-]{36})\)")
_LOG = re.compile(r"\[(\d+), (\d+)\]")
_SERVER = re.compile(r"\s+(\w{4}) \(\w{4} at (\S+?)\)(?P<rest>.*)")
_LAST = re.compile(r"last msg (\d+) ms ago")


@dataclass(frozen=True, slots=True)
class RaftServer:
    """A server of the cluster, as one of its servers sees it.

    Args:
        sid: the first four digits of its id.
        address: for Raft, such as "tcp:192.0.2.1:6647".
        itself: whether it is the server that was asked.
        last_heard: milliseconds since its last message; None if there was none.
    """

    sid: str
    address: str
    itself: bool
    last_heard: int | None


@dataclass(frozen=True, slots=True)
class RaftStatus:
    """A server's status in its cluster.

    Args:
        cid, sid: the ids of cluster and server; empty if not known yet.
        address: its own, for Raft.
        status: such as "cluster member", "joining", "left cluster".
        role: "leader", "follower", "candidate".
        term: Raft's.
        leader: four digits of the leader's id, "self" or "unknown".
        log: the indexes of the first entry kept and of the next entry.
        uncommitted: entries that no majority is known to have.
        servers: all of the cluster.
    """

    cid: str
    sid: str
    address: str
    status: str
    role: str
    term: int
    leader: str
    log: tuple[int, int]
    uncommitted: int
    servers: tuple[RaftServer, ...]

    @property
    def committed(self) -> int:
        """The index of the first entry that no majority is known to have."""
        return self.log[1] - self.uncommitted


def parse_raft_status(text: str) -> RaftStatus:
    """Parse the reply of `cluster/status`."""
    head, _, tail = text.partition("\nServers:\n")
    fields = dict(_fields(head.splitlines()))
    log = _LOG.search(fields.get("Log", ""))
    return RaftStatus(
        cid=_id(fields, "Cluster ID"),
        sid=_id(fields, "Server ID"),
        address=fields.get("Address", ""),
        status=fields.get("Status", ""),
        role=fields.get("Role", ""),
        term=_number(fields, "Term"),
        leader=fields.get("Leader", "unknown"),
        log=(int(log[1]), int(log[2])) if log else (0, 0),
        uncommitted=_number(fields, "Entries not yet committed"),
        servers=tuple(_servers(tail.splitlines())),
    )


def _fields(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _servers(lines: Iterable[str]) -> Iterable[RaftServer]:
    for line in lines:
        found = _SERVER.match(line)
        if found is None:
            continue
        last = _LAST.search(found["rest"])
        yield RaftServer(
            sid=found[1],
            address=found[2],
            itself="(self)" in found["rest"],
            last_heard=int(last[1]) if last else None,
        )


def _id(fields: Mapping[str, str], name: str) -> str:
    found = _ID.search(fields.get(name, ""))
    return found[1] if found else ""


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    return int(text) if text.isdigit() else 0
