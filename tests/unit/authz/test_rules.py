"""The authorization rules: what a zone may write, and what not."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.authz.database_state import COLUMNS, DatabaseState
from isthmus.authz.request import AuthorizationPolicy, RefusedError
from isthmus.authz.rules import checked


def uuid(number: int) -> str:
    """A row's UUID."""
    return str(UUID(int=0xABC << 100 | number))


AZ1, AZ2, TS, DP = uuid(1), uuid(2), uuid(3), uuid(4)
GW1, GW2, ENCAP1, ENCAP2 = uuid(11), uuid(12), uuid(13), uuid(14)
PORT1, PORT2, ROUTE1, ROUTE2, MONITOR = uuid(21), uuid(22), uuid(31), uuid(32), uuid(41)
NO_POLICY = AuthorizationPolicy()
CLAIMS = {"subnet": "169.254.100.0/24", "isthmus-address-169.254.100.1": f"az1/{uuid(99)}"}


def committed() -> DatabaseState:
    """Two zones with a gateway, a port and a route each."""

    def ref(uuid: str) -> list[str]:
        return ["uuid", uuid]

    def port(number: int, zone: str) -> dict[str, Any]:
        address = f"0a:00:00:00:00:0{number} 169.254.100.{number}/24"
        return {"transit_switch": "ts", "availability_zone": ref(zone), "address": address}

    def route(number: int, zone: str) -> dict[str, Any]:
        return {
            "transit_switch": "ts", "availability_zone": ref(zone),
            "ip_prefix": f"10.{number}.0.1/16", "nexthop": f"169.254.100.{number}",
        }  # fmt: skip

    ask = {"source_availability_zone": "az1", "target_availability_zone": "az2"}
    rows: Mapping[str, Mapping[str, Any]] = {
        "Availability_Zone": {AZ1: {"name": "az1"}, AZ2: {"name": "az2"}},
        "Gateway": {
            GW1: {"name": "gw1", "availability_zone": ref(AZ1)},
            GW2: {"name": "gw2", "availability_zone": ref(AZ2)},
        },
        "Encap": {
            ENCAP1: {"gateway_name": "gw1", "type": "geneve"},
            ENCAP2: {"gateway_name": "gw2", "type": "geneve"},
        },
        "Port_Binding": {PORT1: port(1, AZ1), PORT2: port(2, AZ2)},
        "Route": {ROUTE1: route(1, AZ1), ROUTE2: route(2, AZ2)},
        "Transit_Switch": {
            TS: {"name": "ts", "external_ids": ["map", [list(item) for item in CLAIMS.items()]]}
        },
        "Datapath_Binding": {DP: {"transit_switch": "ts", "tunnel_key": 16711681}},
        "Service_Monitor": {MONITOR: ask},
    }
    state = DatabaseState()
    list(
        state.apply({t: {u: {"new": row} for u, row in table.items()} for t, table in rows.items()})
    )
    return state


def check(operations: list[Any], zone: str, state: DatabaseState, policy: Any) -> list[Any]:
    """The operations to pass on."""
    return list(checked(operations, zone, state, policy))


def insert(table: str, **row: Any) -> dict[str, Any]:
    """An insert."""
    return {"op": "insert", "table": table, "row": row}


def update(table: str, target: str, **row: Any) -> dict[str, Any]:
    """An update of one row."""
    return {
        "op": "update",
        "table": table,
        "where": [["_uuid", "==", ["uuid", target]]],
        "row": row,
    }


def delete(table: str, target: str) -> dict[str, Any]:
    """The deletion of one row."""
    return {"op": "delete", "table": table, "where": [["_uuid", "==", ["uuid", target]]]}


def keys(table: str, target: str, mutator: str, value: Any) -> dict[str, Any]:
    """A mutation of external_ids."""
    where = [["_uuid", "==", ["uuid", target]]]
    mutations = [["external_ids", mutator, value]]
    return {"op": "mutate", "table": table, "where": where, "mutations": mutations}


def route(prefix: str, nexthop: str = "169.254.100.2", zone: str = AZ2) -> dict[str, Any]:
    """A new route, as ovn-ic inserts it."""
    return insert(
        "Route", transit_switch="ts", availability_zone=["uuid", zone], ip_prefix=prefix,
        nexthop=nexthop, origin="connected",
    )  # fmt: skip


def new_port(address: str, switch: Any = "ts") -> dict[str, Any]:
    """A new port of az2."""
    return insert(
        "Port_Binding", transit_switch=switch, availability_zone=["uuid", AZ2], address=address
    )


def claim(address: str, holder: str) -> Any:
    """The value that claims an address."""
    return ["map", [[f"isthmus-address-{address}", holder]]]


ALLOWED: Mapping[str, list[Any]] = {
    "its route": [route("10.22.0.0/16")],
    "a part of its own prefix": [route("10.2.7.0/24")],
    "a wider prefix than another's": [route("10.0.0.0/8")],
    "a default route": [route("0.0.0.0/0")],
    "withdrawing": [delete("Route", ROUTE2), delete("Port_Binding", PORT2)],
    "what is deleted already": [delete("Route", uuid(77))],
    "its address": [update("Port_Binding", PORT2, address="0a:00:00:00:00:02 169.254.100.7/24")],
    "a route with its port": [
        new_port("0a:00:00:00:00:03 169.254.100.3/24"), route("10.9.0.0/16", "169.254.100.3"),
    ],
    "a gateway with its tunnel": [
        insert("Encap", gateway_name="gw9", type="geneve", ip="192.0.2.9") | {"uuid-name": "e"},
        insert("Gateway", name="gw9", availability_zone=["uuid", AZ2], encaps=["named-uuid", "e"]),
    ],
    "a comment, a wait": [
        {"op": "comment", "comment": "x"},
        {"op": "wait", "table": "Route", "timeout": 0},
    ],
    "what a datapath is for": [
        update("Datapath_Binding", DP, type="transit-switch", nb_ic_uuid=["uuid", TS])
    ],
    "what is left over": [delete("Datapath_Binding", uuid(78))],
    "a missing key": [insert("Datapath_Binding", transit_switch="ts", tunnel_key=16711682)],
    "its claim": [keys("IC_SB_Global", uuid(5), "insert", ["map", [["isthmus-zone-az2", "x"]]])],
    "its heartbeat": [
        keys("IC_SB_Global", uuid(5), "insert", ["map", [["isthmus-alive-az2", "1"]]])
    ],
    "its address claim": [
        keys("Transit_Switch", TS, "insert", claim("169.254.100.2", "az2/x"))
    ],
    "an answer to a check": [update("Service_Monitor", MONITOR, status="online")],
    "its number": [update("Availability_Zone", AZ2, nb_ic_cfg=4)],
}  # fmt: skip

REFUSED: Mapping[str, list[Any]] = {
    "another's tunnel, by a gateway that does not exist": [
        update("Gateway", uuid(78), name="gw1"),
        update("Gateway", GW2, encaps=["uuid", ENCAP1]),
    ],
    "another's tunnel, by a gateway that it inserts and deletes": [
        {**insert("Gateway", name="gw1", availability_zone=["uuid", AZ2]), "uuid-name": "g"},
        {"op": "delete", "table": "Gateway", "where": [["_uuid", "==", ["named-uuid", "g"]]]},
        update("Gateway", GW2, encaps=["uuid", ENCAP1]),
    ],
    "another's tunnel, by a gateway that it renames and deletes": [
        update("Gateway", GW2, name="gw1"),
        delete("Gateway", GW2),
        insert("Gateway", name="x", availability_zone=["uuid", AZ2], encaps=["uuid", ENCAP1]),
    ],
    "a key out of range": [insert("Datapath_Binding", transit_switch="ts", tunnel_key=5)],
    "another's zone in a route": [route("10.22.0.0/16", zone=AZ1)],
    "another's prefix": [route("10.1.0.0/16")],
    "a part of another's prefix": [route("10.1.3.0/24")],
    "another's next hop": [route("10.22.0.0/16", nexthop="169.254.100.1")],
    "moving its route": [update("Route", ROUTE2, ip_prefix="10.1.0.0/24")],
    "giving a route away": [update("Route", ROUTE2, availability_zone=["uuid", AZ1])],
    "another's route": [delete("Route", ROUTE1)],
    "another's route, in capitals": [delete("Route", ROUTE1.upper())],
    "all routes": [{"op": "delete", "table": "Route", "where": []}],
    "routes by prefix": [
        {"op": "delete", "table": "Route", "where": [["ip_prefix", "==", "10.1.0.1/16"]]}
    ],
    "another's keys": [keys("Route", ROUTE1, "insert", ["map", [["a", "b"]]])],
    "another's address": [new_port("0a:00:00:00:00:09 169.254.100.1/24")],
    "another's MAC": [new_port("0A:00:00:00:00:01 169.254.100.9/24")],
    "another spelling of an address": [new_port("0a:00:00:00:00:09 169.254.100.001/24")],
    "another spelling of a switch": [
        new_port("0a:00:00:00:00:09 169.254.100.1/24", ["set", ["ts"]])
    ],
    "two steps to an address": [
        update("Port_Binding", PORT2, transit_switch="ts2"),
        update("Port_Binding", PORT2, address="0a:00:00:00:00:09 169.254.100.1/24"),
    ],
    "an address for the port that it inserts": [
        new_port("") | {"uuid-name": "p"},
        {**update("Port_Binding", "", address="0a:00:00:00:00:09 169.254.100.1/24"),
         "where": [["_uuid", "==", ["named-uuid", "p"]]]},
    ],
    "a UUID of its choice": [route("10.22.0.0/16") | {"uuid": uuid(77)}],
    "another's gateway": [update("Gateway", GW1, hostname="mine")],
    "another's tunnel": [update("Gateway", GW2, encaps=["uuid", ENCAP1])],
    "changing another's tunnel": [update("Encap", ENCAP1, ip="192.0.2.66")],
    "another's name": [update("Availability_Zone", AZ2, name="az1")],
    "another zone": [insert("Availability_Zone", name="az3")],
    "another's zone": [delete("Availability_Zone", AZ1)],
    "another's claim": [
        keys("IC_SB_Global", uuid(5), "delete", ["set", ["isthmus-zone-az1"]])
    ],
    "all claims": [update("IC_SB_Global", uuid(5), external_ids=["map", []])],
    "opening ports": [update("IC_SB_Global", uuid(5), connections=["set", []])],
    "a connection": [insert("Connection", target="ptcp:1")],
    "another's address claim": [
        keys("Transit_Switch", TS, "delete", ["set", ["isthmus-address-169.254.100.1"]])
    ],
    "an address in another's name": [
        keys("Transit_Switch", TS, "insert", claim("169.254.100.9", "az1/x"))
    ],
    "the subnet": [keys("Transit_Switch", TS, "delete", "subnet")],
    "a transit switch": [delete("Transit_Switch", TS)],
    "a key in use": [delete("Datapath_Binding", DP)],
    "a datapath for another network": [
        update("Datapath_Binding", DP, type="transit-router", nb_ic_uuid=["uuid", TS])
    ],
    "another column of a datapath": [update("Datapath_Binding", DP, something=1)],
    "changing a key in use": [update("Datapath_Binding", DP, tunnel_key=16711690)],
    "another's check": [delete("Service_Monitor", MONITOR)],
    "an unknown operation": [{"op": "assert", "lock": "x"}],
    "an operation that is not an object": ["x"],
    "malformed": [{"op": "mutate", "table": "IC_SB_Global", "mutations": 3,
                   "where": [["_uuid", "==", ["uuid", uuid(5)]]]}],
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_a_zone_may_do(name: str) -> None:
    """What ovn-ic and Isthmus write for their own zone passes; only conditions are added."""
    passed = check(ALLOWED[name], "az2", committed(), NO_POLICY)
    asked = [dict(operation) for operation in ALLOWED[name]]
    for operation, sent in zip(asked, passed[: len(asked)], strict=True):
        where = operation.get("where", [])
        assert sent.get("where", [])[: len(where)] == where
        assert {**sent, "where": where} == {**operation, "where": where}
    assert all(operation["op"] == "wait" for operation in passed[len(asked) :])


@pytest.mark.parametrize("name", REFUSED)
def test_a_zone_may_not_do(name: str) -> None:
    """What concerns another zone, or cannot be checked, is refused as a whole."""
    harmless = {"op": "comment", "comment": "x"}
    with pytest.raises(RefusedError):
        check([harmless, *REFUSED[name]], "az2", committed(), NO_POLICY)


def test_waits_do_not_wait() -> None:
    """A transaction is carried out when it is authorized, not later."""
    wait = {"op": "wait", "table": "Route", "timeout": 60000}
    assert check([wait], "az2", committed(), NO_POLICY) == [{**wait, "timeout": 0}]
    assert check([{"op": "wait", "table": "Route"}], "az2", committed(), NO_POLICY) == [
        {**wait, "timeout": 0}
    ]


def test_the_next_hop_of_another_zones_routes_is_refused() -> None:
    """The owner's port may be missing for a moment; without the route the address is free."""
    state = committed()
    list(state.apply({"Port_Binding": {PORT1: {}}}))
    address = "0a:00:00:00:00:09 169.254.100.1/24"
    port = insert(
        "Port_Binding", transit_switch="ts", availability_zone=["uuid", AZ2], address=address
    )
    with pytest.raises(
        RefusedError, match=r"another zone has routes with next hop 169\.254\.100\.1"
    ):
        check([port], "az2", state, NO_POLICY)
    list(state.apply({"Route": {ROUTE1: {}}}))
    assert check([port], "az2", state, NO_POLICY) == [port]


def test_a_wider_prefix_of_another_zone_does_not_bind_the_owner() -> None:
    """The longest prefix decides, so a wider prefix does not stop the owner of a longer one."""
    state = committed()
    [wide] = check([route("10.0.0.0/8")], "az2", state, NO_POLICY)
    list(state.apply({"Route": {uuid(79): {"new": wide["row"]}}}))
    mine = {"zone": AZ1, "nexthop": "169.254.100.1"}
    assert check([route("10.1.3.0/24", **mine)], "az1", state, NO_POLICY)
    with pytest.raises(RefusedError, match=r"zone az2 advertises 10\.0\.0\.0/8"):
        check([route("10.3.0.0/16", **mine)], "az1", state, NO_POLICY)
    both = {"new": {**wide["row"], "ip_prefix": "10.1.0.0/16"}}
    list(state.apply({"Route": {uuid(80): both}}))
    with pytest.raises(RefusedError, match=r"zone az2 advertises 10\.1\.0\.0/16"):
        check([route("10.1.3.0/24", **mine)], "az1", state, NO_POLICY)


@pytest.mark.parametrize("prefix", ["0.0.0.0/0", "0.0.0.0/1", "8.0.0.0/7", "::/0", "2000::/3"])
def test_what_is_almost_a_default_route_blocks_no_other_zone(prefix: str) -> None:
    """No zone learns it unless it accepts it by name, so it reserves nothing."""
    state = committed()
    [wide] = check([route(prefix)], "az2", state, NO_POLICY)
    list(state.apply({"Route": {uuid(79): {"new": wide["row"]}}}))
    mine = {"zone": AZ1, "nexthop": "169.254.100.1"}
    for own in ("10.3.0.0/16", "8.8.0.0/16", "2001:db8::/48"):
        assert check([route(own, **mine)], "az1", state, NO_POLICY)
    with pytest.raises(RefusedError, match="zone az2 advertises"):
        check([route(prefix, **mine)], "az1", state, NO_POLICY)


@pytest.mark.parametrize("table", ["Gateway", "Port_Binding", "Route"])
@pytest.mark.parametrize("op", ["update", "mutate", "delete"])
def test_the_server_verifies_the_owner(op: str, table: str) -> None:
    """A row that has not arrived yet may be another zone's: the server compares its owner."""
    asked = {**delete(table, uuid(77)), "op": op}
    [passed] = check([asked], "az2", committed(), NO_POLICY)
    assert passed["where"] == [*asked["where"], ["availability_zone", "==", ["uuid", AZ2]]]
    [passed] = check([asked], "az3", committed(), NO_POLICY)
    assert passed["where"] == [*asked["where"], ["_uuid", "==", ["uuid", str(UUID(int=0))]]]


def test_the_server_verifies_a_datapath() -> None:
    """An unknown datapath is not deleted; a stale one only while it is unchanged."""
    asked = delete("Datapath_Binding", uuid(77))
    [passed] = check([asked], "az2", committed(), NO_POLICY)
    assert passed["where"][1:] == [["_uuid", "==", ["uuid", str(UUID(int=0))]]]
    state = committed()
    list(state.apply({"Transit_Switch": {TS: {"old": {}}}}))
    [passed] = check([delete("Datapath_Binding", DP)], "az2", state, NO_POLICY)
    assert passed["where"][1:] == [["transit_switch", "==", "ts"], ["tunnel_key", "==", 16711681]]


def test_a_tunnel_key_changes_only_if_it_is_out_of_range() -> None:
    """With VXLAN tunnels a zone gives a datapath a shorter key, which then stays."""
    state, short = committed(), update("Datapath_Binding", DP, tunnel_key=1024)
    with pytest.raises(RefusedError):
        check([short], "az2", state, NO_POLICY)
    vxlan = {"options": ["map", [["vxlan_mode", "true"]]]}
    list(state.apply({"IC_NB_Global": {uuid(6): {"new": vxlan}}}))
    list(state.apply({"Encap": {ENCAP1: {"new": {"gateway_name": "gw1", "type": "vxlan"}}}}))
    check([short], "az2", state, NO_POLICY)
    with pytest.raises(RefusedError):
        check([update("Datapath_Binding", DP, tunnel_key=16711690)], "az2", state, NO_POLICY)
    list(
        state.apply(
            {"Datapath_Binding": {DP: {"new": {"transit_switch": "ts", "tunnel_key": 1024}}}}
        )
    )
    with pytest.raises(RefusedError):
        check([update("Datapath_Binding", DP, tunnel_key=1025)], "az2", state, NO_POLICY)


def test_refusals_are_short_and_printable() -> None:
    """A refusal names zone, table and operation, and contains no control characters."""
    evil = "10.1.0.0/16\x1b[2J\u202e" + "x" * 5000
    with pytest.raises(RefusedError) as refused:
        check([route(evil)], "az2", committed(), NO_POLICY)
    assert (refused.value.zone, refused.value.table) == ("az2", "Route")
    assert refused.value.operation == "insert"
    with pytest.raises(RefusedError) as refused:
        check([keys("IC_SB_Global", uuid(5), "insert", ["map", [[evil, ""]]])], "az2", committed(),
              NO_POLICY)  # fmt: skip
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_a_claim_is_deleted_only_from_its_holder() -> None:
    """The deletion that is passed on names the value, so the key must still be the zone's."""
    asked = keys("Transit_Switch", TS, "delete", ["set", ["isthmus-address-169.254.100.1"]])
    [passed] = check([asked], "az1", committed(), NO_POLICY)
    assert passed["mutations"] == [
        ["external_ids", "delete", claim("169.254.100.1", f"az1/{uuid(99)}")]
    ]


def test_a_new_zone_registers_with_its_rows() -> None:
    """A transaction may insert the zone and rows that refer to it."""
    zone = insert("Availability_Zone", name="az3") | {"uuid-name": "z"}
    port = new_port("0a:00:00:00:00:03 169.254.100.3/24")
    port["row"]["availability_zone"] = ["named-uuid", "z"]
    assert check([port, zone], "az3", committed(), NO_POLICY) == [port, zone]


def test_declared_prefixes_are_exclusive() -> None:
    """With declared prefixes the order of advertisements does not matter."""
    policy = AuthorizationPolicy({"az2": (ip_network("10.1.0.0/16"),)})
    check([route("10.1.4.0/24")], "az2", committed(), policy)
    with pytest.raises(RefusedError, match="outside the zone's allowed prefixes"):
        check([route("10.22.0.0/16")], "az2", committed(), policy)
    with pytest.raises(RefusedError, match="is reserved for zone az2"):
        check([route("10.1.9.0/24", "169.254.100.1", AZ1)], "az1", committed(), policy)


def test_shared_prefixes_may_be_advertised_by_several() -> None:
    """Anycast is possible where the operator allows it."""
    policy = AuthorizationPolicy(shared=(ip_network("10.1.0.0/16"),))
    check([route("10.1.0.0/16")], "az2", committed(), policy)


def test_withdrawn_prefixes_and_addresses_are_free() -> None:
    """A prefix and an address are free once their rows are deleted."""
    state = committed()
    list(state.apply({"Route": {ROUTE1: {"old": {}}}, "Port_Binding": {PORT1: {"old": {}}}}))
    check([route("10.1.0.0/16")], "az2", state, NO_POLICY)
    check([new_port("0a:00:00:00:00:01 169.254.100.1/24")], "az2", state, NO_POLICY)
    state.clear("OVN_IC_Southbound")
    assert not any(state.tables[table] for table in COLUMNS["OVN_IC_Southbound"])


_uuids = st.sampled_from([AZ1, GW1, ENCAP1, PORT1, ROUTE1, TS, DP, ROUTE1.upper()])
_values = st.recursive(
    st.one_of(
        st.sampled_from(["az1", "az2", "ts", "10.1.0.0/16", "169.254.100.1"]),
        st.integers(),
        st.none(),
        st.tuples(st.sampled_from(["uuid", "named-uuid"]), _uuids).map(list),
    ),
    lambda inner: st.tuples(st.sampled_from(["set", "map"]), st.lists(inner)).map(list),
    max_leaves=5,
)


@given(
    st.sampled_from(["update", "mutate", "delete"]),
    st.sampled_from(["Availability_Zone", "Gateway", "Port_Binding", "Route"]),
    _uuids,
    st.dictionaries(st.sampled_from(["name", "availability_zone", "address", "x"]), _values),
    _values,
)
def test_no_form_of_write_reaches_another_zones_row(
    op: str, table: str, target: str, row: dict[str, Any], value: Any
) -> None:
    """Any write of az2 to a row of az1 is refused, and the rules never raise another error."""
    operation = {
        "op": op, "table": table, "where": [["_uuid", "==", ["uuid", target]]], "row": row,
        "mutations": [["external_ids", "insert", value]],
    }  # fmt: skip
    try:
        check([operation], "az2", committed(), NO_POLICY)
    except RefusedError:
        return
    assert target not in committed().tables[table], "a write to a row of az1 was accepted"
