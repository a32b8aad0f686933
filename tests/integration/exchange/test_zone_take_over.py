"""`isthmus zone take-over` moves a name from one cluster to another."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.servers import RealFleet, RealZone, fleet_in, wait_until

pytestmark = pytest.mark.ovn

IN_USE = "the zone name is in use"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Clusters old and new, both called az1 and run by our engine, and az3 run by ovn-ic."""
    with fleet_in(tmp_path) as fleet:
        fleet.add_ts("ts")
        for number, name in enumerate(("old", "new", "az3"), start=1):
            zone = fleet.add_zone(name)
            options = [f"options:ic-route-{what}=true" for what in ("adv", "learn")]
            called = "az3" if name == "az3" else "az1"
            zone.nbctl("set", "NB_Global", ".", f"name={called}", *options)
            zone.add_subnet("net", f"10.{number}.0.1/16")
        old, new, other = fleet.zones
        other.start_ovn_ic()
        other.join("ts", "169.254.100.3/24")
        old.start_engine()
        old.join("ts", "169.254.100.1/24")
        wait_until(lambda: set(other.learned()) == {"10.1.0.0/16"}, "the old one takes part")
        new.start_engine()
        wait_until(lambda: IN_USE in new.servers.log("engine"), "the new one is refused")
        yield fleet


def take_over(zone: RealZone, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command for a cluster."""
    remotes = zone.remotes
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("isthmus")), "zone", "take-over", name,
            f"--ovnnb-db={remotes[Database.NB]}", f"--ic-sb-db={remotes[Database.IC_SB]}", *options,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def gateways(fleet: RealFleet) -> list[str]:
    """The gateways of all zones."""
    flags = ("--bare", "--columns=name", "list", "gateway")
    return sorted(fleet.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *flags).split())


def test_a_name_is_taken_over(fleet: RealFleet) -> None:
    """With --yes the new cluster gets the zone, and the old one exchanges nothing more."""
    old, new, other = fleet.zones
    done = take_over(new, "az1", "--yes")
    assert done.returncode == 0, done.stderr
    assert "zone az1 is claimed by the cluster with NB_Global " in done.stdout
    wait_until(lambda: IN_USE in old.servers.log("engine"), "the old one is refused now")
    new.join("ts", "169.254.100.2/24")
    wait_until(lambda: set(other.learned()) == {"10.2.0.0/16"}, "the new one takes part")
    wait_until(lambda: gateways(fleet) == ["az3-gw", "new-gw"], "with its own gateway alone")
    old.add_subnet("late", "10.99.0.1/16")
    new.add_subnet("later", "10.98.0.1/16")
    wait_until(lambda: set(other.learned()) == {"10.2.0.0/16", "10.98.0.0/16"}, "and no others")
    again = take_over(new, "az1", "--yes")
    assert "already belongs to this cluster" in again.stdout


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_nothing_changes_without_confirmation(fleet: RealFleet, options: tuple[str, ...]) -> None:
    """Without --yes, or with --dry-run, the command prints the plan and changes nothing."""
    new = fleet.zones[1]
    before = fleet.ic.dump(Database.IC_SB)
    done = take_over(new, "az1", *options)
    assert done.returncode == (0 if options else 1)
    assert "among: old-gw" in done.stdout
    assert "1 port, 1 route" in done.stdout
    assert ("give --yes" in done.stderr) is not bool(options)
    assert fleet.ic.dump(Database.IC_SB) == before


def test_another_name_is_refused(fleet: RealFleet) -> None:
    """A cluster can only take over its own az-name."""
    done = take_over(fleet.zones[1], "az3", "--yes")
    assert done.returncode == 1
    assert "NB_Global: name = 'az1': is not 'az3'" in done.stderr
