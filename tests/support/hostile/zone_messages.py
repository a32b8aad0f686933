"""Messages by which a zone with a valid certificate attacks the databases.

Used by the test of the combined attack and by `bench.hostile_zone`. Imports nothing of Isthmus, so
that the same messages can be sent to an earlier version.
"""

import json
from typing import NamedTuple

SB = "OVN_IC_Southbound"
SWITCH, NEXTHOP = "ts", "169.254.100.7"
"""The transit switch, and the address of the attacker's port on it."""

ROUTES = 10_000
"""In one message; the attacker sends more than its quota in several."""


class Attack(NamedTuple):
    """What one connection sends at once.

    Args:
        name: what it exhausts.
        data: one or several messages.
        answer: a regular expression that matches one of the answers.
        closes: whether the proxy closes the connection, maybe before the answer can be read.
    """

    name: str
    data: bytes
    answer: str
    closes: bool = False


def setup(zone: str, number: int = 7) -> list[object]:
    """The operations that create a zone's row and port.

    Args:
        zone: its name.
        number: of the port; 7 for the attacker.
    """
    address = f"0a:00:00:00:00:{number:02} {NEXTHOP[:-1]}{number}/24"
    port = {
        "transit_switch": SWITCH, "logical_port": f"{SWITCH}-{zone}", "tunnel_key": number,
        "availability_zone": ["named-uuid", "z"], "address": address,
    }  # fmt: skip
    return [
        {"op": "insert", "table": "Availability_Zone", "row": {"name": zone}, "uuid-name": "z"},
        {"op": "insert", "table": "Port_Binding", "row": port},
    ]


def transact(*operations: object) -> bytes:
    """A transaction on IC-SB."""
    return json.dumps({"method": "transact", "id": 1, "params": [SB, *operations]}).encode()


def write(port: str, value: str) -> dict[str, object]:
    """An update of a zone's port, which any zone may make."""
    where = [["_uuid", "==", ["uuid", port]]]
    row = {"external_ids": ["map", [["x", value]]]}
    return {"op": "update", "table": "Port_Binding", "where": where, "row": row}


def attacks(zone: str, port: str) -> list[Attack]:
    """All of them.

    Args:
        zone, port: the UUIDs of the attacker's rows.
    """
    monitors = (
        json.dumps({"method": "monitor", "id": n, "params": [SB, n, {"Route": {}}]}).encode()
        for n in range(500)
    )
    select, wait = (
        {"op": op, "table": "Route", "where": [], "columns": ["origin"], **more}
        for op, more in (("select", {}), ("wait", {"until": "!=", "rows": []}))
    )
    where = {**select, "where": [["origin", "==", "x"]] * 100_000}
    text, long = "x" * (3 << 20), "x" * (25 << 20)
    return [
        Attack("comment of 25 MB", transact(write(port, ""), _comment(long)), "zone_message", True),
        Attack("30 MB of [],", _flood(10 << 20), "zone_values", True),
        Attack("[], within the bounds", _flood(240_000), "not an object"),
        Attack("depth of 900", b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", "zone_depth", True),
        Attack("deep within the bounds", _flood(30_000, b"[" * 12 + b"]" * 12), "not an object"),
        Attack("prefix of 25 MB", transact(_route(zone, 0, long)), "zone_message", True),
        Attack("prefix of 3 MB", transact(_route(zone, 0, text)), "zone_row"),
        Attack("external_ids of 3 MB", transact(_route(zone, 0, "", text)), "zone_row"),
        Attack("comment of 3 MB", transact(write(port, ""), _comment(text)), "zone_comment"),
        Attack("unknown member", transact({**write(port, ""), "note": text}), "its member note"),
        Attack("1,000 selects", transact(*[select] * 1000), "selects the table twice"),
        Attack("1,000 waits", transact(*[wait] * 1000), "zone_scans"),
        Attack("100,000 conditions", transact(where), "zone_clauses"),
        Attack("50,000 operations", transact(*[_comment("")] * 50_000), "zone_operations"),
        Attack("500 monitors", b"".join(monitors), "zone_monitors"),
        Attack("500 comments", transact(_comment("x" * 1000)) * 500, r"\[\{\}\]"),
        Attack("writes", b"".join(transact(write(port, f"{n:1900}")) for n in range(500)), "count"),
        *(
            Attack(
                f"routes, part {part}",
                transact(*(_route(zone, part * ROUTES + n) for n in range(ROUTES))),
                "uuid|zone_routes",
            )
            for part in range(4)
        ),
    ]


def _flood(times: int, text: bytes = b"[]") -> bytes:
    """A transaction with many lists in place of operations."""
    return transact("end").replace(b'"end"', (text + b",") * times + b"1")


def _comment(text: str) -> object:
    return {"op": "comment", "comment": text}


def _route(zone: str, number: int, prefix: str = "", ids: str = "x" * 50) -> object:
    row = {
        "transit_switch": SWITCH, "availability_zone": ["uuid", zone], "nexthop": NEXTHOP,
        "ip_prefix": prefix or f"10.{number >> 8}.{number & 255}.0/24", "origin": "connected",
        "external_ids": ["map", [["ic-route", ids]]],
    }  # fmt: skip
    return {"op": "insert", "table": "Route", "row": row}
