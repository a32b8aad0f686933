"""Random histories of bad edits and leftovers: no path is lost that nothing means to close.

`HARM_HISTORIES` sets their number, `HARM_SEED` the first seed (`make test-harm`); another sample
starts at ISTHMUS_FIRST_SEED. A failure prints its seed and its edits; with PYTHONHASHSEED=0, a seed
always makes the same history.
"""

import os

import pytest

from support.harm.histories import check
from support.harm.world import World

COUNT = int(os.environ.get("HARM_HISTORIES", "20"))
FIRST = int(os.environ.get("HARM_SEED", "0"))
SAMPLE = os.environ.get("ISTHMUS_FIRST_SEED", "")
SEEDS = [*range(FIRST, FIRST + COUNT)]
if SAMPLE:
    SEEDS += range(10_000 + int(SAMPLE) * 100, 10_000 + int(SAMPLE) * 100 + COUNT // 5)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_working_path_is_lost(seed: int) -> None:
    """After each edit all paths work; after the repair, all is as after a fresh start."""
    check(World(seed), seed)
