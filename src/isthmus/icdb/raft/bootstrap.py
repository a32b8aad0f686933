"""Whether the founding member makes the cluster, joins one, or waits: pure.

Called by `supervisor` with what `peers` was told. Invariant, tested over all histories of starts,
losses and wipes: of one list of members never two clusters arise. A wiped founder remembers
nothing, so only the others can tell that there has been a cluster; one that has joined knows, and
one that cannot be asked may know. Hence all must answer, or people must vouch for those that
cannot (docs/decisions/0015-bootstrap-and-rejoin.md).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database

WAITING_DATABASE = "Isthmus_Founder"
"""The (empty) database that a founder serves while it waits, for others to see that it does."""


class Has(Enum):
    """What a member has."""

    CLUSTER = "is a member of a cluster"
    NOTHING = "has nothing, and joins whoever founds"
    WAITS = "waits to found a cluster itself"
    STANDALONE = "has a stand-alone database"
    OTHER = "does not have the database"
    SILENT = "does not answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a member said of one database.

    Args:
        has: what it has.
        cid: the cluster's id, if it is a member of one.
        sid: its own id, if its database is clustered.
        detail: for people: why there is no answer, or what it has instead.
        connected: whether it is in contact with a majority of its cluster.
        untrusted: whether there is no answer since one does not believe the other's certificate.
    """

    has: Has
    cid: str = ""
    sid: str = ""
    detail: str = ""
    connected: bool = True
    untrusted: bool = False


SILENCE = Answer(Has.SILENT)


@dataclass(frozen=True, slots=True)
class Found:
    """Make the cluster."""


@dataclass(frozen=True, slots=True)
class Join:
    """Join the cluster.

    Args:
        cid: its id.
        hosts: members of it.
    """

    cid: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again.

    Args:
        reasons: what it waits for.
    """

    reasons: tuple[Problem, ...]


def decide(
    database: Database,
    answers: Mapping[str, Answer],
    has_data: bool = False,
    vouched: Collection[str] = (),
) -> Found | Join | Wait:
    """Decide for a founder without a clustered database.

    Args:
        database: which one.
        answers: of all other members.
        has_data: whether the founder has a stand-alone database, which founding converts.
        vouched: members of which people say that they are gone and hold nothing.
    """
    clusters = {answer.cid for answer in answers.values() if answer.has is Has.CLUSTER}
    if len(clusters) > 1:
        return Wait(tuple(_two_clusters(database, answers)))
    if clusters:
        [cid] = clusters
        hosts = tuple(host for host, answer in answers.items() if answer.cid == cid)
        return Wait((_not_in_it(database, cid, hosts),)) if has_data else Join(cid, hosts)
    reasons = tuple(
        _blocks(database, host, answer)
        for host, answer in answers.items()
        if answer.has is not Has.NOTHING and not (answer.has is Has.SILENT and host in vouched)
    )
    return Wait(reasons) if reasons else Found()


def joining(database: Database, answers: Mapping[str, Answer], founder: str) -> list[Problem]:
    """Why a member that has nothing, and is not the founder, has not been admitted yet."""
    if any(answer.has is Has.CLUSTER for answer in answers.values()):
        message = f"the cluster has not admitted this member yet{silence(answers)}"
        return [_problem(database, "", "", message, "have a majority of its members run")]
    answer = answers.get(founder, SILENCE)
    if answer.has is Has.WAITS:
        return [
            _blocks(database, host, other)
            for host, other in answers.items()
            if other.has not in {Has.NOTHING, Has.WAITS}
        ]
    if answer.has is Has.NOTHING:
        message = "has been given another founder: nobody founds the cluster"
        remedy = "give all members the same --founder (or LEADER_IP), or none"
        return [_problem(database, "--founder", founder, message, remedy)]
    problem = _blocks(database, founder, answer)
    # Nothing is founded without the founder, whatever is vouched for.
    gone = answer.has is Has.SILENT and not answer.untrusted
    return [replace(problem, remedy=_NO_FOUNDER) if gone else problem]


def silence(answers: Mapping[str, Answer]) -> str:
    """Who does not answer and why, to be put after a sentence; empty if all do."""
    silent = [
        f"{host} ({answer.detail})" if answer.detail else host
        for host, answer in answers.items()
        if answer.has is Has.SILENT
    ]
    return f"; silent: {', '.join(silent)}" if silent else ""


def strangers(database: Database, cid: str, answers: Mapping[str, Answer]) -> list[Problem]:
    """Members that are in another cluster than this one, or serve something else.

    Args:
        database: which one.
        cid: this member's cluster.
        answers: of other members.
    """
    return [
        _other_cluster(database, host, answer.cid, cid)
        if answer.has is Has.CLUSTER
        else _blocks(database, host, answer)
        for host, answer in answers.items()
        if (answer.has is Has.CLUSTER and answer.cid != cid)
        or answer.has in {Has.STANDALONE, Has.OTHER}
    ]


def out_of_contact(
    database: Database, cid: str, file: str, answers: Mapping[str, Answer]
) -> Problem:
    """Why a member of a cluster is not in contact with a majority of it.

    Args:
        database: which one.
        cid: its cluster.
        file: this member's, of the database.
        answers: of all other members.
    """
    together = [
        host
        for host, answer in answers.items()
        if answer.has is Has.CLUSTER and answer.cid == cid and answer.connected
    ]
    if together:
        # They see a majority, and this member does not.
        message = f"{', '.join(together)} and a majority are in contact, but not with this member"
        remedy = (
            "if it was put out of the cluster, which the `isthmus ic-db status` of those shows:"
            " stop it, move the file away, and start it again to join anew; otherwise open the"
            " members' Raft ports to each other"
        )
        return _problem(database, "file", file, message, remedy)
    message = f"no majority of the members is in contact: nothing can be written{silence(answers)}"
    remedy = "have a majority of the members run and reach each other's Raft ports"
    if any(answer.untrusted for answer in answers.values()):
        remedy = TRUST
    return _problem(database, "", "", message, remedy)


def list_differs(
    database: Database, own_list: Collection[str], cluster: Iterable[str]
) -> list[Problem]:
    """Members of the cluster that the local list does not have."""
    extra = sorted(set(cluster) - set(own_list))
    return [
        _problem(
            database,
            "--members",
            host,
            "is a member of the cluster, but not in this member's list",
            "give all members the same list; if that one is gone for good: `isthmus ic-db kick`",
        )
        for host in extra
    ]


def _blocks(database: Database, host: str, answer: Answer) -> Problem:
    said = answer.has.value + (f": {answer.detail}" if answer.detail else "")
    remedies = {
        Has.SILENT: "start it; if it is gone for good and never held anything, restart the founder"
        f" with --found-without {host}",
        Has.WAITS: "give all members the same --founder (or LEADER_IP), or none",
        Has.STANDALONE: "if its data is wanted make it the founder, which converts it; otherwise"
        " stop it and move its database file away",
        Has.OTHER: "give all members the same --nb-port and --sb-port, and see what runs there; one"
        " that has left its cluster joins anew without its database file",
    }
    remedy = TRUST if answer.untrusted else remedies.get(answer.has, "look at its log")
    return _problem(database, "member", host, said, remedy)


def _two_clusters(database: Database, answers: Mapping[str, Answer]) -> Iterable[Problem]:
    for host, answer in answers.items():
        if answer.has is Has.CLUSTER:
            message = f"is in cluster {answer.cid}, others are in another one"
            yield _problem(database, "member", host, message, _KEEP_ONE)


def _other_cluster(database: Database, host: str, cid: str, own: str) -> Problem:
    message = f"is in cluster {cid}, this member is in {own}"
    return _problem(database, "member", host, message, _KEEP_ONE)


def _not_in_it(database: Database, cid: str, hosts: Iterable[str]) -> Problem:
    message = (
        f"this member has a stand-alone database, but a cluster exists: {cid}, of"
        f" {', '.join(hosts)}"
    )
    remedy = (
        "move the stand-alone file away and start again to join the cluster; put its data there by"
        " `isthmus ic-db restore` if it is wanted"
    )
    return _problem(database, "file", "", message, remedy)


TRUST = (
    "give both sides the certificate of the CA that signed the other's (`isthmus pki show` of both"
    " directories tells which; `isthmus pki bundle` joins two)"
)

_NO_FOUNDER = (
    "start it, for it founds the cluster; if it is gone for good, restart all others with another"
    " --founder (or LEADER_IP)"
)

_KEEP_ONE = (
    "decide which cluster to keep; on each member of the other, `isthmus ic-db backup`, stop it,"
    " move its database files away and start it again"
)


def _problem(database: Database, key: str, value: str, message: str, remedy: str) -> Problem:
    return Subject(f"database {database}", key, value).problem(message, remedy)
