"""What the guard knows of both IC databases: rows as the servers report them, and who owns them.

Filled by `guard_wire` from monitors, asked by the rules. Pure. Rows stay in the wire's form
(RFC 7047, 5.1). Invariant: it answers about other zones' rows only from what is committed.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from isthmus.exchange.topology.transit_switches import GLOBAL_KEYS, VXLAN_KEYS
from isthmus.model.prefix_index import PrefixIndex
from isthmus.model.prefixes import (
    Address,
    Network,
    is_default,
    parse_address,
    parse_network,
    parse_port_address,
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Wire = Any
"""A value as it is on the wire."""

COLUMNS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "OVN_IC_Northbound": {
        "Transit_Switch": ("name", "external_ids"),
        "Transit_Router": ("name",),
        "IC_NB_Global": ("options",),
    },
    "OVN_IC_Southbound": {
        "Availability_Zone": ("name",),
        "Gateway": ("name", "availability_zone"),
        "Encap": ("gateway_name", "type"),
        "Datapath_Binding": ("transit_switch", "tunnel_key", "type"),
        "Port_Binding": ("transit_switch", "availability_zone", "address"),
        "Route": ("transit_switch", "availability_zone", "ip_prefix", "nexthop"),
        "Service_Monitor": ("source_availability_zone", "target_availability_zone"),
    },
}
"""The tables and columns that it needs, as far as a server's schema has them."""


class Known:
    """Rows of both databases by table and UUID."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Mapping[str, Wire]]] = {
            table: {} for tables in COLUMNS.values() for table in tables
        }
        self.on_route: Callable[[Mapping[str, Wire]], None] = lambda _row: None
        """Called with each route that is new or not as it was, once it is known."""
        self._routes: PrefixIndex[str] = PrefixIndex()
        self._leading: dict[tuple[str, Address], set[str]] = {}

    def apply(self, updates: Mapping[str, Mapping[str, Mapping[str, Wire]]]) -> None:
        """Take an `update` of a monitor (RFC 7047, 4.1.6) of the columns in `COLUMNS`."""
        for table, rows in updates.items():
            for uuid, change in rows.items():
                self._set(table, uuid, change.get("new"))
        # Afterwards: a zone's own row may have come with its routes.
        for change in updates.get("Route", {}).values():
            if change.get("new") is not None:
                self.on_route(change["new"])

    def forget(self, database: str) -> None:
        """Drop all rows of a database, whose monitor begins anew."""
        for table in COLUMNS[database]:
            for uuid in list(self.tables[table]):
                self._set(table, uuid, None)

    def row(self, table: str, uuid: str) -> Mapping[str, Wire]:
        """A row; empty if there is none."""
        return self.tables[table].get(uuid, {})

    def zone_of(self, row: Mapping[str, Wire]) -> str:
        """The name of the zone that a row refers to; empty if it refers to none that exists."""
        uuid = reference(row.get("availability_zone"))
        return str(self.row("Availability_Zone", uuid).get("name", ""))

    def live_networks(self) -> set[str]:
        """The names of transit switches and transit routers."""
        tables = (self.tables["Transit_Switch"], self.tables["Transit_Router"])
        return {row["name"] for rows in tables for row in rows.values()}

    @property
    def tunnel_keys(self) -> range:
        """Those that datapaths are to have: OVN has others where tunnels are VXLAN."""
        asked = any(
            pairs(row.get("options")).get("vxlan_mode") == "true"
            for row in self.tables["IC_NB_Global"].values()
        )
        vxlan = asked and any(row["type"] == "vxlan" for row in self.tables["Encap"].values())
        return VXLAN_KEYS if vxlan else GLOBAL_KEYS

    def ports_on(self, transit_switch: str) -> Iterator[Mapping[str, Wire]]:
        """The port bindings on a transit switch."""
        rows = self.tables["Port_Binding"].values()
        return (row for row in rows if row["transit_switch"] == transit_switch)

    def routes_over(self, prefix: Network) -> Iterator[Mapping[str, Wire]]:
        """Routes that a route to `prefix` would take packets from: as long as it, or shorter.

        A default route is there to be outdone, except by another default route.
        """
        for uuid in self._routes.covering(prefix):
            row = self.row("Route", uuid)
            if _is_default(row) and not is_default(prefix):
                return  # the longest come first: what is left are default routes, maybe thousands
            yield row

    def routes_to(self, switch: str, address: Address) -> Iterator[Mapping[str, Wire]]:
        """Routes on a transit switch that lead to an address."""
        return (self.row("Route", uuid) for uuid in self._leading.get((switch, address), ()))

    def _set(self, table: str, uuid: str, row: Mapping[str, Wire] | None) -> None:
        before = self.tables[table].pop(uuid, None)
        if table == "Route" and before is not None:
            self._forget_route(uuid, before)
        if row is None:
            return
        self.tables[table][uuid] = row
        if table == "Route":
            self._learn_route(uuid, row)

    def _learn_route(self, uuid: str, row: Mapping[str, Wire]) -> None:
        if (prefix := _prefix(row)) is not None:
            self._routes.add(prefix, uuid)
        if (leads := _leads(row)) is not None:
            self._leading.setdefault(leads, set()).add(uuid)

    def _forget_route(self, uuid: str, row: Mapping[str, Wire]) -> None:
        if (prefix := _prefix(row)) is not None:
            self._routes.remove(prefix, uuid)
        if (leads := _leads(row)) is not None:
            self._leading[leads].discard(uuid)
            if not self._leading[leads]:
                del self._leading[leads]


def reference(value: Wire) -> str:
    """The UUID or the transaction's own name in a reference; empty for anything else.

    Servers also take UUIDs in capitals; here they would be other rows', so they are nothing.
    """
    match value:
        case ["uuid", str(uuid)] if _UUID.fullmatch(uuid):
            return uuid
        case ["named-uuid", str(name)] if _NAME.fullmatch(name):
            return name
    return ""


def pairs(value: Wire) -> dict[str, str]:
    """A map column; empty for anything else."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "map":
        return {str(key): str(item) for key, item in value[1]}
    return {}


def elements(value: Wire) -> list[Wire]:
    """The elements of a set, which is written without ["set", ...] if it is one."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "set":
        return list(value[1])
    return [value]


def port_addresses(rows: Iterable[Mapping[str, Wire]]) -> set[Address]:
    """The IP addresses of port bindings."""
    texts = (str(row.get("address", "")) for row in rows)
    return {interface.ip for text in texts for interface in parse_port_address(text)}


def _prefix(row: Mapping[str, Wire]) -> Network | None:
    return parse_network(str(row.get("ip_prefix", "")))


def _leads(row: Mapping[str, Wire]) -> tuple[str, Address] | None:
    """The transit switch of a route, and where it leads to there."""
    nexthop = parse_address(str(row.get("nexthop", "")))
    return None if nexthop is None else (str(row.get("transit_switch")), nexthop)


def _is_default(row: Mapping[str, Wire]) -> bool:
    prefix = _prefix(row)
    return prefix is not None and is_default(prefix)
