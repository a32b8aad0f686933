"""When a zone is dead: by readings of the heartbeats over time, on a view."""

import pytest

from isthmus.engine.view import View
from isthmus.exchange.zones.heartbeat import INTERVAL
from isthmus.exchange.zones.heartbeat_watch import WATCHED, HeartbeatWatch
from isthmus.model.changes import Change
from isthmus.model.external_ids import alive_key
from isthmus.model.rows import IcSbGlobal, RowId

NOW, DAY = 1_800_000_000, 86400
STEP = INTERVAL // 2


class Watched:
    """A watch that reads every half interval, and the heartbeats of zones."""

    def __init__(self, **beats: int) -> None:
        self.beats = {name: NOW + beat for name, beat in beats.items()}
        self.watch = HeartbeatWatch()
        self.elapsed = 0

    def read(self) -> None:
        view = View()
        ids = {alive_key(name): str(beat) for name, beat in self.beats.items()}
        view.apply(Change(None, IcSbGlobal(uuid=RowId("1"), external_ids=ids)))
        self.watch.observe(view, float(self.elapsed))

    def steps(self, number: int, *living: str, clock: int = 0) -> None:
        """Let zones live; their clocks are `clock` seconds ahead."""
        for _ in range(number):
            self.elapsed += STEP
            self.beats |= dict.fromkeys(living, NOW + self.elapsed + clock)
            self.read()

    def dead(self, ahead: int = 0) -> tuple[str, ...]:
        """The dead zones by a clock that is ahead."""
        return self.watch.dead(NOW + self.elapsed + ahead, DAY)


def test_a_dead_zone_is_found_after_more_than_an_interval() -> None:
    """Not with the first reading, although its heartbeat is old by all clocks."""
    fleet = Watched(az1=-10, az2=-3 * DAY)
    fleet.read()
    for _ in range(WATCHED // STEP - 1):
        fleet.steps(1, "az1")
        assert fleet.dead() == ()
    fleet.steps(1, "az1")
    assert fleet.dead() == ("az2",)


def test_no_zone_is_dead_while_all_look_dead() -> None:
    """Nothing changes: the databases, or this member's view of them, are cut off."""
    fleet = Watched(az1=-3 * DAY, az2=-3 * DAY)
    fleet.steps(20)
    assert fleet.dead() == ()


def test_zones_that_come_back_after_a_long_outage_live() -> None:
    """The databases were down for three days; the zones write within an interval."""
    fleet = Watched(az1=-3 * DAY, az2=-3 * DAY, az3=-3 * DAY)
    fleet.read()
    fleet.steps(1, "az1")
    assert fleet.dead() == ()
    fleet.steps(1, "az2", "az3")
    fleet.steps(6, "az1", "az2", "az3")
    assert fleet.dead() == ()


@pytest.mark.parametrize("ahead", [2 * DAY, -2 * DAY])
def test_a_clock_that_disagrees_with_the_heartbeats_decides_nothing(ahead: int) -> None:
    """A zone that is dead for an hour is not pruned after a day by a clock two days ahead."""
    fleet = Watched(az1=-10, az2=-10, az3=-3600)
    fleet.read()
    fleet.steps(8, "az1", "az2")
    assert fleet.dead(ahead) == ()


@pytest.mark.parametrize("clock", [2 * DAY, -2 * DAY])
def test_one_zone_with_a_wrong_clock_does_not_decide(clock: int) -> None:
    """Neither does it make others look dead, nor is it dead itself."""
    fleet = Watched(az1=-10, az2=-10, az3=-10, wrong=clock)
    fleet.read()
    for _ in range(8):
        fleet.steps(1, "az1", "az2", "az3")
        fleet.steps(1, "wrong", clock=clock)
    assert fleet.dead(ahead=2 * DAY) == ()


@pytest.mark.parametrize("cause", ["outage", "pause"])
def test_an_interruption_starts_the_watch_again(cause: str) -> None:
    """The databases did not answer, or this process stood still for longer than an interval."""
    fleet = Watched(az1=-10, az2=-3 * DAY)
    fleet.read()
    fleet.steps(4, "az1")
    assert fleet.dead() == ("az2",)
    if cause == "outage":
        fleet.watch.interrupt()
    else:
        fleet.elapsed += 2 * INTERVAL
    fleet.steps(2, "az1")
    assert fleet.dead() == ()
    fleet.steps(3, "az1")
    assert fleet.dead() == ("az2",)


def test_a_zone_that_dies_while_it_is_watched_is_found() -> None:
    """It lived for a while, and its heartbeat then grows old."""
    fleet = Watched(az1=-10, az2=-10)
    fleet.read()
    fleet.steps(4, "az1", "az2")
    fleet.steps(DAY // STEP - 1, "az1")
    assert fleet.dead() == ()
    fleet.steps(1, "az1")
    assert fleet.dead() == ("az2",)
