"""Attacks by what a zone writes: routes, names and addresses that it should not, or too many.

Through the proxy, also writes to others' rows, which must be refused. Without the proxy any client
can delete any row, so there the attacker changes others' rows only where no packet depends on them.
"""

from collections.abc import Mapping
from random import Random
from typing import Any

from hostile.door import NB, Asking, Door, by_uuid, insert
from hostile.floods import Attack

OWN_NETWORK = "10.64.0.0/10"
"""Where the honest zones accept routes of any zone."""

TEXTS = (
    "\x1b]0;title\x07\x1b[2J", "\x9b31m", "a\nb", "\r|ERR|", "\u202egnp.exe", "x" * 1500, "ä/ö",
    " ",    "%s%n{0}", "';--", "\ufffe", "🦀" * 100,
)  # fmt: skip

_PREFIXES = (
    "0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "1.0.0.0/8", "8.0.0.0/7", "127.0.0.0/8",
    "224.0.0.0/4", "240.0.0.0/4", "169.254.0.0/16", "fe80::/10", "ff00::/8", "::ffff:0:0/96",
    "10.16.0.0/16", "10.17.0.0/16", "10.18.0.0/16", "10.17.0.2/32", "10.16.0.0/17", "10.0.0.0/8",
    "192.168.65.0/24", "192.168.65.11/32", "100.64.0.0/16", "169.254.100.0/24", "", "x", "10.64/16",
    "10.64.0.0/99", "10.64.0.1/16", "1" * 64, "[" * 60, "10.64.0.0/16,10.65.0.0/16",
)  # fmt: skip
_OPTIONS: tuple[list[list[str]], ...] = (
    *([], [["csum", "x"]], [["dst_port", "0"]], [["dst_port", "99999"], ["csum", "true"]]),
    *([["\n", "\x1b"]], [["remote_ip", "192.168.65.12"], ["key", "7"]]),
)
"""Of a gateway's tunnel."""
_OWN_HOP = "169.254.100.250"
_NEXT_HOPS = (
    *(_OWN_HOP, _OWN_HOP, _OWN_HOP, _OWN_HOP, "169.254.100.1", "169.254.100.77", "10.17.0.2"),
    *("127.0.0.1", "::1", "x", "", "9" * 60),
)


def hostile_routes(choices: Random, door: Door) -> None:
    """Prefixes of others, default routes by another name, and no prefixes at all."""
    prefixes = choices.sample(_PREFIXES, choices.randrange(1, 10))
    _advertise(choices, door, prefixes)


def many_routes(choices: Random, door: Door) -> None:
    """More routes than others accept, or than a zone may have."""
    most = 40_000 if door.guarded else 2000
    number = min(choices.choice([100, 500, 1000, 40_000]), most)
    _advertise(choices, door, [f"10.{64 + n // 4096}.{n // 16 % 256}.{n % 16 * 16}/28"
                               for n in range(number)])  # fmt: skip


def hostile_names(choices: Random, door: Door) -> None:
    """Gateways, ports and external_ids with text for terminals, or of others."""
    name = choices.choice([*TEXTS, "az1-gw", "ts-az1", "ts-az9"])
    with door.asking() as client:
        zone = _own_zone(client, door.zone)
        encap = insert("Encap", "e", gateway_name=name, options=["map", choices.choice(_OPTIONS)],
                       type=choices.choice(["geneve", "geneve", "vxlan", "stt"]),
                       ip=choices.choice(["192.168.65.11", "203.0.113.4", "x", name]))  # fmt: skip
        gateway = insert(
            "Gateway", name=name, hostname=choices.choice(TEXTS), availability_zone=zone,
            encaps=["named-uuid", "e"], external_ids=["map", [[choices.choice(TEXTS), name]]],
        )  # fmt: skip
        client.transact(encap, gateway)
        client.transact(_port(choices, zone, name))
        client.transact(insert("Availability_Zone", name=name))


def _port(choices: Random, zone: Any, name: str) -> dict[str, Any]:
    number = choices.randrange(100, 250)
    address = choices.choice([
        f"0a:00:00:00:01:{number:02x} 169.254.100.{number}/24", "", "x", "unknown", name,
        "0a:00:00:00:00:01 300.1.1.1/99", "0a:00:00:00:00:01 " + "10.64.0.1/16 " * 50,
    ])  # fmt: skip
    return insert(
        "Port_Binding", logical_port=name, transit_switch=choices.choice(["ts", "ts", "nowhere"]),
        availability_zone=zone, tunnel_key=number, address=address, gateway=choices.choice(TEXTS),
    )  # fmt: skip


def forged_rows(choices: Random, door: Door) -> None:
    """Writes to rows of other zones: all refused by the proxy."""
    tables = ("Availability_Zone", "Gateway", "Encap", "Port_Binding", "Route", "Datapath_Binding")
    with door.asking() as client:
        zones = client.rows("Availability_Zone")
        for _ in range(choices.randrange(1, 20)):
            table = choices.choice(tables)
            rows = client.rows(table)
            if rows:
                client.transact(_forged(choices, table, choices.choice(rows), zones))


def _forged(choices: Random, table: str, row: dict[str, Any], zones: list[Any]) -> dict[str, Any]:
    where = choices.choice([by_uuid(row), [], [["_uuid", "!=", row["_uuid"]]]])
    column = choices.choice([name for name in row if not name.startswith("_")])
    value = choices.choice([choices.choice(zones)["_uuid"], 1, "x", ["set", []], row[column]])
    return choices.choice([
        {"op": "delete", "table": table, "where": where},
        {"op": "update", "table": table, "where": where, "row": {column: value}},
        {"op": "mutate", "table": table, "where": where, "mutations": [[column, "delete", value]]},
        {"op": "insert", "table": table, "row": {column: value}},
        insert("Route", availability_zone=zones[0]["_uuid"], ip_prefix="10.64.9.0/24",
               transit_switch="ts", nexthop="169.254.100.77", origin="connected"),
    ])  # fmt: skip


def fights(choices: Random, door: Door) -> None:
    """Changes other zones' rows, again and again, in columns that no packet depends on."""
    with door.asking() as client:
        for _ in range(choices.randrange(1, 60)):
            rows = client.rows("Port_Binding")
            if not rows:
                return
            add = [["external_ids", "insert", ["map", [[choices.choice(TEXTS), "x"]]]]]
            client.transact({"op": "mutate", "table": "Port_Binding",
                             "where": by_uuid(choices.choice(rows)), "mutations": add})  # fmt: skip


def hostile_switches(choices: Random, door: Door) -> None:
    """Transit switches with names and subnets that no zone can use, for a while."""
    with door.asking(NB) as client:
        for row in client.rows("Transit_Switch"):
            if row["name"] != "ts":
                client.transact({"op": "delete", "table": "Transit_Switch",
                                 "where": by_uuid(row)})  # fmt: skip
        subnets = ("10.64.0.0/99", "x", "", "0.0.0.0/0", "169.254.77.0/24", "fe80::/8", "9" * 1500)
        ids = [["subnet", choices.choice(subnets)], ["vendor", choices.choice([*TEXTS, "x"])]]
        for _ in range(choices.randrange(1, 5)):
            client.transact(insert("Transit_Switch", name=choices.choice(TEXTS),
                                   external_ids=["map", ids]))  # fmt: skip


BY_ANY_ZONE: Mapping[str, Attack] = {
    attack.__name__: attack for attack in (hostile_routes, many_routes, hostile_names)
}
BEHIND_THE_PROXY: Mapping[str, Attack] = {"forged_rows": forged_rows}
WITHOUT_PROXY: Mapping[str, Attack] = {
    attack.__name__: attack for attack in (fights, hostile_switches)
}


def _own_zone(client: Asking, name: str) -> Any:
    """The UUID of the attacker's zone, which is registered if necessary."""
    for row in client.rows("Availability_Zone"):
        if row["name"] == name:
            return row["_uuid"]
    [made, *_] = client.transact(insert("Availability_Zone", name=name))
    return made.get("uuid", ["uuid", "none"])


def _advertise(choices: Random, door: Door, prefixes: list[str]) -> None:
    """Replace the attacker's routes."""
    with door.asking() as client:
        zone = _own_zone(client, door.zone)
        client.transact(insert(
            "Port_Binding", logical_port=f"ts-{door.zone}", transit_switch="ts", tunnel_key=250,
            availability_zone=zone, address=f"0a:00:00:00:04:04 {_OWN_HOP}/24",
        ))  # fmt: skip
        old = [row for row in client.rows("Route") if row["availability_zone"] == zone]
        for start in range(0, len(old), 1000):
            client.transact(*({"op": "delete", "table": "Route", "where": by_uuid(row)}
                              for row in old[start : start + 1000]))  # fmt: skip
        hop = choices.choice(_NEXT_HOPS) if len(prefixes) < 100 else _OWN_HOP
        routes = [
            insert("Route", transit_switch="ts", availability_zone=zone, ip_prefix=prefix,
                   nexthop=hop,
                   origin=choices.choice(["connected", "static"]),
                   external_ids=["map", [["x", choices.choice(TEXTS)]]])
            for prefix in prefixes
        ]  # fmt: skip
        step = choices.choice([1, 1000, 40_000]) if len(routes) < 100 else 1000
        for start in range(0, len(routes), step):
            client.transact(*routes[start : start + step])
