"""The rows that Isthmus reads, one frozen dataclass per OVSDB table.

Field names are the column names of OVN's schemas (ovn-nb(5), ovn-sb(5), ovn-ic-nb(5),
ovn-ic-sb(5)). `isthmus.ovsdb` fills them from whatever schema the server has: a column that the
server lacks keeps its default here, so every field needs one.

How a column's type appears: a set of at most one element is `X | None`, a larger set a
`frozenset`, a map a `Mapping` (never to be modified), a reference the row's UUID as a string.
Columns named in `CHILDREN` are strong references from a parent to rows that belong to it alone;
they can hold tens of thousands of elements, so they are no fields: `Change.joined` and `.left`
report them, and the view keeps them as relations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NewType, TypeVar, dataclass_transform

RowId = NewType("RowId", str)
"""A row's UUID in its canonical text form."""


class Database(StrEnum):
    """The four databases, by the names of their schemas."""

    NB = "OVN_Northbound"
    SB = "OVN_Southbound"
    IC_NB = "OVN_IC_Northbound"
    IC_SB = "OVN_IC_Southbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What all rows have in common.

    Attributes:
        DATABASE, TABLE: where rows of this class are; set by `table`.
        CHILDREN: the columns of strong references.
        uuid: the row's identity within its table.
    """

    DATABASE: ClassVar[Database]
    TABLE: ClassVar[str]
    CHILDREN: ClassVar[tuple[str, ...]] = ()
    uuid: RowId


R = TypeVar("R", bound=Row)
ROW_TYPES: list[type[Row]] = []
"""The class of every table, in the order below."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def table(database: Database, name: str, *children: str) -> Callable[[type[R]], type[R]]:
    """Make a class the row class of a table, whose columns `children` are strong references.

    It becomes a frozen dataclass, and is listed in `ROW_TYPES`.
    """

    def decorate(kind: type[R]) -> type[R]:
        row_class = dataclass(frozen=True, slots=True, kw_only=True)(kind)
        row_class.DATABASE, row_class.TABLE, row_class.CHILDREN = database, name, children
        ROW_TYPES.append(row_class)
        return row_class

    return decorate


# --- Northbound -----------------------------------------------------------------------------


@table(Database.NB, "NB_Global")
class NbGlobal(Row):
    """The one row that names the availability zone and holds the `ic-route-*` options."""

    name: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.NB, "Logical_Switch", "ports")
class LogicalSwitch(Row):
    """A logical switch; a transit switch's copy has `other_config:interconn-ts`."""

    name: str = ""
    other_config: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.NB, "Logical_Switch_Port")
class LogicalSwitchPort(Row):
    """A port of a logical switch (LSP); `peer` is the other end of one of type `switch`."""

    name: str = ""
    type: str = ""
    peer: str | None = None
    addresses: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)
    up: bool | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.NB, "Logical_Router", "ports", "static_routes", "policies", "nat")
class LogicalRouter(Row):
    """A logical router; `enabled` is None or True for a router that forwards."""

    name: str = ""
    enabled: bool | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    load_balancer: frozenset[RowId] = frozenset()
    load_balancer_group: frozenset[RowId] = frozenset()


@table(Database.NB, "Logical_Router_Port", "gateway_chassis")
class LogicalRouterPort(Row):
    """A port of a logical router (LRP); `networks` are "IP/length" strings."""

    name: str = ""
    mac: str = ""
    networks: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)
    enabled: bool | None = None
    ha_chassis_group: RowId | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.NB, "Logical_Router_Static_Route")
class LogicalRouterStaticRoute(Row):
    """A static route; a learned one has `external_ids:ic-learned-route`."""

    ip_prefix: str = ""
    nexthop: str = ""
    route_table: str = ""
    policy: str | None = None
    output_port: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.NB, "Gateway_Chassis")
class GatewayChassis(Row):
    """One candidate gateway of a router port; the highest priority that lives wins."""

    name: str = ""
    chassis_name: str = ""
    priority: int = 0
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.NB, "Logical_Router_Policy")
class LogicalRouterPolicy(Row):
    """A routing policy of a logical router."""

    priority: int = 0
    match: str = ""
    action: str = ""
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.NB, "NAT")
class Nat(Row):
    """A NAT rule of a logical router, for its gateway port `gateway_port` if that is set."""

    type: str = ""
    external_ip: str = ""
    logical_ip: str = ""
    gateway_port: RowId | None = None


@table(Database.NB, "Load_Balancer")
class LoadBalancer(Row):
    """A load balancer; `vips` maps "IP", "IP:port" or "[IP]:port" to its backends."""

    name: str = ""
    vips: Mapping[str, str] = field(default_factory=dict)


@table(Database.NB, "Load_Balancer_Group")
class LoadBalancerGroup(Row):
    """Load balancers that routers and switches have in common."""

    name: str = ""
    load_balancer: frozenset[RowId] = frozenset()


# --- Southbound -----------------------------------------------------------------------------


@table(Database.SB, "Chassis")
class Chassis(Row):
    """A chassis: local, or of another zone (`other_config:is-remote`)."""

    name: str = ""
    hostname: str = ""
    encaps: frozenset[RowId] = frozenset()
    other_config: Mapping[str, str] = field(default_factory=dict)


@table(Database.SB, "Encap")
class SbEncap(Row):
    """A tunnel end of a chassis."""

    type: str = ""
    ip: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    chassis_name: str = ""


@table(Database.SB, "Port_Binding")
class SbPortBinding(Row):
    """A port's binding; only the types that interconnection needs are monitored."""

    logical_port: str = ""
    type: str = ""
    chassis: RowId | None = None
    mac: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)


@table(Database.SB, "Datapath_Binding")
class SbDatapathBinding(Row):
    """A logical datapath; a router's has its NB UUID in `external_ids:logical-router`."""

    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.SB, "Learned_Route")
class SbLearnedRoute(Row):
    """A route that ovn-controller has learned from a routing daemon on its host."""

    datapath: RowId = RowId("")
    ip_prefix: str = ""
    nexthop: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMonitor(Row):
    """The columns of a health check that SB and IC-SB have in common."""

    type: str | None = None
    ip: str = ""
    protocol: str | None = None
    port: int = 0
    logical_port: str = ""
    src_ip: str = ""
    src_mac: str = ""
    status: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@table(Database.SB, "Service_Monitor")
class SbServiceMonitor(ServiceMonitor):
    """A health check: of another zone's endpoint (`remote`), or for another zone (`ic_learned`)."""

    ic_learned: bool = False
    remote: bool = False


# --- IC Northbound --------------------------------------------------------------------------


@table(Database.IC_NB, "IC_NB_Global")
class IcNbGlobal(Row):
    """The IC-NB's global row."""

    nb_ic_cfg: int = 0
    sb_ic_cfg: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.IC_NB, "Transit_Switch")
class TransitSwitch(Row):
    """A transit switch, shared by all zones."""

    name: str = ""
    other_config: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.IC_NB, "Transit_Router")
class TransitRouter(Row):
    """A transit router, shared by all zones (OVN 26.03 on)."""

    name: str = ""


@table(Database.IC_NB, "Transit_Router_Port")
class TransitRouterPort(Row):
    """A port of the transit router `tr_uuid`, in the zone that has the chassis."""

    name: str = ""
    mac: str = ""
    chassis: str = ""
    networks: frozenset[str] = frozenset()
    tr_uuid: RowId = RowId("")


# --- IC Southbound --------------------------------------------------------------------------


@table(Database.IC_SB, "IC_SB_Global")
class IcSbGlobal(Row):
    """The IC-SB's global row; its `external_ids` hold the zones' claims to their names."""

    nb_ic_cfg: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.IC_SB, "Availability_Zone")
class AvailabilityZone(Row):
    """An availability zone that has registered itself."""

    name: str = ""
    nb_ic_cfg: int = 0


@table(Database.IC_SB, "Gateway")
class Gateway(Row):
    """A chassis that a zone offers for interconnection."""

    name: str = ""
    availability_zone: RowId = RowId("")
    hostname: str = ""
    encaps: frozenset[RowId] = frozenset()
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.IC_SB, "Encap")
class IcEncap(Row):
    """A tunnel end of a gateway."""

    type: str = ""
    ip: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    gateway_name: str = ""


@table(Database.IC_SB, "Datapath_Binding")
class IcDatapathBinding(Row):
    """The tunnel key of a transit switch or, by `type`, of a transit router."""

    transit_switch: str = ""
    tunnel_key: int = 0
    type: str | None = None
    nb_ic_uuid: RowId | None = None


@table(Database.IC_SB, "Port_Binding")
class IcPortBinding(Row):
    """A zone's port on a transit switch."""

    logical_port: str = ""
    transit_switch: str = ""
    availability_zone: RowId = RowId("")
    tunnel_key: int = 0
    gateway: str = ""
    address: str = ""
    type: str | None = None
    nb_ic_uuid: RowId | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.IC_SB, "Route")
class IcRoute(Row):
    """A route that a zone advertises over a transit switch."""

    transit_switch: str = ""
    availability_zone: RowId = RowId("")
    route_table: str = ""
    ip_prefix: str = ""
    nexthop: str = ""
    origin: str = ""
    external_ids: Mapping[str, str] = field(default_factory=dict)


@table(Database.IC_SB, "Service_Monitor")
class IcServiceMonitor(ServiceMonitor):
    """A health check that one zone requests of another; zones by name (OVN 25.09 on)."""

    source_availability_zone: str = ""
    target_availability_zone: str = ""
