"""A fleet under attack for a short while; `make test-hostile` attacks it for an hour."""

from pathlib import Path

import pytest

from hostile.fleet import built_fleet
from hostile.play import play

pytestmark = pytest.mark.lab

OUTPUT = Path(__file__).parents[2] / "test-output/hostile"
SEED, SECONDS = 1, 25.0


def test_a_fleet_under_attack() -> None:
    """No process ends, no packet of an honest zone is lost, and all is as before at the end."""
    with built_fleet(OUTPUT / "short") as fleet:
        report = play(fleet, SEED, SECONDS, SECONDS, print)
        assert not report.wrong, report
    assert report.attacks.total() > 10
    assert all(report.sent.values())
