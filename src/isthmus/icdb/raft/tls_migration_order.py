"""Whose turn it is to go from clear text to TLS, in a cluster that goes on meanwhile: pure.

Called by `tending` on a member that was started with `--tls-dir` and `--from-clear-text`. How
members reach each other is part of what they are, so one after the other leaves the cluster and
joins it anew by TLS. Invariant, tested over all histories: at any moment at most one member is
outside, and nobody leaves while another member is missing, or could not reach it afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence

from isthmus.icdb.raft.bootstrap import Answer, Has
from isthmus.icdb.raft.membership import Membership, host_of
from isthmus.icdb.raft.status_parser import RaftServer
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database


def is_clear(address: str) -> bool:
    """Whether a member's address for Raft, such as "tcp:192.0.2.1:6647", is without TLS."""
    return address.startswith("tcp:")


def in_the_way(
    database: Database,
    membership: Membership,
    servers: Sequence[RaftServer],
    answers: Mapping[str, Answer],
) -> list[Problem] | None:
    """Why this member, which is still reached in clear text, does not leave yet.

    Turns are those of the list, the founder's last: until then it can tell others that there is a
    cluster.

    Args:
        database: which one.
        membership: all members.
        servers: of the cluster, as this member knows it; what it knows may be old, but a member
            that has gone over never goes back.
        answers: of all other members, asked by TLS. Who answers has certificates to reach with.

    Returns:
        the reasons; none if it is time to leave; None while it is merely another member's turn.
    """
    hosts = [host_of(server.address) for server in servers]
    if sorted(hosts) != sorted(membership.members):
        return [_not_all(database, hosts, membership.members)]
    reasons = [
        _not_ready(database, host, answer)
        for host, answer in answers.items()
        if answer.has is not Has.CLUSTER or not answer.connected
    ]
    if reasons:
        return reasons
    clear = {host_of(server.address) for server in servers if is_clear(server.address)}
    turns = [host for host in membership.members if host != membership.founder]
    first = next(host for host in (*turns, membership.founder) if host in clear)
    return [] if first == membership.own else None


def _not_all(database: Database, cluster: Iterable[str], listed: Iterable[str]) -> Problem:
    return Subject(f"database {database}", "--from-clear-text").problem(
        (
            f"waits: in the cluster are {', '.join(sorted(cluster))},"
            f" in the list of members {', '.join(sorted(listed))}"
        ),
        "have all members in the cluster, and nobody else (`isthmus ic-db kick`)",
    )


def _not_ready(database: Database, host: str, answer: Answer) -> Problem:
    said = answer.has.value + (f": {answer.detail}" if answer.detail else "")
    if answer.has is Has.CLUSTER:
        said = "is not in contact with a majority"
    return Subject(f"database {database}", "member", host).problem(
        f"{said}; until then, members go on in clear text",
        "start it again with --tls-dir and --from-clear-text, like this one",
    )
