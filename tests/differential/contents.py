"""The contents of the four databases of a fleet, in a form in which two fleets can be compared.

Omits only what may differ: UUIDs (replaced by names), the choice of tunnel keys (replaced by
whether they are valid, unique and equal in all databases), and the differences listed in
docs/explanation/differences-from-ovn-ic.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from differential.operations import Json
from isthmus.model.prefixes import canonical, parse_address, parse_interface
from isthmus.model.rows import Database

Value: TypeAlias = (
    "str | int | bool | frozenset[str | int | bool] | tuple[tuple[str, str], ...] | None"
)
Table: TypeAlias = dict[str, dict[str, Json]]
"""Rows by UUID, with columns decoded by `decode`."""
Fact: TypeAlias = tuple[str, ...]

GLOBAL_KEYS = range((1 << 24) - (1 << 16) + 1, 1 << 24)
VXLAN_KEYS = range(1 << 10, 1 << 12)
PORT_KEYS = range(1, 1 << 15)
LEARNED = "ic-learned-route"
TNL_KEY = "requested-tnl-key"
ORPHANS = (26, 3)
"""The first version of `ovn-ic` that deletes routes whose port is gone."""
LEARNS_ONCE = (26, 3)
"""The first version of `ovn-ic` that neither learns a route twice nor keeps a withdrawn one when
the port through which it was learned is replaced."""
REACHABLE = (26, 3)
"""The first version of `ovn-ic` that does not learn next hops that the port cannot reach."""
ROUTER_IDS = (25, 3)
"""The first version of `ovn-ic` whose routes name their router (`lr-id`). Before, routers of a zone
do not learn from each other. Isthmus does both on every version."""


@dataclass(frozen=True, slots=True)
class Dump:
    """The rows of a database by table and UUID."""

    tables: Mapping[str, Table] = field(default_factory=dict)

    def __getitem__(self, table: str) -> Table:
        return self.tables.get(table, {})


TABLES: Mapping[Database, tuple[str, ...]] = {
    Database.NB: (
        "NB_Global",
        "Logical_Switch",
        "Logical_Switch_Port",
        "Logical_Router",
        "Logical_Router_Port",
        "Logical_Router_Static_Route",
        "Load_Balancer",
    ),
    Database.SB: ("Chassis", "Encap", "Port_Binding"),
    Database.IC_NB: ("IC_NB_Global", "Transit_Switch"),
    Database.IC_SB: (
        "IC_SB_Global",
        "Availability_Zone",
        "Gateway",
        "Encap",
        "Datapath_Binding",
        "Port_Binding",
        "Route",
    ),
}
"""The columns to read; tables of SB that northd fills with flows are omitted."""


def selects(database: Database) -> list[Json]:
    """The operations whose results `dump` takes."""
    return [{"op": "select", "table": table, "where": []} for table in TABLES[database]]


def dump(database: Database, results: Sequence[Json]) -> Dump:
    """The rows in the results of `selects`."""
    tables = zip(TABLES[database], results, strict=True)
    return Dump(
        {
            name: {
                row["_uuid"][1]: {c: decode(v) for c, v in row.items()} for row in result["rows"]
            }
            for name, result in tables
        }
    )


def decode(json: Json) -> Json:
    """A column as str, int, bool, frozenset or dict; a reference as its UUID."""
    if not isinstance(json, list):
        return json
    kind, value = json
    if kind == "set":
        return frozenset(decode(element) for element in value)
    return {key: decode(v) for key, v in value} if kind == "map" else value


def _optional(value: Json) -> Json:
    """The element of a column with at most one element, or None."""
    return next(iter(value), None) if isinstance(value, frozenset) else value


def _set(value: Json) -> frozenset[Json]:
    return value if isinstance(value, frozenset) else frozenset({value})


def _text(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={v}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, frozenset):
        return "[" + ", ".join(sorted(map(str, value))) + "]"
    return str(value)


class Contents:
    """The contents of one fleet, normalized.

    Args:
        zones: (NB, SB) of each zone, in order.
        ic_nb, ic_sb: the shared databases.
        version: of OVN; older versions of `ovn-ic` cannot be compared in all respects.
    """

    def __init__(
        self,
        zones: Sequence[tuple[Dump, Dump]],
        ic_nb: Dump,
        ic_sb: Dump,
        version: tuple[int, ...],
    ) -> None:
        self.zones, self.ic_nb, self.ic_sb = zones, ic_nb, ic_sb
        self._version = version
        self._knows_routers = version >= ROUTER_IDS
        self._labels: dict[str, str] = {}
        self._vips_of: dict[str, set[str]] = {}
        self._label()
        self._routes: dict[Fact, dict[str, Json]] = {}
        for row in sorted(ic_sb["Route"].values(), key=lambda row: row["origin"]):
            if version >= ORPHANS or not self._is_orphan(row):
                self._routes[self._route_key(row)] = row
        self._keys = {
            row["transit_switch"]: str(row["tunnel_key"])
            for row in ic_sb["Datapath_Binding"].values()
        }
        self._port_keys = {
            row["logical_port"]: str(row["tunnel_key"]) for row in ic_sb["Port_Binding"].values()
        }
        self.facts = frozenset(Counter(self._facts()).items())

    def _label(self) -> None:
        for number, (nb, _sb) in enumerate(self.zones):
            for router in nb["Logical_Router"].values():
                self._labels[router["_uuid"]] = f"<router {number}/{router['name']}>"
                for uuid in _set(router["static_routes"]):
                    row = nb["Logical_Router_Static_Route"][uuid]
                    what = f"{row['ip_prefix']} table {row['route_table']!r}"
                    self._labels[uuid] = f"<static {number}/{router['name']} {what}>"
                for uuid in _set(router["ports"]):
                    self._labels[uuid] = f"<lrp of {number}/{router['name']}>"
            for row in nb["Load_Balancer"].values():
                self._labels[row["_uuid"]] = f"<lb {number}/{row['name']}>"
                self._vips_of[row["_uuid"]] = set(_addresses(row))
        for row in self.ic_nb["Transit_Switch"].values():
            self._labels[row["_uuid"]] = f"<ts {row['name']}>"
        for row in self.ic_sb["Availability_Zone"].values():
            self._labels[row["_uuid"]] = row["name"]
        for row in self.ic_sb["Route"].values():
            self._labels[row["_uuid"]] = f"<ic-route {' '.join(self._route_key(row))}>"

    def _route_key(self, row: Mapping[str, Json]) -> Fact:
        """The identity of an IC-SB route."""
        return (
            row["transit_switch"],
            self._name(row["availability_zone"]),
            f"table {row['route_table']!r}",
            row["ip_prefix"],
            row["nexthop"],
        )

    def _is_orphan(self, route: Mapping[str, Json]) -> bool:
        """Whether no port of the route's zone has its next hop."""
        addresses = {
            interface.split("/")[0]
            for port in self.ic_sb["Port_Binding"].values()
            if (port["transit_switch"], port["availability_zone"])
            == (route["transit_switch"], route["availability_zone"])
            for interface in port["address"].split()
        }
        return route["nexthop"] not in addresses

    def _name(self, uuid: str) -> str:
        return self._labels.get(uuid, "<unknown row>")

    def _ids(self, values: Mapping[str, str], *keys: str) -> str:
        """A map with the UUIDs under these keys replaced by names."""
        return _text({k: self._name(v) if k in keys else v for k, v in values.items()})

    def _facts(self) -> Iterator[Fact]:
        yield from self._ic_facts()
        for number, (nb, sb) in enumerate(self.zones):
            for fact in (*self._nb_facts(nb), *self._sb_facts(sb)):
                yield (f"zone {number}", *fact)

    # --- IC ---------------------------------------------------------------------------------

    def _ic_facts(self) -> Iterator[Fact]:
        ic_sb = self.ic_sb
        for row in ic_sb["Availability_Zone"].values():
            yield ("Availability_Zone", row["name"], str(row.get("nb_ic_cfg")))
        for table, database in (("IC_NB_Global", self.ic_nb), ("IC_SB_Global", ic_sb)):
            for row in database[table].values():
                if "nb_ic_cfg" not in row:
                    continue  # here, the IC-SB row exists only because of our claims
                numbers = (str(row.get(column)) for column in ("nb_ic_cfg", "sb_ic_cfg"))
                yield (table, *numbers, _text(row["options"]))
        for row in ic_sb["Gateway"].values():
            encaps = (_encap(ic_sb["Encap"][uuid], "gateway_name") for uuid in _set(row["encaps"]))
            zone = self._name(row["availability_zone"])
            yield ("Gateway", row["name"], row["hostname"], zone, *sorted(encaps))
        yield from self._datapath_facts()
        yield from self._port_facts()
        for row in self._routes.values():
            yield (
                "Route",
                row["transit_switch"],
                self._name(row["availability_zone"]),
                row["route_table"],
                row["ip_prefix"],
                row["nexthop"],
                row["origin"],
                self._ids(self._comparable(row["external_ids"]), "lr-id"),
                self._source(row),
            )

    def _comparable(self, ids: Mapping[str, str]) -> dict[str, str]:
        """The external_ids of a route that the version of `ovn-ic` supports, without its source."""
        absent = {"nb-id"} if self._knows_routers else {"nb-id", "lr-id"}
        return {k: v for k, v in ids.items() if k not in absent}

    def _source(self, route: Mapping[str, Json]) -> str:
        """The origin of a route; any of several load balancers with the same VIP."""
        uuid = route["external_ids"].get("nb-id", "")
        vip = route["ip_prefix"].partition("/")[0]
        if vip in self._vips_of.get(uuid, ()):
            return f"<a load balancer with {vip}>"
        return self._name(uuid) if uuid else ""

    def _datapath_facts(self) -> Iterator[Fact]:
        rows = self.ic_sb["Datapath_Binding"].values()
        yield from _clashes("datapath keys", (row["tunnel_key"] for row in rows))
        for row in rows:
            key = row["tunnel_key"]
            valid = "global" if key in GLOBAL_KEYS else "vxlan" if key in VXLAN_KEYS else str(key)
            yield ("Datapath_Binding", row["transit_switch"], valid, *self._newer(row))

    def _port_facts(self) -> Iterator[Fact]:
        rows = self.ic_sb["Port_Binding"].values()
        keys = ((row["transit_switch"], row["tunnel_key"]) for row in rows)
        yield from _clashes("port keys", keys)
        for row in rows:
            yield (
                "Port_Binding",
                row["logical_port"],
                row["transit_switch"],
                self._name(row["availability_zone"]),
                row["gateway"],
                row["address"],
                self._binding_ids(row),
                str(row["tunnel_key"] in PORT_KEYS),
                *self._newer(row),
            )

    def _binding_ids(self, row: Mapping[str, Json]) -> str:
        """A port's external_ids; without a peer, `ovn-ic` keeps the former peer's router."""
        ids = row["external_ids"]
        if not row["address"]:
            ids = {key: value for key, value in ids.items() if key != "router-id"}
        return self._ids(ids, "router-id")

    def _newer(self, row: Mapping[str, Json]) -> Iterator[str]:
        """The columns that only newer schemas have."""
        if "nb_ic_uuid" in row:
            uuid = _optional(row["nb_ic_uuid"])
            yield self._name(uuid) if uuid else "-"
            yield str(_optional(row["type"]))

    # --- NB, SB -----------------------------------------------------------------------------

    def _nb_facts(self, nb: Dump) -> Iterator[Fact]:
        left = self._has_left(nb)
        for switch in nb["Logical_Switch"].values():
            ts = switch["other_config"].get("interconn-ts", "")
            config = _with_key(switch["other_config"], self._keys.get(ts), left=left)
            yield ("Logical_Switch", switch["name"], config)
            if ts:
                for uuid in _set(switch["ports"]):
                    yield self._switch_port(ts, nb["Logical_Switch_Port"][uuid], left=left)
        attached = _attachments(nb)
        for router in nb["Logical_Router"].values():
            rows = [nb["Logical_Router_Static_Route"][u] for u in _set(router["static_routes"])]
            own = [row for row in rows if LEARNED not in row["external_ids"]]
            for row in own:
                yield self._static_route(router, row)
            learned = [
                self._static_route(router, row)
                for row in rows
                if LEARNED in row["external_ids"]
                and self._counts(nb, row, attached.get(router["_uuid"], ()))
                and not self._is_own_in_other_words(row, own, _vips(nb, router))
            ]
            yield from learned if self._version >= LEARNS_ONCE else dict.fromkeys(learned)

    def _is_own_in_other_words(
        self, row: Mapping[str, Json], own: Sequence[Mapping[str, Json]], vips: Iterable[str]
    ) -> bool:
        """Whether `ovn-ic` has learned a prefix for which the router has a route or VIP of its own.

        `ovn-ic` compares text: connected networks have host bits, and so may the router's own
        routes ("10.9.9.9" is "10.9.9.9/32").
        """
        source = self.ic_sb["Route"].get(row["external_ids"][LEARNED], {"ip_prefix": ""})
        written, prefix = source["ip_prefix"], canonical(source["ip_prefix"])
        return any(
            (canonical(other["ip_prefix"]), other["route_table"]) == (prefix, row["route_table"])
            and other["ip_prefix"] != written
            for other in own
        ) or (prefix != written and any(_is_inside(vip, prefix) for vip in vips))

    def _counts(self, nb: Dump, row: Mapping[str, Json], networks: Iterable[str]) -> bool:
        """Whether a learned route is compared.

        Args:
            nb: the database of the route.
            row: the route.
            networks: of the ports of its router on transit switches.
        """
        if not networks:
            return False
        if self._version < REACHABLE and (
            # A zone that has left keeps its learned routes, here more than it should.
            self._has_left(nb)
            or not any(_is_inside(row["nexthop"], network) for network in networks)
        ):
            return False
        source = self.ic_sb["Route"].get(row["external_ids"][LEARNED])
        if source is None:
            return self._version >= LEARNS_ONCE
        if self._routes.get(self._route_key(source)) is not source:
            return False
        return self._knows_routers or not self._is_own_zone(nb, source["availability_zone"])

    @staticmethod
    def _has_left(nb: Dump) -> bool:
        return not any(row["name"] for row in nb["NB_Global"].values())

    def _is_own_zone(self, nb: Dump, zone: str) -> bool:
        """Whether a zone's row belongs to this NB."""
        return self._name(zone) in {row["name"] for row in nb["NB_Global"].values()}

    def _switch_port(self, ts: str, row: Mapping[str, Json], *, left: bool) -> Fact:
        options = _with_key(row["options"], self._port_keys.get(row["name"]), left=left)
        addresses = _text(_set(row["addresses"]))
        up = str(_optional(row["up"]))
        external_ids = _text(row["external_ids"])
        return (
            "Logical_Switch_Port",
            ts,
            row["name"],
            row["type"],
            addresses,
            up,
            options,
            external_ids,
        )

    def _static_route(self, router: Mapping[str, Json], row: Mapping[str, Json]) -> Fact:
        return (
            "Logical_Router_Static_Route",
            router["name"],
            row["ip_prefix"],
            row["nexthop"],
            row["route_table"],
            str(_optional(row["policy"])),
            str(_optional(row["output_port"])),
            _text(row["options"]),
            self._ids(row["external_ids"], LEARNED),
        )

    def _sb_facts(self, sb: Dump) -> Iterator[Fact]:
        for row in sb["Chassis"].values():
            encaps = (_encap(sb["Encap"][uuid], "chassis_name") for uuid in _set(row["encaps"]))
            config = _text(row["other_config"])
            yield ("Chassis", row["name"], row["hostname"], config, *sorted(encaps))
        for row in sb["Port_Binding"].values():
            if row["type"] in {"remote", "chassisredirect"}:
                chassis = sb["Chassis"].get(_optional(row["chassis"]), {"name": "-"})
                requested = _optional(row.get("requested_chassis"))
                name = sb["Chassis"].get(requested, {"name": "-"})["name"]
                yield ("SB Port_Binding", row["logical_port"], row["type"], chassis["name"], name)


def _vips(nb: Dump, router: Mapping[str, Json]) -> Iterator[str]:
    """The VIP addresses of a router's load balancers."""
    for uuid in _set(router["load_balancer"]):
        yield from _addresses(nb["Load_Balancer"][uuid])


def _addresses(load_balancer: Mapping[str, Json]) -> Iterator[str]:
    """The VIP addresses of a load balancer."""
    for vip in load_balancer["vips"]:
        yield vip.strip("[").partition("]")[0] if "[" in vip else vip.partition(":")[0]


def _is_inside(text: str, network: str) -> bool:
    address, interface = parse_address(text), parse_interface(network)
    return (
        address is not None
        and interface is not None
        and address.version == interface.version
        and address in interface.network
    )


def _attachments(nb: Dump) -> dict[str, list[str]]:
    """The enabled routers with ports on transit switches, and the networks of those ports.

    `ovn-ic` ignores all others, and leaves learned routes on routers that have been disabled or
    detached.
    """
    peers = {
        nb["Logical_Switch_Port"][uuid]["options"].get("router-port")
        for switch in nb["Logical_Switch"].values()
        if "interconn-ts" in switch["other_config"]
        for uuid in _set(switch["ports"])
    }
    networks: dict[str, list[str]] = {}
    for router in nb["Logical_Router"].values():
        for uuid in _set(router["ports"]):
            port = nb["Logical_Router_Port"][uuid]
            if port["name"] in peers and _optional(router["enabled"]) is not False:
                networks.setdefault(router["_uuid"], []).extend(_set(port["networks"]))
    return networks


def _encap(row: Mapping[str, Json], owner: str) -> str:
    return f"{row['type']}:{row['ip']} {_text(row['options'])} of {row[owner]}"


def _clashes(what: str, keys: Iterable[object]) -> Iterator[Fact]:
    seen = list(keys)
    if len(seen) != len(set(seen)):
        yield (what, "are not unique", str(sorted(map(str, seen))))


def _with_key(config: Mapping[str, str], expected: str | None, *, left: bool) -> str:
    """A map whose tunnel key is replaced by whether it equals the one in IC-SB.

    A zone that has left does not follow a new choice, which happens at random.
    """
    replaced = dict(config)
    if TNL_KEY in replaced:
        same = left or replaced[TNL_KEY] == expected
        replaced[TNL_KEY] = "as in IC-SB" if same else "not as in IC-SB"
    return _text(replaced)


def difference(left: Contents, right: Contents, names: tuple[str, str]) -> list[str]:
    """Differences between both sides, sorted so that related lines are adjacent."""
    lines = [(fact, count, names[0]) for fact, count in left.facts - right.facts]
    lines += [(fact, count, names[1]) for fact, count in right.facts - left.facts]
    return [f"only {who}: {count} x {' | '.join(fact)}" for fact, count, who in sorted(lines)]
