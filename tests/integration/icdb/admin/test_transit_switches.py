"""`isthmus ic-db transit-switch` on real databases with zones on them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.servers import RealFleet, fleet_in, wait_until

pytestmark = pytest.mark.ovn


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Two zones, of our engine and of ovn-ic, on the transit switch ts."""
    with fleet_in(tmp_path) as fleet:
        assert switches(fleet, "add", "ts=169.254.100.0/24").returncode == 0
        for number in (1, 2):
            zone = fleet.add_zone(f"az{number}")
            options = [f"options:ic-route-{what}=true" for what in ("adv", "learn")]
            zone.nbctl("set", "NB_Global", ".", *options)
            zone.add_subnet("net", f"10.{number}.0.1/16")
            zone.start_daemon("isthmus" if number == 1 else "ovn-ic")
            zone.join("ts", f"169.254.100.{number}/24")
        wait_until(lambda: set(fleet.zones[0].learned()) == {"10.2.0.0/16"}, "both take part")
        yield fleet


def switches(fleet: RealFleet, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    ic = fleet.ic
    remotes = {"--ic-nb-db": Database.IC_NB, "--ic-sb-db": Database.IC_SB}
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("isthmus")), "ic-db", "transit-switch", *arguments,
            *(f"{flag}={ic.socket(database)}" for flag, database in remotes.items()),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def known(fleet: RealFleet, number: int) -> set[str]:
    """The transit switches that a zone has copies of."""
    zone = fleet.zones[number]
    return set(zone.nbctl("--bare", "--columns=name", "list", "logical_switch").split())


def test_a_switch_comes_and_goes_while_zones_run(fleet: RealFleet) -> None:
    """A dry run changes nothing; then both zones follow, and their exchange continues."""
    learned = fleet.zones[0].learned()
    assert "--dry-run" in switches(fleet, "add", "more=169.254.101.0/24", "--dry-run").stdout
    assert switches(fleet, "add", "more=169.254.101.0/24", "--zones=200").returncode == 0
    for number in (0, 1):
        wait_until(lambda n=number: "more" in known(fleet, n), "the zone has it")  # type: ignore[misc]
    rows = json.loads(switches(fleet, "list", "-ojson").stdout)
    assert [(row["name"], row["zones"]) for row in rows] == [("more", []), ("ts", ["az1", "az2"])]
    assert ": exists" in switches(fleet, "add", "more=169.254.101.0/24").stdout
    assert "then give --yes" in switches(fleet, "remove", "more").stderr
    assert switches(fleet, "remove", "more", "--dry-run").returncode == 0
    assert "more" in switches(fleet, "list").stdout
    assert switches(fleet, "remove", "more", "--yes").returncode == 0
    for number in (0, 1):
        wait_until(lambda n=number: "more" not in known(fleet, n), "gone again")  # type: ignore[misc]
    assert fleet.zones[0].learned() == learned


def test_invalid_changes_are_reported(fleet: RealFleet) -> None:
    """Too small, overlapping a zone, another vendor's, or in use."""
    fleet.add_ts("theirs")
    for arguments, said in (
        (("add", "new=169.254.101.0/24", "--zones=256"), "256 zones need at least a /23"),
        (("add", "new=10.1.0.0/24"), "overlaps 10.1.0.0/16, which zone az1 advertises"),
        (("add", "theirs=10.9.0.0/24"), "is another vendor's"),
        (("remove", "theirs", "--yes"), "is another vendor's"),
        (("remove", "ts"), "zones have ports on it and would lose their routes over it: az1, az2"),
        (("add", "new"), "is not NAME=CIDR"),
    ):
        done = switches(fleet, *arguments)
        assert done.returncode == 1
        assert said in done.stderr
    rows = json.loads(switches(fleet, "list", "-ojson").stdout)
    assert [row["name"] for row in rows] == ["theirs", "ts"]
