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
def region() -> ControlledFleet:
    """Two sites that have joined, the first with a second node that may be a gateway."""
    region = ControlledFleet("az1", "az2")
    one = region.zones[0]
    one.add_chassis("gw2-az1", "192.0.2.77", hostname="gw2")
    one.apply(node("gw", "192.0.2.1"), node("gw2", "192.0.2.77"))
    for site in region.zones:
        site.join()
    region.settle()
    return region


def priorities(site: ControlledZone) -> dict[str, int]:
    """The gateway candidates of a site's only port on a transit switch."""
    return {row["chassis_name"]: row["priority"] for row in site.all(GatewayChassis)}


def learned(site: ControlledZone) -> set[str]:
    """The prefixes of learned routes."""
    rows = site.all(LogicalRouterStaticRoute)
    return {row["ip_prefix"] for row in rows if "ic-learned-route" in row["external_ids"]}


def ports(site: ControlledZone) -> set[tuple[Any, Any]]:
    """All ports by name and UUID: the same set means that none was made anew."""
    kinds = (LogicalSwitchPort, LogicalRouterPort)
    return {(row["name"], row["_uuid"]) for kind in kinds for row in site.all(kind)}


def test_fault_4_editing_gw_nodes_moves_the_gateway(region: ControlledFleet) -> None:
    """An edit had no effect; the candidates follow, by the least change."""
    one = region.zones[0]
    assert priorities(one) == {"gw-az1": 100}
    before = ports(one)
    one.join(gw_nodes="gw2,gw")
    region.settle()
    assert priorities(one) == {"gw2-az1": 100, "gw-az1": 99}
    one.join(gw_nodes="gw2")
    region.settle()
    assert priorities(one) == {"gw2-az1": 100}
    assert ports(one) == before


@pytest.mark.parametrize("how", ["deleted", "disabled"])
def test_fault_7_learned_routes_do_not_stay_after_leaving(
    region: ControlledFleet, how: str
) -> None:
    """They stayed in the router and led nowhere; they go with everything else."""
    one, two = region.zones
    assert learned(one) == {"10.2.0.0/16"}
    if how == "deleted":
        one.delete(config_map())
    else:
        one.join(enable_ic="false")
    region.settle()
    assert learned(one) == learned(two) == set()
    assert one.traces() == []


@pytest.mark.parametrize("edit", ["auto-route", "transit switch"])
def test_fault_8_an_edit_tears_no_connection_down(region: ControlledFleet, edit: str) -> None:
    """Everything was removed first and made anew; every port stays the row that it was."""
    one = region.zones[0]
    before = ports(one)
    if edit == "auto-route":
        one.join(auto_route="false")
        region.settle()
        assert learned(one) == set()
        one.join()
    else:
        region.add_ts("ts1", "169.254.101.0/24")
    region.settle()
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
def test_fault_13_a_bad_value_is_named_and_nothing_is_tried(
    change: dict[str, str | None], said: tuple[str, str, str]
) -> None:
    """A connection to `tcp:[]:` was tried; the key is named with its remedy, nothing is changed."""
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
