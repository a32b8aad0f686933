"""A route is removed in the transaction that inserts its successor, or later, never earlier."""

from collections.abc import Callable

from isthmus.model.import_policy import ImportRules
from isthmus.model.operations import Delete, Insert, Ref
from isthmus.model.rows import AvailabilityZone, IcPortBinding, IcRoute, LogicalRouterPort
from support.fakes.fleet import Fleet
from support.fakes.northd import northd
from support.fakes.zone import Zone

PREFIX, OLD, NEW = "10.2.0.0/16", "169.254.100.2", "169.254.100.3"


def fleet_of(*, controlled: bool = True, settle: float = 0.0) -> tuple[Fleet, Zone, Zone]:
    """Two zones joined over `ts`; only the first runs from now on, with or without a controller."""
    fleet = Fleet("az1", "az2")
    one, two = fleet.zones
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach("ts", f"169.254.100.{number}/24")
    fleet.settle()
    fleet.zones.remove(two)
    one.start(policy_follows=controlled, settle=settle)
    if controlled:
        one.exchange.routes.policy.set_rules(ImportRules())
    fleet.settle()
    return fleet, one, two


def through(zone: Zone, check: Callable[[], bool]) -> None:
    """Run a zone until it has nothing left to do, and check after each transaction."""
    assert check()
    while zone.step():
        assert check()


def theirs(zone: Zone) -> Ref:
    """The reference to the route of the second zone."""
    return Ref(zone.uuid(IcRoute, nexthop=OLD))


def test_another_origin_replaces_a_route_in_one_transaction() -> None:
    """The path is the same, so nothing waits until it is ready."""
    _, one, _ = fleet_of(settle=1.0)
    one.update(IcRoute, theirs(one).uuid, origin="static")
    through(one, lambda: one.learned() == {PREFIX: {OLD}})


def test_a_next_hop_that_does_not_work_yet_replaces_none_that_does() -> None:
    """The old route stays until the zone's port has the new address."""
    _, one, _ = fleet_of()
    one.update(IcRoute, theirs(one).uuid, nexthop=NEW)
    through(one, lambda: one.learned() == {PREFIX: {OLD}})
    port = one.uuid(IcPortBinding, logical_port="ts-az2")
    one.update(IcPortBinding, port, address=f"0a:00:00:00:01:01 {NEW}/24")
    through(one, lambda: len(one.learned()[PREFIX]) == 1)
    assert one.learned() == {PREFIX: {NEW}}


def test_a_next_hop_that_is_gone_does_not_delay_its_successor() -> None:
    """Nothing is kept that carries no packets: the new route comes at once."""
    _, one, _ = fleet_of()
    port = one.uuid(IcPortBinding, logical_port="ts-az2")
    one.update(IcPortBinding, port, address="0a:00:00:00:01:01 169.254.100.9/24")
    one.settle()
    one.update(IcRoute, theirs(one).uuid, nexthop=NEW)
    through(one, lambda: len(one.learned()[PREFIX]) == 1)
    assert one.learned() == {PREFIX: {NEW}}


def test_a_prefix_that_another_zone_took_over_moves_at_once() -> None:
    """A zone that withdraws a prefix gets no packets for it because its successor is not ready."""
    _, one, two = fleet_of()
    one.write(Insert(AvailabilityZone, {"name": "az3"}))
    other = Ref(one.uuid(AvailabilityZone, name="az3"))
    row = {"transit_switch": "ts", "ip_prefix": PREFIX, "nexthop": NEW, "origin": "connected"}
    route = Insert(IcRoute, {**row, "availability_zone": other})
    two.write(Delete(IcRoute, theirs(one).uuid), route)
    through(one, lambda: len(one.learned()[PREFIX]) == 1)
    assert one.learned() == {PREFIX: {NEW}}


def test_our_next_hop_changes_before_a_starting_daemon_may_advertise() -> None:
    """What is advertised stays until the controller lets its successor be added."""
    _, one, _ = fleet_of()
    port = one.uuid(LogicalRouterPort, name="az1-ts")
    one.update(LogicalRouterPort, port, networks=frozenset({f"{NEW}/24"}))
    northd(one.nb, one.sb)
    one.start(policy_follows=True)

    def advertised() -> list[str]:
        return [row["nexthop"] for row in one.all(IcRoute) if row["ip_prefix"].startswith("10.1.")]

    through(one, lambda: advertised() == ["169.254.100.1"])
    one.exchange.routes.policy.set_rules(ImportRules())
    through(one, lambda: len(advertised()) == 1)
    assert advertised() == [NEW]


def test_the_engine_in_place_of_ovn_ic_replaces_in_one_transaction() -> None:
    """Without a controller nothing waits, and nothing is missing in between either."""
    _, one, _ = fleet_of(controlled=False)
    one.update(IcRoute, theirs(one).uuid, nexthop=NEW)
    through(one, lambda: len(one.learned()[PREFIX]) == 1)
    assert one.learned() == {PREFIX: {NEW}}
