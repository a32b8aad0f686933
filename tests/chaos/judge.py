"""Judge a history: are all acknowledged writes on all members, and had each term one leader?

Pure. Called when all faults are over and the members have caught up.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chaos.history import Key, Outcome, Value, Write

_STAMP = re.compile(r"^[^|]*\|[^|]*\|[^|]*\|[^|]*\|(?P<message>.*)$")
_STARTS = "opened log file"
_OWN = re.compile(r"local server ID is (?P<sid>[0-9a-f]{4})")
_ELECTED = re.compile(r"term (?P<term>\d+): elected leader")
_LEADS = re.compile(r"server (?P<sid>[0-9a-f]{4}) is leader for term (?P<term>\d+)")


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement that a server is the leader in a term.

    Args:
        database: "nb" or "sb".
        term: Raft term.
        leader: the first four digits of the leader's ID.
        source: the log with the statement, for messages.
    """

    database: str
    term: int
    leader: str
    source: str


def wrong_rows(
    writes: Iterable[Write], finals: Mapping[str, Mapping[tuple[str, Key], Value]]
) -> list[str]:
    """The rows that are not as they should be after these writes.

    Args:
        writes: all of them, those of each client in order.
        finals: for each member, the final values of rows by database and key.

    Returns:
        A sentence per fault.
    """
    by_row: dict[tuple[str, Key], list[Write]] = defaultdict(list)
    for write in writes:
        by_row[write.database, write.key].append(write)
    faults: list[str] = []
    for row, own in by_row.items():
        allowed, surprises = _follow(own)
        faults += surprises
        for member, rows in finals.items():
            if rows.get(row) not in allowed:
                faults.append(_lost(row, own, member, rows.get(row), allowed))
    for member, rows in finals.items():
        faults += [
            f"{member} has {row}, which no client wrote" for row in rows.keys() - by_row.keys()
        ]
    return faults


def _follow(own: Sequence[Write]) -> tuple[set[Value], list[str]]:
    """The possible final values of a row, and acknowledged updates of values that were not there.

    An acknowledged write determines the row. Any other write may or may not have been executed
    until the next acknowledged one, which it would not match afterwards.
    """
    allowed: set[Value] = {None}
    surprises = []
    for write in own:
        if write.outcome is not Outcome.ACKNOWLEDGED:
            allowed.add(write.value)
            continue
        if write.expected not in allowed:
            surprises.append(
                f"{_name(write)} was acknowledged upon {write.expected}, but the row was one of"
                f" {_some(allowed)}"
            )
        allowed = {write.value}
    return allowed, surprises


def _lost(
    row: tuple[str, Key], own: Sequence[Write], member: str, found: Value, allowed: set[Value]
) -> str:
    settled = [write for write in own if write.outcome is Outcome.ACKNOWLEDGED]
    last = f"; the last acknowledged was {_name(settled[-1])}" if settled else ""
    return f"{member} has {found} for {row}, not {_some(allowed)}{last}"


def _name(write: Write) -> str:
    return f"write {write.number} of {write.client} ({write.database} {write.key}={write.value})"


def _some(values: set[Value]) -> str:
    return " or ".join(map(str, sorted(values, key=lambda value: (value is None, value))))


def refused_but_done(
    writes: Iterable[Write], final: Mapping[tuple[str, Key], Value]
) -> list[Write]:
    """Refused writes whose values exist: no loss, but worth reporting."""
    return [
        write
        for write in writes
        if write.outcome is Outcome.REFUSED
        and write.value is not None
        and final.get((write.database, write.key)) == write.value
    ]


def different_members(contents: Mapping[str, object]) -> list[str]:
    """Members whose contents differ from those of the first."""
    members = list(contents)
    return [
        f"{member} does not have what {members[0]} has"
        for member in members[1:]
        if contents[member] != contents[members[0]]
    ]


def claims_in_log(database: str, source: str, lines: Iterable[str]) -> list[Claim]:
    """The leader of each term, according to the log of a server (`ovsdb/raft.c`).

    Args:
        database: "nb" or "sb".
        source: name of the log.
        lines: all lines of the log.
    """
    own, claims = "", []
    early: list[int] = []  # A server that bootstraps is elected before it logs its ID.
    for line in lines:
        stamped = _STAMP.match(line)
        message = stamped["message"] if stamped else ""
        if message.startswith(_STARTS):
            own = ""
        elif found := _OWN.match(message):
            own = found["sid"]
            claims += [Claim(database, term, own, source) for term in early]
            early = []
        elif found := _ELECTED.match(message):
            if own:
                claims.append(Claim(database, int(found["term"]), own, source))
            else:
                early.append(int(found["term"]))
        elif found := _LEADS.match(message):
            claims.append(Claim(database, int(found["term"]), found["sid"], source))
    return claims


def rival_leaders(claims: Iterable[Claim]) -> list[str]:
    """Terms of a database with more than one leader."""
    leaders: dict[tuple[str, int], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for claim in claims:
        leaders[claim.database, claim.term][claim.leader].add(claim.source)
    return [
        f"{database}, term {term}: "
        + "; ".join(
            f"{sid} leads according to {', '.join(sorted(who))}" for sid, who in found.items()
        )
        for (database, term), found in sorted(leaders.items())
        if len(found) > 1
    ]
