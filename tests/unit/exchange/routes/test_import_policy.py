"""What the import policy refuses: overlaps, by the rules for zones, and what is advertised."""

from ipaddress import ip_network

import pytest

from isthmus.exchange.routes.options import Refusal
from isthmus.inspect.explain import explain
from isthmus.model.import_policy import ImportRules
from isthmus.model.operations import Delete, Update
from isthmus.model.prefixes import Network, is_broad, is_reserved
from isthmus.model.problems import Problem
from isthmus.model.route_rules import RouteRules, ZoneRule
from isthmus.model.rows import (
    AvailabilityZone,
    IcRoute,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    RowId,
)
from support.fakes.fleet import Fleet
from support.fakes.zone import Zone

NEXTHOP = "169.254.100.2"


@pytest.fixture
def fleet() -> Fleet:
    """Two joined zones with a subnet each."""
    fleet = Fleet("az1", "az2")
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_router_port("net", f"10.{number}.0.1/16")
        zone.attach("ts", f"169.254.100.{number}/24")
    fleet.settle()
    return fleet


def nets(*prefixes: str) -> tuple[Network, ...]:
    """Prefixes."""
    return tuple(ip_network(prefix) for prefix in prefixes)


def local(**prefixes: str) -> ImportRules:
    """Rules with Subnets of the default VPC, by name."""
    return ImportRules(
        {"ovn-cluster": {f"Subnet {name}": nets(prefix) for name, prefix in prefixes.items()}}
    )


def accept(rule: ZoneRule, others: ZoneRule | None = None) -> ImportRules:
    """A rule for zone az2."""
    return ImportRules(rules=RouteRules({"az2": rule}, others or ZoneRule()))


def set_rules(fleet: Fleet, values: ImportRules) -> Zone:
    """Set the rules of the first zone's import policy, and let all settle."""
    zone = fleet.zones[0]
    zone.exchange.routes.policy.set_rules(values)
    fleet.settle()
    return zone


def advertise(fleet: Fleet, *prefixes: str) -> None:
    """Have the second zone advertise more prefixes."""
    zone = fleet.zones[1]
    for prefix in prefixes:
        zone.add_route(prefix, "fd00::9" if ":" in prefix else "10.2.0.9")
    fleet.settle()


def only(zone: Zone) -> Problem:
    """The one problem of a zone's engine."""
    (problem,) = zone.engine.problems()
    return problem


@pytest.mark.parametrize("subnet", ["10.2.0.0/16", "10.2.3.0/24", "10.0.0.0/8"])
def test_what_overlaps_a_subnet_is_not_learned(fleet: Fleet, subnet: str) -> None:
    """Equal, inside or around: refused, reported with both prefixes, zone and subnet."""
    advertise(fleet, "172.16.0.0/24")
    zone = set_rules(fleet, local(apps=subnet))
    assert zone.learned() == {"172.16.0.0/24": {NEXTHOP}}
    problem = only(zone)
    assert (problem.object, problem.value) == ("Subnet apps", subnet)
    assert "10.2.0.0/16 of zone az2" in problem.message
    assert "VPC ovn-cluster" in problem.message
    assert problem.reason == "OverlappingPrefix"


def test_a_conflict_ends_when_either_side_changes(fleet: Fleet) -> None:
    """A conflict ends when the local or the remote subnet goes."""
    zone = set_rules(fleet, local(apps="10.2.0.0/16"))
    assert zone.learned() == {}
    set_rules(fleet, local(apps="10.3.0.0/16"))
    assert zone.learned() == {"10.2.0.0/16": {NEXTHOP}}
    assert zone.engine.problems() == []
    set_rules(fleet, local(apps="10.2.0.0/16"))
    fleet.zones[1].drop_router_port("net")
    fleet.settle()
    assert zone.engine.problems() == []


def test_vpcs_are_distinguished_by_their_routers(fleet: Fleet) -> None:
    """Another VPC's subnet may have the same CIDR."""
    zone = set_rules(fleet, ImportRules({"blue": {"Subnet blue": nets("10.2.0.0/16")}}))
    assert zone.learned() == {"10.2.0.0/16": {NEXTHOP}}
    router = zone.uuid(LogicalRouter, name="ovn-cluster")
    zone.write(Update(LogicalRouter, router, {"name": "blue"}))
    fleet.settle()
    assert zone.all(LogicalRouterStaticRoute) == []
    assert "VPC blue" in only(zone).message


def test_a_default_route_is_no_overlap(fleet: Fleet) -> None:
    """A default route contains every prefix, and has a rule of its own."""
    advertise(fleet, "0.0.0.0/0")
    fleet.zones[1].set_options(ic_route_adv_default="true")
    zone = set_rules(fleet, local(apps="10.9.0.0/16"))
    assert zone.learned() == {"10.2.0.0/16": {NEXTHOP}}
    assert "1 default routes, which are not accepted, e.g. 0.0.0.0/0" in only(zone).message
    asked = accept(ZoneRule(nets("10.2.0.0/16"), default_route=True))
    set_rules(fleet, ImportRules(local(apps="10.9.0.0/16").local, asked.rules))
    assert zone.learned() == {"10.2.0.0/16": {NEXTHOP}, "0.0.0.0/0": {NEXTHOP}}
    assert zone.engine.problems() == []


RESERVED = (
    "0.1.0.0/16",
    "127.0.0.0/8",
    "127.1.2.3/32",
    "224.0.0.0/4",
    "239.1.0.0/16",
    "255.0.0.0/8",
)
RESERVED_V6 = ("::/128", "::1/128", "::ffff:10.9.0.0/112", "ff02::/16")


@pytest.mark.parametrize("prefix", RESERVED)
def test_reserved_prefixes_are_not_exchanged(fleet: Fleet, prefix: str) -> None:
    """Loopback, multicast and the like are neither learned nor advertised, whatever is accepted."""
    advertise(fleet, prefix)
    zone = set_rules(fleet, accept(ZoneRule(nets("0.0.0.0/0", "::/0"))))
    assert zone.learned() == {"10.2.0.0/16": {NEXTHOP}}
    assert "which are never learned, e.g. " + prefix in only(zone).message
    own = fleet.zones[1]
    assert own.all(IcRoute, ip_prefix=prefix)
    own.exchange.routes.policy.set_rules(ImportRules())
    fleet.settle()
    assert not own.all(IcRoute, ip_prefix=prefix)
    assert zone.engine.problems() == []


def test_which_prefixes_are_reserved_or_broad() -> None:
    """Ranges for one host, multicast and mapped addresses; private ranges are not broad."""
    assert all(map(is_reserved, nets(*RESERVED, *RESERVED_V6)))
    assert not any(map(is_reserved, nets("0.0.0.0/0", "::/0", "10.0.0.0/8", "64:ff9b::/96")))
    assert all(map(is_broad, nets("0.0.0.0/1", "8.0.0.0/5", "8.0.0.0/8", "::/1", "2000::/3")))
    fine = nets("0.0.0.0/0", "10.0.0.0/8", "9.0.0.0/9", "fc00::/7", "2001::/16")
    assert not any(map(is_broad, fine))


@pytest.mark.parametrize("prefix", ["0.0.0.0/1", "128.0.0.0/1", "1.0.0.0/8", "8.0.0.0/7"])
def test_what_is_almost_a_default_route_must_be_accepted_by_name(fleet: Fleet, prefix: str) -> None:
    """0/1 and 128/1 together are a default route, so they need as much consent."""
    advertise(fleet, prefix, "9.128.0.0/9", "10.0.0.0/8", "172.16.0.0/12")
    zone = set_rules(fleet, ImportRules())
    assert sorted(zone.learned()) == ["10.0.0.0/8", "10.2.0.0/16", "172.16.0.0/12", "9.128.0.0/9"]
    assert f"almost default routes, which are not accepted by name, e.g. {prefix}" in str(
        only(zone)
    )
    set_rules(fleet, accept(ZoneRule(nets("0.0.0.0/0"))))
    assert prefix not in zone.learned()
    set_rules(fleet, accept(ZoneRule(nets(prefix))))
    assert prefix in zone.learned()


def test_many_overlaps_with_one_subnet_are_one_problem(fleet: Fleet) -> None:
    """The first is named, the others are counted."""
    advertise(fleet, *(f"10.9.{i}.0/24" for i in range(5)))
    zone = set_rules(fleet, local(apps="10.9.0.0/16"))
    assert "10.9.0.0/24 (and 4 more) of zone az2" in only(zone).message


def test_one_overlap_with_many_subnets_is_one_problem(fleet: Fleet) -> None:
    """An advertised /12 is named once, with the number of subnets that it concerns."""
    advertise(fleet, "172.16.0.0/12")
    zone = set_rules(fleet, local(a="172.16.1.0/24", b="172.16.2.0/24", c="172.16.3.0/24"))
    problem = only(zone)
    assert problem.object == "Subnet a"
    assert "of zone az2 and 2 more objects here" in problem.message


def test_only_what_is_accepted_from_a_zone_is_learned(fleet: Fleet) -> None:
    """One problem for the zone counts the rest and names the first."""
    advertise(fleet, "10.8.0.0/16", "10.9.0.0/16", "10.2.7.0/24")
    zone = set_rules(fleet, accept(ZoneRule(nets("10.2.0.0/16"))))
    assert zone.learned().keys() == {"10.2.0.0/16", "10.2.7.0/24"}
    problem = only(zone)
    assert problem.object == "zone az2"
    assert "2 outside the prefixes that are accepted from it, e.g. 10.8.0.0/16" in problem.message
    assert problem.reason == "RefusedByPolicy"
    set_rules(fleet, accept(ZoneRule(nets("10.0.0.0/8"))))
    assert len(zone.learned()) == 4
    assert zone.engine.problems() == []


def test_zones_that_are_not_named_have_a_rule_of_their_own(fleet: Fleet) -> None:
    """The rule for all others refuses what no zone's own rule accepts."""
    none = ZoneRule(prefixes=())
    zone = set_rules(fleet, ImportRules(rules=RouteRules({"az9": ZoneRule()}, none)))
    assert zone.learned() == {}
    set_rules(fleet, ImportRules(rules=RouteRules({"az2": ZoneRule()}, none)))
    assert zone.learned() == {"10.2.0.0/16": {NEXTHOP}}


def test_a_rule_follows_the_zones_name(fleet: Fleet) -> None:
    """A zone that is renamed is treated by its new name at once."""
    zone = set_rules(fleet, accept(ZoneRule(prefixes=())))
    assert zone.learned() == {}
    fleet.zones[1].rename("az3")
    fleet.settle()
    assert zone.learned() == {"10.2.0.0/16": {NEXTHOP}}
    fleet.zones[1].rename("az2")
    fleet.settle()
    assert zone.learned() == {}


def test_only_the_first_prefixes_of_a_zone_are_learned(fleet: Fleet) -> None:
    """The maximum counts prefixes in canonical order, whichever came first."""
    advertise(fleet, "10.9.0.0/16", "10.8.0.0/16")
    zone = set_rules(fleet, accept(ZoneRule(most=2)))
    assert zone.learned().keys() == {"10.2.0.0/16", "10.8.0.0/16"}
    assert "1 beyond its maximum of 2, e.g. 10.9.0.0/16" in only(zone).message
    advertise(fleet, "10.7.0.0/16")
    assert zone.learned().keys() == {"10.2.0.0/16", "10.7.0.0/16"}
    fleet.zones[1].drop_router_port("net")
    fleet.settle()
    assert zone.learned().keys() == {"10.7.0.0/16", "10.8.0.0/16"}
    set_rules(fleet, accept(ZoneRule(most=3)))
    assert len(zone.learned()) == 3
    assert zone.engine.problems() == []
    set_rules(fleet, accept(ZoneRule(most=0)))
    assert zone.learned() == {}


def test_what_is_refused_does_not_count(fleet: Fleet) -> None:
    """Prefixes that are refused anyway do not count towards the maximum of the zone."""
    advertise(fleet, "10.1.9.0/24", "10.9.0.0/16")
    rule = accept(ZoneRule(nets("10.2.0.0/16", "10.9.0.0/16", "10.1.9.0/24"), most=2)).rules
    zone = set_rules(fleet, ImportRules(local(mine="10.1.0.0/16").local, rule))
    assert zone.learned().keys() == {"10.2.0.0/16", "10.9.0.0/16"}


def test_a_prefix_through_two_switches_counts_once(fleet: Fleet) -> None:
    """Routes to one prefix over two transit switches are one prefix."""
    fleet.add_ts("ts1")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.attach("ts1", f"169.254.101.{number}/24")
    zone = set_rules(fleet, accept(ZoneRule(most=1)))
    assert zone.learned() == {"10.2.0.0/16": {NEXTHOP, "169.254.101.2"}}
    assert zone.engine.problems() == []


def test_only_what_is_listed_is_advertised(fleet: Fleet) -> None:
    """The list applies at the sender; other zones get only what is inside it."""
    one, two = fleet.zones
    one.add_router_port("more", "10.11.0.1/24")
    set_rules(fleet, ImportRules(rules=RouteRules(advertise=nets("10.11.0.0/16"))))
    assert two.learned().keys() == {"10.11.0.0/24"}
    set_rules(fleet, ImportRules())
    assert two.learned().keys() == {"10.1.0.0/16", "10.11.0.0/24"}


def test_declared_routes_are_not_advertised(fleet: Fleet) -> None:
    """They lead to other zones, which would get their own prefixes back."""
    one, two = fleet.zones
    one.add_route("10.77.0.0/16", "169.254.100.2", external_ids={"isthmus-route": "az2"})
    fleet.settle()
    assert two.learned().keys() == {"10.1.0.0/16"}
    (given,) = explain(one.engine.view, one.exchange, ip_network("10.77.0.0/16")).advertising
    assert given.rule == str(Refusal.DECLARED)


def test_one_prefix_from_two_zones_is_learned_and_reported(fleet: Fleet) -> None:
    """Traffic goes to either zone, which is rarely intended."""
    three = Zone("az3", fleet.ic_nb, fleet.ic_sb)
    fleet.zones.append(three)
    fleet.settle()
    three.add_router_port("net", "10.2.0.1/16")
    three.attach("ts", "169.254.100.3/24")
    zone = set_rules(fleet, ImportRules())
    assert zone.learned() == {"10.2.0.0/16": {NEXTHOP, "169.254.100.3"}}
    assert only(zone).reason == "AmbiguousPrefix"
    assert only(zone).object == "zones az2, az3"
    three.rename("az4")
    fleet.settle()
    assert only(zone).object == "zones az2, az4"
    three.drop_router_port("net")
    fleet.settle()
    assert zone.engine.problems() == []


def test_nothing_is_added_before_the_rules_are_known(fleet: Fleet) -> None:
    """A restarted daemon keeps routes, removes withdrawn ones, and adds none yet."""
    one, two = fleet.zones
    two.add_router_port("later", "10.5.0.1/16")
    one.add_router_port("later", "10.6.0.1/16")
    one.start(policy_follows=True)
    fleet.settle()
    assert one.learned() == {"10.2.0.0/16": {NEXTHOP}}
    assert two.learned() == {"10.1.0.0/16": {"169.254.100.1"}}
    two.drop_router_port("net")
    one.exchange.routes.policy.set_rules(ImportRules(complete=False))
    fleet.settle()
    assert one.learned() == {}
    set_rules(fleet, ImportRules())
    assert one.learned() == {"10.5.0.0/16": {NEXTHOP}}
    assert two.learned().keys() == {"10.1.0.0/16", "10.6.0.0/16"}


def handled(zone: Zone) -> int:
    """How many keys a zone's engine has handled so far."""
    return sum(reconciler.handled for reconciler in zone.engine.reconcilers)


def test_a_change_costs_what_it_touches(fleet: Fleet) -> None:
    """Among 200 routes of a zone with a maximum, one change of a route or rule is a few keys."""
    advertise(fleet, *(f"10.{100 + i // 100}.{i % 100}.0/24" for i in range(200)))
    accepted = nets("10.100.0.0/15", "10.2.0.0/16", "10.5.0.0/16")
    zone = set_rules(fleet, accept(ZoneRule(accepted, most=100)))
    assert len(zone.learned()) == 100
    before = handled(zone)
    advertise(fleet, "10.5.0.0/16")
    assert handled(zone) - before < 30
    assert "10.5.0.0/16" in zone.learned()
    rules = accept(ZoneRule(accepted, most=100)).rules
    for number, (changed, limit, learned) in enumerate(
        [
            (ImportRules(local(apps="10.101.7.0/25").local, rules), 10, 100),
            (accept(ZoneRule(accepted, most=101)), 20, 101),
            (accept(ZoneRule((*accepted, *nets("10.200.0.0/16")), most=101)), 5, 101),
            (accept(ZoneRule(accepted[:2], most=101)), 20, 101),
        ]
    ):
        before = handled(zone)
        set_rules(fleet, changed)
        assert handled(zone) - before < limit, number
        assert len(zone.learned()) == learned, number


def test_an_entry_of_the_denylist_costs_the_routes_inside_it(fleet: Fleet) -> None:
    """With 200 routes, another private prefix is a few keys, for our routes and for learned."""
    advertise(fleet, *(f"10.100.{i}.0/24" for i in range(200)))
    one, two = fleet.zones
    one.set_options(ic_route_denylist="10.9.0.0/16")
    fleet.settle()
    before = handled(one)
    one.set_options(ic_route_denylist="10.9.0.0/16,10.100.7.0/24,10.1.0.0/16")
    fleet.settle()
    assert handled(one) - before < 20
    assert len(one.learned()) == 200
    assert "10.1.0.0/16" not in two.learned()
    before = handled(two)
    two.set_options(ic_route_denylist="10.100.8.0/24")
    fleet.settle()
    assert handled(two) - before < 20
    assert len(one.learned()) == 199


def test_a_zone_that_is_gone_leaves_no_problem(fleet: Fleet) -> None:
    """Its problems go with its routes."""
    zone = set_rules(fleet, accept(ZoneRule(prefixes=())))
    assert zone.engine.problems()
    fleet.zones.pop()
    gone = [Delete(IcRoute, RowId(r["_uuid"])) for r in zone.all(IcRoute)]
    fleet.ic_sb.transact(gone)
    fleet.settle()
    assert zone.engine.problems() == []
    assert zone.all(AvailabilityZone, name="az2")
    assert zone.all(LogicalRouterPort, name="net")


def rule(zone: Zone, prefix: str) -> str:
    """Why a prefix that the other zone advertises is not learned."""
    (reason,) = explain(zone.engine.view, zone.exchange, ip_network(prefix)).learning
    return reason.rule


def test_a_refusal_is_explained_with_its_rule(fleet: Fleet) -> None:
    """The explanation names the subnet, the zone and its rule."""
    advertise(fleet, "10.8.0.0/16", "10.9.0.0/16", "10.10.0.0/16")
    rules = accept(ZoneRule(nets("10.2.0.0/16", "10.9.0.0/16", "10.10.0.0/16"), most=1)).rules
    zone = set_rules(fleet, ImportRules(local(apps="10.10.3.0/24").local, rules))
    assert rule(zone, "10.2.0.0/16") == "no rule refuses the route"
    assert rule(zone, "10.10.0.0/16") == f"{Refusal.OVERLAP} (10.10.3.0/24 of Subnet apps)"
    assert rule(zone, "10.9.0.0/16") == f"{Refusal.TOO_MANY} (accept from az2: max 1)"
    accepted = "accept from az2: 10.2.0.0/16, 10.9.0.0/16, 10.10.0.0/16"
    assert rule(zone, "10.8.0.0/16") == f"{Refusal.NOT_ACCEPTED} ({accepted})"
    set_rules(fleet, ImportRules(rules=RouteRules(advertise=nets("10.11.0.0/16"))))
    (given,) = explain(zone.engine.view, zone.exchange, ip_network("10.1.0.0/16")).advertising
    assert given.rule == f"{Refusal.NOT_ADVERTISED} (advertise: 10.11.0.0/16)"


def test_all_refusals_are_listed_by_zone_and_rule(fleet: Fleet) -> None:
    """One line per rule, with a count and examples."""
    advertise(fleet, *(f"10.9.{i}.0/24" for i in range(5)), "10.8.0.0/16")
    values = ImportRules(local(apps="10.9.0.0/16").local, accept(ZoneRule(prefixes=())).rules)
    refused = set_rules(fleet, values).exchange.routes.refused.refused()
    assert [(r.zone, r.rule, r.count, len(r.examples)) for r in refused] == [
        ("az2", "outside the prefixes that are accepted from it", 2, 2),
        ("az2", "overlaps 10.9.0.0/16 of Subnet apps", 5, 3),
    ]
