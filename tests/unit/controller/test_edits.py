"""An edit of the inputs handles the keys that depend on it, whatever the number of routes."""

from collections.abc import Callable

import pytest

from isthmus.controller.inputs.snapshot import Manifest
from isthmus.model.operations import Insert, Ref
from isthmus.model.rows import AvailabilityZone, IcRoute, LogicalRouterPolicy
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map, node, subnet

FEW, MANY = 5, 60

ACCEPTED = "{'*': [10.0.0.0/8]}"


def config(**changes: str) -> Manifest:
    """The ConfigMap, which accepts the prefixes of all routes in these tests."""
    return config_map(**{"accept": ACCEPTED, **changes})


EDITS: dict[str, Callable[[], Manifest]] = {
    "gw-nodes": lambda: config(gw_nodes="gw,gw2"),
    "mtu": lambda: config(mtu="1300"),
    "accept": lambda: config(accept="{'*': [10.0.0.0/8, 99.0.0.0/16]}"),
    "private Subnet": lambda: subnet("private", "10.9.0.0/16", disableInterConnection=True),
    "Subnet": lambda: subnet("apps", "10.9.0.0/16"),
    "Node": lambda: node("worker", "192.0.2.77"),
    "routes": lambda: config(routes="[{prefix: 10.77.0.0/16, zone: az2}]"),
    "vpcs": lambda: config(vpcs="v=blue"),
}


def joined(routes: int) -> ControlledZone:
    """A cluster that has learned this number of routes from another one."""
    fleet = ControlledFleet("az1", "az2")
    for zone in fleet.zones:
        zone.join(accept=ACCEPTED)
    fleet.settle()
    zone, other = fleet.zones
    other_zone = other.uuid(AvailabilityZone, name="az2")
    (route,) = other.all(IcRoute, availability_zone=other_zone)
    columns = {key: route[key] for key in ("transit_switch", "nexthop", "origin")}
    columns |= {"availability_zone": Ref(other_zone), "external_ids": {"lr-id": "another"}}
    # Of one prefix that no Subnet of the tests lies in, so that nothing depends on them.
    zone.write(
        *(Insert(IcRoute, {**columns, "ip_prefix": f"10.200.{n}.0/24"}) for n in range(routes))
    )
    zone.settle()
    assert len(zone.all(LogicalRouterPolicy)) >= routes
    return zone


def handled(zone: ControlledZone, edit: Callable[[], Manifest]) -> dict[str, int]:
    """The keys that each reconciler of both engines handles because of an edit."""
    before = {reconciler.name: reconciler.handled for reconciler in zone.engine.reconcilers}
    zone.apply(edit())
    zone.settle()
    after = {reconciler.name: reconciler.handled for reconciler in zone.engine.reconcilers}
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_costs_the_same_however_many_routes_there_are(edit: str) -> None:
    """Each reconciler handles as many keys with many routes as with few."""
    counts = handled(joined(MANY), EDITS[edit])
    assert counts == handled(joined(FEW), EDITS[edit])
    assert sum(counts.values()) < MANY


@pytest.mark.parametrize("edit", ["accept", "Subnet"])
def test_what_nothing_depends_on_costs_nothing(edit: str) -> None:
    """Without routes in the changed prefixes, only the import policy itself is updated."""
    assert handled(joined(FEW), EDITS[edit]) == {"import policy": 1}


def test_an_edit_of_the_gateways_handles_router_ports_only() -> None:
    """An edit of `gw-nodes` handles router ports, and no route."""
    found = handled(joined(FEW), EDITS["gw-nodes"])
    assert found.keys() - {"import policy", "router ports"} == set()


def test_a_subnet_concerns_the_declared_routes_that_it_overlaps() -> None:
    """Of many declared routes, only that to the new Subnet's prefix is handled."""
    zone = joined(FEW)
    routes = ", ".join(f"{{prefix: 10.{n}.0.0/16, zone: az2}}" for n in range(100, 140))
    zone.join(accept=ACCEPTED, routes=f"[{routes}]")
    zone.settle()
    found = handled(zone, lambda: subnet("apps", "10.107.3.0/24"))
    # Reported, removed, and looked at once more when that is written.
    assert found["declared routes"] <= 3


def test_a_declared_route_concerns_itself_alone() -> None:
    """One more route in the configuration does not handle the others."""
    zone = joined(FEW)
    routes = [f"{{prefix: 10.{n}.0.0/16, zone: az2}}" for n in range(100, 140)]
    zone.join(accept=ACCEPTED, routes=f"[{', '.join(routes)}]")
    zone.settle()
    more = [*routes, "{prefix: 10.150.0.0/16, zone: az2}"]
    found = handled(zone, lambda: config(routes=f"[{', '.join(more)}]"))
    assert found["declared routes"] <= 3
