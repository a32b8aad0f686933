"""Adding and removing transit switches of running databases, on values."""

from typing import Any

import pytest

from isthmus.engine.view import View
from isthmus.icdb.transit_switches.changes import (
    addition,
    list_transit_switches,
    longest_prefix,
    removal,
)
from isthmus.icdb.transit_switches.spec import TransitSwitchSpec, parse_transit_switches
from isthmus.model.changes import Change
from isthmus.model.operations import Delete, Insert
from isthmus.model.rows import (
    AvailabilityZone,
    IcPortBinding,
    IcRoute,
    Row,
    RowId,
    TransitSwitch,
)

OURS = {"vendor": "kube-ovn", "subnet": "169.254.100.0/24"}


def view_of(*rows: Row) -> View:
    """A view with these rows."""
    view = View()
    for row in rows:
        view.apply(Change(None, row))
    return view


def switch(name: str, **ids: str) -> TransitSwitch:
    """A transit switch."""
    return TransitSwitch(uuid=RowId(name), name=name, external_ids=ids)


ZONE = AvailabilityZone(uuid=RowId("z1"), name="az1")
PORT = IcPortBinding(uuid=RowId("p"), transit_switch="ts", availability_zone=RowId("z1"))


def route(prefix: str) -> IcRoute:
    """A route of az1 on ts."""
    values: dict[str, Any] = {"transit_switch": "ts", "availability_zone": RowId("z1")}
    return IcRoute(uuid=RowId(prefix), ip_prefix=prefix, **values)


def spec(text: str) -> TransitSwitchSpec:
    """A switch as given on the command line."""
    (found,), problems = parse_transit_switches([text])
    assert not problems
    return found


BEFORE = view_of(switch("ts", **OURS), switch("theirs"), ZONE, PORT, route("10.16.0.0/16"))


def test_a_new_switch_is_inserted() -> None:
    """With its subnet, and Kube-OVN as vendor."""
    [insert], problems = addition(BEFORE, spec("ts1=169.254.101.0/24"), 254)
    assert problems == ()
    assert isinstance(insert, Insert)
    assert insert.row["external_ids"] == {"subnet": "169.254.101.0/24", "vendor": "kube-ovn"}


@pytest.mark.parametrize(
    ("text", "zones", "said"),
    [
        ("new=169.254.101.0/24", 256, "has room for 254 zones; 256 zones need at least a /23"),
        ("new=fd00::/121", 256, "has room for 127 zones; 256 zones need at least a /119"),
        ("new=169.254.0.0/16", 2, "overlaps 169.254.100.0/24 of transit switch ts"),
        ("new=10.16.4.0/24", 2, "overlaps 10.16.0.0/16, which zone az1 advertises on ts"),
        ("theirs=10.9.0.0/24", 2, "is another vendor's"),
        ("ts=10.9.0.0/24", 2, "exists as 169.254.100.0/24, and clusters may have addresses"),
    ],
)
def test_what_cannot_be_added_is_named(text: str, zones: int, said: str) -> None:
    """Too small, overlapping, or existing."""
    operations, [problem] = addition(BEFORE, spec(text), zones)
    assert operations == ()
    assert said in problem.message


def test_what_may_be_added() -> None:
    """An existing switch as given is accepted; default routes and other networks do not overlap."""
    assert addition(BEFORE, spec("ts=169.254.100.0/24"), 2) == ((), ())
    view = view_of(switch("ts", **OURS), ZONE, route("0.0.0.0/0"))
    assert addition(view, spec("new=10.0.0.0/24"), 2)[0]
    assert addition(BEFORE, spec("new=10.16.0.0/24@blue"), 2)[0]
    assert addition(BEFORE, spec("new=169.254.100.0/24@blue"), 2)[0]


@pytest.mark.parametrize(
    ("ports", "version", "length"),
    [(2, 4, 30), (3, 4, 29), (254, 4, 24), (255, 4, 23), (256, 4, 23), (255, 6, 120)],
)
def test_the_size_that_zones_need(ports: int, version: int, length: int) -> None:
    """Also at the limits."""
    assert longest_prefix(ports, version) == length


def test_a_switch_is_removed() -> None:
    """Only ours; with zones attached only if asked for; a missing one is named."""
    operations, [attached] = removal(BEFORE, "ts", attached_too=False)
    assert operations == ()
    assert attached.message.endswith(": az1")
    operations, problems = removal(BEFORE, "ts", attached_too=True)
    assert problems == ()
    assert operations[-1] == Delete(TransitSwitch, RowId("ts"))
    for name, said in (("theirs", "is another vendor's"), ("gone", "existing ones: theirs, ts")):
        operations, [problem] = removal(BEFORE, name, attached_too=True)
        assert operations == ()
        assert said in problem.message


def test_switches_are_listed() -> None:
    """With attached zones and room for more; other vendors' too."""
    theirs, ours = list_transit_switches(BEFORE)
    assert (theirs.ours, theirs.room, theirs.zones) == (False, None, ())
    assert (ours.ours, ours.room, ours.zones) == (True, 254, ("az1",))
