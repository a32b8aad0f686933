"""`isthmus zone prune --all-dead`: what it watches before it prunes, by a clock of the test."""

from collections.abc import Mapping

import pytest
from typer.testing import CliRunner

from isthmus.cli import zone
from isthmus.cli.common.errors import CommandError
from isthmus.engine.view import View
from isthmus.exchange.zones.heartbeat import INTERVAL
from isthmus.exchange.zones.heartbeat_watch import WATCHED
from isthmus.model.changes import Change
from isthmus.model.external_ids import alive_key
from isthmus.model.operations import Operation
from isthmus.model.problems import Subject
from isthmus.model.rows import AvailabilityZone, Database, IcSbGlobal, RowId

NOW, DAY = 1_800_000_000, 86400


class Site:
    """Heartbeats in IC-SB, a clock that moves while a verb sleeps, and what is written.

    Args:
        beats: ages of heartbeats by zone, in seconds.
    """

    def __init__(self, **beats: int) -> None:
        self.beats = {name: NOW - age for name, age in beats.items()}
        self.living: dict[str, int] = {}
        self.elapsed = 0.0
        self.outage = -1.0
        self.written = 0

    def monotonic(self) -> float:
        return self.elapsed

    def time(self) -> float:
        return NOW + self.elapsed

    def sleep(self, seconds: float) -> None:
        self.elapsed += seconds
        for name, ahead in self.living.items():
            if self.time() + ahead - self.beats[name] >= INTERVAL:
                self.beats[name] = int(self.time()) + ahead

    def read(self, _remotes: Mapping[Database, str], _timeout: float) -> View:
        if 0 <= self.outage <= self.elapsed:
            raise CommandError(Subject("database IC-SB").problem("does not answer", "start it"))
        view = View()
        ids = {alive_key(name): str(beat) for name, beat in self.beats.items()}
        view.apply(Change(None, IcSbGlobal(uuid=RowId("1"), external_ids=ids)))
        for name in self.beats:
            view.apply(Change(None, AvailabilityZone(uuid=RowId(name), name=name)))
        return view

    def write(
        self, _database: Database, _remote: str, operations: tuple[Operation, ...], _timeout: float
    ) -> None:
        self.written += len(operations)

    def prune(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
        """What `zone prune --all-dead` prints, and its error."""
        monkeypatch.setattr(zone, "time", self)
        monkeypatch.setattr(zone, "read_databases", self.read)
        monkeypatch.setattr(zone, "write_database", self.write)
        remotes = ("--ic-nb-db=unix:/x", "--ic-sb-db=unix:/y")
        result = CliRunner().invoke(zone.app, ["prune", "--all-dead", *remotes, *arguments])
        return f"{result.output}{result.exception or ''}"


def test_it_watches_before_it_asks_for_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead zone is named after the watch, with its progress, and nothing changes yet."""
    site = Site(az1=10, az2=3 * DAY)
    site.living = {"az1": 0}
    shown = site.prune(monkeypatch, "--dry-run")
    assert "watching the heartbeats of az2: 900 s left" in shown
    assert "watching the heartbeats of az2: 60 s left" in shown
    assert "zone az2 is silent" in shown
    assert site.elapsed == WATCHED
    assert "give --yes" in site.prune(monkeypatch)
    assert not site.written


def test_only_the_dead_zone_is_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --yes the zone that stayed silent is pruned, and no other one."""
    site = Site(az1=10, az2=3 * DAY)
    site.living = {"az1": 0}
    shown = site.prune(monkeypatch, "--yes")
    assert "zone az2 has been pruned" in shown
    assert "zone az1" not in shown
    assert site.written


def test_without_an_old_heartbeat_it_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer does not wait for nothing."""
    site = Site(az1=10, az2=DAY - 100)
    assert "no zone is known to be dead" in site.prune(monkeypatch, "--yes")
    assert site.elapsed == 0


@pytest.mark.parametrize(
    ("living", "what"),
    [
        ({"az1": 0, "az2": 0}, "both live again after an outage of the databases"),
        ({}, "no zone lives, so the databases may have been down"),
        ({"az1": -3 * DAY}, "the clocks of the living zones are behind this host's"),
    ],
)
def test_the_living_are_not_pruned(
    living: dict[str, int], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old heartbeat alone does not prove that a zone is dead."""
    site = Site(az1=3 * DAY, az2=3 * DAY)
    site.living = living
    assert "no zone is known to be dead" in site.prune(monkeypatch, "--yes"), what
    assert not site.written


def test_an_outage_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that stops answering is the error, and nothing is pruned."""
    site = Site(az1=10, az2=3 * DAY)
    site.living, site.outage = {"az1": 0}, 300.0
    assert "does not answer" in site.prune(monkeypatch, "--yes")
    assert not site.written
