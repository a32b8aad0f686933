"""`isthmus zone list` and `isthmus zone prune` on real databases, with ovn-ic next to them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.daemon import cluster_in
from support.ovn.servers import RealFleet, fleet_in, wait_until

pytestmark = pytest.mark.ovn

DAY = 86400


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Zone az1 of our engine, and az2 and az3 of ovn-ic; az2's daemon is gone for good."""
    with fleet_in(tmp_path) as fleet:
        fleet.add_ts("ts")
        for number in (1, 2, 3):
            zone = fleet.add_zone(f"az{number}")
            options = [f"options:ic-route-{what}=true" for what in ("adv", "learn")]
            zone.nbctl("set", "NB_Global", ".", *options)
            zone.add_subnet("net", f"10.{number}.0.1/16")
            zone.start_daemon("isthmus" if number == 1 else "ovn-ic")
            zone.join("ts", f"169.254.100.{number}/24")
        others = {"10.2.0.0/16", "10.3.0.0/16"}
        wait_until(lambda: set(fleet.zones[0].learned()) == others, "all take part")
        fleet.zones[1].servers.stop("ovn-ic")
        yield fleet


def zone(fleet: RealFleet, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `isthmus zone`."""
    remotes = {"--ic-sb-db": Database.IC_SB}
    if arguments[0] in {"prune", "forget"}:
        remotes["--ic-nb-db"] = Database.IC_NB
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("isthmus")), "zone", *arguments,
            *(f"{flag}={fleet.ic.socket(database)}" for flag, database in remotes.items()),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def write_heartbeat(fleet: RealFleet, name: str, seconds_ago: int) -> None:
    """Write a heartbeat, as a zone run by `isthmus run` does."""
    heartbeat = f"external_ids:isthmus-alive-{name}={int(time.time()) - seconds_ago}"
    fleet.ic.ctl("ovn-ic-sbctl", Database.IC_SB, "set", "IC_SB_Global", ".", heartbeat)


def states(fleet: RealFleet) -> dict[str, str]:
    """The states of all zones."""
    return {row["name"]: row["state"] for row in json.loads(zone(fleet, "list", "-ojson").stdout)}


def test_a_dead_zone_is_pruned(fleet: RealFleet) -> None:
    """A dead zone is listed with its age, and removed only with --yes; all other zones follow."""
    one, _, three = fleet.zones
    write_heartbeat(fleet, "az2", 3 * DAY)
    write_heartbeat(fleet, "az1", 5)
    assert states(fleet) == {"az1": "alive", "az2": "silent", "az3": "unknown"}
    assert "3 d ago" in zone(fleet, "list").stdout
    before = fleet.ic.dump(Database.IC_SB)
    dry = zone(fleet, "prune", "az2", "--dry-run")
    assert dry.returncode == 0
    assert "removed: 1 gateway, 1 port, 1 route" in dry.stdout
    unsure = zone(fleet, "prune", "az2")
    assert unsure.returncode == 1
    assert "give --yes" in unsure.stderr
    assert fleet.ic.dump(Database.IC_SB) == before
    done = zone(fleet, "prune", "az2", "--yes")
    assert done.returncode == 0, done.stderr
    for other, left in ((one, "10.3.0.0/16"), (three, "10.1.0.0/16")):
        wait_until(lambda o=other, p=left: set(o.learned()) == {p}, "its routes are gone")  # type: ignore[misc]
        assert "az2-gw" not in other.sbctl("--bare", "--columns=name", "list", "chassis")
    assert states(fleet) == {"az1": "alive", "az3": "unknown"}


def test_isthmus_run_writes_a_heartbeat(tmp_path: Path) -> None:
    """A zone is alive as soon as it takes part."""
    with cluster_in(tmp_path) as (cluster, ic):
        cluster.start()

        def heartbeat() -> str:
            text = ic.ctl("ovn-ic-sbctl", Database.IC_SB, "--bare", "list", "IC_SB_Global")
            return "".join(word for word in text.split() if "isthmus-alive-az1=" in word)

        wait_until(heartbeat, "the heartbeat is written")
        assert abs(int(heartbeat().strip('{},"').partition("=")[2]) - time.time()) < 60


def test_a_timer_leaves_living_zones_alone(fleet: RealFleet) -> None:
    """--all-dead leaves zones alone that have a recent heartbeat, or none; `forget` is an alias."""
    write_heartbeat(fleet, "az1", 5)
    write_heartbeat(fleet, "az2", DAY // 2)
    asleep = zone(fleet, "prune", "--all-dead", "--yes")
    assert asleep.returncode == 0
    assert "no zone is known to be dead" in asleep.stdout
    refused = zone(fleet, "prune", "az2", "--yes")
    assert "it may be alive" in refused.stderr
    assert zone(fleet, "forget", "az2", f"--silent-for={DAY // 3}", "--yes").returncode == 0
    assert states(fleet) == {"az1": "alive", "az3": "unknown"}
    assert "takes either the name of a zone or --all-dead" in zone(fleet, "prune", "--yes").stderr
