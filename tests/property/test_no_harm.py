"""Random histories of bad edits and leftovers: no path is lost that nothing means to close.

`HARM_HISTORIES` sets their number, `HARM_SEED` the first seed (`make test-harm`). A failure prints
its seed and its edits; with PYTHONHASHSEED=0, a seed always makes the same history.
"""

import os
from collections.abc import Iterator

import pytest

from isthmus.model.problems import Problem
from support.harm.edits import EDITS, stop
from support.harm.paths import working
from support.harm.world import World

COUNT = int(os.environ.get("HARM_HISTORIES", "20"))
FIRST = int(os.environ.get("HARM_SEED", "0"))


def history(world: World) -> Iterator[str]:
    """Make up to five edits, some of them at once, and check after each settled state."""
    for _ in range(world.random.randrange(1, 6)):
        for _ in range(world.random.choice([1, 1, 2])):
            edit, zone = world.random.choice(EDITS), world.random.choice(world.fleet.zones)
            yield f"{edit.__name__} {zone.cluster}"
            if zone.cluster in world.down and edit is not stop and world.random.randrange(2):
                edit(world, zone)
                yield f"start {zone.cluster}"
                world.start(zone)
            else:
                edit(world, zone)
            world.edited()
        world.settle()
        yield "settle"


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_no_working_path_is_lost(seed: int) -> None:
    """After each edit all paths work; after the repair, all is as after a fresh start."""
    world, done = World(seed), list[str]()
    assert len(world.baseline) == 4
    for step in history(world):
        done.append(step)
        if step == "settle":
            assert not world.lost(), f"seed {seed}: lost {world.lost()} after {done}"
    world.repair()
    world.settle()
    assert not world.lost(), f"seed {seed}: lost {world.lost()} by the repair after {done}"
    assert problems(world) == [], f"seed {seed}: {done}: {problems(world)}"
    assert difference(world) == [], f"seed {seed}: {done}: {difference(world)}"
    assert working(world.fleet) == world.baseline
    fresh(world, done)


def difference(world: World) -> list[str]:
    """The rows that differ from those before the first edit."""
    now, found = world.dump(), list[str]()
    for name, rows in world.contents.items():
        found += [f"- {name} {row}" for row in rows if row not in now[name]]
        found += [f"+ {name} {row}" for row in now[name] if row not in rows]
        if len(rows) != len(now[name]) and not found:
            found.append(f"{name}: {len(now[name])} rows instead of {len(rows)}")
    return found


def fresh(world: World, done: list[str]) -> None:
    """A fresh start of all daemons writes nothing."""
    databases = [d for zone in world.fleet.zones for d in zone.databases.values()]
    before = [len(database.committed) for database in databases]
    for zone in world.fleet.zones:
        world.start(zone)
    world.settle()
    assert [len(database.committed) for database in databases] == before, done
    assert problems(world) == [], done


def problems(world: World) -> list[Problem]:
    """The problems of all zones."""
    return world.problems()
