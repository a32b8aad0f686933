"""A zone's work moves between daemons: between ovn-ic and ours, and in mid-work."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.changelog import ChangeLogs
from support.ovn.servers import RealFleet, RealZone, fleet_in, wait_until

pytestmark = pytest.mark.ovn

ROUTES = 20


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Two zones with routes; az2 is run by ovn-ic, az1 by no daemon yet."""
    with fleet_in(tmp_path) as fleet:
        fleet.add_ts("ts")
        for number, name in enumerate(("az1", "az2"), start=1):
            zone = fleet.add_zone(name)
            options = [f"options:ic-route-{what}=true" for what in ("adv", "learn")]
            zone.nbctl("set", "NB_Global", ".", *options)
            for index in range(ROUTES):
                # Static: ovn-ic 23.03 publishes connected networks with their host bits, and
                # replaces the rows of any other version, which has none.
                prefix = f"172.{number * 50 + index}.0.0/16"
                zone.nbctl("lr-route-add", "r", prefix, f"10.{number}.0.9")
        fleet.zones[1].start_ovn_ic()
        fleet.zones[1].join("ts", "169.254.100.2/24")
        yield fleet


def process(kind: str) -> str:
    """The name under which a daemon of a zone runs."""
    return "engine" if kind == "isthmus" else "ovn-ic"


def everything_learned(fleet: RealFleet) -> bool:
    """Whether both zones know all routes of each other, gateways included."""
    remote = ("--bare", "--columns=_uuid", "find", "chassis", "other_config:is-remote=true")
    return all(
        len(zone.learned()) == ROUTES and zone.sbctl(*remote).strip() for zone in fleet.zones
    )


def start_both(fleet: RealFleet, first: str, second: str) -> RealZone:
    """Have `first` join az1 and work, and `second` stand by."""
    zone = fleet.zones[0]
    zone.start_daemon(first)
    zone.join("ts", "169.254.100.1/24")
    wait_until(lambda: everything_learned(fleet), "all is exchanged")
    before = sessions(zone)
    zone.start_daemon(second)
    if second == "isthmus":
        wait_until(lambda: "standby: waiting" in zone.servers.log("engine"), "the second stands by")
    else:
        wait_until(lambda: sessions(zone) > before, "the second is connected")
    return zone


def sessions(zone: RealZone) -> int:
    """How many clients SB has."""
    control = zone.servers.directory / "ovn-sb.ctl"
    ask = ["ovs-appctl", "-t", str(control), "memory/show"]
    shown = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    found = re.search(r"sessions:(\d+)", shown)
    return int(found[1]) if found else 0


@pytest.mark.parametrize(("first", "second"), [("ovn-ic", "isthmus"), ("isthmus", "ovn-ic")])
def test_killed_and_taken_over(fleet: RealFleet, first: str, second: str) -> None:
    """Within a second of the lock's release the standby takes over, and deletes nothing."""
    zone = start_both(fleet, first, second)
    other = fleet.zones[1]
    logs = ChangeLogs(fleet)
    zone.servers.signal(process(first), signal.SIGSTOP)
    other.add_subnet("late", "10.99.0.1/16")
    wait_until(lambda: "10.99.0" in routes(fleet), "there is something to do")
    assert "10.99.0.0/16" not in zone.learned()
    released = time.monotonic()
    zone.servers.stop(process(first), signal.SIGKILL)
    wait_until(lambda: "10.99.0.0/16" in zone.learned(), "the standby has done it")
    assert time.monotonic() - released < 1.0
    zone.add_subnet("own", "10.98.0.1/16")
    wait_until(lambda: "10.98.0.0/16" in other.learned(), "and continues")
    assert logs.deleted() == {}


def routes(fleet: RealFleet) -> str:
    """The prefixes in IC-SB."""
    flags = ("--bare", "--columns=ip_prefix", "list", "route")
    return fleet.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *flags)


def test_the_lock_is_lost_in_the_middle_of_a_transaction(fleet: RealFleet) -> None:
    """What was sent without the lock has no effect; it is done when the lock is back."""
    zone = fleet.zones[0]
    zone.start_engine()
    zone.join("ts", "169.254.100.1/24")
    wait_until(lambda: everything_learned(fleet), "all is exchanged")
    remote = zone.remotes[Database.SB]
    zone.servers.signal("ovn-sb", signal.SIGSTOP)
    try:
        zone.servers.start("thief", "ovsdb-client", "steal", remote, "ovn_ic")
        other = fleet.zones[1]
        other.sbctl("chassis-add", "late-gw", "geneve", "192.0.2.99")
        other.sbctl("set", "chassis", "late-gw", "other_config:is-interconn=true")
        wait_until(lambda: "late-gw" in fleet.ic.dump(Database.IC_SB), "there is something to do")
    finally:
        zone.servers.signal("ovn-sb", signal.SIGCONT)
    wait_until(
        lambda: zone.servers.log("engine").count("standby: waiting") == 2, "the lock is lost"
    )
    before = zone.learned()
    zone.nbctl("lr-route-del", "r")
    fleet.zones[1].add_subnet("late", "10.99.0.1/16")
    wait_until(lambda: "10.99.0" in routes(fleet), "there is more to do")
    assert not zone.learned()
    zone.servers.stop("thief", signal.SIGKILL)
    wait_until(lambda: set(zone.learned()) == {*before, "10.99.0.0/16"}, "all is done")
    names = ("--bare", "--columns=name", "find", "chassis", "name=late-gw")
    wait_until(lambda: zone.sbctl(*names).split() == ["late-gw"], "and the chassis is there")
