"""The committed rows of both IC databases, as far as the authorization rules need them.

The followers fill it from monitors; the rules read it. Pure. Values keep their JSON form (RFC 7047,
5.1). Invariant: rows of other zones come from committed transactions only.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv6Address
from typing import Any, TypeAlias, TypeVar

from isthmus.model.ovn_keys import GLOBAL_KEYS, VXLAN_KEYS
from isthmus.model.prefix_index import PrefixIndex
from isthmus.model.prefixes import (
    Address,
    Network,
    is_broad,
    is_default,
    parse_address,
    parse_network,
    parse_port_address,
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

K = TypeVar("K")

Json: TypeAlias = Any
"""A value in its JSON form."""

JsonRow: TypeAlias = Mapping[str, Json]

_OWNER_COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("Gateway", "Port_Binding", "Route"), "availability_zone"),
    "Encap": "gateway_name",
    "Service_Monitor": "source_availability_zone",
}

COLUMNS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "OVN_IC_Northbound": {
        "Transit_Switch": ("name", "external_ids"),
        "Transit_Router": ("name",),
        "IC_NB_Global": ("options",),
    },
    "OVN_IC_Southbound": {
        "Availability_Zone": ("name",),
        "Gateway": ("name", "availability_zone", "external_ids"),
        "Encap": ("gateway_name", "type", "ip"),
        "Datapath_Binding": ("transit_switch", "tunnel_key", "type"),
        "Port_Binding": ("transit_switch", "availability_zone", "address", "external_ids"),
        "Route": (
            "transit_switch",
            "availability_zone",
            "ip_prefix",
            "nexthop",
            "external_ids",
        ),
        "Service_Monitor": ("source_availability_zone", "target_availability_zone"),
    },
}
"""The tables and columns to monitor, as far as a server's schema has them."""


class DatabaseState:
    """Rows of both databases by table and UUID.

    Attributes:
        row_numbers: how many rows there are, by table and owner: a zone's UUID or name, or the name
            of a gateway.
        row_sizes: the characters of the `external_ids` of rows with an owner, which are not kept.
    """

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, JsonRow]] = {
            table: {} for tables in COLUMNS.values() for table in tables
        }
        self.row_numbers: Counter[tuple[str, str]] = Counter()
        self.row_sizes: dict[str, int] = {}
        self._routes: PrefixIndex[str] = PrefixIndex()
        self._encaps_by_address: dict[Address, set[str]] = {}
        self._routes_by_nexthop: dict[tuple[str, Address], set[str]] = {}

    def apply(self, updates: Mapping[str, Mapping[str, JsonRow]]) -> Iterator[JsonRow | None]:
        """Apply an `update` of a monitor (RFC 7047, 4.1.6) of the columns in `COLUMNS`.

        The caller may do something else between two rows. Rows are removed last: until then, the
        zones that had and that will have an address or a prefix both have it.

        Yields:
            for each row, once it is applied: a route that is new or changed, else None.
        """
        changes = [
            (table, uuid, change.get("new"))
            for table, rows in updates.items()
            for uuid, change in rows.items()
        ]
        for table, uuid, row in sorted(changes, key=lambda change: change[2] is None):
            self._set(table, uuid, row)
            yield row if table == "Route" else None

    def clear(self, database: str) -> None:
        """Remove all rows of a database, before its monitor starts again."""
        for table in COLUMNS[database]:
            for uuid in list(self.tables[table]):
                self._set(table, uuid, None)

    def row(self, table: str, uuid: str) -> JsonRow:
        """A row; empty if it does not exist."""
        return self.tables[table].get(uuid, {})

    def zone_of(self, row: JsonRow) -> str:
        """The name of the zone that a row refers to; empty if it refers to none that exists."""
        uuid = reference(row.get("availability_zone"))
        return str(self.row("Availability_Zone", uuid).get("name", ""))

    def live_networks(self) -> set[str]:
        """The names of all transit switches and transit routers."""
        tables = (self.tables["Transit_Switch"], self.tables["Transit_Router"])
        return {row["name"] for rows in tables for row in rows.values()}

    @property
    def tunnel_keys(self) -> range:
        """The tunnel keys that datapaths may have; with VXLAN tunnels OVN uses shorter ones."""
        requested = any(
            pairs(row.get("options")).get("vxlan_mode") == "true"
            for row in self.tables["IC_NB_Global"].values()
        )
        vxlan = requested and any(row["type"] == "vxlan" for row in self.tables["Encap"].values())
        return VXLAN_KEYS if vxlan else GLOBAL_KEYS

    def ports_on(self, transit_switch: str) -> Iterator[JsonRow]:
        """The port bindings on a transit switch."""
        rows = self.tables["Port_Binding"].values()
        return (row for row in rows if row["transit_switch"] == transit_switch)

    def routes_over(self, prefix: Network) -> Iterator[JsonRow]:
        """Routes that a new route to `prefix` would override: prefixes that contain `prefix`.

        Default routes, and what has almost their effect, count only if `prefix` is such a route as
        well: zones learn it only if they accept it by name, so it must block no one.
        """
        for uuid in self._routes.covering(prefix):
            row = self.row("Route", uuid)
            over = _prefix(row)
            if over is not None and _is_almost_default(over) and not _is_almost_default(prefix):
                return  # longest first: only such routes are left, possibly thousands
            yield row

    def routes_to(self, switch: str, address: Address) -> Iterator[JsonRow]:
        """Routes on a transit switch with a given next hop."""
        return (
            self.row("Route", uuid) for uuid in self._routes_by_nexthop.get((switch, address), ())
        )

    def gateways_at(self, address: Address) -> set[str]:
        """The names of the gateways that have a tunnel IP, whatever its spelling and type."""
        uuids = self._encaps_by_address.get(address, ())
        return {str(self.row("Encap", uuid)["gateway_name"]) for uuid in uuids}

    def zone_of_gateway(self, name: str) -> str:
        """The zone of the gateway with a chassis name; empty if there is none."""
        rows = self.tables["Gateway"].values()
        return next((self.zone_of(row) for row in rows if row["name"] == name), "")

    def _set(self, table: str, uuid: str, row: JsonRow | None) -> None:
        before = self.tables[table].pop(uuid, None)
        self._count(table, uuid, before, row)
        if before is not None:
            self._unindex(table, uuid, before)
        if row is None:
            return
        self.tables[table][uuid] = row
        self._index(table, uuid, row)

    def _count(self, table: str, uuid: str, before: JsonRow | None, row: JsonRow | None) -> None:
        column = _OWNER_COLUMNS.get(table)
        if column is None:
            return
        self.row_sizes.pop(uuid, None)
        for one, number in ((before, -1), (row, 1)):
            if one is not None:
                owner = one.get(column)
                key = table, owner if isinstance(owner, str) else reference(owner)
                self.row_numbers[key] += number
        if isinstance(row, dict) and pairs(kept := row.pop("external_ids", None)):
            self.row_sizes[uuid] = len(json.dumps(kept))

    def _index(self, table: str, uuid: str, row: JsonRow) -> None:
        if table == "Encap" and (address := gateway_address(str(row.get("ip", "")))) is not None:
            self._encaps_by_address.setdefault(address, set()).add(uuid)
        if table != "Route":
            return
        if (prefix := _prefix(row)) is not None:
            self._routes.add(prefix, uuid)
        if (nexthop := _nexthop(row)) is not None:
            self._routes_by_nexthop.setdefault(nexthop, set()).add(uuid)

    def _unindex(self, table: str, uuid: str, row: JsonRow) -> None:
        if table == "Encap" and (address := gateway_address(str(row.get("ip", "")))) is not None:
            _discard(self._encaps_by_address, address, uuid)
        if table != "Route":
            return
        if (prefix := _prefix(row)) is not None:
            self._routes.remove(prefix, uuid)
        if (nexthop := _nexthop(row)) is not None:
            _discard(self._routes_by_nexthop, nexthop, uuid)


def gateway_address(text: str) -> Address | None:
    """The address in a tunnel's `ip`: IPv4 also if it is written as an IPv4-mapped IPv6 address."""
    address = parse_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def reference(value: Json) -> str:
    """The UUID, or the name within the transaction, in a reference; empty for anything else.

    Servers also accept UUIDs in capitals. Such a text would not be found in `DatabaseState`, and
    the row would pass as unknown, so it counts as invalid here.
    """
    match value:
        case ["uuid", str(uuid)] if _UUID.fullmatch(uuid):
            return uuid
        case ["named-uuid", str(name)] if _NAME.fullmatch(name):
            return name
    return ""


def pairs(value: Json) -> dict[str, str]:
    """The pairs of a map; empty for anything else."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "map":
        return {str(key): str(item) for key, item in value[1]}
    return {}


def elements(value: Json) -> list[Json]:
    """The elements of a set; a set of one is written without ["set", ...]."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "set":
        return list(value[1])
    return [value]


def port_addresses(rows: Iterable[JsonRow]) -> set[Address]:
    """The IP addresses of port bindings."""
    texts = (str(row.get("address", "")) for row in rows)
    return {interface.ip for text in texts for interface in parse_port_address(text)}


def _is_almost_default(prefix: Network) -> bool:
    return is_default(prefix) or is_broad(prefix)


def _discard(index: dict[K, set[str]], key: K, uuid: str) -> None:
    index[key].discard(uuid)
    if not index[key]:
        del index[key]


def _prefix(row: JsonRow) -> Network | None:
    return parse_network(str(row.get("ip_prefix", "")))


def _nexthop(row: JsonRow) -> tuple[str, Address] | None:
    """A route's transit switch and next hop."""
    address = parse_address(str(row.get("nexthop", "")))
    return None if address is None else (str(row.get("transit_switch")), address)
