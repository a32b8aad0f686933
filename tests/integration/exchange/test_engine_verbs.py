"""`isthmus engine` on real databases and a real daemon."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.servers import RealFleet, RealZone, fleet_in, wait_until

pytestmark = pytest.mark.ovn

FLAGS = {
    Database.NB: "--ovnnb-db",
    Database.SB: "--ovnsb-db",
    Database.IC_NB: "--ic-nb-db",
    Database.IC_SB: "--ic-sb-db",
}


def isthmus(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-c", "from isthmus.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def databases(zone: RealZone) -> list[str]:
    """The four flags."""
    return [f"{FLAGS[database]}={remote}" for database, remote in zone.remotes.items()]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Two zones with a subnet each; the second is run by `isthmus ovn-ic`."""
    with fleet_in(tmp_path) as fleet:
        fleet.add_ts("ts")
        for number in (1, 2):
            zone = fleet.add_zone(f"az{number}")
            zone.nbctl("set", "NB_Global", ".", "options:ic-route-adv=true")
            zone.nbctl("set", "NB_Global", ".", "options:ic-route-learn=true")
            zone.add_subnet(f"subnet{number}", f"10.{number}.0.1/16")
        one, two = fleet.zones
        one.start_ovn_ic()
        two.servers.start(
            "isthmus",
            sys.executable,
            "-c",
            "from isthmus.cli.main import main; main()",
            "ovn-ic",
            *databases(two),
            f"--unixctl={two.servers.directory}/isthmus.ctl",
        )
        for number, zone in enumerate(fleet.zones, start=1):
            zone.join("ts", f"169.254.0.{number}/24")
        wait_until(lambda: "10.1.0.0/16" in two.learned(), "az2 learns")
        yield fleet


def test_engine_show(fleet: RealFleet) -> None:
    """Counters as text and JSON, by our command and by OVN's; a recompute on demand is counted."""
    socket = f"{fleet.zones[1].servers.directory}/isthmus.ctl"
    shown = json.loads(isthmus("engine", "show", "--unixctl", socket, "-o", "json").stdout)
    learned = next(r for r in shown["reconcilers"] if r["name"] == "learned routes")
    assert learned["operations"] >= 2
    assert learned["writes"] == "OVN_Northbound"
    assert shown["last_recompute"] == "start"
    assert isthmus("engine", "recompute", "--unixctl", socket).returncode == 0
    text = subprocess.run(
        ["ovs-appctl", "-t", socket, "engine/show"], capture_output=True, text=True, check=True
    ).stdout
    assert "recomputes: 2, last reason: control command engine/recompute" in text
    assert "learned routes" in isthmus("engine", "show", "--unixctl", socket).stdout


def test_a_prefix_is_explained_with_and_without_a_daemon(fleet: RealFleet) -> None:
    """The databases read once give the running engine's answer, and name what they lack."""
    two = fleet.zones[1]
    socket = f"{two.servers.directory}/isthmus.ctl"
    offline = isthmus("engine", "explain", "10.1.0.0/16", *databases(two))
    assert offline.returncode == 0, offline.stderr
    assert "connected route of az1" in offline.stdout
    assert "port ts-az2: learned" in offline.stdout
    running = subprocess.run(
        ["ovs-appctl", "-t", socket, "engine/explain", "10.1.0.0/16"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    answer, remark = offline.stdout.split("note: the databases do not contain the rules")
    assert running == answer.replace("no rule in the databases refuses", "no rule refuses")
    assert "--unixctl asks the daemon" in remark


def test_a_zone_of_ovn_ic_is_not_ours(fleet: RealFleet) -> None:
    """ovn-ic claims no name, so its zone is not ours and there is no decision to explain."""
    other = isthmus("engine", "explain", "10.1.0.0/16", *databases(fleet.zones[0]), "-o", "json")
    explanation = json.loads(other.stdout)
    assert explanation["zone"] == ""
    assert "which is not registered for this cluster" in explanation["remarks"][0]


def test_errors(fleet: RealFleet) -> None:
    """An invalid prefix and a missing daemon are errors."""
    two = fleet.zones[1]
    bad = isthmus("engine", "explain", "10.1.0.0/99", *databases(two))
    assert (bad.returncode, "is not a valid prefix" in bad.stderr) == (1, True)
    missing = isthmus("engine", "show", "--unixctl", "/nonexistent.ctl")
    assert (missing.returncode, "the daemon does not answer" in missing.stderr) == (1, True)
