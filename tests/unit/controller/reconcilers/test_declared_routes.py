"""Routes that the configuration declares: where they come from, and what they leave alone."""

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
def region() -> ControlledFleet:
    """Two clusters joined without automatic routes."""
    region = ControlledFleet("az1", "az2")
    for site in region.zones:
        site.join(auto_route="false")
    region.settle()
    return region


def declare(region: ControlledFleet, *routes: dict[str, str], **changes: Any) -> ControlledZone:
    """Have the first cluster declare these."""
    site = region.zones[0]
    site.join(**{"auto_route": "false", "routes": yaml.safe_dump(list(routes)), **changes})
    region.settle()
    return site


def to(prefix: str = PREFIX, zone: str = "az2", **more: str) -> dict[str, str]:
    """A route to a zone."""
    return {"prefix": prefix, "zone": zone, **more}


def made(site: ControlledZone) -> dict[str, set[str]]:
    """All static routes of a cluster's routers, by prefix."""
    found: dict[str, set[str]] = {}
    for row in site.all(LogicalRouterStaticRoute):
        found.setdefault(row["ip_prefix"], set()).add(row["nexthop"])
    return found


def address(site: ControlledZone, ts: str = "ts") -> str:
    """A zone's address on a transit switch, as it publishes it."""
    (port,) = site.all(IcPortBinding, logical_port=f"{ts}-{site.name}")
    return str(port["address"]).split()[1].partition("/")[0]


def only(site: ControlledZone) -> Any:
    """The only problem."""
    (problem,) = site.problems()
    return problem


def test_a_declared_route_leads_to_the_zones_port(region: ControlledFleet) -> None:
    """Next hop, mark and the policy that lets it through; gone when it is declared no more."""
    site = declare(region, to())
    (row,) = site.all(LogicalRouterStaticRoute)
    assert (row["ip_prefix"], row["nexthop"]) == (PREFIX, address(region.zones[1]))
    assert row["external_ids"] == {"isthmus-route": "az2"}
    assert [policy["match"] for policy in site.all(LogicalRouterPolicy)] == [f"ip4.dst == {PREFIX}"]
    declare(region)
    assert site.all(LogicalRouterStaticRoute) == []
    assert site.all(LogicalRouterPolicy) == []


def test_it_goes_through_every_transit_switch_or_the_one_that_is_named(
    region: ControlledFleet,
) -> None:
    """Several transit switches share the traffic, unless the route names one."""
    region.add_ts("ts1", "169.254.101.0/24")
    site = declare(region, to(), to("10.78.0.0/16", **{"transit-switch": "ts1"}))
    other = region.zones[1]
    assert made(site) == {
        PREFIX: {address(other), address(other, "ts1")},
        "10.78.0.0/16": {address(other, "ts1")},
    }
    region.drop_ts("ts")
    region.settle()
    assert made(site)[PREFIX] == {address(other, "ts1")}


def test_it_follows_the_zones_address(region: ControlledFleet) -> None:
    """The next hop is looked up, not copied."""
    site = declare(region, to())
    (port,) = site.all(IcPortBinding, logical_port="ts-az2")
    mac = port["address"].split()[0]
    columns = {"address": f"{mac} 169.254.100.77/24"}
    site.write(Update(IcPortBinding, RowId(port["_uuid"]), columns))
    site.settle()
    assert made(site) == {PREFIX: {"169.254.100.77"}}


def test_it_follows_a_zones_name_that_is_declared_first(region: ControlledFleet) -> None:
    """Declared for a zone to come, it is made when a zone takes that name."""
    site = declare(region, to(zone="other"))
    zone = site.uuid(AvailabilityZone, name="az2")
    site.write(Update(AvailabilityZone, zone, {"name": "other"}))
    site.settle()
    assert made(site) == {PREFIX: {address(region.zones[1])}}


@pytest.mark.parametrize("first", [0, 1])
def test_it_follows_the_transit_switchs_subnet(region: ControlledFleet, first: int) -> None:
    """Both ends get other addresses, in whichever order."""
    site = declare(region, to())
    ids = {"subnet": "172.30.0.0/24"}
    site.write(set_keys(TransitSwitch, RowId(region.ts()["_uuid"]), "external_ids", ids))
    region.zones[first].settle()
    region.settle()
    assert address(region.zones[1]).startswith("172.30.0.")
    assert made(site) == {PREFIX: {address(region.zones[1])}}


def test_it_goes_through_a_port_that_is_taken_over(region: ControlledFleet) -> None:
    """Kube-OVN's port becomes ours, and a way for the route, when it gets our mark."""
    site = region.zones[0]
    port = site.uuid(LogicalRouterPort, name="az1-ts")
    site.update(LogicalRouterPort, port, external_ids={"vendor": "kube-ovn"})
    declare(region, to())
    assert made(site) == {PREFIX: {address(region.zones[1])}}


def test_a_renamed_zone_is_named_anew_without_touching_the_route(region: ControlledFleet) -> None:
    """Under the old name there is no such zone; under the new one the same row serves."""
    site = declare(region, to())
    (before,) = site.all(LogicalRouterStaticRoute)
    zone = site.uuid(AvailabilityZone, name="az2")
    site.write(Update(AvailabilityZone, zone, {"name": "other"}))
    site.join(auto_route="false", routes=yaml.safe_dump([to(zone="other")]))
    site.settle()
    (after,) = site.all(LogicalRouterStaticRoute)
    assert after["_uuid"] == before["_uuid"]
    assert after["external_ids"] == {"isthmus-route": "other"}


def test_a_zone_that_is_not_there_is_named(region: ControlledFleet) -> None:
    """No stale route is kept, and people are told what to write."""
    site = declare(region, to(zone="az9"))
    assert made(site) == {}
    assert only(site).reason == "UnknownZone"
    assert only(site).value == f"{PREFIX} via az9"
    declare(region)
    assert site.problems() == []
    declare(region, to())
    region.zones[1].join(enable_ic="false")
    region.settle()
    assert made(site) == {}
    assert only(site).reason == "UnknownZone"
    region.zones[1].join()
    region.settle()
    assert made(site) == {PREFIX: {address(region.zones[1])}}
    assert site.problems() == []


def test_a_zone_without_an_address_of_the_family_is_named(region: ControlledFleet) -> None:
    """An IPv6 prefix needs an IPv6 next hop."""
    site = declare(region, to("fd00:77::/64"), to("10.78.0.0/16", **{"transit-switch": "ts9"}))
    assert made(site) == {}
    assert {problem.reason for problem in site.problems()} == {"NoNextHop"}
    assert {p.value for p in site.problems()} == {"fd00:77::/64 via az2", "10.78.0.0/16 via az2"}


@pytest.mark.parametrize("cidr", [PREFIX, "10.77.3.0/24", "10.0.0.0/8"])
def test_a_route_over_a_local_subnet_is_refused(region: ControlledFleet, cidr: str) -> None:
    """It would cut off the subnet's pods; it comes back when the subnet is gone."""
    site = declare(region, to())
    site.apply(subnet("apps", cidr))
    region.settle()
    assert made(site) == {}
    assert only(site).reason == "OverlappingPrefix"
    assert "Subnet apps" in only(site).message
    site.delete(subnet("apps", cidr))
    region.settle()
    assert made(site) == {PREFIX: {address(region.zones[1])}}


def test_routes_by_hand_are_never_touched(region: ControlledFleet) -> None:
    """Neither what is not declared, nor what equals a declared route, which then serves for it."""
    site, hop = region.zones[0], address(region.zones[1])
    site.add_route(PREFIX, hop)
    site.add_route("10.99.0.0/16", hop)
    by_hand = site.all(LogicalRouterStaticRoute)
    declare(region, to())
    assert site.all(LogicalRouterStaticRoute) == by_hand
    assert site.problems() == []
    declare(region)
    assert site.all(LogicalRouterStaticRoute) == by_hand
    declare(region, to())
    site.drop_route(PREFIX)
    region.settle()
    assert made(site)[PREFIX] == {hop}


def test_a_route_by_hand_that_leads_elsewhere_is_reported(region: ControlledFleet) -> None:
    """A next hop that somebody copied long ago shares the declared route's traffic."""
    site = declare(region, to())
    site.add_route(PREFIX, "169.254.100.99")
    region.settle()
    assert made(site) == {PREFIX: {"169.254.100.99", address(region.zones[1])}}
    assert only(site).reason == "ManualRoute"
    assert "lr-route-del ovn-cluster 10.77.0.0/16 169.254.100.99" in only(site).remedy
    site.drop_route(PREFIX)
    region.settle()
    assert made(site) == {PREFIX: {address(region.zones[1])}}
    assert site.problems() == []


def test_leaving_takes_declared_routes_along(region: ControlledFleet) -> None:
    """At once, also while the IC databases cannot be reached; routes by hand stay."""
    site = declare(region, to())
    site.add_route("10.99.0.0/16", "10.1.0.9")
    site.reachable = {Database.NB, Database.SB}
    site.join(enable_ic="false")
    site.settle()
    assert made(site) == {"10.99.0.0/16": {"10.1.0.9"}}


def test_a_change_by_hand_of_ours_is_mended(region: ControlledFleet) -> None:
    """Another next hop or table in our row, or its removal, does not last."""
    site = declare(region, to())
    for columns in ({"nexthop": "169.254.100.99"}, {"route_table": "blue"}, {"policy": "src-ip"}):
        (row,) = site.all(LogicalRouterStaticRoute)
        site.update(LogicalRouterStaticRoute, RowId(row["_uuid"]), **columns)
        region.settle()
        (row,) = site.all(LogicalRouterStaticRoute)
        assert (row["nexthop"], row["route_table"]) == (address(region.zones[1]), "")
        assert row["policy"] is None
    site.drop_route(PREFIX)
    region.settle()
    assert made(site) == {PREFIX: {address(region.zones[1])}}


def test_it_is_not_advertised_and_wins_over_a_learned_route(region: ControlledFleet) -> None:
    """With automatic routes, the other zone must not get its own prefix back."""
    other = region.zones[1]
    other.add_router_port("apps", "10.77.0.1/16")
    other.join()
    site = declare(region, to(), auto_route="true")
    assert made(site) == {"10.2.0.0/16": {address(other)}, PREFIX: {address(other)}}
    zone = site.uuid(AvailabilityZone, name="az1")
    assert {r["ip_prefix"] for r in site.all(IcRoute, availability_zone=zone)} == {"10.1.0.0/16"}
    declare(region, auto_route="true")
    assert made(site) == {"10.2.0.0/16": {address(other)}, PREFIX: {address(other)}}


def test_a_restart_changes_nothing(region: ControlledFleet) -> None:
    """Ours are recognised by their mark."""
    site = declare(region, to(), to("10.78.0.0/16"))
    written = len(site.nb.committed)
    site.start()
    region.settle()
    assert len(site.nb.committed) == written
    site.start()
    site.join(auto_route="false")
    assert config_map().key in site.manifests
    region.settle()
    assert made(site) == {}
