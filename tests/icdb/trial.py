"""One trial of founding: members are started in some order, and one cluster is to arise.

Called by `test_orders` for a few orders and by `orders` for all of them. A trial is a value that
tells all that is done to the members, so that one that failed can be played again.
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
"""Seconds for members to be seen running, and for a cluster to be whole: it takes three."""

FOUNDED = "founded the cluster"
TABLES = {"nb": "Transit_Switch", "sb": "Availability_Zone"}
"""Where a row can be written that takes nothing but a name."""

FILES = {".isthmus-ic-db.data.lock"} | {
    name
    for short in DATABASES
    for name in (f"ovn_ic_{short}_db.db", f".ovn_ic_{short}_db.db.~lock~")
}
"""What a data directory holds: nothing of a second cluster, or of one that was given up."""


NOT_ADMITTED = ".not-admitted-"
"""In the name of what a member keeps that was killed in the middle of its admission."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to some members at the same moment.

    Args:
        verb: "start", and see them running; "launch", and do not look; "stop", as an operator does;
            "kill", as the loss of a machine does.
        members: their numbers in the list of members; 0 is the founder.
        when: what the founder has logged by then.
    """

    verb: str
    members: tuple[int, ...]
    when: str = ""

    def __str__(self) -> str:
        after = f" when the founder has {self.when}" if self.when else ""
        return f"{self.verb} {'+'.join(map(str, self.members))}{after}"


@dataclass(frozen=True, slots=True)
class Trial:
    """Members that are started in an order.

    Args:
        size: how many.
        steps: one after the other; all members run at the end.
    """

    size: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"{self.size} members: {', '.join(map(str, self.steps))}"


def in_every_order(size: int) -> Iterator[Trial]:
    """Each member after another one, in all orders."""
    for order in permutations(range(size)):
        yield Trial(size, tuple(Step("start", (number,)) for number in order))


def at_once(size: int) -> Trial:
    """All members at the same moment."""
    return Trial(size, (Step("start", tuple(range(size))),))


def interrupted(size: int, seed: int, length: int) -> Trial:
    """Members come, go and come back in a random order, before the last has ever been there.

    Args:
        size: how many.
        seed: of the choices.
        length: steps before the last, at least; one of them is no start.
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


def cut_short(size: int) -> Iterator[Trial]:
    """All at once, and one of them ends and comes back in the moment in which it is founded."""
    for verb in ("stop", "kill"):
        for number in range(size):
            launched = Step("launch", tuple(range(size)))
            yield Trial(size, (launched, Step(verb, (number,), FOUNDED), Step("start", (number,))))


def play(trial: Trial, directory: Path) -> float:
    """Do what a trial says, and see that one cluster arises.

    Args:
        trial: what to do.
        directory: for the members' files, which are left there.

    Returns:
        Seconds from the last step until all members served both databases.

    Raises:
        AssertionError: it is not one cluster.
    """
    with ic_net(directory, trial.size) as net:
        *before, last = trial.steps
        for step in before:
            _carry_out(net, step)
        absent = set(range(trial.size)) - {number for step in before for number in step.members}
        assert not absent or not _founders(net), "founded before all members have been there"
        started = time.monotonic()
        _carry_out(net, last)
        net.complete(LIMIT)
        seconds = time.monotonic() - started
        for short in DATABASES:
            _judge_cluster(net, short)
            _judge_rows(net, short)
        assert _founders(net) == [net.all[0]] * len(DATABASES)
        for member in net.all:
            member.kill()
    for short in DATABASES:
        _judge_files(net, short)
    return seconds


def _carry_out(net: IcNet, step: Step) -> None:
    members = [net.all[number] for number in step.members]
    verbs: dict[str, Callable[[Member], object]] = {
        "start": Member.start, "launch": Member.start, "stop": Member.stop, "kill": Member.kill,
    }  # fmt: skip
    if step.when:
        wait_until(lambda: step.when in net.all[0].log.read_text(), f"the founder has {step.when}")
    for member in members:
        verbs[step.verb](member)
    if step.verb == "start":
        for member in members:
            _see_running(net, member)


def _see_running(net: IcNet, member: Member) -> None:
    """Wait until clients elsewhere are answered by both servers of a member."""

    def answers() -> bool:
        assert member.running, member.log.read_text()
        return all(net.served(short, member) > {"_Server"} for short in DATABASES)

    wait_until(answers, f"{member.address} to run", LIMIT)


def _founders(net: IcNet) -> list[Member]:
    """Who has founded a cluster, once for each database."""
    return [
        member
        for member in net.all
        if member.log.exists()
        for _ in range(member.log.read_text().count(FOUNDED))
    ]


def _judge_cluster(net: IcNet, short: str) -> None:
    """All are members of one cluster, know each other, and agree on one leader."""

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


def _judge_rows(net: IcNet, short: str) -> None:
    """What is written at one member is read at all, by clients elsewhere."""
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


def _judge_files(net: IcNet, short: str) -> None:
    """The members' files are of one history, and there is nothing beside them."""
    files = [str(member.data / f"ovn_ic_{short}_db.db") for member in net.all]
    run_program(INSTALLATION, "ovsdb-tool", "check-cluster", *files)
    cids = {run_program(INSTALLATION, "ovsdb-tool", "db-cid", file) for file in files}
    assert len(cids) == 1, cids
    for member in net.all:
        found = {path.name for path in member.data.iterdir() if NOT_ADMITTED not in path.name}
        assert found == FILES, f"{member.data}: {sorted(found)}"
