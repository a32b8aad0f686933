"""How repairs are reported: named, and bounded in rate."""

from typing import cast

import pytest

from isthmus.daemon.repairs import INTERVAL, RepairSource
from isthmus.engine.engine import Engine
from isthmus.engine.repairs import Repair
from isthmus.engine.view import View
from isthmus.model.rows import AvailabilityZone, LogicalRouterStaticRoute, RowId
from isthmus.ovsdb.poller import Poller
from support.fakes.session import FakePoller

ROUTE = LogicalRouterStaticRoute(uuid=RowId("r"), ip_prefix="10.2.0.0/16")


def test_a_flood_of_repairs_is_summarised(caplog: pytest.LogCaptureFixture) -> None:
    """The first is logged at once; those of the next seconds share a line with their number."""
    caplog.set_level("INFO")
    engine = Engine(View(), ())
    source = RepairSource(engine)
    source.run(0.0)
    assert source.report == (0, "")
    engine.repaired.append(Repair(ROUTE))
    source.run(1.0)
    line = (
        "a row was missing, and made again: OVN_Northbound Logical_Router_Static_Route 10.2.0.0/16"
    )
    assert source.report == (1, line)
    zones = [AvailabilityZone(uuid=RowId(str(n)), name=f"az{n}\n") for n in range(9)]
    engine.repaired += map(Repair, zones)
    source.run(2.0)
    poller = FakePoller()
    source.wait(cast("Poller", poller), 2.0)
    assert poller.wakes == [INTERVAL - 1.0]
    source.run(1.0 + INTERVAL)
    assert [record.getMessage() for record in caplog.records] == [line, source.report[1]]
    number, summary = source.report
    assert number == 10
    assert summary.startswith("9 rows were missing, and made again: ")
    assert "Availability_Zone az0\\n, " in summary
    assert summary.endswith(" and 4 more")


def test_columns_that_were_set_back_are_named_with_their_row() -> None:
    """In the same line as rows that were made again."""
    engine = Engine(View(), ())
    source = RepairSource(engine)
    engine.repaired += [Repair(ROUTE), Repair(ROUTE, ("nexthop", "options"))]
    source.run(0.0)
    name = "OVN_Northbound Logical_Router_Static_Route 10.2.0.0/16"
    made, changed = f"made again: {name}", f"set back: {name} (nexthop, options)"
    assert source.report == (2, f"a row was missing, and {made}; a row was changed, and {changed}")
