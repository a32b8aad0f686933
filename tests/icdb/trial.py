"""One trial of a bootstrap: members start in some order, and one cluster must result.

Called by `test_orders` for a few orders and by `orders` for all of them. A trial is a value with
all actions on the members, so that a failed one can be repeated.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

from support.icdb.network import IcNet, ic_net
from support.icdb.run import DATABASES, Member
from support.ovn.servers import INSTALLATION, run_program, wait_until

LIMIT = 120.0
"""Seconds for members to run, and for a cluster to be complete, which takes three."""

CREATED = "created the cluster"
TABLES = {"nb": "Transit_Switch", "sb": "Availability_Zone"}
"""Tables whose rows need nothing but a name."""

FILES = {".isthmus-ic-db.data.lock"} | {
    name
    for short in DATABASES
    for name in (f"ovn_ic_{short}_db.db", f".ovn_ic_{short}_db.db.~lock~")
}
"""The files of a data directory; none of a second or abandoned cluster."""


NOT_ADMITTED = ".not-admitted-"
"""In the name of the file that a member keeps after an interrupted admission."""


@dataclass(frozen=True, slots=True)
class Step:
    """An action on some members at the same time.

    Args:
        verb: "start" and wait until they run; "launch" without waiting; "stop", as an operator
            does; "kill", as when a machine fails.
        members: their numbers in the list of members; 0 is the bootstrap member.
        when: a text in the bootstrap member's log to wait for.
    """

    verb: str
    members: tuple[int, ...]
    when: str = ""

    def __str__(self) -> str:
        after = f" when the bootstrap member has {self.when}" if self.when else ""
        return f"{self.verb} {'+'.join(map(str, self.members))}{after}"


@dataclass(frozen=True, slots=True)
class Trial:
    """Members that start in some order.

    Args:
        size: the number of members.
        steps: one after the other; all members run at the end.
    """

    size: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"{self.size} members: {', '.join(map(str, self.steps))}"


def in_every_order(size: int) -> Iterator[Trial]:
    """One member after another, in all orders."""
    for order in permutations(range(size)):
        yield Trial(size, tuple(Step("start", (number,)) for number in order))


def at_once(size: int) -> Trial:
    """All members at the same time."""
    return Trial(size, (Step("start", tuple(range(size))),))


def interrupted(size: int, seed: int, length: int) -> Trial:
    """Members start, end and restart in random order, before one of them ever starts.

    Args:
        size: the number of members.
        seed: of the choices.
        length: steps before the last, at least; at least one of them is not a start.
    """
    choices = random.Random(seed)  # noqa: S311 - no secret
    last = choices.randrange(size)
    others = [number for number in range(size) if number != last]
    steps: list[Step] = []
    running: set[int] = set()
    while len(steps) < length or all(step.verb == "start" for step in steps):
        number = choices.choice(others)
        verb = choices.choice(["stop", "kill"]) if number in running else "start"
        running ^= {number}
        steps.append(Step(verb, (number,)))
    missing = sorted({*others, last} - running)
    return Trial(size, (*steps, Step("start", tuple(missing))))


def interrupted_bootstrap(size: int) -> Iterator[Trial]:
    """All at once; one ends and restarts at the moment when the cluster is created."""
    for verb in ("stop", "kill"):
        for number in range(size):
            launched = Step("launch", tuple(range(size)))
            yield Trial(size, (launched, Step(verb, (number,), CREATED), Step("start", (number,))))


def play(trial: Trial, directory: Path) -> float:
    """Run a trial, and check that one cluster results.

    Args:
        trial: the actions.
        directory: for the members' files, which stay there.

    Returns:
        Seconds from the last step until all members served both databases.

    Raises:
        AssertionError: there is not exactly one cluster.
    """
    with ic_net(directory, trial.size) as net:
        *before, last = trial.steps
        for step in before:
            _carry_out(net, step)
        absent = set(range(trial.size)) - {number for step in before for number in step.members}
        assert not absent or not _creators(net), "created before all members had started"
        started = time.monotonic()
        _carry_out(net, last)
        net.complete(LIMIT)
        seconds = time.monotonic() - started
        for short in DATABASES:
            _check_cluster(net, short)
            _check_rows(net, short)
        assert _creators(net) == [net.all[0]] * len(DATABASES)
        for member in net.all:
            member.kill()
    for short in DATABASES:
        _check_files(net, short)
    return seconds


def _carry_out(net: IcNet, step: Step) -> None:
    members = [net.all[number] for number in step.members]
    verbs: dict[str, Callable[[Member], object]] = {
        "start": Member.start, "launch": Member.start, "stop": Member.stop, "kill": Member.kill,
    }  # fmt: skip
    if step.when:
        wait_until(
            lambda: step.when in net.all[0].log.read_text(), f"the bootstrap member has {step.when}"
        )
    for member in members:
        verbs[step.verb](member)
    if step.verb == "start":
        for member in members:
            _see_running(net, member)


def _see_running(net: IcNet, member: Member) -> None:
    """Wait until both servers of a member answer remote clients."""

    def answers() -> bool:
        assert member.running, member.log.read_text()
        return all(net.served(short, member) > {"_Server"} for short in DATABASES)

    wait_until(answers, f"{member.address} to run", LIMIT)


def _creators(net: IcNet) -> list[Member]:
    """The members that created a cluster, once for each database."""
    return [
        member
        for member in net.all
        if member.log.exists()
        for _ in range(member.log.read_text().count(CREATED))
    ]


def _check_cluster(net: IcNet, short: str) -> None:
    """Check that all are members of one cluster, have each other in their lists, and one leader."""

    def whole() -> bool:
        views = [member.raft(short) for member in net.all]
        servers = {(view.sid[:4], view.address) for view in views}
        return all(
            view.status == "cluster member"
            and {(server.sid, server.address) for server in view.servers} == servers
            and len(view.servers) == len(net.all)
            for view in views
        )

    wait_until(whole, f"all servers of {short} have the same members", LIMIT)
    assert len({member.cid(short) for member in net.all}) == 1
    sids = {member.raft(short).sid for member in net.all}
    assert len(sids) == len(net.all), sids
    net.leader(short)
    led = net.terms_led(short)
    assert led
    assert all(len(leaders) == 1 for leaders in led.values()), led


def _check_rows(net: IcNet, short: str) -> None:
    """Check that remote clients read at all members what was written at one."""
    table = TABLES[short]
    for number, member in enumerate(net.all):
        insert = {"op": "insert", "table": table, "row": {"name": f"row{number}"}}
        [result] = net.transact(short, insert, at=[member])
        assert "uuid" in result, result
    expected = {f"row{number}" for number in range(len(net.all))}
    expected |= {"ts"} if short == "nb" else set()

    def read_at(member: Member) -> set[str]:
        select = {"op": "select", "table": table, "where": [], "columns": ["name"]}
        [result] = net.transact(short, select, at=[member])
        return {row["name"] for row in result["rows"]}

    wait_until(
        lambda: all(read_at(member) == expected for member in net.all),
        f"all members of {short} have {expected}",
        LIMIT,
    )


def _check_files(net: IcNet, short: str) -> None:
    """Check that the members' files have one history, and that there are no others."""
    files = [str(member.data / f"ovn_ic_{short}_db.db") for member in net.all]
    run_program(INSTALLATION, "ovsdb-tool", "check-cluster", *files)
    cids = {run_program(INSTALLATION, "ovsdb-tool", "db-cid", file) for file in files}
    assert len(cids) == 1, cids
    for member in net.all:
        found = {path.name for path in member.data.iterdir() if NOT_ADMITTED not in path.name}
        assert found == FILES, f"{member.data}: {sorted(found)}"
