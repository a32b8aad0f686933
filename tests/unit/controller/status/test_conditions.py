"""Conditions: their status and reason in each state, and the time of the last change."""

from dataclasses import replace
from typing import Any

import pytest

from isthmus.controller.config.configmap import Config, JoinZone, LeaveZone
from isthmus.controller.inputs.inputs import CONFIG_MAP
from isthmus.controller.status.cluster_state import (
    ClusterState,
    ClusterStateReader,
    TransitSwitchState,
    ZoneState,
)
from isthmus.controller.status.conditions import (
    LONGEST,
    Condition,
    ConditionStatus,
    ConditionType,
    StatusInput,
    assess,
    carry,
    changes,
)
from isthmus.controller.status.report import config_map_version
from isthmus.model.problems import Problem
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database, SbEncap
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map, node, subnet

CONFIG = Config("az1", ("192.168.65.3",), 6645, 6646, ("gw",), True)
UP = TransitSwitchState(
    "ts", "169.254.100.0/24", "ts-az1", "0a:00:00:00:00:01 169.254.100.1/24", "gw"
)
DOWN = TransitSwitchState(
    "ts1", "169.254.101.0/24", "ts1-az1", "0a:00:00:00:00:02 169.254.101.1/24"
)
PORTLESS = TransitSwitchState("ts", "169.254.100.0/24")
OTHER = ZoneState("az2", ("gw2",), ("ts",), 2, True)
APART = ZoneState("az3", ("gw3",), ("ts",), 2, False)
PORTLESS_ZONE = ZoneState("az4", (), (), 0, None)
WELL = ClusterState("az1", True, True, (UP,), (), (OTHER,), 1, 2, 2)
OVERLAP = Problem("Subnet a", "spec.cidrBlock", "10.2.0.0/24", "overlaps", "change it",
                  Reason.OVERLAPPING_PREFIX)  # fmt: skip
TAKEN = Problem("node gw of zone az1", "ovn-encap-ip", "192.0.2.1", "is the same", "change it",
                Reason.TUNNEL_IP_TAKEN)  # fmt: skip
STOPPED = Problem("Logical_Router r", "nat", "snat 192.0.2.1", "is outside", "set it",
                  Reason.GATEWAY_CONFLICT)  # fmt: skip
AWAY = Problem("database OVN_IC_Southbound", "remote", "tcp:1:2", "cannot be reached",
               "check the address", Reason.DATABASE_UNREACHABLE)  # fmt: skip


def state(**changes: Any) -> StatusInput:
    """A healthy state, with some changes."""
    well = StatusInput(JoinZone(CONFIG), False, "7", frozenset(Database), True, WELL, ())
    problems = changes.get("problems", ())
    away = tuple(each for each in problems if each.reason is Reason.DATABASE_UNREACHABLE)
    return replace(well, **{"away": away} | changes)


def said(kind: ConditionType, **changes: Any) -> Condition:
    """One condition of such a state."""
    return next(one for one in assess(state(**changes)) if one.type is kind)


def test_a_path_is_kept_while_its_replacement_is_made() -> None:
    """That is a fault only if it lasts, so that an edit of `gw-nodes` does not look like one."""
    kept = Problem("ConfigMap c", "data.gw-nodes", "", "stays", "wait", Reason.PATH_KEPT)
    assert said(ConditionType.DEGRADED, problems=(kept,), settled=False).good
    assert said(ConditionType.DEGRADED, problems=(kept,)).reason == Reason.PATH_KEPT


def test_a_healthy_cluster() -> None:
    """In a healthy state all conditions are good, and carry the ConfigMap's version."""
    found = assess(state())
    assert all(condition.good for condition in found)
    assert {condition.observed for condition in found} == {"7"}
    assert {condition.remedy for condition in found} == {""}
    assert said(ConditionType.JOINED).message == "zone az1 is connected with az2 over ts"


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"wanted": None}, "Unknown", "Starting"),
        ({"synced": frozenset({Database.NB})}, "Unknown", "Starting"),
        ({"problems": (AWAY,)}, "Unknown", "DatabaseUnreachable"),
        ({"cluster": replace(WELL, registered=False)}, "False", "Registering"),
        ({"cluster": replace(WELL, zone="old")}, "False", "Registering"),
        ({"cluster": replace(WELL, transit_switches=())}, "False", "NoTransitSwitch"),
        ({"cluster": replace(WELL, transit_switches=(PORTLESS,))}, "False", "PortMissing"),
        (
            {"cluster": replace(WELL, transit_switches=(PORTLESS,)), "problems": (STOPPED,)},
            "False",
            "GatewayConflict",
        ),
        ({"cluster": replace(WELL, transit_switches=(DOWN,))}, "False", "NoGateway"),
        (
            {"cluster": replace(WELL, transit_switches=(DOWN,)), "settled": False},
            "False",
            "Converging",
        ),
        ({"cluster": replace(WELL, transit_switches=(UP, DOWN))}, "True", "PartlyJoined"),
        ({"cluster": replace(WELL, zones=())}, "True", "NoOtherZone"),
        ({"cluster": replace(WELL, zones=(PORTLESS_ZONE,))}, "True", "NoOtherZone"),
        ({"cluster": replace(WELL, zones=(APART,))}, "False", "NotConnected"),
        ({"cluster": replace(WELL, zones=(APART,)), "settled": False}, "True", "Joined"),
        ({"cluster": replace(WELL, zones=(OTHER, APART))}, "True", "PartlyJoined"),
        (
            {"cluster": replace(WELL, zones=(APART,)), "settled": False, "problems": (TAKEN,)},
            "False",
            "TunnelIpTaken",
        ),
        ({"cluster": replace(WELL, learned=0)}, "False", "NoRoutes"),
        ({"cluster": replace(WELL, learned=0), "settled": False}, "True", "Joined"),
        ({"cluster": replace(WELL, learned=0), "problems": (OVERLAP,)}, "True", "Joined"),
        ({"wanted": LeaveZone("no")}, "False", "Leaving"),
        ({"wanted": LeaveZone("no"), "cluster": ClusterState()}, "False", "NotEnabled"),
        ({"wanted": None, "refused": True}, "False", "InvalidValue"),
    ],
)
def test_joined(changes: dict[str, Any], status: str, reason: str) -> None:
    """The reason says why a cluster has not joined; what is not known is Unknown."""
    found = said(ConditionType.JOINED, **changes)
    assert (str(found.status), found.reason) == (status, reason)


def test_the_cause_is_reported_and_not_the_effect() -> None:
    """A problem that explains why no port is served gives the condition its reason and remedy."""
    cause = Problem("ConfigMap kube-system/ovn-ic-config", "data.gw-nodes", "gw", "no chassis",
                    "start ovn-controller", Reason.NO_CHASSIS)  # fmt: skip
    facts = replace(WELL, transit_switches=(DOWN,))
    found = said(ConditionType.JOINED, cluster=facts, problems=(cause,))
    assert found.reason == "NoChassis"
    assert "ts1-az1" in found.message
    assert found.remedy == "start ovn-controller"


def test_without_auto_route_no_routes_are_expected() -> None:
    """Without auto-route, a cluster that learns no routes has joined."""
    config = replace(CONFIG, auto_route=False)
    facts = replace(WELL, learned=0)
    assert said(ConditionType.JOINED, wanted=JoinZone(config), cluster=facts).good


def test_an_expired_certificate_that_keeps_databases_away_explains_joined() -> None:
    """Its problem is the only one; while connections last, it changes nothing."""
    expired = Problem("TLS files in /d", "certificate", "/d/tls.crt", "of az1 expired", "renew it",
                      Reason.CERTIFICATE_EXPIRES)  # fmt: skip
    away = said(ConditionType.JOINED, problems=(expired,), away=(expired,))
    assert (away.status, away.reason) == (ConditionStatus.UNKNOWN, "CertificateExpires")
    assert "of az1 expired; exchanged routes stay in place" in away.message
    assert away.remedy == "renew it"
    assert said(ConditionType.JOINED, problems=(expired,)).good
    assert said(ConditionType.DEGRADED, problems=(expired,)).reason == "CertificateExpires"


def test_leaving_names_the_unreachable_database() -> None:
    """While leaving, the message names the database that must be reachable again."""
    found = said(ConditionType.JOINED, wanted=LeaveZone("enable-ic is false"), problems=(AWAY,))
    assert (found.status, found.reason) == (ConditionStatus.FALSE, "Leaving")
    assert "OVN_IC_Southbound" in found.message


def test_conflicts_are_separate_from_other_problems() -> None:
    """Overlaps are conflicts; all other problems make the cluster degraded."""
    found = said(ConditionType.CONFLICT, problems=(OVERLAP,))
    assert (found.status, found.reason) == (ConditionStatus.TRUE, "OverlappingPrefix")
    assert found.message.startswith("Subnet a: spec.cidrBlock = '10.2.0.0/24': overlaps")
    assert said(ConditionType.DEGRADED, problems=(OVERLAP,)).good
    assert said(ConditionType.CONFLICT, problems=(AWAY,)).good
    assert said(ConditionType.DEGRADED, problems=(AWAY,)).status is ConditionStatus.TRUE


def test_a_policy_that_works_is_not_degraded() -> None:
    """What the configuration asks for is listed, and needs no attention."""
    refused = Problem("zone az2", "routes", "3", "not accepted", "none", Reason.REFUSED_BY_POLICY)
    assert said(ConditionType.DEGRADED, problems=(refused,)).status is ConditionStatus.FALSE


def test_many_problems_fit_into_a_message() -> None:
    """The most urgent problem is named, the others are counted, and the text fits into an Event."""
    minor = [
        Problem(f"Subnet {n}", "k", "v" * 200, "m", "r", Reason.INVALID_SUBNET) for n in range(9)
    ]
    found = said(ConditionType.DEGRADED, problems=(*minor, AWAY))
    assert found.reason == "DatabaseUnreachable"
    assert found.message.endswith("; and 9 more problems")
    clashes = tuple(replace(OVERLAP, value="x" * 400, object=f"Subnet {n}") for n in range(7))
    assert len(said(ConditionType.CONFLICT, problems=clashes).text) == LONGEST
    few = tuple(replace(OVERLAP, object=f"Subnet {n}") for n in range(7))
    assert said(ConditionType.CONFLICT, problems=few).message.endswith("; and 2 more")


def test_a_refused_configuration() -> None:
    """An invalid value is named, and the previous configuration is still joined."""
    bad = Problem("ConfigMap kube-system/ovn-ic-config", "data.enable-ic", "True", "must be",
                  'write "true"', Reason.INVALID_VALUE)  # fmt: skip
    found = said(ConditionType.ACCEPTED, refused=True, problems=(bad,))
    assert (found.status, found.remedy) == (ConditionStatus.FALSE, 'write "true"')
    assert "data.enable-ic = 'True'" in found.message
    assert said(ConditionType.JOINED, refused=True, problems=(bad,)).good


def test_the_time_is_that_of_the_status() -> None:
    """Only another status changes the time."""
    first = carry((), assess(state()), "T1")
    assert {one.since for one in first} == {"T1"}
    partly = assess(state(cluster=replace(WELL, transit_switches=(UP, DOWN))))
    second = carry(first, partly, "T2")
    assert {one.since for one in second} == {"T1"}
    assert [one.reason for one in changes(first, second)] == ["PartlyJoined"]
    third = carry(second, assess(state(problems=(AWAY,))), "T3")
    assert {one.type: one.since for one in third} == {
        ConditionType.ACCEPTED: "T1",
        ConditionType.JOINED: "T3",
        ConditionType.CONFLICT: "T1",
        ConditionType.DEGRADED: "T3",
    }


def test_the_state_of_two_joined_clusters() -> None:
    """Zone, ports, gateways, other zones and route counts are read from the databases."""
    fleet = ControlledFleet("az1", "az2")
    for number, site in enumerate(fleet.zones, 1):
        site.apply(config_map(az_name=site.name), node("gw"), subnet("net", f"10.{number}.0.0/16"))
    fleet.settle()
    site = fleet.zones[0]
    facts = ClusterStateReader(site.engine.view, site.inputs).read()
    assert (facts.zone, facts.registered, facts.joined) == ("az1", True, True)
    (switch,) = facts.transit_switches
    assert (switch.name, switch.port, switch.gateway) == ("ts", "ts-az1", "gw")
    assert [(one.node, one.chassis, one.active_on) for one in facts.gateways] == [
        ("gw", "gw-az1", ("ts",))
    ]
    assert [(zone.name, zone.routes) for zone in facts.zones] == [("az2", 1)]
    assert (facts.advertised, facts.learned, facts.on_offer) == (1, 1, 1)


def test_zones_whose_gateways_share_a_tunnel_ip_have_not_joined() -> None:
    """Joined is False in both zones, and the cause is the reason."""
    fleet = ControlledFleet("az1", "az2")
    one, two = fleet.zones
    two.update(SbEncap, two.uuid(SbEncap), ip=one.find(SbEncap)["ip"])
    for site in fleet.zones:
        site.join()
        fleet.settle()
    found = []
    for site in fleet.zones:
        facts = ClusterStateReader(site.engine.view, site.inputs).read()
        found.append(said(
            ConditionType.JOINED,
            wanted=site.inputs.wanted, cluster=facts, problems=tuple(site.problems()),
        ))  # fmt: skip
    assert {condition.status for condition in found} == {ConditionStatus.FALSE}
    assert [condition.reason for condition in found] == ["GatewayNotPublished", "TunnelIpTaken"]


def test_the_digest_of_the_config_map() -> None:
    """The digest depends on the data only, and is empty without a ConfigMap."""
    one, other = config_map(), config_map(az_name="az9")
    assert (
        config_map_version(CONFIG_MAP, one).digest
        == config_map_version(CONFIG_MAP, config_map()).digest
    )
    assert (
        config_map_version(CONFIG_MAP, one).digest != config_map_version(CONFIG_MAP, other).digest
    )
    assert config_map_version(CONFIG_MAP, None).digest == ""


def test_two_causes_of_one_symptom_are_both_shown() -> None:
    """Two databases that cannot be reached, two nodes without a chassis."""
    both = (replace(AWAY, object="database OVN_IC_Northbound"), AWAY)
    joined = said(ConditionType.JOINED, problems=both)
    assert "OVN_IC_Northbound" in joined.message
    assert "OVN_IC_Southbound" in joined.message
    nodes = tuple(replace(TAKEN, value=ip, reason=Reason.NO_CHASSIS) for ip in ("a1", "b2"))
    cut_off = said(
        ConditionType.JOINED, cluster=replace(WELL, transit_switches=(DOWN,)), problems=nodes
    )
    assert cut_off.reason == "NoChassis"
    assert "'a1'" in cut_off.message
    assert "'b2'" in cut_off.message


@pytest.mark.parametrize(
    ("cluster", "first", "second"),
    [
        (replace(WELL, transit_switches=(DOWN,)), Reason.GATEWAY_CONFLICT, Reason.NO_CHASSIS),
        (replace(WELL, transit_switches=(PORTLESS,)), Reason.NO_ROUTER, Reason.NO_FREE_ADDRESS),
        (replace(WELL, zones=(APART,)), Reason.CHASSIS_NAME_TAKEN, Reason.TUNNEL_IP_TAKEN),
        (replace(WELL, registered=False), Reason.ZONE_NAME_TAKEN, Reason.NOT_PERMITTED),
    ],
    ids=["no gateway", "no port", "apart", "unregistered"],
)
def test_causes_with_different_reasons_are_both_shown(
    cluster: ClusterState, first: Reason, second: Reason
) -> None:
    """The likelier one gives the reason and the remedy, and is first in the message."""
    causes = (
        replace(TAKEN, value="b2", reason=second),
        replace(TAKEN, value="c3", reason=first, remedy="do this"),
    )
    found = said(ConditionType.JOINED, cluster=cluster, problems=causes)
    assert (found.reason, found.remedy) == (first, "do this")
    assert -1 < found.message.find("'c3'") < found.message.find("'b2'")
