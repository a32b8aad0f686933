"""Choose the next fault at random among those that make sense. Pure.

Called by `play`. The n-th choice depends only on the seed, n and the state of the cluster, not on
earlier choices. So a run repeated with the same seed has the same faults in the same order, as far
as elections have the same results.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

RECKLESS = 0.15
"""The share of faults that may remove the majority."""

CLIENTS = -1
"""Stands for the host of the clients in a group of members."""


class Kind(Enum):
    """The kinds of faults."""

    KILL_SERVER = "kill of a server"
    KILL_MEMBER = "kill of a member"
    KILL_ALL = "kill of all members"
    STOP = "stop"
    RESTART = "restart"
    FREEZE = "server that hangs"
    UNPLUG = "link down"
    SPLIT = "partition"
    ONE_WAY = "one-way loss"
    MOVE = "leadership moved"
    WIPE = "disk lost"


WEIGHTS = {
    Kind.KILL_SERVER: 20,
    Kind.KILL_MEMBER: 15,
    Kind.KILL_ALL: 4,
    Kind.STOP: 8,
    Kind.RESTART: 8,
    Kind.FREEZE: 12,
    Kind.UNPLUG: 8,
    Kind.SPLIT: 14,
    Kind.ONE_WAY: 8,
    Kind.MOVE: 4,
    Kind.WIPE: 30,  # Rarely possible.
}

DURATIONS = {
    Kind.KILL_MEMBER: (0.2, 4.0),
    Kind.KILL_ALL: (0.2, 1.0),
    Kind.STOP: (0.2, 4.0),
    Kind.FREEZE: (0.5, 7.0),
    Kind.UNPLUG: (0.5, 6.0),
    Kind.SPLIT: (0.5, 7.0),
    Kind.ONE_WAY: (0.5, 7.0),
}
"""Seconds until the fault is undone; kinds that are not listed need no undoing."""

PAUSE = (0.1, 2.0)
"""Seconds until the next fault."""

_NETWORK = frozenset({Kind.UNPLUG, Kind.SPLIT, Kind.ONE_WAY})


@dataclass(frozen=True, slots=True)
class View:
    """The state of the cluster.

    Args:
        size: the number of members.
        sound: members that run and that clients and other members can reach.
        running: members that have been started, responsive or not.
        frozen: members with a stopped server.
        parted: whether the network has a fault.
        leaders: the leader of each database, if known.
        complete: whether there is no fault, and every member that lost its disk has rejoined.
    """

    size: int
    sound: frozenset[int]
    running: frozenset[int]
    frozen: frozenset[int]
    parted: bool
    leaders: Mapping[str, int]
    complete: bool

    @property
    def majority(self) -> int:
        """The number of members that form a majority."""
        return self.size // 2 + 1


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault.

    Args:
        kind: what happens.
        members: the affected members; for a one-way loss, the sender and the receiver; for a
            partition, one side, with `CLIENTS` if the clients are on it.
        short: the database whose server is affected, if only one.
        duration: seconds until the fault is undone; None if it needs no undoing.
        pause: seconds until the next fault.
    """

    kind: Kind
    members: tuple[int, ...]
    short: str
    duration: float | None
    pause: float

    def __str__(self) -> str:
        whom = ", ".join("clients" if m == CLIENTS else f"m{m}" for m in self.members)
        return " ".join(filter(None, (self.kind.value, self.short, whom)))


def choose(seed: int, number: int, view: View) -> Fault | None:
    """The fault with a number; None if no fault makes sense yet.

    Args:
        seed: the same for a whole run.
        number: starts at 0.
        view: the state of the cluster.
    """
    chance = random.Random(f"{seed} {number}")  # noqa: S311 - for variety
    reckless = chance.random() < RECKLESS
    kinds = _in_random_order(chance)
    short = chance.choice(("nb", "sb"))
    order = chance.sample(range(view.size), view.size)
    if chance.random() < 0.4:  # The leader, where a fault has the most effect.
        leaders = [view.leaders[short]] if short in view.leaders else []
        order = [*leaders, *(member for member in order if member not in leaders)]
    pause, stretch = chance.uniform(*PAUSE), chance.random()
    for place, kind in enumerate(kinds):
        if kind is Kind.MOVE and place:
            continue  # Always possible, so it would replace all kinds that are not possible yet.
        for members in _targets(kind, order, view, chance):
            if not reckless and not _keeps_majority(kind, members, view):
                continue
            named = short if kind in {Kind.KILL_SERVER, Kind.FREEZE} else ""
            return Fault(kind, members, named, _duration(kind, stretch), pause)
    return None


def _in_random_order(chance: random.Random) -> list[Kind]:
    """All kinds in random order, weighted."""
    return sorted(Kind, key=lambda kind: chance.random() ** (1 / WEIGHTS[kind]), reverse=True)


def _duration(kind: Kind, stretch: float) -> float | None:
    if kind not in DURATIONS:
        return None
    least, most = DURATIONS[kind]
    return least + stretch**2 * (most - least)  # Short durations are more likely than long ones.


def _targets(
    kind: Kind, order: list[int], view: View, chance: random.Random
) -> Iterator[tuple[int, ...]]:
    """The members that a kind of fault can affect now, in this order."""
    if kind in _NETWORK and view.parted:
        return
    if kind is Kind.WIPE and not view.complete:
        # Raft survives a lost disk as long as the other members have all acknowledged writes.
        return
    if kind is Kind.KILL_ALL:
        if view.running:
            yield tuple(sorted(view.running))
    elif kind is Kind.SPLIT:
        yield from _sides(order, view, chance)
    elif kind is Kind.ONE_WAY:
        yield from pairwise(order)
    elif kind is Kind.MOVE:
        yield from ((member,) for member in order if member in view.leaders.values())
    else:
        yield from ((member,) for member in order if member in view.running - view.frozen)


def _sides(order: list[int], view: View, chance: random.Random) -> Iterator[tuple[int, ...]]:
    """One side of a partition: with or without the clients, or two halves."""
    count = chance.randint(1, view.size - 1)
    side = tuple(order[:count])
    if count < view.majority or chance.random() < RECKLESS:
        yield side
    else:
        yield (CLIENTS, *side)


def _keeps_majority(kind: Kind, members: tuple[int, ...], view: View) -> bool:
    if kind is Kind.MOVE:
        return True
    if CLIENTS in members:
        left = view.sound & set(members)
    elif kind is Kind.ONE_WAY:
        left = view.sound - set(members[:1])
    else:
        left = view.sound - set(members)
    return len(left) >= view.majority
