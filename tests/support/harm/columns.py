"""The columns that a zone owns, and other values for them, as a slip of an operator writes them.

The table in ARCHITECTURE.md says which rows and columns these are.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Gateway,
    GatewayChassis,
    IcDatapathBinding,
    IcEncap,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    SbEncap,
    SbPortBinding,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.harm.world import SUBNET_PORTS, World

Columns = dict[str, Any]

OWNED: Mapping[type[Row], tuple[str, ...]] = {
    NbGlobal: ("name", "options:ic-", "external_ids:isthmus-"),
    # `interconn-ts` is missing: without that mark, the switch is not known as the copy.
    LogicalSwitch: ("name", "other_config:requested-tnl-key", "other_config:ic-vxlan_mode"),
    LogicalSwitchPort: ("name", "type", "addresses", "options", "external_ids"),
    LogicalRouterPort: ("name", "mac", "networks", "options", "external_ids"),
    GatewayChassis: ("name", "chassis_name", "priority"),
    LogicalRouterStaticRoute: (
        "ip_prefix", "nexthop", "route_table", "policy", "output_port", "options", "external_ids",
    ),
    LogicalRouterPolicy: ("priority", "match", "action", "external_ids"),
    Chassis: ("name", "hostname", "other_config", "encaps"),
    SbEncap: ("type", "ip", "options", "chassis_name"),
    SbPortBinding: ("chassis",),
    TransitSwitch: ("external_ids:isthmus-address-",),
    IcSbGlobal: ("external_ids:isthmus-zone-",),
    AvailabilityZone: ("name",),
    Gateway: ("name", "hostname", "encaps"),
    IcEncap: ("type", "ip", "options", "gateway_name"),
    IcDatapathBinding: ("transit_switch", "tunnel_key", "type", "nb_ic_uuid"),
    IcPortBinding: (
        "logical_port", "transit_switch", "tunnel_key", "gateway", "address", "type", "nb_ic_uuid",
        "external_ids",
    ),
    IcRoute: (
        "transit_switch", "route_table", "ip_prefix", "nexthop", "origin", "external_ids",
    ),
}  # fmt: skip
"""The columns of our rows; of a column with keys, those that begin with what follows the colon."""

_OTHER: Mapping[str, tuple[Any, ...]] = {
    "type": ("other", ""),
    "mac": ("0a:00:00:00:00:99",),
    "networks": (frozenset(), frozenset({"169.254.100.250/24"})),
    "addresses": (frozenset(), frozenset({"0a:00:00:00:00:99 169.254.100.99/24"})),
    "encaps": (frozenset(),),
    "ip_prefix": ("10.99.0.0/16",),
    "nexthop": ("169.254.100.99",),
    "policy": ("src-ip",),
    "output_port": ("az1-ts",),
    "ip": ("192.0.2.77",),
    "match": ("ip4.dst == 10.99.0.0/16",),
    "action": ("drop",),
    "chassis": (frozenset(),),
    "nb_ic_uuid": (frozenset(),),
    "gateway": ("gw2-az1", ""),
    "address": ("0a:00:00:00:00:99 169.254.100.99/24", ""),
    "priority": (7,),
    "tunnel_key": (77,),
    "origin": ("static",),
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def values_of(row: Columns, column: str) -> Iterator[tuple[str, Any]]:
    """Other values of a column, each with what it changes: the column, or COLUMN:KEY.

    Args:
        row: with its current values.
        column: as in `OWNED`.
    """
    column, _, prefix = column.partition(":")
    value = row[column]
    if not isinstance(value, dict):
        for other in _OTHER.get(column, ("other",)):
            yield column, other
        return
    ours = [key for key in value if key.startswith(prefix)]
    for key in ours:
        yield f"{column}:{key}", {**value, key: "other"}
        yield f"{column}:{key}", {k: v for k, v in value.items() if k != key}
    if not prefix and len(ours) > 1:
        yield column, {}


def own_rows(zone: ControlledZone, kind: type[Row]) -> list[Columns]:
    """The rows of the zone `az1` in a table, in an order that does not depend on UUIDs."""
    rows = [row for row in zone.all(kind) if kind not in _IS_OWN or _IS_OWN[kind](row)]
    if kind in {Gateway, IcPortBinding, IcRoute}:
        owner = zone.uuid(AvailabilityZone, name="az1")
        rows = [row for row in rows if row["availability_zone"] == owner]
    return sorted(rows, key=_text)


_IS_OWN: Mapping[type[Row], Callable[[Columns], bool]] = {
    LogicalRouterPort: lambda row: row["name"] not in SUBNET_PORTS,
    Chassis: lambda row: "is-remote" in row["other_config"],
    SbEncap: lambda row: row["chassis_name"].endswith("az2"),
    SbPortBinding: lambda row: row["type"] == "remote",
    AvailabilityZone: lambda row: row["name"] == "az1",
    IcEncap: lambda row: row["gateway_name"].endswith("az1"),
}


def contents(world: World) -> list[str]:
    """All rows of all databases, without their UUIDs."""
    databases = {id(d): d for zone in world.fleet.zones for d in zone.databases.values()}
    return [
        f"{kind.DATABASE} {kind.TABLE} {text}"
        for database in databases.values()
        for kind in database.tables
        for text in sorted(map(_text, database.rows(kind)))
    ]


def _text(row: Columns) -> str:
    plain = {k: _plain(v) for k, v in row.items() if k != "_uuid"}
    return _UUID.sub("UUID", str(plain))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(value.items())
    return sorted(value) if isinstance(value, frozenset) else value
