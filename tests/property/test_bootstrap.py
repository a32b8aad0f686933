"""Random histories of members that start, stop, lose disks and join: never two clusters."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given

from isthmus.icdb.raft.bootstrap import (
    NO_ANSWER,
    CreateCluster,
    JoinCluster,
    PeerAnswer,
    PeerState,
    decide_bootstrap,
)
from isthmus.model.rows import Database

BOOTSTRAP = "a"


@dataclass
class World:
    """Members with disks, and clusters, each with a number and a set of members.

    `disks` holds None for an empty disk, otherwise the cluster that the member is in.
    """

    names: str
    up: set[str] = field(default_factory=set)
    disks: dict[str, int | None] = field(default_factory=dict)
    configurations: dict[int, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.disks = dict.fromkeys(self.names)

    def start(self, name: str) -> None:
        self.up.add(name)

    def stop(self, name: str) -> None:
        self.up.discard(name)

    def wipe(self, name: str) -> None:
        """Lose the disk and the process; the member may start later with an empty disk."""
        self.up.discard(name)
        self.disks[name] = None

    def join(self, name: str) -> None:
        """JoinCluster a cluster that has a majority, since Raft admits any server that asks."""
        if name not in self.up or self.disks[name] is not None or name == BOOTSTRAP:
            return
        for cluster, members in self.configurations.items():
            self._admit(name, cluster, members)

    def bootstrap(self) -> None:
        """Run the bootstrap member's loop once."""
        if BOOTSTRAP not in self.up or self.disks[BOOTSTRAP] is not None:
            return
        answers = {name: self._answer(name) for name in self.names if name != BOOTSTRAP}
        match decide_bootstrap(Database.IC_NB, answers):
            case CreateCluster():
                held = {name: disk for name, disk in self.disks.items() if disk is not None}
                assert not held, f"a second cluster, while there is {held}"
                cluster = len(self.configurations)
                self.configurations[cluster] = {BOOTSTRAP}
                self.disks[BOOTSTRAP] = cluster
            case JoinCluster(cid, _):
                self._admit(BOOTSTRAP, int(cid), self.configurations[int(cid)])

    def _admit(self, name: str, cluster: int, members: set[str]) -> None:
        alive = {member for member in members if self._answer(member).cid == str(cluster)}
        if 2 * len(alive) > len(members) and self.disks[name] is None:
            members.add(name)
            self.disks[name] = cluster

    def _answer(self, name: str) -> PeerAnswer:
        if name not in self.up:
            return NO_ANSWER
        disk = self.disks[name]
        return (
            PeerAnswer(PeerState.NOTHING)
            if disk is None
            else PeerAnswer(PeerState.CLUSTER, str(disk))
        )


STEP = st.tuples(
    st.sampled_from(["start", "start", "stop", "wipe", "join", "join", "bootstrap", "bootstrap"]),
    st.integers(0, 4),
)


@given(st.integers(1, 5), st.lists(STEP, max_size=60))
def test_never_two_clusters(size: int, steps: list[tuple[str, int]]) -> None:
    """While any disk holds a cluster, no other is created."""
    world = World("abcde"[:size])
    for action, number in steps:
        if action == "bootstrap":
            world.bootstrap()
        else:
            getattr(world, action)(world.names[number % size])


@given(st.permutations("abcde"), st.integers(1, 5))
def test_every_order_ends_in_one_cluster(order: list[str], size: int) -> None:
    """Members that start in any order are in one cluster as soon as all have started."""
    world = World("abcde"[:size])
    for name in [name for name in order if name in world.names]:
        world.start(name)
        for other in world.names:
            world.join(other)
        world.bootstrap()
    for other in world.names:
        world.join(other)
    assert set(world.disks.values()) == {0}


@given(st.sets(st.sampled_from("abcde"), max_size=2))
def test_lost_disks_are_filled_from_the_others(wiped: set[str]) -> None:
    """While a majority keeps its disks, wiped members, the bootstrap member too, rejoin."""
    world = World("abcde")
    for name in "edcba":
        world.start(name)
    world.bootstrap()
    for name in "bcde":
        world.join(name)
    for name in wiped:
        world.wipe(name)
    for name in wiped:
        world.start(name)
        world.bootstrap()
        world.join(name)
    assert set(world.disks.values()) == {0}
