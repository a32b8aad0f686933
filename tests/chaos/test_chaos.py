"""A few random faults; `make test-icdb-chaos` runs a thousand."""

import os
import random
from pathlib import Path

import pytest

from chaos.play import play
from support.icdb.network import ic_net

pytestmark = pytest.mark.lab

FAULTS = 12
FIRST = os.environ.get("ISTHMUS_FIRST_SEED", "")
"""The seed to repeat; empty for a new one."""


def test_nothing_acknowledged_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After any faults of three members, all acknowledged writes are on all members."""
    seed = int(FIRST) if FIRST else random.SystemRandom().randrange(1 << 32)
    with capsys.disabled():
        print(f"\nrandom faults, seed {seed}")
    with ic_net(tmp_path, 3) as net:
        report = play(net, seed, FAULTS, print)
    assert not report.wrong, str(report)
    assert report.faults.total() == FAULTS
