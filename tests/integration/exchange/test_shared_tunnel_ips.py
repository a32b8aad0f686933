"""Gateways of several zones with one tunnel IP or one chassis name, on real databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.servers import RealFleet, RealZone, fleet_in, wait_until

pytestmark = pytest.mark.ovn

IP = "192.0.2.77"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Three zones without daemons, and a transit switch."""
    with fleet_in(tmp_path) as fleet:
        fleet.add_ts("ts")
        for name in ("az1", "az2", "az3"):
            zone = fleet.add_zone(name)
            zone.nbctl(
                "set", "NB_Global", ".",
                "options:ic-route-adv=true", "options:ic-route-learn=true",
            )  # fmt: skip
        yield fleet


def add_gateway(zone: RealZone, ip: str, name: str = "") -> None:
    """Register the zone's gateway, as its ovn-controller does."""
    chassis = name or f"{zone.name}-gw"
    zone.sbctl("chassis-add", chassis, "geneve", ip)
    zone.sbctl(
        "set", "chassis", chassis, "other_config:is-interconn=true", f"hostname=node-{zone.name}"
    )


def connect(fleet: RealFleet, chassis: str = "") -> None:
    """Connect all zones, each through its gateway."""
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_subnet("net", f"10.{number}.0.1/16")
        zone.join("ts", f"169.254.100.{number}/24", chassis=chassis)
        zone.nbctl("--wait=sb", "sync")
        # as the ovn-controller of the gateway does
        zone.sbctl("lsp-bind", f"cr-{zone.name}-ts", chassis or f"{zone.name}-gw")


def gateways(fleet: RealFleet) -> set[str]:
    """The names of the gateways in IC-SB."""
    names = ("--bare", "--columns=name", "list", "gateway")
    return set(fleet.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *names).split())


def bound(zone: RealZone, port: str) -> str:
    """The name of the chassis to which a remote port is bound."""
    columns = ("--bare", "--columns=chassis", "find", "port_binding", f"logical_port={port}")
    uuid = zone.sbctl(*columns).strip()
    return zone.sbctl("--bare", "--columns=name", "list", "chassis", uuid).strip() if uuid else ""


def problems(zone: RealZone, words: str) -> list[str]:
    """The lines of a zone's log that contain these words."""
    return [line for line in zone.servers.log("engine").splitlines() if words in line]


@pytest.mark.parametrize("third", ["isthmus", "ovn-ic"])
def test_two_zones_with_one_tunnel_ip_say_so_once(fleet: RealFleet, third: str) -> None:
    """Each logs one problem and no refused write; with another address, all zones connect."""
    one, two, three = fleet.zones
    for zone, ip in zip(fleet.zones, (IP, IP, "192.0.2.3"), strict=True):
        add_gateway(zone, ip)
    one.start_engine()
    wait_until(lambda: gateways(fleet) == {"az1-gw"}, "az1 has published its gateway")
    two.start_engine()
    three.start_daemon(third)
    connect(fleet)
    wait_until(
        lambda: (
            bound(one, "ts-az3") == bound(two, "ts-az3") == "az3-gw"
            and bound(three, "ts-az1") == "az1-gw"
        ),
        "all gateways with an address of their own are known",
    )
    taken = "ovn-encap-ip = '192.0.2.77': is the same tunnel IP as gateway node-az1 of zone az1"
    wait_until(lambda: problems(two, taken) and problems(one, "'az2-gw'"), "both report it")
    assert gateways(fleet) == {"az1-gw", "az3-gw"}
    assert "node node-az2 of zone az2" in problems(two, taken)[0]
    two.sbctl("set", "encap", two.sbctl("--bare", "--columns=_uuid", "find", "encap", f"ip={IP}")
              .strip(), "ip=192.0.2.2")  # fmt: skip
    wait_until(
        lambda: (
            bound(one, "ts-az2") == bound(three, "ts-az2") == "az2-gw"
            and bound(two, "ts-az1") == "az1-gw"
        ),
        "all zones know the gateways of all others",
    )
    assert len([line for line in problems(two, taken) if "resolved" not in line]) == 1
    assert not [line for zone in (one, two) for line in problems(zone, " already has the ")]


def test_one_chassis_name_in_two_zones_is_said_once(fleet: RealFleet) -> None:
    """A system-id from a cloned image: no port is bound to a chassis of the wrong zone."""
    one, two, _ = fleet.zones
    for zone, ip in ((one, "192.0.2.1"), (two, "192.0.2.2")):
        add_gateway(zone, ip, "clone")
        zone.nbctl("--wait=sb", "sync")
    one.start_engine()
    wait_until(lambda: gateways(fleet) == {"clone"}, "az1 has published its gateway")
    two.start_engine()
    fleet.zones.pop().servers.stop_all()
    connect(fleet, "clone")
    taken = "system-id = 'clone': is the same as gateway node-az1 of zone az1"
    wait_until(lambda: problems(two, taken) and problems(one, "of zone az2: gateway"), "reported")
    assert (bound(one, "ts-az2"), bound(two, "ts-az1")) == ("", "")
    assert len(problems(two, taken)) == 1
