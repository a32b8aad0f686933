"""Why a prefix is or is not exchanged: one test for each kind of answer."""

import json
from dataclasses import asdict

import pytest

from isthmus.exchange.routes.options import Refusal
from isthmus.inspect.engine_text import explanation_text
from isthmus.inspect.explain import Explanation, Verdict, explain
from isthmus.model.import_policy import ImportRules
from isthmus.model.prefixes import parse_network
from support.fakes.fleet import Fleet
from support.fakes.zone import Zone


@pytest.fixture
def fleet() -> Fleet:
    """Two zones on one transit switch, each with a subnet."""
    fleet = Fleet("one", "two")
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        zone.add_chassis(f"gw{number}", f"192.0.2.{number}")
        zone.add_router_port(f"subnet{number}", f"10.{number}.0.1/16")
        zone.attach("ts", f"169.254.100.{number}/24")
    fleet.settle()
    return fleet


def ask(zone: Zone, prefix: str) -> Explanation:
    """The explanation of a prefix by a zone's engine."""
    network = parse_network(prefix)
    assert network is not None
    return explain(zone.engine.view, zone.exchange, network)


def test_what_is_exchanged(fleet: Fleet) -> None:
    """Both zones report the route, its transit switch and its source."""
    one, two = fleet.zones
    (given,) = ask(one, "10.1.0.0/16").advertising
    assert (given.verdict, given.transit_switch, given.nexthop) == (
        Verdict.ADVERTISED,
        "ts",
        "169.254.100.1",
    )
    assert given.source == "router port subnet1"
    explanation = ask(two, "10.1.0.0/16")
    (taken,) = explanation.learning
    assert (taken.verdict, taken.zone, taken.router) == (Verdict.LEARNED, "one", "ovn-cluster")
    assert "10.1.0.1/16 via 169.254.100.1 on ts (connected route of one" in explanation_text(
        explanation
    )
    assert json.loads(json.dumps(asdict(explanation)))["zone"] == "two"


def test_an_address_is_explained_by_the_prefix_around_it(fleet: Fleet) -> None:
    """Routes to prefixes that contain the address are explained."""
    (taken,) = ask(fleet.zones[1], "10.1.2.3").learning
    assert taken.prefix == "10.1.0.1/16"


def test_the_rule_that_refuses_is_named_on_its_side(fleet: Fleet) -> None:
    """A denylist is named by the zone that has it; other zones see no advertised route."""
    one, two = fleet.zones
    one.set_options(ic_route_denylist="10.1.0.0/16")
    fleet.settle()
    (given,) = ask(one, "10.1.0.0/16").advertising
    assert (given.verdict, given.rule) == (Verdict.REFUSED, str(Refusal.DENYLIST))
    unseen = ask(two, "10.1.0.0/16")
    assert unseen.learning == ()
    assert "no other zone advertises this prefix in IC-SB" in unseen.remarks


def test_a_receiver_says_why_it_does_not_learn(fleet: Fleet) -> None:
    """A static route of the receiver is named as the reason why it does not learn."""
    two = fleet.zones[1]
    two.add_route("10.1.0.0/16", "10.2.0.7")
    fleet.settle()
    explanation = ask(two, "10.1.0.0/16")
    (taken,) = explanation.learning
    assert (taken.verdict, taken.rule) == (Verdict.REFUSED, str(Refusal.OWN_ROUTE))
    (given,) = explanation.advertising
    assert given.source == "static route 10.1.0.0/16 via 10.2.0.7"
    assert f"refused: {Refusal.OWN_ROUTE}" in explanation_text(explanation)


def test_a_static_route_by_source_says_so(fleet: Fleet) -> None:
    """A route that no policy can accept also has its reason."""
    one = fleet.zones[0]
    one.add_route("10.9.0.0/16", "10.1.0.7", policy="src-ip")
    fleet.settle()
    (given,) = ask(one, "10.9.0.0/16").advertising
    assert given.rule == str(Refusal.BY_SOURCE)


def test_what_is_decided_but_not_written_is_pending(fleet: Fleet) -> None:
    """A decision that has not been written is shown as pending."""
    one = fleet.zones[0]
    one.add_router_port("late", "10.7.0.1/16")
    one.feed()
    one.engine.plan(0.0, (), frozenset(one.databases))
    (given,) = ask(one, "10.7.0.0/16").advertising
    assert given.verdict is Verdict.PENDING


def test_what_only_a_daemon_refuses_is_not_called_accepted(fleet: Fleet) -> None:
    """Without the daemon's Subnets, an overlap is not seen, and the explanation says so."""
    one, network = fleet.zones[0], parse_network("10.2.0.0/16")
    assert network is not None
    local = {"ovn-cluster": {"Subnet apps": (network,)}}
    one.exchange.routes.policy.set_rules(ImportRules(local))
    fleet.settle()
    (known,) = explain(one.engine.view, one.exchange, network).learning
    assert (known.verdict, known.rule) == (
        Verdict.REFUSED,
        f"{Refusal.OVERLAP} (10.2.0.0/16 of Subnet apps)",
    )
    one.start()
    one.feed()
    one.engine.plan(0.0, (), frozenset(one.databases))
    found = explain(one.engine.view, one.exchange, network, offline=True)
    (unseen,) = found.learning
    assert (unseen.verdict, unseen.rule) == (
        Verdict.PENDING,
        "no rule in the databases refuses the route",
    )
    assert "--unixctl asks the daemon" in found.remarks[-1]


def test_a_cluster_that_does_not_take_part(fleet: Fleet) -> None:
    """Without a name the cluster has no zone, and a remark says so."""
    one = fleet.zones[0]
    one.rename("")
    fleet.settle()
    explanation = ask(one, "10.2.0.0/16")
    assert explanation.zone == ""
    assert "this cluster does not take part: NB_Global.name is empty" in explanation.remarks


def test_a_default_route_is_explained_only_on_request(fleet: Fleet) -> None:
    """The explanation of another prefix leaves the default route out."""
    one = fleet.zones[0]
    one.add_route("0.0.0.0/0", "10.1.0.7")
    fleet.settle()
    assert len(ask(one, "10.1.0.0/16").advertising) == 1
    (given,) = ask(one, "0.0.0.0/0").advertising
    assert given.rule == str(Refusal.DEFAULT)
