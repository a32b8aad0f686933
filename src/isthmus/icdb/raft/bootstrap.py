"""Whether the bootstrap member creates the cluster, joins one, or waits. Pure.

Called by `member_loop` with the answers that `peer_probe` collected. Invariant, tested over all
histories of starts, lost disks and joins: one list of members never has two clusters. A bootstrap
member that lost its disk remembers nothing, so only the others can report that a cluster exists.
A member that has joined reports it; a member that does not answer may have joined. So all must
answer, or an operator must vouch for those that cannot
(docs/decisions/0015-bootstrap-and-rejoin.md).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database

WAITING_DATABASE = "Isthmus_Founder"
"""The empty database that a bootstrap member serves while it waits, so others see that it does."""


class PeerState(StrEnum):
    """What a member reports about one database; the values complete "member X …"."""

    CLUSTER = "is a member of a cluster"
    NOTHING = "has no data; will join the cluster"
    WAITS = "waits to create a cluster itself"
    STANDALONE = "has a stand-alone database"
    OTHER = "does not have the database"
    SILENT = "does not answer"


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """A member's answer about one database.

    Args:
        state: what it reports.
        cid: its cluster's id, if it is a member of one.
        sid: its own server id, if its database is clustered.
        detail: for the operator: why there is no answer, or what it has instead.
        connected: whether it is in contact with a majority of its cluster.
        untrusted: whether there is no answer because one side rejects the other's certificate.
    """

    state: PeerState
    cid: str = ""
    sid: str = ""
    detail: str = ""
    connected: bool = True
    untrusted: bool = False


NO_ANSWER = PeerAnswer(PeerState.SILENT)


@dataclass(frozen=True, slots=True)
class CreateCluster:
    """Create the cluster."""


@dataclass(frozen=True, slots=True)
class JoinCluster:
    """Join the cluster with this id, of which these hosts are members."""

    cid: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """Ask again later; the problems are why neither is possible yet."""

    problems: tuple[Problem, ...]


def decide_bootstrap(
    database: Database,
    answers: Mapping[str, PeerAnswer],
    has_data: bool = False,
    vouched: Collection[str] = (),
) -> CreateCluster | JoinCluster | Blocked:
    """Decide for a bootstrap member without a clustered database.

    Args:
        database: which one.
        answers: of all other members.
        has_data: whether it has a stand-alone database, which would be converted.
        vouched: members that an operator declares to be gone and to hold no data.
    """
    clusters = {answer.cid for answer in answers.values() if answer.state is PeerState.CLUSTER}
    if len(clusters) > 1:
        return Blocked(tuple(_two_clusters(database, answers)))
    if clusters:
        [cid] = clusters
        hosts = tuple(host for host, answer in answers.items() if answer.cid == cid)
        if has_data:
            return Blocked((_has_other_data(database, cid, hosts),))
        return JoinCluster(cid, hosts)
    problems = tuple(
        _blocker(database, host, answer)
        for host, answer in answers.items()
        if answer.state is not PeerState.NOTHING
        and not (answer.state is PeerState.SILENT and host in vouched)
    )
    return Blocked(problems) if problems else CreateCluster()


def joining_problems(
    database: Database, answers: Mapping[str, PeerAnswer], bootstrap_member: str
) -> list[Problem]:
    """Why a member without data, other than the bootstrap member, has not been admitted yet."""
    if any(answer.state is PeerState.CLUSTER for answer in answers.values()):
        message = f"the cluster has not admitted this member yet{unanswered(answers)}"
        remedy = "start a majority of the cluster's members"
        return [_problem(database, "", "", message, remedy)]
    answer = answers.get(bootstrap_member, NO_ANSWER)
    if answer.state is PeerState.WAITS:
        return [
            _blocker(database, host, other)
            for host, other in answers.items()
            if other.state not in {PeerState.NOTHING, PeerState.WAITS}
        ]
    if answer.state is PeerState.NOTHING:
        message = "was started with another --founder, so no member creates the cluster"
        return [_problem(database, "--founder", bootstrap_member, message, _SAME_FOUNDER)]
    problem = _blocker(database, bootstrap_member, answer)
    # Only the bootstrap member creates the cluster, so --found-without does not help.
    gone = answer.state is PeerState.SILENT and not answer.untrusted
    return [replace(problem, remedy=_START_BOOTSTRAP_MEMBER) if gone else problem]


def unanswered(answers: Mapping[str, PeerAnswer]) -> str:
    """A clause that names the members without an answer and why; empty if all answered."""
    silent = [
        f"{host} ({answer.detail})" if answer.detail else host
        for host, answer in answers.items()
        if answer.state is PeerState.SILENT
    ]
    return f"; no answer from {', '.join(silent)}" if silent else ""


def foreign_members(
    database: Database, cid: str, answers: Mapping[str, PeerAnswer]
) -> list[Problem]:
    """Other members that are in another cluster than this one, `cid`, or serve something else."""
    found = []
    for host, answer in answers.items():
        if answer.state is PeerState.CLUSTER and answer.cid != cid:
            message = f"is in cluster {answer.cid}, this member is in {cid}"
            found.append(_problem(database, "member", host, message, _KEEP_ONE))
        elif answer.state in {PeerState.STANDALONE, PeerState.OTHER}:
            found.append(_blocker(database, host, answer))
    return found


def out_of_contact(
    database: Database, cid: str, file: str, answers: Mapping[str, PeerAnswer]
) -> Problem:
    """Why a member of a cluster, with this file, is not in contact with a majority of it."""
    connected = [
        host
        for host, answer in answers.items()
        if answer.state is PeerState.CLUSTER and answer.cid == cid and answer.connected
    ]
    if connected:
        message = f"{', '.join(connected)} and a majority are in contact, but not with this member"
        remedy = (
            "check with `isthmus ic-db status` on those members whether this one was removed from"
            " the cluster: if so, stop it, move the file away, and start it again to rejoin;"
            " otherwise open the members' Raft ports to each other"
        )
        return _problem(database, "file", file, message, remedy)
    message = f"no majority of the members is in contact, so writes fail{unanswered(answers)}"
    remedy = "start a majority of the members, and let them reach each other's Raft ports"
    if any(answer.untrusted for answer in answers.values()):
        remedy = TRUST
    return _problem(database, "", "", message, remedy)


def unlisted_members(
    database: Database, own_list: Collection[str], cluster: Iterable[str]
) -> list[Problem]:
    """Members of the cluster that are not in the local list."""
    message = "is a member of the cluster, but not in this member's list"
    remedy = "give all the same list; remove a member that is gone for good (`isthmus ic-db kick`)"
    return [
        _problem(database, "--members", host, message, remedy)
        for host in sorted(set(cluster) - set(own_list))
    ]


def _blocker(database: Database, host: str, answer: PeerAnswer) -> Problem:
    message = answer.state.value + (f": {answer.detail}" if answer.detail else "")
    remedies = {
        PeerState.SILENT: "start it; if it is gone for good and never held data, restart the"
        f" bootstrap member with --found-without {host}",
        PeerState.WAITS: _SAME_FOUNDER,
        PeerState.STANDALONE: "to keep its data, make it the bootstrap member (--founder), which"
        " converts it; otherwise stop it and move its database file away",
        PeerState.OTHER: "give all members the same --nb-port and --sb-port, and check what runs"
        " there; a member that left its cluster rejoins once its database file is moved away",
    }
    remedy = TRUST if answer.untrusted else remedies.get(answer.state, "check its log")
    return _problem(database, "member", host, message, remedy)


def _two_clusters(database: Database, answers: Mapping[str, PeerAnswer]) -> Iterable[Problem]:
    for host, answer in answers.items():
        if answer.state is PeerState.CLUSTER:
            message = f"is in cluster {answer.cid}, but others are in another cluster"
            yield _problem(database, "member", host, message, _KEEP_ONE)


def _has_other_data(database: Database, cid: str, hosts: Iterable[str]) -> Problem:
    message = (
        f"this member has a stand-alone database, but a cluster exists: {cid}, with members"
        f" {', '.join(hosts)}"
    )
    remedy = (
        "move the stand-alone file away and restart to join the cluster; to keep its data, restore"
        " it there with `isthmus ic-db restore`"
    )
    return _problem(database, "file", "", message, remedy)


TRUST = (
    "give each side the certificate of the CA that signed the other's (`isthmus pki show` shows"
    " both; `isthmus pki bundle` combines them)"
)

_SAME_FOUNDER = "give all members the same --founder (or LEADER_IP), or none"

_START_BOOTSTRAP_MEMBER = (
    "start it, since it creates the cluster; if it is gone for good, restart all others with"
    " another --founder (or LEADER_IP)"
)

_KEEP_ONE = (
    "decide which cluster to keep; on each member of the other, run `isthmus ic-db backup`, stop"
    " it, move its database files away and start it again"
)


def _problem(database: Database, key: str, value: str, message: str, remedy: str) -> Problem:
    return Subject(f"database {database}", key, value).problem(message, remedy)
