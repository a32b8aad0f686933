"""A fleet under attack for a short while; `make test-hostile` attacks it for an hour."""

from pathlib import Path

import pytest

from hostile.fleet import HONEST, built_fleet
from hostile.play import play
from support.lab.live_edits import SingleLossError

# A packet lost by chance is not lost again in a second attempt; see SingleLossError.
pytestmark = [
    pytest.mark.lab,
    pytest.mark.flaky(reruns=1, only_rerun=["SingleLossError"]),
]

OUTPUT = Path(__file__).parents[2] / "test-output/hostile"
SEED, SECONDS = 1, 25.0


def test_a_fleet_under_attack() -> None:
    """No process ends, no packet of an honest zone is lost, and all is as before at the end."""
    with built_fleet(OUTPUT / "short") as fleet:
        report = play(fleet, SEED, SECONDS, SECONDS, print)
        if len(report.wrong) == 1 and sum(report.lost[str(flow)] for flow in HONEST) == 1:
            raise SingleLossError(*report.wrong)
        assert not report.wrong, report
    assert report.attacks.total() > 10
    assert all(report.sent.values())
