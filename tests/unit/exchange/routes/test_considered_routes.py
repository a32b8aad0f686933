"""How many routes of other zones are considered, with and without a controller."""

from ipaddress import ip_network

import pytest

from isthmus.exchange.routes.options import Refusal
from isthmus.inspect.explain import explain
from isthmus.model.import_policy import ImportRules
from isthmus.model.reasons import Reason
from isthmus.model.route_rules import RouteLimits, RouteRules
from isthmus.model.rows import AvailabilityZone
from support.fakes.fleet import Fleet
from support.fakes.zone import Zone


@pytest.fixture
def fleet() -> Fleet:
    """Three joined zones with a subnet each, of which the first has a controller."""
    fleet = Fleet("az1", "az2", "az3")
    fleet.add_ts("ts")
    fleet.zones[0].start(policy_follows=True)
    set_limits(fleet, RouteLimits())
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach("ts", f"169.254.100.{number}/24")
    fleet.settle()
    return fleet


def set_limits(fleet: Fleet, limits: RouteLimits) -> Zone:
    """Set the limits of the first zone, and let all settle."""
    zone = fleet.zones[0]
    rules = ImportRules(rules=RouteRules(limits=limits), source="ConfigMap ovn-ic-config")
    zone.exchange.routes.policy.set_rules(rules)
    fleet.settle()
    return zone


def advertise(fleet: Fleet, number: int, *prefixes: str) -> None:
    """Have a zone advertise more prefixes."""
    for prefix in prefixes:
        fleet.zones[number - 1].add_route(prefix, f"10.{number}.0.9")
    fleet.settle()


def test_a_zone_beyond_its_limit_harms_itself_only(fleet: Fleet) -> None:
    """Its first prefixes are learned, in canonical order, and the problem names it."""
    zone = set_limits(fleet, RouteLimits(zone=3))
    advertise(fleet, 2, *(f"10.10{n}.0.0/16" for n in (3, 1, 2, 0)))
    assert set(zone.learned()) == {"10.2.0.0/16", "10.3.0.0/16", "10.100.0.0/16", "10.101.0.0/16"}
    [problem] = zone.engine.problems()
    assert problem.reason is Reason.TOO_MANY_ROUTES
    assert str(problem) == (
        "zone az2: routes: has 5 routes in IC-SB, more than the 3 that are considered of one zone,"
        " so 2 of them are not learned, in order of their prefixes; other zones are not affected;"
        " have the zone withdraw routes, or raise max-routes-per-zone in ConfigMap ovn-ic-config"
    )
    set_limits(fleet, RouteLimits(zone=5))
    assert {"10.102.0.0/16", "10.103.0.0/16"} <= set(zone.learned())
    assert zone.engine.problems() == []


def test_all_zones_share_the_limit(fleet: Fleet) -> None:
    """A zone within its share loses nothing; the problem names the largest zone."""
    advertise(fleet, 2, *(f"10.10{n}.0.0/16" for n in range(5)))
    advertise(fleet, 3, "10.9.0.0/16")
    zone = set_limits(fleet, RouteLimits(all=6))
    assert set(zone.learned()) == {
        "10.2.0.0/16", "10.100.0.0/16", "10.101.0.0/16", "10.3.0.0/16", "10.9.0.0/16",
    }  # fmt: skip
    [problem] = zone.engine.problems()
    assert str(problem) == (
        "all zones: routes: have 9 routes in IC-SB, more than the 6 that are considered, so only 3"
        " are considered of 1 zone with more, most of all az2, and 3 routes are not learned; zones"
        " with fewer routes are not affected; have these zones withdraw routes, or raise max-routes"
        " in ConfigMap ovn-ic-config"
    )


def test_the_problem_follows_the_name_of_the_zone(fleet: Fleet) -> None:
    """A zone that is renamed is named with its new name."""
    advertise(fleet, 2, "10.100.0.0/16")
    zone = set_limits(fleet, RouteLimits(zone=1))
    fleet.zones[1].rename("other")
    fleet.settle()
    assert zone.all(AvailabilityZone, name="other")
    assert [problem.object for problem in zone.engine.problems()] == ["zone other"]


def test_the_refusal_is_explained(fleet: Fleet) -> None:
    """`explain` says that the route is beyond the limit."""
    advertise(fleet, 2, "10.100.0.0/16")
    zone = set_limits(fleet, RouteLimits(zone=1))
    found = explain(zone.engine.view, zone.exchange, ip_network("10.100.0.0/16"))
    assert [route.rule for route in found.learning] == [Refusal.BEYOND_LIMIT]


def test_nothing_is_limited_before_the_configuration_is_known(fleet: Fleet) -> None:
    """A restarted daemon adds no routes, but removes none either that may be allowed."""
    zone = set_limits(fleet, RouteLimits(zone=1))
    advertise(fleet, 2, "10.100.0.0/16")
    before = zone.learned()
    zone.start(policy_follows=True)
    fleet.settle()
    assert "10.100.0.0/16" in {key.ip_prefix for key in zone.exchange.routes.learned.wanted}
    assert zone.learned() == before
    assert zone.engine.problems() == []


def test_one_more_route_is_a_few_keys(fleet: Fleet) -> None:
    """With 200 routes beyond the limit, another one costs what it moves."""
    advertise(fleet, 2, *(f"10.{100 + i // 100}.{i % 100}.0/24" for i in range(200)))
    zone = set_limits(fleet, RouteLimits(zone=100))
    before = sum(keyed.handled for keyed in zone.exchange.reconcilers)
    advertise(fleet, 2, "10.5.0.0/16")
    assert "10.5.0.0/16" in zone.learned()
    assert len(zone.learned()) == 101
    assert sum(keyed.handled for keyed in zone.exchange.reconcilers) - before < 30
