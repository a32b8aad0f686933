"""Watch the servers of a cluster under faults: which respond, and which claim to be leader.

Called by `play`. One thread per member, because a stopped member blocks its observer.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

from chaos.field import Field
from chaos.judge import Claim
from isthmus.icdb.raft.status_parser import RaftStatus, parse_raft_status
from isthmus.ovsdb.jsonrpc import JsonRpcClient, RpcError
from support.icdb.run import DATABASES

INTERVAL = 0.2
"""Seconds between two status requests to a server."""

MEMBER, LEADER = "cluster member", "leader"
LATELY = 2000
"""Milliseconds within which a healthy leader receives a message from every follower."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The reply of a server, and the time of the request."""

    at: float
    status: RaftStatus


class Watch(AbstractContextManager["Watch"]):
    """Requests the status of all servers while the context is active.

    Args:
        field: the members; servers that are known to be stopped are skipped.

    Attributes:
        claims: all claims to be the leader of a term.
    """

    def __init__(self, field: Field) -> None:
        self._field = field
        self._seen: dict[tuple[int, str], _Seen] = {}
        self.claims: set[Claim] = set()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(number,), daemon=True)
            for number in range(len(field.net.all))
        ]

    def __enter__(self) -> "Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._stop.wait(seconds)

    def statuses(self, short: str) -> dict[int, RaftStatus]:
        """Replies of servers that run and have had no fault since."""
        return dict(self._current(short))

    def leaders(self) -> dict[str, int]:
        """The leader of each database by its own claim; the one of the latest term if there are
        several."""
        found = {}
        for short in DATABASES:
            claims = [(s.term, n) for n, s in self._current(short) if s.role == LEADER]
            if claims:
                found[short] = max(claims)[1]
        return found

    def majority(self, short: str) -> bool:
        """Whether enough members run and are reachable to write to the database."""
        reached = self._field.reached & self._field.running
        members = [
            status
            for number, status in self._current(short)
            if number in reached and status.status == MEMBER
        ]
        # A member that lost its disk counts twice until its old ID is removed.
        voters = max((len(status.servers) for status in members), default=0)
        return len(members) > max(voters, len(self._field.net.all)) // 2

    def sound(self) -> frozenset[int]:
        """Members of which both servers run and are reachable."""
        found = self._field.reached & self._field.running
        for short in DATABASES:
            found &= {n for n, status in self._current(short) if status.status == MEMBER}
        return found

    def complete(self) -> bool:
        """Whether all members are in contact, and none is listed twice."""
        return self._field.calm and all(map(self._whole, DATABASES))

    def _whole(self, short: str) -> bool:
        statuses = self.statuses(short)
        size = len(self._field.net.all)
        if len(statuses) < size or any(s.status != MEMBER for s in statuses.values()):
            return False
        if any(len(status.servers) != size for status in statuses.values()):
            return False
        leaders = [status for status in statuses.values() if status.role == LEADER]
        return len(leaders) == 1 and all(
            server.itself or (server.last_heard is not None and server.last_heard < LATELY)
            for server in leaders[0].servers
        )

    def _current(self, short: str) -> Iterator[tuple[int, RaftStatus]]:
        for number in range(len(self._field.net.all)):
            seen = self._seen.get((number, short))
            if (
                seen is not None
                and seen.at > self._field.hit.get((number, short), 0.0)
                and (number, short) not in self._field.frozen
            ):
                yield number, seen.status

    def _follow(self, number: int) -> None:
        while not self._stop.wait(INTERVAL):
            for short in DATABASES:
                if number in self._field.running and (number, short) not in self._field.frozen:
                    self._request_status(number, short)

    def _request_status(self, number: int, short: str) -> None:
        member, at = self._field.net.all[number], time.monotonic()
        try:
            with JsonRpcClient.over_unix(member.run_dir / f"ovn_ic_{short}_db.ctl") as client:
                status = parse_raft_status(client.call("cluster/status", DATABASES[short]))
        except (OSError, RpcError):
            with suppress(KeyError):
                del self._seen[number, short]
            return
        self._seen[number, short] = _Seen(at, status)
        if status.role == LEADER:
            self.claims.add(Claim(short, status.term, status.sid[:4], f"m{number} itself"))
