"""Random histories of bad edits and leftovers: no path is lost that nothing means to close.

`HARM_HISTORIES` sets their number, `HARM_SEED` the first seed (`make test-harm SEED=…` tries
others: about 1 in 1,000 fails). A failure prints its seed and its edits; with
PYTHONHASHSEED=0, a seed always makes the same history.
"""

import os

import pytest

from support.harm.histories import check
from support.harm.world import World

COUNT = int(os.environ.get("HARM_HISTORIES", "20"))
FIRST = int(os.environ.get("HARM_SEED", "0"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_no_working_path_is_lost(seed: int) -> None:
    """After each edit all paths work; after the repair, all is as after a fresh start."""
    check(World(seed), seed)
