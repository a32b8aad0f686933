"""Our engine on real ovsdb-servers and northd, next to and instead of the real ovn-ic."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from isthmus.model.prefixes import canonical
from isthmus.model.rows import Database
from support.ovn.servers import RealFleet, RealZone, fleet_in, wait_until

pytestmark = pytest.mark.ovn

PREFIX = re.compile(r"[0-9a-f:.]+/[0-9]+")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Two zones without daemons, and a transit switch."""
    with fleet_in(tmp_path) as fleet:
        fleet.add_ts("ts")
        for name in ("az1", "az2"):
            zone = fleet.add_zone(name)
            zone.nbctl(
                "set", "NB_Global", ".",
                "options:ic-route-adv=true", "options:ic-route-learn=true",
            )  # fmt: skip
        yield fleet


def start(zone: RealZone, daemon: str) -> None:
    """Start one of the two daemons for a zone."""
    if daemon == "ovn-ic":
        zone.start_ovn_ic()
    else:
        zone.start_engine()


def populate(fleet: RealFleet) -> None:
    """Connect both zones, with a subnet and a static route each."""
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_subnet("net", f"10.{number}.0.1/16", f"fd00:{number}::1/64")
        zone.join("ts", f"169.254.100.{number}/24", f"fe80:a9fe:64::{number}/112")
        zone.nbctl("lr-route-add", "r", f"172.16.{number}.0/24", f"10.{number}.0.9")


def joined(zone: RealZone, other: int) -> bool:
    """Whether a zone has learned everything of the other."""
    return zone.learned() == {
        f"10.{other}.0.0/16": {f"169.254.100.{other}"},
        f"172.16.{other}.0/24": {f"169.254.100.{other}"},
        f"fd00:{other}::/64": {f"fe80:a9fe:64::{other}"},
    }


def settled(fleet: RealFleet) -> bool:
    """Whether both zones have everything of each other."""
    one, two = fleet.zones
    remote = ("--bare", "--columns=other_config", "find", "chassis", "other_config:is-remote=true")
    return (
        joined(one, 2) and joined(two, 1) and all("true" in z.sbctl(*remote) for z in fleet.zones)
    )


def normalized(fleet: RealFleet) -> str:
    """All contents of all databases that the daemons write, without UUIDs."""
    columns = {
        Database.IC_SB: (
            ("availability_zone", "name"),
            ("gateway", "name,hostname"),
            ("encap", "type,ip,gateway_name"),
            ("port_binding", "logical_port,transit_switch,gateway,address"),
            ("route", "transit_switch,ip_prefix,nexthop,origin,route_table"),
            ("datapath_binding", "transit_switch"),
        )
    }
    lines = []
    for table, names in columns[Database.IC_SB]:
        text = fleet.ic.ctl(
            "ovn-ic-sbctl", Database.IC_SB, "--format=csv", f"--columns={names}", "list", table
        )
        lines += sorted(text.splitlines())
    for zone in fleet.zones:
        for table, names in (
            ("logical_switch", "name"),
            ("logical_switch_port", "name,type,addresses,up"),
            ("logical_router_static_route", "ip_prefix,nexthop,route_table,options"),
        ):
            text = zone.nbctl("--format=csv", f"--columns={names}", "list", table)
            lines += sorted(text.splitlines())
        text = zone.sbctl("--format=csv", "--columns=name,hostname,other_config", "list", "chassis")
        lines += sorted(text.splitlines())
    text = UUID.sub("UUID", "\n".join(lines))
    # ovn-ic 23.03 publishes connected networks with host bits, newer ones without, as we do.
    return PREFIX.sub(lambda match: canonical(match[0]), text)


@pytest.mark.parametrize("daemons", [("isthmus", "isthmus"), ("isthmus", "ovn-ic")])
def test_zones_learn_from_each_other(fleet: RealFleet, daemons: tuple[str, str]) -> None:
    """Two zones of ours, or one of ours and one of ovn-ic, exchange all routes, and follow."""
    one, two = fleet.zones
    for zone, daemon in zip(fleet.zones, daemons, strict=True):
        start(zone, daemon)
    populate(fleet)
    wait_until(lambda: joined(one, 2) and joined(two, 1), "both zones learn everything")
    two.add_subnet("late", "10.99.0.1/24")
    wait_until(lambda: "10.99.0.0/24" in one.learned(), "a late subnet is learned")
    two.nbctl("lrp-del", "late")
    wait_until(lambda: joined(one, 2), "and its routes are removed")


def test_the_result_is_that_of_ovn_ic(tmp_path: Path) -> None:
    """The same steps through both daemons end in equal databases."""
    results = {}
    for daemon in ("ovn-ic", "isthmus"):
        with fleet_in(tmp_path / daemon) as fleet:
            fleet.add_ts("ts")
            for name in ("az1", "az2"):
                zone = fleet.add_zone(name)
                options = [f"options:ic-route-{what}=true" for what in ("adv", "learn")]
                zone.nbctl("set", "NB_Global", ".", *options)
                start(zone, daemon)
            populate(fleet)
            wait_until(partial(settled, fleet), f"{daemon} has settled")
            results[daemon] = normalized(fleet)
    assert results["isthmus"] == results["ovn-ic"]


@pytest.mark.parametrize(("first", "second"), [("ovn-ic", "isthmus"), ("isthmus", "ovn-ic")])
def test_one_takes_over_from_the_other(fleet: RealFleet, first: str, second: str) -> None:
    """A standby of the other kind takes over without re-creating one learned route."""
    one, two = fleet.zones
    start(one, first)
    start(two, "ovn-ic")
    populate(fleet)
    wait_until(lambda: joined(one, 2), "learned through the first")

    def rows() -> str:
        return one.nbctl("--columns=_uuid,ip_prefix", "list", "logical_router_static_route")

    before = rows()
    start(one, second)
    one.servers.stop("engine" if first == "isthmus" else "ovn-ic", 9)
    two.add_subnet("late", "10.99.0.1/24")
    wait_until(lambda: "10.99.0.0/24" in one.learned(), "learned through the second")
    two.nbctl("lrp-del", "late")
    wait_until(lambda: joined(one, 2), "and its routes are removed")
    assert sorted(rows().splitlines()) == sorted(before.splitlines())


def test_ovn_ic_finds_its_connected_routes_again(fleet: RealFleet) -> None:
    """Routes are published with host bits, so ovn-ic takes over without a new row in IC-SB."""
    one, two = fleet.zones
    one.start_engine()
    two.start_engine()
    populate(fleet)
    wait_until(lambda: joined(one, 2) and joined(two, 1), "all is learned")

    def rows() -> list[str]:
        columns = ("--columns=_uuid,ip_prefix", "--format=csv", "list", "route")
        return sorted(fleet.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *columns).splitlines())

    before = rows()
    one.start_ovn_ic()
    one.servers.stop("engine", 9)
    one.add_subnet("late", "10.99.0.1/24")
    wait_until(lambda: "10.99.0.0/24" in two.learned(), "ovn-ic is at work")
    assert set(before) <= set(rows())
