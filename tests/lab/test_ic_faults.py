"""All kinds of faults of the IC databases, while pods in three zones exchange traffic.

In every case no packet is lost, no learned route is withdrawn, no acknowledged row is missing, and
writes resume once a majority is back. `make test-icdb-faults` stops all members for ten minutes and
records its measurements. The last test replaces a member and does not restore it.
"""

import time
from collections.abc import Callable, Iterator

import pytest

from isthmus_lab.lab import Lab
from isthmus_lab.topology.schema import Topology
from isthmus_lab.waiting import wait_until
from support.icdb.faults import RECORDING, THREE_ZONES, IcFaults, Row, record_rows
from support.icdb.lab_members import LIMIT_S
from support.lab.joined import Joined, topology

pytestmark = pytest.mark.lab

OUTAGE_S = 600.0 if RECORDING else 0.0
"""Seconds for which all members are down; at least until the daemons of the zones have restarted.
"""

NEW_ADDRESS = "192.168.65.10"
"""Host part of the address of a replacement member; below those of nodes."""


@pytest.fixture(scope="module")
def faults(make_module_lab: Callable[[Topology], Lab]) -> Iterator[IcFaults]:
    """Three joined zones, shared by the tests of this module."""
    rows: list[Row] = []
    yield IcFaults(Joined.of(make_module_lab(topology(THREE_ZONES))), rows)
    record_rows(rows)


def test_the_leaders_server_is_killed(faults: IcFaults) -> None:
    """The supervisor restarts the server, and another member leads in the meantime."""
    with faults.fault("kill -9 of the leader's server") as fault:
        faults.members.kill_server(faults.members.leader())
        fault.resume()


def test_each_member_is_killed_in_turn(faults: IcFaults) -> None:
    """Supervisors and servers of all members are killed, the leader's first, and started again."""
    leader = faults.members.leader()
    with faults.fault("kill -9 of each member in turn, the leader first") as fault:
        for name in (leader, *faults.members.others(leader)):
            faults.members.kill(name)
            fault.resume()
            faults.members.start(name)
            faults.members.wait_until_whole()


def test_the_leader_is_cut_off(faults: IcFaults) -> None:
    """Zones connected to the isolated member switch to the newly elected leader."""
    leader = faults.members.leader()
    with faults.fault("the leader cut off") as fault, faults.cut_off(leader):
        fault.resume()


def test_a_minority_is_cut_off(faults: IcFaults) -> None:
    """The other members and the zones continue without a follower."""
    other = faults.members.others(faults.members.leader())[0]
    with faults.fault("a minority cut off") as fault, faults.cut_off(other):
        fault.resume()


def test_all_members_are_down_while_the_zones_daemons_restart(faults: IcFaults) -> None:
    """Daemons that start without IC databases withdraw no routes, and write when those are back."""
    members = faults.members
    name = f"all down for {OUTAGE_S / 60:.0f} minutes, the zones' daemons restarted"
    with faults.fault(name) as fault:
        down = time.monotonic()
        members.kill(*members.names)
        for zone in ("az1", "az2", "az3"):
            faults.restart_daemon(zone)
        prefix = fault.flag("az2")
        wait_until(lambda: time.monotonic() - down >= OUTAGE_S, OUTAGE_S + 1, "the outage to last")
        members.start(*members.names[1:])
        members.wait_until_serving(*members.names[1:])
        fault.resume("az2", prefix=prefix, since=time.monotonic())
        members.start(members.names[0])


def test_a_members_disk_is_lost(faults: IcFaults) -> None:
    """The leader loses its disk and is restarted with the same command and an empty one."""
    leader = faults.members.leader()
    with faults.fault("the leader's disk lost") as fault:
        faults.members.kill(leader)
        faults.members.wipe(leader)
        fault.resume()
        faults.members.start(leader)


def test_a_member_is_replaced_by_one_of_another_address(faults: IcFaults) -> None:
    """As in the how-to: kick the lost member, start the new one, and reconfigure the zones."""
    members = faults.members
    lost = members.names[2]
    with faults.fault("a member replaced by a new address") as fault:
        members.kill(lost)
        kick = ["isthmus", "ic-db", "kick", members.hosts[lost]]
        faults.joined.lab.run(members.names[0], kick, timeout_s=LIMIT_S)
        fault.resume()
        members.readdress(lost, NEW_ADDRESS)
        members.start(lost)
        for zone in ("az1", "az2", "az3"):
            faults.joined.configure(zone, ic_db_host=",".join(members.hosts.values()))
        members.wait_until_whole()
        # The new member counts: with it, two of three are a majority.
        members.kill(members.names[0])
        fault.resume()
        members.start(members.names[0])
