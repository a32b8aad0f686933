"""Every column that is ours, overwritten by hand, comes back and is reported, or says why not."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from isthmus.engine.fights import QUIET
from isthmus.engine.transactions import Committed
from isthmus.model.operations import Update
from isthmus.model.rows import (
    Chassis,
    Database,
    IcDatapathBinding,
    IcPortBinding,
    IcSbGlobal,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    Row,
    TransitSwitch,
)
from support.harm.columns import OWNED, contents, own_rows, values_of
from support.harm.world import World

_STRANGER = "without the mark, the row is another one's, and a new row is made"
_AGREED = "all zones follow a key that is free; that of one zone is not more right"
_CLAIM = "a claim that another one has made is never overwritten"
KEPT: Mapping[tuple[type[Row], str], str] = {
    (LogicalSwitch, "name"): "OVN and Isthmus find the copy by its mark",
    (LogicalSwitchPort, "external_ids:vendor"): "another vendor's port; the problem names it",
    (LogicalRouterPort, "mac"): "every MAC works; that of an adopted port stays, too",
    (LogicalRouterStaticRoute, "external_ids:ic-learned-route"): _STRANGER,
    (LogicalRouterPolicy, "priority"): _STRANGER,
    (LogicalRouterPolicy, "external_ids:vendor"): _STRANGER,
    (LogicalRouterPolicy, "external_ids"): _STRANGER,
    (Chassis, "other_config:is-remote"): "a chassis that is not remote is never touched",
    (IcDatapathBinding, "transit_switch"): _AGREED,
    (IcDatapathBinding, "tunnel_key"): _AGREED,
    (IcPortBinding, "tunnel_key"): _AGREED,
    **{(IcSbGlobal, f"external_ids:isthmus-zone-az{zone}"): _CLAIM for zone in (1, 2)},
    **{
        (TransitSwitch, f"external_ids:isthmus-address-169.254.{address}"): _CLAIM
        for address in ("100.112", "100.36", "200.169", "200.82")
    },
}
"""What does not come back as it was, or not by our hand, and why."""

UNREPORTED = {
    (LogicalRouterStaticRoute, "options:origin"): "another row takes the place of the route",
}


def cases() -> Iterator[tuple[type[Row], str]]:
    """Each table and column."""
    return ((kind, column) for kind, columns in OWNED.items() for column in columns)


@pytest.mark.parametrize(("kind", "column"), list(cases()), ids=lambda c: getattr(c, "TABLE", c))
def test_an_overwritten_column_comes_back(kind: type[Row], column: str) -> None:
    """All is as before, in all databases, and the repair is reported; `KEPT` lists exceptions."""
    world, kept = World(seed=3), set[str]()
    for number, case, what in _changes(world, kind, column):
        before = contents(world)
        reported = _overwrite(world, kind, column, number, case)
        if contents(world) != before:
            kept.add(what)
            world = World(seed=3)
        elif (kind, what) not in {*KEPT, *UNREPORTED}:
            assert reported, f"{kind.TABLE} {what} came back without a report"
    expected = {what for table, what in KEPT if table is kind and what.startswith(column)}
    assert kept == expected


def _changes(world: World, kind: type[Row], column: str) -> list[tuple[int, int, str]]:
    """The numbers of two rows and of the values to write, each with what it changes."""
    return [
        (number, case, what)
        for number, row in enumerate(own_rows(world.fleet.zones[0], kind)[:2])
        for case, (what, _) in enumerate(values_of(row, column))
    ]


def _overwrite(world: World, kind: type[Row], column: str, number: int, case: int) -> bool:
    """Write one value, and return whether a repair is reported."""
    zone = world.fleet.zones[0]
    row = own_rows(zone, kind)[number]
    _, value = list(values_of(row, column))[case]
    zone.now += QUIET  # the end of what the engine has repaired before
    zone.engine.repaired.clear()
    change = Update(kind, row["_uuid"], {column.partition(":")[0]: value})
    assert zone.databases[kind.DATABASE].transact([change]) == Committed()
    world.edited()
    world.settle()
    return zone.engine.repaired != []


def test_the_columns_are_those_of_the_ownership_table() -> None:
    """Each table of ARCHITECTURE.md is here, except what no fleet of Kube-OVN has."""
    page = (Path(__file__).parents[3] / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (NB|SB|IC-NB|IC-SB)((?: `\w+`,?)+) \|", page, re.MULTILINE)
    named = {(where, name) for where, names in rows for name in re.findall(r"`(\w+)`", names)}
    short = {Database.NB: "NB", Database.SB: "SB", Database.IC_NB: "IC-NB", Database.IC_SB: "IC-SB"}
    here = {(short[kind.DATABASE], kind.TABLE) for kind in OWNED}
    assert here <= named
    assert named - here == {
        ("IC-NB", "IC_NB_Global"),  # sequence numbers, which are written when they are raised
        ("NB", "Logical_Router"),  # transit routers
        ("SB", "Service_Monitor"),
        ("IC-SB", "Service_Monitor"),
    }
