"""A controller that starts where no object exists any more."""

from typing import Any

import pytest

from isthmus.model.reasons import Reason
from isthmus.model.rows import LogicalRouterPort, NbGlobal
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map, node, subnet

OBJECTS = (config_map(az_name="az1"), node("gw", "192.0.2.1"), subnet("a", "10.1.0.0/16"))


def joined() -> tuple[ControlledFleet, ControlledZone]:
    """Two zones that have joined, and the first of them."""
    fleet = ControlledFleet("az1", "az2")
    one, two = fleet.zones
    one.apply(*OBJECTS)
    two.join()
    fleet.settle()
    return fleet, one


def writes(site: ControlledZone) -> list[int]:
    """How many transactions each database has committed."""
    return [len(database.committed) for database in site.databases.values()]


def test_a_start_without_any_object_changes_nothing() -> None:
    """It is reported; with the objects it is resolved, and deleting the ConfigMap leaves."""
    fleet, one = joined()
    before = writes(one)
    one.manifests.clear()
    one.start()
    one.apply()
    fleet.settle()
    assert Reason.OBJECTS_LOST in {problem.reason for problem in one.problems()}
    one.apply(*OBJECTS[1:])
    fleet.settle()
    assert Reason.OBJECTS_LOST in {problem.reason for problem in one.problems()}
    one.apply(*OBJECTS)
    fleet.settle()
    assert writes(one) == before
    assert one.problems() == []
    one.delete(OBJECTS[0])
    fleet.settle()
    assert one.traces() == []


def test_a_start_with_other_objects_leaves() -> None:
    """A ConfigMap that was deleted while Isthmus was down means leaving."""
    fleet, one = joined()
    del one.manifests[OBJECTS[0].key]
    one.start()
    fleet.settle()
    assert one.traces() == []


@pytest.mark.parametrize("columns", [{"name": ""}, {"name": "foo"}, {"external_ids": {}}])
def test_lost_objects_stay_lost_while_nb_global_is_damaged(columns: dict[str, Any]) -> None:
    """Neither an emptied row nor another name is a reason to leave."""
    fleet, one = joined()
    one.manifests.clear()
    one.start()
    one.apply()
    fleet.settle()
    one.update(NbGlobal, one.uuid(NbGlobal), **columns)
    fleet.settle()
    one.apply()
    fleet.settle()
    assert Reason.OBJECTS_LOST in {problem.reason for problem in one.problems()}
    assert one.all(LogicalRouterPort, name="az1-ts")
