"""Gateways of several zones with one tunnel IP or one chassis name, on fake databases."""

import pytest

from isthmus.exchange.zones.prune import PrunePlan, plan_pruning
from isthmus.model.operations import Delete, Insert, NewRef, Ref, Update
from isthmus.model.problems import Problem
from isthmus.model.reasons import Reason
from isthmus.model.rows import Chassis, Gateway, IcEncap, SbEncap, SbPortBinding
from support.fakes.fleet import Fleet
from support.fakes.zone import Zone

IP = "192.0.2.77"


def joined(*gateways: tuple[str, str]) -> Fleet:
    """Zones az1, az2 …, each with one gateway of this chassis name and tunnel IP."""
    fleet = Fleet(*(f"az{number}" for number, _ in enumerate(gateways, start=1)))
    fleet.add_ts("ts")
    fleet.settle()
    pairs = list(enumerate(zip(fleet.zones, gateways, strict=True), start=1))
    for number, (zone, (chassis, ip)) in pairs:  # before any zone reads of the others' gateways
        zone.add_chassis(chassis, ip, hostname=f"node{number}")
    for number, (zone, (chassis, _)) in pairs:
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach_router("ts", f"169.254.100.{number}/24", chassis=chassis)
        fleet.settle()
    return fleet


def tunnels(zone: Zone, kind: type[SbEncap] | type[IcEncap]) -> set[tuple[str, str]]:
    """The tunnel ends in SB or IC-SB, each with the name of its owner."""
    owner = "chassis_name" if kind is SbEncap else "gateway_name"
    return {(row[owner], row["ip"]) for row in zone.all(kind)}


def bound(zone: Zone, port: str) -> str | None:
    """The name of the chassis to which a remote port is bound."""
    uuid = zone.find(SbPortBinding, logical_port=port)["chassis"]
    return next((row["name"] for row in zone.all(Chassis) if row["_uuid"] == uuid), None)


def recomputed(fleet: Fleet) -> list[list[Problem]]:
    """The problems of each zone; a restart finds the same ones and has nothing to write."""
    found = [zone.problems() for zone in fleet.zones]
    for zone, before in zip(fleet.zones, found, strict=True):
        zone.start()
        assert zone.settle() == 0
        assert zone.problems() == before
    return found


def test_two_zones_with_one_tunnel_ip_are_both_named_and_no_doomed_write_is_sent() -> None:
    """Each zone has one problem; az2's names both zones, both nodes and the address."""
    fleet = joined(("gw1", IP), ("gw2", IP))
    one, two = fleet.zones
    assert tunnels(one, IcEncap) == {("gw1", IP)}
    assert tunnels(two, SbEncap) == {("gw2", IP)}
    (first,), (second,) = recomputed(fleet)
    assert first.reason is Reason.GATEWAY_NOT_PUBLISHED
    assert "zone az2" in str(first)
    assert second.reason is Reason.TUNNEL_IP_TAKEN
    assert str(second) == (
        f"node node2 of zone az2: ovn-encap-ip = '{IP}': is the same tunnel IP as gateway node1 of"
        " zone az1, so no packets pass between the two zones through these nodes; set another"
        " external_ids:ovn-encap-ip in the Open vSwitch of one of them; if zone az1 does not exist"
        " any more, run: isthmus zone prune az1"
    )


@pytest.mark.parametrize("mended", ["az1", "az2"])
def test_a_shared_tunnel_ip_that_is_changed_in_either_zone_connects_them(mended: str) -> None:
    """When one of the two gets another address, both gateways are known everywhere."""
    fleet = joined(("gw1", IP), ("gw2", IP))
    zone = next(zone for zone in fleet.zones if zone.name == mended)
    zone.update(SbEncap, zone.uuid(SbEncap, chassis_name=f"gw{mended[-1]}"), ip="192.0.2.9")
    fleet.settle()
    one, two = fleet.zones
    assert recomputed(fleet) == [[], []]
    assert {row["name"] for row in one.all(Gateway)} == {"gw1", "gw2"}
    assert (bound(one, "ts-az2"), bound(two, "ts-az1")) == ("gw2", "gw1")


def test_a_gateway_whose_ip_becomes_that_of_another_zone_is_not_left_with_the_old_one() -> None:
    """The row in IC-SB goes; no other zone sends packets to an address that has moved."""
    fleet = joined(("gw1", IP), ("gw2", "192.0.2.9"))
    one, two = fleet.zones
    two.write(Delete(Chassis, two.uuid(Chassis, name="gw1")))  # as its ovn-controller must
    two.update(SbEncap, two.uuid(SbEncap, chassis_name="gw2"), ip=IP)
    fleet.settle()
    assert tunnels(one, IcEncap) == {("gw1", IP)}
    assert [problem.reason for (problem,) in recomputed(fleet)] == [
        Reason.GATEWAY_NOT_PUBLISHED,
        Reason.TUNNEL_IP_TAKEN,
    ]


def test_one_of_several_encaps_is_shared_and_the_others_are_used() -> None:
    """The gateway is published with its other tunnel IP, and the shared one is reported."""
    fleet = joined(("gw1", IP), ("gw2", "192.0.2.9"))
    one, two = fleet.zones
    extra = {"type": "geneve", "ip": "192.0.2.8", "chassis_name": "gw1"}
    ref, old = NewRef(), Ref(one.uuid(SbEncap, chassis_name="gw1"))
    two.add_chassis("worker", "192.0.2.8", hostname="worker2", interconn=False)
    one.write(
        Insert(SbEncap, extra, ref),
        Update(Chassis, one.uuid(Chassis, name="gw1"), {"encaps": (old, ref)}),
    )
    fleet.settle()
    assert tunnels(one, IcEncap) == {("gw1", IP), ("gw1", "192.0.2.8"), ("gw2", "192.0.2.9")}
    assert ("gw1", IP) in tunnels(two, SbEncap)
    assert bound(two, "ts-az1") == "gw1"
    (), (problem,) = recomputed(fleet)
    assert (problem.object, problem.value) == ("node worker2 of zone az2", "192.0.2.8")


def test_one_chassis_name_in_two_zones_names_both_nodes() -> None:
    """A system-id from a cloned image: no port is bound to a node of the wrong zone."""
    fleet = joined(("clone", IP), ("clone", "192.0.2.9"))
    one, two = fleet.zones
    (first,), (second,) = recomputed(fleet)
    assert (first.reason, second.reason) == (
        Reason.GATEWAY_NOT_PUBLISHED,
        Reason.CHASSIS_NAME_TAKEN,
    )
    assert str(second).startswith(
        "node node2 of zone az2: system-id = 'clone': is the same as gateway node1 of zone az1"
    )
    assert (bound(one, "ts-az2"), bound(two, "ts-az1")) == (None, None)


def test_an_ordinary_node_with_the_name_of_another_zones_gateway_is_named() -> None:
    """The other gateway cannot be added, so the node is named although it is not a gateway."""
    fleet = joined(("gw1", IP), ("gw2", "192.0.2.9"))
    _, two = fleet.zones
    two.write(Delete(Chassis, two.uuid(Chassis, name="gw1")))
    two.add_chassis("gw1", "192.0.2.5", hostname="worker2", interconn=False)
    fleet.settle()
    (), (problem,) = recomputed(fleet)
    assert problem.reason is Reason.CHASSIS_NAME_TAKEN
    assert problem.object == "node worker2 of zone az2"
    assert bound(two, "ts-az1") is None


def test_a_third_zone_reaches_the_zone_that_has_the_tunnel_ip() -> None:
    """Two of three zones share an IP: the third is connected with the first."""
    fleet = joined(("gw1", IP), ("gw2", IP), ("gw3", "192.0.2.9"))
    *_, three = fleet.zones
    assert (bound(three, "ts-az1"), bound(three, "ts-az2")) == ("gw1", None)
    assert [problem.reason for problem in three.problems()] == [Reason.GATEWAY_NOT_PUBLISHED]


def test_a_reinstalled_gateway_keeps_its_ip_under_another_chassis_name() -> None:
    """The old row and its copies make room in the same transaction; no problem remains."""
    fleet = joined(("gw1", IP), ("gw2", "192.0.2.9"))
    one, two = fleet.zones
    one.write(Delete(Chassis, one.uuid(Chassis, name="gw1")))
    one.add_chassis("reinstalled", IP, hostname="node1")
    fleet.settle()
    assert tunnels(two, SbEncap) == {("reinstalled", IP), ("gw2", "192.0.2.9")}
    assert recomputed(fleet) == [[], []]


def test_a_remote_chassis_that_a_former_zone_left_makes_room() -> None:
    """A leftover in SB with the IP of a new zone's gateway goes when that gateway is added."""
    fleet = joined(("gw1", IP), ("gw2", "192.0.2.9"))
    one, two = fleet.zones
    two.write(Delete(Chassis, two.uuid(Chassis, name="gw1")))
    two.add_chassis("former", IP)
    former = two.uuid(Chassis, name="former")
    two.update(Chassis, former, other_config={"is-remote": "true"})
    fleet.settle()
    assert tunnels(two, SbEncap) == {("gw1", IP), ("gw2", "192.0.2.9")}
    assert recomputed(fleet) == [[], []]
    assert one.problems() == []


@pytest.mark.parametrize(
    ("name", "ip"),
    [("gw1\n", IP), ("\x1b]0;t\x07", IP), ("äöüß", IP), ("gw1", "x"), ("gw1", "192.0.2.7/24")],
)
def test_a_gateway_that_open_vswitch_cannot_use_is_reported(name: str, ip: str) -> None:
    """No chassis is made of it, since ovn-controller cannot create its tunnel."""
    fleet = joined((name, ip), ("gw2", "192.0.2.9"))
    one, two = fleet.zones
    assert tunnels(two, SbEncap) == {("gw2", "192.0.2.9")}
    reasons = [problem.reason for problem in recomputed(fleet)[1]]
    assert Reason.INVALID_GATEWAY in reasons
    one.update(Chassis, one.uuid(Chassis, name=name), name="gw1")
    one.update(SbEncap, one.uuid(SbEncap, ip=ip), ip=IP, chassis_name="gw1")
    fleet.settle()
    assert ("gw1", IP) in tunnels(two, SbEncap)
    assert recomputed(fleet)[1] == []


def test_the_gateway_of_a_zone_that_is_gone_holds_the_ip_until_it_is_pruned() -> None:
    """Nodes that are used again in another cluster: the remedy names the command, and it works."""
    fleet = joined(("gw1", IP), ("gw2", IP))
    _, two = fleet.zones
    fleet.zones.remove(fleet.zones[0])
    assert "isthmus zone prune az1" in two.problems()[0].remedy
    plan = plan_pruning(two.engine.view, "az1", 0, 0, alive_too=True)
    assert isinstance(plan, PrunePlan)
    two.write(*plan.ic_sb)
    fleet.settle()
    assert tunnels(two, IcEncap) == {("gw2", IP)}
    assert two.problems() == []
