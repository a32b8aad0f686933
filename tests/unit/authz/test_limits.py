"""What one transaction of a zone may contain, and what the zone may store in total."""

from typing import Any

import pytest

from isthmus.authz.database_state import DatabaseState
from isthmus.authz.limits.rates import Rate
from isthmus.authz.limits.row_quotas import RowQuotas
from isthmus.authz.request import AuthorizationPolicy, RefusedError
from isthmus.authz.rules import checked
from isthmus.model.bounds import ZONE_REQUESTS, Limit

AZ2 = "22222222-0000-4000-8000-000000000000"
TS = "33333333-0000-4000-8000-000000000000"
ROUTE = "44444444-0000-4000-8000-000000000000"
ADDRESS = "0a:00:00:00:00:02 169.254.100.2/24"

Row = dict[str, Any]


def committed() -> DatabaseState:
    """A zone az2 with a port and a route that has 1,900 characters of external_ids."""
    own = {"transit_switch": "ts", "availability_zone": ["uuid", AZ2]}
    many = ["map", [["a", "x" * 1880]]]
    route = {**own, "ip_prefix": "10.2.0.0/16", "nexthop": "169.254.100.2", "external_ids": many}
    claims = ["map", [[f"isthmus-address-169.254.100.{n}", "az2/x"] for n in range(64)]]
    tables: dict[str, dict[str, Row]] = {
        "Availability_Zone": {AZ2: {"name": "az2"}},
        "Transit_Switch": {TS: {"name": "ts", "external_ids": claims}},
        "Port_Binding": {"port": {**own, "address": ADDRESS}},
        "Route": {ROUTE: route},
    }
    state = DatabaseState()
    list(
        state.apply({t: {u: {"new": row} for u, row in rows.items()} for t, rows in tables.items()})
    )
    return state


def on(table: str, uuid: str, op: str, **more: object) -> Row:
    """An operation on one row."""
    return {"op": op, "table": table, "where": [["_uuid", "==", ["uuid", uuid]]], **more}


def route(prefix: str = "10.2.0.0/16", **more: object) -> Row:
    """A new route of az2."""
    row = {
        "transit_switch": "ts", "availability_zone": ["uuid", AZ2], "ip_prefix": prefix,
        "nexthop": "169.254.100.2", "origin": "connected", **more,
    }  # fmt: skip
    return {"op": "insert", "table": "Route", "row": row}


def port(name: str, switch: str = "ts") -> Row:
    """A new port of az2."""
    row = {"transit_switch": switch, "availability_zone": ["uuid", AZ2], "logical_port": name}
    return {"op": "insert", "table": "Port_Binding", "row": {**row, "address": ADDRESS}}


def select(table: str) -> Row:
    """A read of a whole table."""
    return {"op": "select", "table": table, "where": []}


def more_ids(text: str) -> Row:
    """The route's external_ids with one more."""
    return on("Route", ROUTE, "mutate", mutations=[["external_ids", "insert", ids(text)]])


def ids(text: str) -> Any:
    """A map with one pair."""
    return ["map", [["b", text]]]


WAIT = {"op": "wait", "table": "Route", "where": [], "columns": [], "until": "==", "rows": []}
CLAIM = ["map", [["isthmus-address-169.254.100.200", "az2/x"]]]
DATAPATH = {"op": "insert", "table": "Datapath_Binding",
            "row": {"transit_switch": "ts", "tunnel_key": 16711681}}  # fmt: skip

REFUSED: dict[str, tuple[str, list[Row]]] = {
    "operations": ("zone_operations", [{"op": "comment"}] * 20_001),
    "a comment of 30 MB": ("zone_comment", [{"op": "comment", "comment": "x" * (30 << 20)}]),
    "many comments": ("zone_comment", [{"op": "comment", "comment": "x" * 100}] * 11),
    "1,000 selects": ("zone_scans", [select(f"t{number}") for number in range(1000)]),
    "waits for whole tables": ("zone_scans", [WAIT] * 1000),
    "one table twice": ("selects the table twice", [select("Route"), select("Route")]),
    "conditions": (
        "zone_clauses", [{**select("Route"), "where": [["origin", "==", "x"]] * 9}],
    ),
    "a column of 1 MB": ("zone_row", [route(origin="x" * (1 << 20))]),
    "external_ids of 1 MB": ("zone_row", [route(external_ids=ids("x" * (1 << 20)))]),
    "external_ids bit by bit": ("zone_row", [more_ids("x" * 200)]),
    "65 claims": (
        "zone_claims",
        [on("Transit_Switch", TS, "mutate", mutations=[["external_ids", "insert", CLAIM]])],
    ),
    "an unknown member": ("its member note", [{**route(), "note": "x"}]),
    "a UUID of its choice": ("its member uuid", [{**route(), "uuid": ROUTE}]),
    "a datapath twice": ("the datapath twice", [DATAPATH, DATAPATH]),
    "the port of a zone that is not registered": ("belongs to zone az3", [port("ts-az3")]),
    "a port of a switch that does not exist": ("does not exist", [port("p", "ts9")]),
    "renaming its port to another zone's": (
        "belongs to zone az3",
        [on("Port_Binding", "55555555-0000-4000-8000-000000000000", "update",
            row={"logical_port": "ts-az3"})],
    ),
}  # fmt: skip

ALLOWED: dict[str, list[Row]] = {
    "10,000 routes in one transaction": [
        route(f"10.2.{number >> 8}.{number & 255}/32") for number in range(10_000)
    ],
    "each table once": [select("Route"), select("Port_Binding"), WAIT],
    "waits that name their row": [{**on("Route", ROUTE, "wait"), "rows": [{}]}] * 100,
    "one more of external_ids": [more_ids("x" * 20)],
    "its port": [port("ts-az2")],
    "a port with a name of another form": [port("lsp-ts-router")],
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_transaction_beyond_a_limit_is_refused(name: str) -> None:
    """The text names the bound, or what is wrong."""
    text, operations = REFUSED[name]
    with pytest.raises(RefusedError, match=text):
        list(checked(operations, "az2", committed(), AuthorizationPolicy()))


@pytest.mark.parametrize("name", ALLOWED)
def test_what_honest_zones_write_meets_no_limit(name: str) -> None:
    """ovn-ic writes everything in one transaction; Isthmus waits for whole rows."""
    assert list(checked(ALLOWED[name], "az2", committed(), AuthorizationPolicy()))


def test_the_operator_sets_limits_by_zone() -> None:
    """A higher limit admits what the default refuses; other zones keep the default."""
    [long] = [{"op": "comment", "comment": "x" * 2000}]
    policy = AuthorizationPolicy(quotas={"az2": {"zone_comment": 3000}})
    assert list(checked([long], "az2", committed(), policy)) == [long]
    with pytest.raises(RefusedError, match="--quota az1=zone_comment:NUMBER"):
        list(checked([long], "az1", committed(), policy))


def test_a_zone_has_a_quota_of_rows() -> None:
    """Rows that passed a moment ago count; if they were not committed, they count no longer."""
    quotas = RowQuotas(committed(), AuthorizationPolicy(quotas={"az2": {"zone_routes": 10}}))
    delete = on("Route", ROUTE, "delete")
    quotas.take([route()] * 9, "az2", now=0.0)
    with pytest.raises(RefusedError, match="11 routes; at most 10"):
        quotas.take([route()], "az2", now=1.0)
    quotas.take([route(), delete], "az2", now=1.0)
    quotas.take([route()] * 9, "az2", now=5.0)
    assert quotas.used("az2")["zone_routes"] == 1


def test_rows_are_counted_by_owner_as_they_come_and_go() -> None:
    """An update, a deletion and another zone's rows change no other number."""
    state = committed()
    quotas = RowQuotas(state, AuthorizationPolicy())
    row = {"transit_switch": "ts", "availability_zone": ["uuid", TS], "ip_prefix": "10.9.0.0/16"}
    list(state.apply({"Route": {"other": {"new": row}}}))
    assert quotas.used("az2")["zone_routes"] == 1
    list(state.apply({"Route": {ROUTE: {"new": dict(state.row("Route", ROUTE))}}}))
    assert quotas.used("az2")["zone_routes"] == 1
    state.clear("OVN_IC_Southbound")
    assert quotas.used("az2") == dict.fromkeys(quotas.used("az2"), 0)


def test_a_zone_that_sends_too_fast_is_delayed() -> None:
    """After 64 seconds' worth the rate applies; a pause gives back what was not used."""
    rate = Rate(Limit(ZONE_REQUESTS, 10))
    assert rate.delay(640, now=1000.0) <= 0
    assert rate.delay(10, now=1000.0) == pytest.approx(1)
    assert rate.delay(10, now=1002.0) <= 0
    assert rate.delay(640, now=2000.0) <= 0
