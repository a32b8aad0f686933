"""A few start orders of members; `make test-icdb-orders` runs all of them, many times."""

import os
import random
from pathlib import Path

import pytest

from icdb.trial import Trial, at_once, in_every_order, interrupted, interrupted_bootstrap, play

pytestmark = pytest.mark.lab


@pytest.fixture
def choices(capsys: pytest.CaptureFixture[str]) -> random.Random:
    """Choices from a printed seed; ISTHMUS_FIRST_SEED repeats them."""
    seed = int(os.environ.get("ISTHMUS_FIRST_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        print(f"\nISTHMUS_FIRST_SEED={seed}")
    return random.Random(seed)  # noqa: S311 - no secret


@pytest.mark.parametrize("size", [3, 5])
def test_all_at_once(size: int, tmp_path: Path) -> None:
    """Members that start at the same time form one cluster with one history."""
    play(at_once(size), tmp_path)


def test_one_after_the_other(choices: random.Random, tmp_path: Path) -> None:
    """In any order of starts, one after the other, they form one cluster."""
    for number, trial in enumerate(choices.sample(list(in_every_order(3)), 2)):
        _play(trial, tmp_path / str(number))


def test_coming_and_going(choices: random.Random, tmp_path: Path) -> None:
    """Members may end and restart before there is a cluster."""
    _play(interrupted(3, choices.randrange(10**6), 3), tmp_path)


def test_interrupted_while_the_cluster_is_created(choices: random.Random, tmp_path: Path) -> None:
    """A member that ends at that moment returns to the cluster, also the bootstrap member."""
    _play(choices.choice(list(interrupted_bootstrap(3))), tmp_path)


def _play(trial: Trial, directory: Path) -> None:
    """Run a trial, and name it if it fails."""
    try:
        play(trial, directory)
    except BaseException as error:
        error.add_note(str(trial))
        raise
