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

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NewType

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
    """What all rows have in common; `uuid` is the row's identity within its table."""

    DATABASE: ClassVar[Database]
    TABLE: ClassVar[str]
    CHILDREN: ClassVar[tuple[str, ...]] = ()
    uuid: RowId


# --- Northbound -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NbGlobal(Row):
    """The one row that names the availability zone and holds the `ic-route-*` options."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "NB_Global"
    name: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalSwitch(Row):
    """A logical switch; a transit switch's copy has `other_config:interconn-ts`."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Logical_Switch"
    CHILDREN: ClassVar[tuple[str, ...]] = ("ports",)
    name: str = ""
    other_config: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalSwitchPort(Row):
    """A port of a logical switch (LSP); `peer` is the other end of one of type `switch`."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Logical_Switch_Port"
    name: str = ""
    type: str = ""
    peer: str | None = None
    addresses: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)
    up: bool | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalRouter(Row):
    """A logical router; `enabled` is None or True for a router that forwards."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Logical_Router"
    CHILDREN: ClassVar[tuple[str, ...]] = ("ports", "static_routes", "policies")
    name: str = ""
    enabled: bool | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    load_balancer: frozenset[RowId] = frozenset()
    load_balancer_group: frozenset[RowId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalRouterPort(Row):
    """A port of a logical router (LRP); `networks` are "IP/length" strings."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Logical_Router_Port"
    CHILDREN: ClassVar[tuple[str, ...]] = ("gateway_chassis",)
    name: str = ""
    mac: str = ""
    networks: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)
    enabled: bool | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalRouterStaticRoute(Row):
    """A static route; a learned one has `external_ids:ic-learned-route`."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Logical_Router_Static_Route"
    ip_prefix: str = ""
    nexthop: str = ""
    route_table: str = ""
    policy: str | None = None
    output_port: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayChassis(Row):
    """One candidate gateway of a router port; the highest priority that lives wins."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Gateway_Chassis"
    name: str = ""
    chassis_name: str = ""
    priority: int = 0
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalRouterPolicy(Row):
    """A routing policy of a logical router."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Logical_Router_Policy"
    priority: int = 0
    match: str = ""
    action: str = ""
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer(Row):
    """A load balancer; `vips` maps "IP", "IP:port" or "[IP]:port" to its backends."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Load_Balancer"
    name: str = ""
    vips: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerGroup(Row):
    """Load balancers that routers and switches have in common."""

    DATABASE: ClassVar[Database] = Database.NB
    TABLE: ClassVar[str] = "Load_Balancer_Group"
    name: str = ""
    load_balancer: frozenset[RowId] = frozenset()


# --- Southbound -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Chassis(Row):
    """A chassis: local, or of another zone (`other_config:is-remote`)."""

    DATABASE: ClassVar[Database] = Database.SB
    TABLE: ClassVar[str] = "Chassis"
    name: str = ""
    hostname: str = ""
    encaps: frozenset[RowId] = frozenset()
    other_config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SbEncap(Row):
    """A tunnel end of a chassis."""

    DATABASE: ClassVar[Database] = Database.SB
    TABLE: ClassVar[str] = "Encap"
    type: str = ""
    ip: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    chassis_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SbPortBinding(Row):
    """A port's binding; only the types that interconnection needs are monitored."""

    DATABASE: ClassVar[Database] = Database.SB
    TABLE: ClassVar[str] = "Port_Binding"
    logical_port: str = ""
    type: str = ""
    chassis: RowId | None = None
    mac: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SbDatapathBinding(Row):
    """A logical datapath; a router's has its NB UUID in `external_ids:logical-router`."""

    DATABASE: ClassVar[Database] = Database.SB
    TABLE: ClassVar[str] = "Datapath_Binding"
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SbLearnedRoute(Row):
    """A route that ovn-controller has learned from a routing daemon on its host."""

    DATABASE: ClassVar[Database] = Database.SB
    TABLE: ClassVar[str] = "Learned_Route"
    datapath: RowId = RowId("")
    ip_prefix: str = ""
    nexthop: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SbServiceMonitor(Row):
    """A health check: of another zone's endpoint (`remote`), or for another zone (`ic_learned`)."""

    DATABASE: ClassVar[Database] = Database.SB
    TABLE: ClassVar[str] = "Service_Monitor"
    type: str | None = None
    ip: str = ""
    protocol: str | None = None
    port: int = 0
    logical_port: str = ""
    src_ip: str = ""
    src_mac: str = ""
    status: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    ic_learned: bool = False
    remote: bool = False


# --- IC Northbound --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IcNbGlobal(Row):
    """The IC-NB's global row."""

    DATABASE: ClassVar[Database] = Database.IC_NB
    TABLE: ClassVar[str] = "IC_NB_Global"
    nb_ic_cfg: int = 0
    sb_ic_cfg: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitSwitch(Row):
    """A transit switch, shared by all zones."""

    DATABASE: ClassVar[Database] = Database.IC_NB
    TABLE: ClassVar[str] = "Transit_Switch"
    name: str = ""
    other_config: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitRouter(Row):
    """A transit router, shared by all zones (OVN 26.03 on)."""

    DATABASE: ClassVar[Database] = Database.IC_NB
    TABLE: ClassVar[str] = "Transit_Router"
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitRouterPort(Row):
    """A port of the transit router `tr_uuid`, in the zone that has the chassis."""

    DATABASE: ClassVar[Database] = Database.IC_NB
    TABLE: ClassVar[str] = "Transit_Router_Port"
    name: str = ""
    mac: str = ""
    chassis: str = ""
    networks: frozenset[str] = frozenset()
    tr_uuid: RowId = RowId("")


# --- IC Southbound --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IcSbGlobal(Row):
    """The IC-SB's global row; its `external_ids` hold the zones' claims to their names."""

    DATABASE: ClassVar[Database] = Database.IC_SB
    TABLE: ClassVar[str] = "IC_SB_Global"
    nb_ic_cfg: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityZone(Row):
    """An availability zone that has registered itself."""

    DATABASE: ClassVar[Database] = Database.IC_SB
    TABLE: ClassVar[str] = "Availability_Zone"
    name: str = ""
    nb_ic_cfg: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway(Row):
    """A chassis that a zone offers for interconnection."""

    DATABASE: ClassVar[Database] = Database.IC_SB
    TABLE: ClassVar[str] = "Gateway"
    name: str = ""
    availability_zone: RowId = RowId("")
    hostname: str = ""
    encaps: frozenset[RowId] = frozenset()
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IcEncap(Row):
    """A tunnel end of a gateway."""

    DATABASE: ClassVar[Database] = Database.IC_SB
    TABLE: ClassVar[str] = "Encap"
    type: str = ""
    ip: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    gateway_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IcDatapathBinding(Row):
    """The tunnel key of a transit switch or, by `type`, of a transit router."""

    DATABASE: ClassVar[Database] = Database.IC_SB
    TABLE: ClassVar[str] = "Datapath_Binding"
    transit_switch: str = ""
    tunnel_key: int = 0
    type: str | None = None
    nb_ic_uuid: RowId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IcPortBinding(Row):
    """A zone's port on a transit switch."""

    DATABASE: ClassVar[Database] = Database.IC_SB
    TABLE: ClassVar[str] = "Port_Binding"
    logical_port: str = ""
    transit_switch: str = ""
    availability_zone: RowId = RowId("")
    tunnel_key: int = 0
    gateway: str = ""
    address: str = ""
    type: str | None = None
    nb_ic_uuid: RowId | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IcRoute(Row):
    """A route that a zone advertises over a transit switch."""

    DATABASE: ClassVar[Database] = Database.IC_SB
    TABLE: ClassVar[str] = "Route"
    transit_switch: str = ""
    availability_zone: RowId = RowId("")
    route_table: str = ""
    ip_prefix: str = ""
    nexthop: str = ""
    origin: str = ""
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IcServiceMonitor(Row):
    """A health check that one zone requests of another; zones by name (OVN 25.09 on)."""

    DATABASE: ClassVar[Database] = Database.IC_SB
    TABLE: ClassVar[str] = "Service_Monitor"
    type: str | None = None
    ip: str = ""
    protocol: str | None = None
    port: int = 0
    logical_port: str = ""
    src_ip: str = ""
    src_mac: str = ""
    status: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    source_availability_zone: str = ""
    target_availability_zone: str = ""


ROW_TYPES: tuple[type[Row], ...] = (
    NbGlobal,
    LogicalSwitch,
    LogicalSwitchPort,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    GatewayChassis,
    LogicalRouterPolicy,
    LoadBalancer,
    LoadBalancerGroup,
    Chassis,
    SbEncap,
    SbPortBinding,
    SbDatapathBinding,
    SbLearnedRoute,
    SbServiceMonitor,
    IcNbGlobal,
    TransitSwitch,
    TransitRouter,
    TransitRouterPort,
    IcSbGlobal,
    AvailabilityZone,
    Gateway,
    IcEncap,
    IcDatapathBinding,
    IcPortBinding,
    IcRoute,
    IcServiceMonitor,
)
