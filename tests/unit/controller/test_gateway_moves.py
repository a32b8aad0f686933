"""Other zones follow a gateway that gets another name, or that moves to another node."""

import pytest

from isthmus.model.operations import Delete
from isthmus.model.rows import Chassis, SbEncap, SbPortBinding
from support.harm.paths import working
from support.harm.world import World, configured


@pytest.fixture
def world() -> World:
    """Two zones, joined over `ts`, and over `blue` for VPC `v`."""
    return World(seed=1)


def test_a_reinstalled_gateway_with_the_same_tunnel_ip(world: World) -> None:
    """The old chassis makes room for the new one; other zones rename it, so ports stay bound."""
    zone, other = world.fleet.zones
    before = other.uuid(Chassis, name="gw-az1")
    bindings = other.all(SbPortBinding, type="remote")
    zone.write(Delete(Chassis, zone.uuid(Chassis, name="gw-az1")))
    zone.add_chassis("gw-az1-b", "192.0.2.1", hostname="gw")
    world.edited()
    world.settle()
    assert (world.lost(), world.interruptions, world.problems()) == (set(), [], [])
    assert other.uuid(Chassis, name="gw-az1-b") == before
    assert other.all(SbPortBinding, type="remote") == bindings
    assert {row["chassis"] for row in bindings} == {before}
    assert other.find(SbEncap, ip="192.0.2.1")["chassis_name"] == "gw-az1-b"


def test_a_gateway_that_gets_its_old_name_back_stays_connected(world: World) -> None:
    """An old backup of IC-SB has its old name: its tunnel IP is the same, so no packet is lost."""
    other, zone = world.fleet.zones  # the other one reads the backup first
    zone.write(Delete(Chassis, zone.uuid(Chassis, name="gw-az2")))
    zone.add_chassis("gw-az2-b", "192.0.2.2", hostname="gw")
    world.edited()
    world.settle()
    before = other.uuid(Chassis, name="gw-az2-b")
    world.fleet.ic_sb.restore(world.snapshot)
    world.edited()
    world.settle()
    assert (world.lost(), world.interruptions, world.problems()) == (set(), [], [])
    assert other.uuid(Chassis, name="gw-az2-b") == before


@pytest.mark.parametrize("running", [True, False])
def test_a_gateway_moves_while_another_zones_daemon_is_down(world: World, *, running: bool) -> None:
    """The paths of a zone that cannot follow are lost until its daemon starts; no others are."""
    zone, other = world.fleet.zones
    theirs = {path for path in world.baseline if path.zone == other.cluster}
    world.down |= set() if running else {other.cluster}
    configured(zone, gw_nodes="gw2")
    world.settle()
    assert working(world.fleet) == world.baseline - (set() if running else theirs)
    assert (world.lost(), world.interruptions) == (set(), [])
    world.start(other)
    world.settle()
    assert working(world.fleet) == world.baseline
