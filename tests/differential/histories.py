"""Run histories and report differences. Used by the tests and by `differential.run`."""

import os
import random
import shutil
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from differential.daemons import PeerDiedError
from differential.generate import history
from differential.shrink import shrink
from differential.steps import Play, Step
from differential.world import VERSION, World, world_in
from isthmus.ovsdb.jsonrpc import RpcError

STEPS = 30
"""Random steps per history, without those that first build the zones."""
FLEETS = {
    "plain": ("isthmus", "isthmus"),
    "three": ("isthmus", "isthmus", "isthmus"),
    "mixed": ("isthmus", "ovn-ic"),
    "mixed3": ("ovn-ic", "isthmus", "ovn-ic"),
}
"""Daemons per zone; each fleet is compared with one that has only `ovn-ic`."""
_ATTEMPTS = 3
_MEMORY = Path("/dev/shm")
_PREFIX = "isthmus-histories-"


@dataclass(frozen=True, slots=True)
class Failure:
    """A history after which the sides differ, reduced to the necessary steps.

    Args:
        seed: of the whole history.
        steps: the necessary ones.
        difference: what only one side has, or what failed.
    """

    seed: int
    steps: Sequence[Step]
    difference: Sequence[str]

    def __str__(self) -> str:
        steps = "\n".join(f"    {step}," for step in self.steps)
        return f"seed {self.seed}:\n{steps}\n  " + "\n  ".join(self.difference)


class Player:
    """Runs histories one after another on the same servers; a context manager.

    Args:
        fleet: a key of `FLEETS`.
    """

    def __init__(self, fleet: str) -> None:
        self._kinds = FLEETS[fleet]
        self._stack = ExitStack()
        self._world: World | None = None

    def __enter__(self) -> "Player":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def history(self, seed: int) -> list[Step]:
        """The history for a seed."""
        kinds = self._kinds
        return history(
            seed, steps=STEPS, zones=len(kinds), version=VERSION, mixed="ovn-ic" in kinds
        )

    def check(self, seed: int, *, reduce: bool = True) -> Failure | None:
        """Run the history for a seed; return its failure with the necessary steps, or None."""
        steps = self.history(seed)
        found = self.play(steps)
        if not found:
            return None
        if reduce:
            steps = shrink(steps, lambda part: bool(self.play(part)))
            found = self.play(steps) or found
        return Failure(seed, steps, found)

    def play(self, steps: Sequence[Step]) -> list[str]:
        """Run steps; return the difference of both sides, or what failed.

        If the real `ovn-ic` exits with an assertion, which depends on timing, the run is repeated.
        """
        broken: list[str] = []
        for _ in range(_ATTEMPTS):
            try:
                return self._play(steps)
            except (AssertionError, RpcError, OSError) as error:
                self._stack.close()  # whatever failed must not affect the next history
                self._world = None
                broken = traceback.format_exc().splitlines()[-3:]
                if not isinstance(error, PeerDiedError):
                    break
        return broken

    def _play(self, steps: Sequence[Step]) -> list[str]:
        world = self._world or self._build()
        world.reset()
        play = Play(world)
        for number, step in enumerate(steps):
            play.do(step)
            if number % 2:
                world.subject.turn()
            if step.kind == "settle" and play.comparable and (found := play.differences()):
                return found
        play.activate_all()
        return play.differences()

    def _build(self) -> World:
        parent = _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())
        _remove_leftovers(parent)
        name = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent)
        directory = Path(self._stack.enter_context(name))
        self._world = self._stack.enter_context(world_in(directory, self._kinds))
        return self._world


def _remove_leftovers(parent: Path) -> None:
    """Remove files left by killed runs; their processes have ended with them."""
    for path in parent.glob(f"{_PREFIX}*"):
        owner = path.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)


def fresh_seeds(count: int) -> Iterator[int]:
    """New seeds."""
    source = random.SystemRandom()
    return (source.randrange(1 << 32) for _ in range(count))
