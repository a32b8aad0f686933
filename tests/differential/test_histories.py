"""A new sample of random histories; `make test-differential` runs many, with known seeds."""

import os

import pytest

from differential.histories import Player, fresh_seeds
from differential.world import VERSION

pytestmark = pytest.mark.ovn

COUNT = int(os.environ.get("ISTHMUS_HISTORIES", "15"))
"""Histories per fleet."""

FIRST = os.environ.get("ISTHMUS_FIRST_SEED", "")
"""The first of consecutive seeds to repeat; empty for new ones."""


@pytest.mark.parametrize("fleet", ["plain", "three", "mixed", "mixed3"])
def test_databases_are_equal_after_any_history(
    fleet: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """After any history, a fleet with our engine has the same contents as an `ovn-ic` fleet."""
    seeds = list(range(int(FIRST), int(FIRST) + COUNT) if FIRST else fresh_seeds(COUNT))
    with capsys.disabled():
        print(f"\nOVN {VERSION}, fleet {fleet}, seeds {seeds}")
    with Player(fleet) as player:
        for seed in seeds:
            failure = player.check(seed)
            assert failure is None, f"fleet {fleet}: {failure}"
