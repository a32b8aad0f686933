"""A few orders of starting members; `make test-icdb-orders` plays all of them, many times."""

import os
import random
from pathlib import Path

import pytest

from icdb.trial import Trial, at_once, cut_short, in_every_order, interrupted, play

pytestmark = pytest.mark.lab


@pytest.fixture
def choices(capsys: pytest.CaptureFixture[str]) -> random.Random:
    """Choices from a seed that is shown; ISTHMUS_FIRST_SEED makes the same ones again."""
    seed = int(os.environ.get("ISTHMUS_FIRST_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        print(f"\nISTHMUS_FIRST_SEED={seed}")
    return random.Random(seed)  # noqa: S311 - no secret


@pytest.mark.parametrize("size", [3, 5])
def test_all_at_once(size: int, tmp_path: Path) -> None:
    """Members that start at the same moment are one cluster of one history."""
    play(at_once(size), tmp_path)


def test_one_after_the_other(choices: random.Random, tmp_path: Path) -> None:
    """In whatever order members start, each when the one before runs, they are one cluster."""
    for number, trial in enumerate(choices.sample(list(in_every_order(3)), 2)):
        _play(trial, tmp_path / str(number))


def test_coming_and_going(choices: random.Random, tmp_path: Path) -> None:
    """Members may end and come back while nothing has been founded."""
    _play(interrupted(3, choices.randrange(10**6), 3), tmp_path)


def test_gone_in_the_moment_of_founding(choices: random.Random, tmp_path: Path) -> None:
    """One that ends while the cluster is founded comes back to it, also the founder itself."""
    _play(choices.choice(list(cut_short(3))), tmp_path)


def _play(trial: Trial, directory: Path) -> None:
    """Play a trial, and name it if it fails."""
    try:
        play(trial, directory)
    except BaseException as error:
        error.add_note(str(trial))
        raise
