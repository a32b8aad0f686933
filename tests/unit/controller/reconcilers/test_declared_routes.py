"""Declared routes: what they become, and what they leave unchanged."""

from typing import Any

import pytest
import yaml

from isthmus.model.operations import Update, set_keys
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcPortBinding,
    IcRoute,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    RowId,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map, subnet

PREFIX = "10.77.0.0/16"


@pytest.fixture
def fleet() -> ControlledFleet:
    """Two clusters joined without automatic routes."""
    fleet = ControlledFleet("az1", "az2")
    for site in fleet.zones:
        site.join(auto_route="false")
    fleet.settle()
    return fleet


def declare(fleet: ControlledFleet, *routes: dict[str, str], **changes: Any) -> ControlledZone:
    """Declare these routes in the first cluster."""
    site = fleet.zones[0]
    site.join(**{"auto_route": "false", "routes": yaml.safe_dump(list(routes)), **changes})
    fleet.settle()
    return site


def to(prefix: str = PREFIX, zone: str = "az2", **more: str) -> dict[str, str]:
    """A route to a zone."""
    return {"prefix": prefix, "zone": zone, **more}


def made(site: ControlledZone) -> dict[str, set[str]]:
    """The next hops of a cluster's static routes by prefix."""
    found: dict[str, set[str]] = {}
    for row in site.all(LogicalRouterStaticRoute):
        found.setdefault(row["ip_prefix"], set()).add(row["nexthop"])
    return found


def address(site: ControlledZone, ts: str = "ts") -> str:
    """A zone's published address on a transit switch."""
    (port,) = site.all(IcPortBinding, logical_port=f"{ts}-{site.name}")
    return str(port["address"]).split()[1].partition("/")[0]


def only(site: ControlledZone) -> Any:
    """The only problem."""
    (problem,) = site.problems()
    return problem


def test_a_declared_route_leads_to_the_zones_port(fleet: ControlledFleet) -> None:
    """A declared route has a next hop, a mark and a policy, and is removed with its declaration."""
    site = declare(fleet, to())
    (row,) = site.all(LogicalRouterStaticRoute)
    assert (row["ip_prefix"], row["nexthop"]) == (PREFIX, address(fleet.zones[1]))
    assert row["external_ids"] == {"isthmus-route": "az2"}
    assert [policy["match"] for policy in site.all(LogicalRouterPolicy)] == [f"ip4.dst == {PREFIX}"]
    declare(fleet)
    assert site.all(LogicalRouterStaticRoute) == []
    assert site.all(LogicalRouterPolicy) == []


def test_it_goes_through_every_transit_switch_or_the_one_that_is_named(
    fleet: ControlledFleet,
) -> None:
    """A route uses all transit switches, or the one that it names."""
    fleet.add_ts("ts1", "169.254.101.0/24")
    site = declare(fleet, to(), to("10.78.0.0/16", **{"transit-switch": "ts1"}))
    other = fleet.zones[1]
    assert made(site) == {
        PREFIX: {address(other), address(other, "ts1")},
        "10.78.0.0/16": {address(other, "ts1")},
    }
    fleet.drop_ts("ts")
    fleet.settle()
    assert made(site)[PREFIX] == {address(other, "ts1")}


def test_it_follows_the_zones_address(fleet: ControlledFleet) -> None:
    """The next hop follows the address that the zone publishes."""
    site = declare(fleet, to())
    (port,) = site.all(IcPortBinding, logical_port="ts-az2")
    mac = port["address"].split()[0]
    columns = {"address": f"{mac} 169.254.100.77/24"}
    site.write(Update(IcPortBinding, RowId(port["_uuid"]), columns))
    site.settle()
    assert made(site) == {PREFIX: {"169.254.100.77"}}


def test_it_follows_a_zones_name_that_is_declared_first(fleet: ControlledFleet) -> None:
    """A route to an unknown zone is created when a zone takes the name."""
    site = declare(fleet, to(zone="other"))
    zone = site.uuid(AvailabilityZone, name="az2")
    site.write(Update(AvailabilityZone, zone, {"name": "other"}))
    site.settle()
    assert made(site) == {PREFIX: {address(fleet.zones[1])}}


@pytest.mark.parametrize("first", [0, 1])
def test_it_follows_the_transit_switchs_subnet(fleet: ControlledFleet, first: int) -> None:
    """The route follows when both ends get other addresses, in any order."""
    site = declare(fleet, to())
    ids = {"subnet": "172.30.0.0/24"}
    site.write(set_keys(TransitSwitch, RowId(fleet.ts()["_uuid"]), "external_ids", ids))
    fleet.zones[first].settle()
    fleet.settle()
    assert address(fleet.zones[1]).startswith("172.30.0.")
    assert made(site) == {PREFIX: {address(fleet.zones[1])}}


def test_it_goes_through_a_port_that_is_taken_over(fleet: ControlledFleet) -> None:
    """A port of Kube-OVN serves as a way when it has been adopted."""
    site = fleet.zones[0]
    port = site.uuid(LogicalRouterPort, name="az1-ts")
    site.update(LogicalRouterPort, port, external_ids={"vendor": "kube-ovn"})
    declare(fleet, to())
    assert made(site) == {PREFIX: {address(fleet.zones[1])}}


def test_a_renamed_zone_keeps_the_row_of_its_route(fleet: ControlledFleet) -> None:
    """When a zone and its declaration are renamed, the same row is kept."""
    site = declare(fleet, to())
    (before,) = site.all(LogicalRouterStaticRoute)
    zone = site.uuid(AvailabilityZone, name="az2")
    site.write(Update(AvailabilityZone, zone, {"name": "other"}))
    site.join(auto_route="false", routes=yaml.safe_dump([to(zone="other")]))
    site.settle()
    (after,) = site.all(LogicalRouterStaticRoute)
    assert after["_uuid"] == before["_uuid"]
    assert after["external_ids"] == {"isthmus-route": "other"}


def test_an_unknown_zone_is_reported(fleet: ControlledFleet) -> None:
    """A route to an unknown zone is removed and reported."""
    site = declare(fleet, to(zone="az9"))
    assert made(site) == {}
    assert only(site).reason == "UnknownZone"
    assert only(site).value == f"{PREFIX} via az9"
    declare(fleet)
    assert site.problems() == []
    declare(fleet, to())
    fleet.zones[1].join(enable_ic="false")
    fleet.settle()
    assert made(site) == {}
    assert only(site).reason == "UnknownZone"
    fleet.zones[1].join()
    fleet.settle()
    assert made(site) == {PREFIX: {address(fleet.zones[1])}}
    assert site.problems() == []


def test_a_zone_without_an_address_of_the_family_is_reported(fleet: ControlledFleet) -> None:
    """A route without a next hop of its family is reported."""
    site = declare(fleet, to("fd00:77::/64"), to("10.78.0.0/16", **{"transit-switch": "ts9"}))
    assert made(site) == {}
    assert {problem.reason for problem in site.problems()} == {"NoNextHop"}
    assert {p.value for p in site.problems()} == {"fd00:77::/64 via az2", "10.78.0.0/16 via az2"}


@pytest.mark.parametrize("cidr", [PREFIX, "10.77.3.0/24", "10.0.0.0/8"])
def test_a_route_over_a_local_subnet_is_refused(fleet: ControlledFleet, cidr: str) -> None:
    """A route that overlaps a local Subnet is refused until the Subnet is deleted."""
    site = declare(fleet, to())
    site.apply(subnet("apps", cidr))
    fleet.settle()
    assert made(site) == {}
    assert only(site).reason == "OverlappingPrefix"
    assert "Subnet apps" in only(site).message
    site.delete(subnet("apps", cidr))
    fleet.settle()
    assert made(site) == {PREFIX: {address(fleet.zones[1])}}


def test_manual_routes_are_never_changed(fleet: ControlledFleet) -> None:
    """Manual routes stay; one that equals a declared route takes its place."""
    site, hop = fleet.zones[0], address(fleet.zones[1])
    site.add_route(PREFIX, hop)
    site.add_route("10.99.0.0/16", hop)
    by_hand = site.all(LogicalRouterStaticRoute)
    declare(fleet, to())
    assert site.all(LogicalRouterStaticRoute) == by_hand
    assert site.problems() == []
    declare(fleet)
    assert site.all(LogicalRouterStaticRoute) == by_hand
    declare(fleet, to())
    site.drop_route(PREFIX)
    fleet.settle()
    assert made(site)[PREFIX] == {hop}


def test_a_manual_route_with_another_next_hop_is_reported(fleet: ControlledFleet) -> None:
    """A manual route to the same prefix with another next hop is reported."""
    site = declare(fleet, to())
    site.add_route(PREFIX, "169.254.100.99")
    fleet.settle()
    assert made(site) == {PREFIX: {"169.254.100.99", address(fleet.zones[1])}}
    assert only(site).reason == "ManualRoute"
    assert "lr-route-del ovn-cluster 10.77.0.0/16 169.254.100.99" in only(site).remedy
    site.drop_route(PREFIX)
    fleet.settle()
    assert made(site) == {PREFIX: {address(fleet.zones[1])}}
    assert site.problems() == []


def test_leaving_removes_declared_routes(fleet: ControlledFleet) -> None:
    """Leaving removes declared routes at once, without the IC databases; manual routes stay."""
    site = declare(fleet, to())
    site.add_route("10.99.0.0/16", "10.1.0.9")
    site.reachable = {Database.NB, Database.SB}
    site.join(enable_ic="false")
    site.settle()
    assert made(site) == {"10.99.0.0/16": {"10.1.0.9"}}


def test_manual_changes_of_our_routes_are_reverted(fleet: ControlledFleet) -> None:
    """Manual changes of our routes, and their removal, are reverted."""
    site = declare(fleet, to())
    for columns in ({"nexthop": "169.254.100.99"}, {"route_table": "blue"}, {"policy": "src-ip"}):
        (row,) = site.all(LogicalRouterStaticRoute)
        site.update(LogicalRouterStaticRoute, RowId(row["_uuid"]), **columns)
        fleet.settle()
        (row,) = site.all(LogicalRouterStaticRoute)
        assert (row["nexthop"], row["route_table"]) == (address(fleet.zones[1]), "")
        assert row["policy"] is None
    site.drop_route(PREFIX)
    fleet.settle()
    assert made(site) == {PREFIX: {address(fleet.zones[1])}}


def test_it_is_not_advertised_and_wins_over_a_learned_route(fleet: ControlledFleet) -> None:
    """A declared route is not advertised, and wins over a learned one."""
    other = fleet.zones[1]
    other.add_router_port("apps", "10.77.0.1/16")
    other.join()
    site = declare(fleet, to(), auto_route="true")
    assert made(site) == {"10.2.0.0/16": {address(other)}, PREFIX: {address(other)}}
    zone = site.uuid(AvailabilityZone, name="az1")
    assert {r["ip_prefix"] for r in site.all(IcRoute, availability_zone=zone)} == {"10.1.0.0/16"}
    declare(fleet, auto_route="true")
    assert made(site) == {"10.2.0.0/16": {address(other)}, PREFIX: {address(other)}}


def test_a_restart_changes_nothing(fleet: ControlledFleet) -> None:
    """After a restart, our routes are identified by their mark."""
    site = declare(fleet, to(), to("10.78.0.0/16"))
    written = len(site.nb.committed)
    site.start()
    fleet.settle()
    assert len(site.nb.committed) == written
    site.start()
    site.join(auto_route="false")
    assert config_map().key in site.manifests
    fleet.settle()
    assert made(site) == {}
