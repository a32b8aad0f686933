"""Further routes to a prefix are added when packets arrive by them, if there is a controller."""

from ipaddress import ip_network
from math import inf

from isthmus.inspect.explain import explain
from isthmus.model.import_policy import ImportRules
from isthmus.model.operations import Delete
from isthmus.model.rows import Chassis, TransitSwitch
from support.fakes.fleet import Fleet
from support.fakes.zone import Zone

OVER_TS, OVER_TS1 = "169.254.100.2", "169.254.101.2"


def fleet_of(*, policy_follows: bool, settle: float = 0.0) -> tuple[Fleet, Zone, Zone]:
    """Two zones joined over `ts`, of which the first has a controller or not."""
    fleet = Fleet("az1", "az2")
    one, two = fleet.zones
    one.start(policy_follows=policy_follows, settle=settle)
    if policy_follows:
        one.exchange.routes.policy.set_rules(ImportRules())
    fleet.add_ts("ts")
    fleet.add_ts("ts1")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach("ts", f"169.254.100.{number}/24")
    fleet.settle()
    return fleet, one, two


def attach(zone: Zone, number: int, *, gateway: bool = True) -> None:
    """Attach a zone's router to the second transit switch."""
    chassis = f"{zone.name}-gw" if gateway else "not there yet"
    zone.attach_router("ts1", f"169.254.101.{number}/24", chassis=chassis)


def test_a_second_path_waits_for_our_gateway() -> None:
    """Packets that arrive over one switch are not sent over another that has no gateway."""
    fleet, one, two = fleet_of(policy_follows=True)
    attach(one, 1, gateway=False)
    attach(two, 2)
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS}}
    explained = explain(one.engine.view, one.exchange, ip_network("10.2.0.0/16"))
    waiting = [reason for reason in explained.learning if "another path" in reason.rule]
    assert [reason.transit_switch for reason in waiting] == ["ts1"]
    one.add_chassis("not there yet", "192.0.2.77")
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS, OVER_TS1}}


def test_a_second_path_waits_for_the_other_zones_gateway() -> None:
    """The path is ready when the other zone's port is bound to a chassis."""
    fleet, one, two = fleet_of(policy_follows=True)
    attach(one, 1)
    attach(two, 2, gateway=False)
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS}}
    two.add_chassis("not there yet", "192.0.2.77")
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS, OVER_TS1}}


def test_the_only_path_does_not_wait() -> None:
    """When the working path goes, the other one is used unchanged."""
    fleet, one, two = fleet_of(policy_follows=True)
    attach(one, 1, gateway=False)
    attach(two, 2)
    fleet.settle()
    fleet.ic_nb.transact([Delete(TransitSwitch, one.uuid(TransitSwitch, name="ts"))])
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS1}}


def test_a_path_in_use_stays_when_its_gateway_goes() -> None:
    """A failed gateway withdraws nothing; OVN fails over."""
    fleet, one, _ = fleet_of(policy_follows=True)
    for number, zone in enumerate(fleet.zones, start=1):
        attach(zone, number)
    fleet.settle()
    one.write(Delete(Chassis, one.uuid(Chassis, name="az1-gw")))
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS, OVER_TS1}}


def test_a_waiting_path_goes_with_its_route() -> None:
    """A route that is withdrawn while it waits is not added when the gateway appears."""
    fleet, one, two = fleet_of(policy_follows=True)
    attach(one, 1, gateway=False)
    attach(two, 2)
    fleet.settle()
    two.set_options(ic_route_adv="false")
    fleet.settle()
    one.add_chassis("not there yet", "192.0.2.77")
    fleet.settle()
    assert one.learned() == {}


def test_the_engine_in_place_of_ovn_ic_does_not_wait() -> None:
    """Without a controller the engine adds routes at once, as `ovn-ic` does."""
    fleet, one, two = fleet_of(policy_follows=False)
    attach(one, 1, gateway=False)
    attach(two, 2)
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS, OVER_TS1}}


def test_nodes_are_given_time() -> None:
    """Both gateways must have been known for a while; a path that was cut waits again."""
    fleet, one, _ = fleet_of(policy_follows=True, settle=1.0)
    paths = one.exchange.paths
    assert paths is not None
    for number, zone in enumerate(fleet.zones, start=1):
        attach(zone, number)
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS}}
    assert paths.tick(10.0) == 11.0
    fleet.ic_nb.transact([Delete(TransitSwitch, one.uuid(TransitSwitch, name="ts1"))])
    fleet.settle()
    for zone in fleet.zones:
        zone.drop_router_port(f"{zone.name}-ts1")
    fleet.add_ts("ts1")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        attach(zone, number)
    fleet.settle()
    assert paths.tick(11.5) == 12.5
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS}}
    assert paths.tick(12.5) == inf
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {OVER_TS, OVER_TS1}}
