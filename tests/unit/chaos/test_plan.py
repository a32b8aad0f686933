"""The choice of faults is repeatable and makes sense."""

from collections import Counter
from dataclasses import replace

import pytest

from chaos.plan import CLIENTS, RECKLESS, Fault, Kind, View, choose

COUNT = 3000

HEALTHY = {
    size: View(
        size=size,
        sound=frozenset(range(size)),
        running=frozenset(range(size)),
        frozen=frozenset(),
        parted=False,
        leaders={"nb": 0, "sb": 1},
        complete=True,
    )
    for size in (3, 5)
}


def faults(view: View, count: int = COUNT) -> list[Fault]:
    """The faults for one seed."""
    return [fault for n in range(count) if (fault := choose(7, n, view)) is not None]


def left(view: View, fault: Fault) -> int:
    """How many members still run and reach each other and the clients."""
    hit = set(fault.members)
    if fault.kind is Kind.MOVE:
        hit = set()
    elif CLIENTS in hit:
        hit = set(range(view.size)) - hit
    elif fault.kind is Kind.ONE_WAY:
        hit = {fault.members[0]}
    return len(view.sound - hit)


@pytest.mark.parametrize("size", [3, 5])
def test_all_kinds_happen(size: int) -> None:
    """Each kind affects each member, and clients are sometimes on either side of a partition."""
    found = faults(HEALTHY[size])
    assert {fault.kind for fault in found} == set(Kind)
    assert {member for fault in found for member in fault.members} == {CLIENTS, *range(size)}
    assert {fault.short for fault in found} == {"nb", "sb", ""}


def test_a_seed_gives_the_same_faults() -> None:
    """The same seed gives the same faults, another seed others."""
    view = HEALTHY[3]
    assert faults(view) == faults(view)
    assert [choose(8, n, view) for n in range(COUNT)] != faults(view)


@pytest.mark.parametrize("size", [3, 5])
def test_most_faults_leave_a_majority(size: int) -> None:
    """Faults that remove the majority are rare; without a majority, others are more likely."""
    view = replace(HEALTHY[size], complete=False)
    barely = replace(view, sound=frozenset(range(view.majority)))
    found = Counter(left(barely, fault) >= view.majority for fault in faults(barely))
    assert 0 < found[False] < 2 * RECKLESS * COUNT
    one_left = replace(view, sound=frozenset([0]))
    reckless = [fault for fault in faults(one_left) if fault.kind is not Kind.MOVE]
    assert 0 < len(reckless) < 2 * RECKLESS * COUNT


def test_a_disk_is_lost_only_in_a_healthy_cluster() -> None:
    """A disk is lost only while all others have all acknowledged writes."""
    view = replace(HEALTHY[3], complete=False)
    assert Kind.WIPE not in {fault.kind for fault in faults(view)}


def test_one_fault_of_the_network_at_a_time() -> None:
    """Members that are down or stopped get no further fault."""
    view = replace(HEALTHY[3], parted=True, running=frozenset([0, 1]), frozen=frozenset([1]))
    found = faults(view)
    assert not {fault.kind for fault in found} & {Kind.SPLIT, Kind.UNPLUG, Kind.ONE_WAY}
    alone = [fault for fault in found if fault.kind not in {Kind.MOVE, Kind.KILL_ALL}]
    assert {fault.members for fault in alone} == {(0,)}
