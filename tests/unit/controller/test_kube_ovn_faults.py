"""Faults of Kube-OVN's controller that its users hit, one test each.

The numbers are those under which they were collected; what each was is in the test's sentence.
Those of routes are in test_route_faults.py, those of the engine in
tests/unit/exchange/test_kube_ovn_faults.py, and those that need processes or packets in
tests/integration and tests/lab.
"""

from typing import Any

import pytest

from isthmus.model.rows import (
    GatewayChassis,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitchPort,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map, node


@pytest.fixture
def fleet() -> ControlledFleet:
    """Two zones that have joined; the first has a second possible gateway node."""
    fleet = ControlledFleet("az1", "az2")
    one = fleet.zones[0]
    one.add_chassis("gw2-az1", "192.0.2.77", hostname="gw2")
    one.apply(node("gw", "192.0.2.1"), node("gw2", "192.0.2.77"))
    for site in fleet.zones:
        site.join()
    fleet.settle()
    return fleet


def priorities(site: ControlledZone) -> dict[str, int]:
    """The gateway candidates of a zone's only port on a transit switch."""
    return {row["chassis_name"]: row["priority"] for row in site.all(GatewayChassis)}


def learned(site: ControlledZone) -> set[str]:
    """The prefixes of learned routes."""
    rows = site.all(LogicalRouterStaticRoute)
    return {row["ip_prefix"] for row in rows if "ic-learned-route" in row["external_ids"]}


def ports(site: ControlledZone) -> set[tuple[Any, Any]]:
    """All ports by name and UUID: equal sets mean that none was replaced."""
    kinds = (LogicalSwitchPort, LogicalRouterPort)
    return {(row["name"], row["_uuid"]) for kind in kinds for row in site.all(kind)}


def test_fault_4_editing_gw_nodes_moves_the_gateway(fleet: ControlledFleet) -> None:
    """An edit of gw-nodes had no effect; the candidates now follow, by the smallest change."""
    one = fleet.zones[0]
    assert priorities(one) == {"gw-az1": 100}
    before = ports(one)
    one.join(gw_nodes="gw2,gw")
    fleet.settle()
    assert priorities(one) == {"gw2-az1": 100, "gw-az1": 99}
    one.join(gw_nodes="gw2")
    fleet.settle()
    assert priorities(one) == {"gw2-az1": 100}
    assert ports(one) == before


@pytest.mark.parametrize("how", ["deleted", "disabled"])
def test_fault_7_learned_routes_do_not_stay_after_leaving(fleet: ControlledFleet, how: str) -> None:
    """Learned routes stayed after leaving; they are now removed with everything else."""
    one, two = fleet.zones
    assert learned(one) == {"10.2.0.0/16"}
    if how == "deleted":
        one.delete(config_map())
    else:
        one.join(enable_ic="false")
    fleet.settle()
    assert learned(one) == learned(two) == set()
    assert one.traces() == []


@pytest.mark.parametrize("edit", ["auto-route", "transit switch"])
def test_fault_8_an_edit_tears_no_connection_down(fleet: ControlledFleet, edit: str) -> None:
    """An edit removed and recreated everything; every port now stays the same row."""
    one = fleet.zones[0]
    before = ports(one)
    if edit == "auto-route":
        one.join(auto_route="false")
        fleet.settle()
        assert learned(one) == set()
        one.join()
    else:
        fleet.add_ts("ts1", "169.254.101.0/24")
    fleet.settle()
    assert before <= ports(one)
    assert learned(one) == {"10.2.0.0/16"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"enable_ic": "True"}, ("data.enable-ic", "True", 'write "true"')),
        ({"ic_db_host": None}, ("data.ic-db-host", "", "add ic-db-host to the ConfigMap's data")),
        ({"ic_db_host": ""}, ("data.ic-db-host", "", "list at least one host")),
    ],
    ids=["True", "missing", "empty"],
)
def test_fault_13_a_bad_value_is_reported_and_nothing_is_tried(
    change: dict[str, str | None], said: tuple[str, str, str]
) -> None:
    """A bad value led to a connection to `tcp:[]:`; it is now reported, and nothing is changed."""
    site = ControlledFleet("az1").zones[0]
    site.join(**change)
    site.settle()
    assert site.inputs.wanted is None
    assert site.traces() == []
    key, value, remedy = said
    (problem,) = (p for p in site.problems() if p.key == key)
    assert problem.value == value
    assert remedy in problem.remedy
    site.join()
    assert site.inputs.config is not None
    assert site.inputs.config.ic_sb_remote == "tcp:192.168.65.3:6646"
