"""Random histories of members that start, stop, lose their disks and join: one cluster, ever."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given

from isthmus.icdb.raft.bootstrap import SILENCE, Answer, Found, Has, Join, decide
from isthmus.model.rows import Database

FOUNDER = "a"


@dataclass
class World:
    """Members with disks; a cluster is known by a number, and by who is in its configuration.

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
        """A disk is lost with its server's end; a new, empty one is started with later."""
        self.up.discard(name)
        self.disks[name] = None

    def join(self, name: str) -> None:
        """Raft admits whoever asks a cluster that has a majority."""
        if name not in self.up or self.disks[name] is not None or name == FOUNDER:
            return
        for cluster, members in self.configurations.items():
            self._admit(name, cluster, members)

    def found(self) -> None:
        """What the founder does in one turn of its supervisor."""
        if FOUNDER not in self.up or self.disks[FOUNDER] is not None:
            return
        answers = {name: self._answer(name) for name in self.names if name != FOUNDER}
        match decide(Database.IC_NB, answers):
            case Found():
                held = {name: disk for name, disk in self.disks.items() if disk is not None}
                assert not held, f"a second cluster, while there is {held}"
                cluster = len(self.configurations)
                self.configurations[cluster] = {FOUNDER}
                self.disks[FOUNDER] = cluster
            case Join(cid, _):
                self._admit(FOUNDER, int(cid), self.configurations[int(cid)])

    def _admit(self, name: str, cluster: int, members: set[str]) -> None:
        alive = {member for member in members if self._answer(member).cid == str(cluster)}
        if 2 * len(alive) > len(members) and self.disks[name] is None:
            members.add(name)
            self.disks[name] = cluster

    def _answer(self, name: str) -> Answer:
        if name not in self.up:
            return SILENCE
        disk = self.disks[name]
        return Answer(Has.NOTHING) if disk is None else Answer(Has.CLUSTER, str(disk))


STEP = st.tuples(
    st.sampled_from(["start", "start", "stop", "wipe", "join", "join", "found", "found"]),
    st.integers(0, 4),
)


@given(st.integers(1, 5), st.lists(STEP, max_size=60))
def test_never_two_clusters(size: int, steps: list[tuple[str, int]]) -> None:
    """While any disk remembers a cluster, none is founded; and when all are up, all are in one."""
    world = World("abcde"[:size])
    for action, number in steps:
        if action == "found":
            world.found()
        else:
            getattr(world, action)(world.names[number % size])


@given(st.permutations("abcde"), st.integers(1, 5))
def test_every_order_ends_in_one_cluster(order: list[str], size: int) -> None:
    """Members that start in whatever order are all in one cluster, as soon as all have started."""
    world = World("abcde"[:size])
    for name in [name for name in order if name in world.names]:
        world.start(name)
        for other in world.names:
            world.join(other)
        world.found()
    for other in world.names:
        world.join(other)
    assert set(world.disks.values()) == {0}


@given(st.sets(st.sampled_from("abcde"), max_size=2))
def test_lost_disks_are_filled_from_the_others(wiped: set[str]) -> None:
    """While a majority keeps its disks, wiped members, the founder too, join the old cluster."""
    world = World("abcde")
    for name in "edcba":
        world.start(name)
    world.found()
    for name in "bcde":
        world.join(name)
    for name in wiped:
        world.wipe(name)
    for name in wiped:
        world.start(name)
        world.found()
        world.join(name)
    assert set(world.disks.values()) == {0}
