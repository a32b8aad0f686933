"""Histories of bad edits, and what must hold after each step and after the repair."""

from collections.abc import Iterator

from isthmus.model.reasons import Reason
from support.harm.edits import EDITS, stop
from support.harm.foreign import FOREIGN, remove
from support.harm.intended import INTENDED
from support.harm.paths import working
from support.harm.world import World

_EDITS = (*EDITS, *FOREIGN, *INTENDED)


def check(world: World, seed: int) -> None:
    """Make a history; assert that all paths work after each edit, and that all is repaired.

    After the repair, what is meant to be closed is closed; when that has ended, too, all is as
    before the first edit, and a fresh start writes nothing.
    """
    done = list[str]()
    assert len(world.baseline) == 4
    for step in _history(world):
        done.append(step)
        if step == "settle":
            assert not world.lost(), f"seed {seed}: lost {world.lost()} after {done}"
            assert not world.interruptions, f"seed {seed}: {world.interruptions} after {done}"
            assert_at_rest(world, f"seed {seed}: after {done}")
    remove(world)
    world.repair()
    world.settle()
    assert not world.lost(), f"seed {seed}: lost {world.lost()} by the repair after {done}"
    if world.intents:
        assert_meant_is_closed(world, f"seed {seed}: {done}")
        end_intents(world)
    assert world.problems() == [], f"seed {seed}: {done}: {world.problems()}"
    assert _difference(world) == [], f"seed {seed}: {done}: {_difference(world)}"
    assert working(world.fleet) == world.baseline
    _start_fresh(world, done)


def assert_meant_is_closed(world: World, when: str) -> None:
    """What is meant to be closed is closed, unless a problem says why not."""
    if kept := world.kept_open():
        reasons = {problem.reason for problem in world.problems()}
        assert reasons & {Reason.PATH_KEPT, Reason.INEFFECTIVE}, (
            f"{when}: kept open {kept}: {world.problems()}"
        )


def end_intents(world: World) -> None:
    """End all that is meant; no path stays closed."""
    zones = {zone.cluster: zone for zone in world.fleet.zones}
    for cluster, name in list(world.intents):
        world.end(zones[cluster], name)
    world.repair()
    world.settle()


def assert_at_rest(world: World, when: str) -> None:
    """On steady input, nothing is written, and no problem appears or is resolved."""
    databases = [d for zone in world.fleet.zones for d in zone.databases.values()]
    written, problems = [len(database.committed) for database in databases], world.problems()
    world.check_again()
    assert set(world.problems()) ^ set(problems) == set(), f"{when}: not at rest"
    assert [len(database.committed) for database in databases] == written, f"{when}: not at rest"


def _history(world: World) -> Iterator[str]:
    """Make up to five edits, some of them at once; "settle" follows each settled state."""
    for _ in range(world.random.randrange(1, 6)):
        for _ in range(world.random.choice([1, 1, 2])):
            edit, zone = world.random.choice(_EDITS), world.random.choice(world.fleet.zones)
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


def _difference(world: World) -> list[str]:
    """The rows that differ from those before the first edit."""
    now, found = world.dump(), list[str]()
    for name, rows in world.contents.items():
        found += [f"- {name} {row}" for row in rows if row not in now[name]]
        found += [f"+ {name} {row}" for row in now[name] if row not in rows]
        if len(rows) != len(now[name]) and not found:
            found.append(f"{name}: {len(now[name])} rows instead of {len(rows)}")
    return found


def _start_fresh(world: World, done: list[str]) -> None:
    """A fresh start of all daemons writes nothing."""
    databases = [d for zone in world.fleet.zones for d in zone.databases.values()]
    before = [len(database.committed) for database in databases]
    for zone in world.fleet.zones:
        world.start(zone)
    world.settle()
    assert [len(database.committed) for database in databases] == before, done
    assert world.problems() == [], done
