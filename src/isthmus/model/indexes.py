"""All indexes over the rows and all parent relations, each declared once.

A declaration is a value: a table and a function from a row to its keys. `isthmus.engine.view.View`
builds an index when it is first asked for, and once per view, so an index that no one uses costs
nothing, and all reconcilers share the others. The declarations are here and not in the engine,
which knows no domain, and not in `exchange` or `controller`, which share many of them.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from isthmus.model.changes import Change
from isthmus.model.external_ids import DECLARED, TS_MARK, is_ours
from isthmus.model.ovn_keys import (
    IC_LEARNED_ROUTE,
    INTERCONN_TR,
    ROUTER_PORT,
    SRC_IP,
    interconn_ts,
    is_remote,
)
from isthmus.model.prefix_index import sort_key
from isthmus.model.prefixes import (
    Address,
    Network,
    canonical,
    parse_interface,
    parse_network,
    parse_port_address,
)
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Gateway,
    GatewayChassis,
    IcDatapathBinding,
    IcEncap,
    IcPortBinding,
    IcRoute,
    IcServiceMonitor,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    Nat,
    Row,
    RowId,
    SbDatapathBinding,
    SbEncap,
    SbLearnedRoute,
    SbPortBinding,
    SbServiceMonitor,
    ServiceMonitor,
    TransitRouter,
    TransitRouterPort,
    TransitSwitch,
)

R = TypeVar("R", bound=Row)
P = TypeVar("P", bound=Row)
C = TypeVar("C", bound=Row)


@dataclass(frozen=True, slots=True, eq=False)
class IndexOf(Generic[R]):
    """Declares by which keys the rows of a table are found.

    Args:
        table: the kind of row.
        keys: the keys of a row; it may have several, or none.
    """

    table: type[R]
    keys: Callable[[R], Iterable[Hashable]]

    def affected(self, change: Change) -> list[Any]:
        """The keys of a row of the table before and after a change."""
        return [key for row in change.of(self.table) for key in self.keys(row)]


@dataclass(frozen=True, slots=True, eq=False)
class ChildrenOf(Generic[P, C]):
    """Declares one of the strong-reference columns of `Row.CHILDREN`."""

    parent: type[P]
    column: str
    child: type[C]


SWITCH_PORTS = ChildrenOf(LogicalSwitch, "ports", LogicalSwitchPort)
ROUTER_PORTS = ChildrenOf(LogicalRouter, "ports", LogicalRouterPort)
ROUTER_ROUTES = ChildrenOf(LogicalRouter, "static_routes", LogicalRouterStaticRoute)
ROUTER_POLICIES = ChildrenOf(LogicalRouter, "policies", LogicalRouterPolicy)
ROUTER_NATS = ChildrenOf(LogicalRouter, "nat", Nat)
PORT_GATEWAYS = ChildrenOf(LogicalRouterPort, "gateway_chassis", GatewayChassis)

POLICY_PRIORITY = 29500
"""The priority of the routing policies that let packets to other zones pass (Kube-OVN's)."""

_NODE = "node-"
"""How the names of the nodes' switch ports begin (Kube-OVN)."""

_POLICY_MATCH = re.compile(r"ip([46])\.dst == (\S+)")


def policy_prefix(row: LogicalRouterPolicy) -> tuple[Network, ...]:
    """The prefix that a policy of ours is for; empty for any other policy."""
    match = _POLICY_MATCH.fullmatch(row.match) if row.priority == POLICY_PRIORITY else None
    if match is None or not is_ours(row.external_ids):
        return ()
    prefix = parse_network(match[2])
    return (prefix,) if prefix is not None and str(prefix.version) == match[1] else ()


def node_of(row: LogicalSwitchPort) -> str:
    """The node that a switch port would connect by its name; empty if it has another name."""
    return row.name.removeprefix(_NODE) if row.name.startswith(_NODE) else ""


def route_destination(row: LogicalRouterStaticRoute) -> tuple[Network, ...]:
    """The prefix of a route by destination; empty for a route by source address."""
    return _prefix(row.ip_prefix) if row.policy != SRC_IP else ()


def monitor_endpoint(row: ServiceMonitor) -> tuple[str, str, int, str | None]:
    """Logical port, address, port and protocol: what SB's index makes unique."""
    return row.logical_port, row.ip, row.port, row.protocol


Rank: TypeAlias = tuple[int, int, int, RowId]
"""The place of a route among those of its zone: the canonical order of its prefix, and its UUID."""

_LAST = (9, 0, 0)
"""In the canonical order, the place of what is not a prefix."""


def rank_of(row: IcRoute) -> Rank:
    """The rank of a route."""
    prefix = parse_network(row.ip_prefix)
    return (*(sort_key(prefix) if prefix is not None else _LAST), row.uuid)


def _prefix(text: str) -> tuple[Network, ...]:
    prefix = parse_network(text)
    return () if prefix is None else (prefix,)


def _optional(value: str | None) -> tuple[str, ...]:
    return (value,) if value else ()


def _value(column: Mapping[str, str], key: str) -> tuple[str, ...]:
    return (column[key],) if key in column else ()


def _offer(row: IcRoute) -> tuple[Hashable, ...]:
    prefix = canonical(row.ip_prefix)
    return ((row.availability_zone, row.transit_switch, row.route_table, prefix),)


# --- Northbound -----------------------------------------------------------------------------

SWITCHES_BY_TS = IndexOf(LogicalSwitch, interconn_ts)
"""Copies of transit switches, by the name of the transit switch."""

NODE_PORTS = IndexOf(LogicalSwitchPort, lambda row: [True] if node_of(row) else [])
"""All ports that may connect a node, under the key True."""

LSPS_BY_NAME = IndexOf(LogicalSwitchPort, lambda row: (row.name,))
LSPS_BY_ROUTER_PORT = IndexOf(LogicalSwitchPort, lambda row: _value(row.options, ROUTER_PORT))
REMOTE_LSPS_BY_ADDRESS = IndexOf(
    LogicalSwitchPort,
    lambda row: (
        {i.ip for text in row.addresses for i in parse_port_address(text)}
        if row.type == "remote"
        else ()
    ),
)
LSPS_BY_PEER = IndexOf(LogicalSwitchPort, lambda row: _optional(row.peer))

ROUTERS_BY_NAME = IndexOf(LogicalRouter, lambda row: (row.name,))
ROUTERS_BY_LB = IndexOf(LogicalRouter, lambda row: row.load_balancer)
ROUTERS_BY_LB_GROUP = IndexOf(LogicalRouter, lambda row: row.load_balancer_group)
ROUTERS_BY_TR = IndexOf(LogicalRouter, lambda row: _value(row.options, INTERCONN_TR))
"""Copies of transit routers, by the name of the transit router."""

LRPS_BY_NAME = IndexOf(LogicalRouterPort, lambda row: (row.name,))
LRPS_BY_NETWORK = IndexOf(
    LogicalRouterPort,
    lambda row: {i.network for text in row.networks if (i := parse_interface(text)) is not None},
)
MARKED_LRPS_BY_TS = IndexOf(
    LogicalRouterPort,
    lambda row: _value(row.external_ids, TS_MARK) if is_ours(row.external_ids) else (),
)
"""Router ports that the controller made, by the transit switch that they connect."""

LB_GROUPS_BY_LB = IndexOf(LoadBalancerGroup, lambda row: row.load_balancer)
POLICIES_BY_PREFIX = IndexOf(LogicalRouterPolicy, policy_prefix)

STATIC_ROUTES_BY_DESTINATION = IndexOf(LogicalRouterStaticRoute, route_destination)
UNLEARNED_ROUTES_BY_PREFIX = IndexOf(
    LogicalRouterStaticRoute,
    lambda row: () if IC_LEARNED_ROUTE in row.external_ids else _prefix(row.ip_prefix),
)
LEARNED_ROUTES = IndexOf(
    LogicalRouterStaticRoute, lambda row: [True] if IC_LEARNED_ROUTE in row.external_ids else []
)
DECLARED_ROUTES = IndexOf(
    LogicalRouterStaticRoute, lambda row: [True] if DECLARED in row.external_ids else []
)
"""All learned, and all declared routes, under the key True."""

# --- Southbound -----------------------------------------------------------------------------

CHASSIS_BY_NAME = IndexOf(Chassis, lambda row: (row.name,))
CHASSIS_BY_ENCAP = IndexOf(Chassis, lambda row: row.encaps)
SB_ENCAPS_BY_TUNNEL = IndexOf(SbEncap, lambda row: ((row.type, row.ip),))
LOCAL_CHASSIS_BY_HOSTNAME = IndexOf(
    # Another cluster may have a node of the same name.
    Chassis,
    lambda row: () if is_remote(row) else (row.hostname,),
)
BINDINGS_BY_PORT = IndexOf(SbPortBinding, lambda row: (row.logical_port,))
BINDINGS_BY_CHASSIS = IndexOf(SbPortBinding, lambda row: _optional(row.chassis))
SB_DATAPATHS_BY_ROUTER = IndexOf(
    SbDatapathBinding, lambda row: _value(row.external_ids, "logical-router")
)
DYNAMIC_ROUTES_BY_DATAPATH = IndexOf(SbLearnedRoute, lambda row: (row.datapath,))
DYNAMIC_ROUTES_BY_DESTINATION = IndexOf(
    SbLearnedRoute, lambda row: [(row.datapath, prefix) for prefix in _prefix(row.ip_prefix)]
)
DYNAMIC_ROUTES_BY_PREFIX = IndexOf(SbLearnedRoute, lambda row: _prefix(row.ip_prefix))
SB_MONITORS_BY_ENDPOINT = IndexOf(SbServiceMonitor, lambda row: (monitor_endpoint(row),))

# --- IC Northbound --------------------------------------------------------------------------

TRANSIT_SWITCHES_BY_NAME = IndexOf(TransitSwitch, lambda row: (row.name,))
TRANSIT_ROUTERS_BY_NAME = IndexOf(TransitRouter, lambda row: (row.name,))
TRANSIT_ROUTER_PORTS_BY_NAME = IndexOf(TransitRouterPort, lambda row: (row.name,))
TRANSIT_ROUTER_PORTS_BY_ROUTER = IndexOf(TransitRouterPort, lambda row: (row.tr_uuid,))
TRANSIT_ROUTER_PORTS_BY_CHASSIS = IndexOf(TransitRouterPort, lambda row: (row.chassis,))

# --- IC Southbound --------------------------------------------------------------------------

ZONES_BY_NAME = IndexOf(AvailabilityZone, lambda row: (row.name,))
GATEWAYS_BY_NAME = IndexOf(Gateway, lambda row: (row.name,))
GATEWAYS_BY_ZONE = IndexOf(Gateway, lambda row: (row.availability_zone,))
GATEWAYS_BY_ENCAP = IndexOf(Gateway, lambda row: row.encaps)
IC_ENCAPS_BY_TUNNEL = IndexOf(IcEncap, lambda row: ((row.type, row.ip),))
IC_ENCAPS_BY_TYPE = IndexOf(IcEncap, lambda row: (row.type,))

DATAPATHS_BY_TS = IndexOf(IcDatapathBinding, lambda row: (row.transit_switch,))
DATAPATHS_BY_IC_NB = IndexOf(IcDatapathBinding, lambda row: _optional(row.nb_ic_uuid))
DATAPATHS_BY_TUNNEL_KEY = IndexOf(IcDatapathBinding, lambda row: (row.tunnel_key,))

IC_PORTS_BY_NAME = IndexOf(IcPortBinding, lambda row: (row.logical_port,))
IC_PORTS_BY_TS = IndexOf(IcPortBinding, lambda row: (row.transit_switch,))
IC_PORTS_BY_ZONE = IndexOf(IcPortBinding, lambda row: (row.availability_zone,))
IC_PORTS_BY_ZONE_AND_TS = IndexOf(
    IcPortBinding, lambda row: ((row.availability_zone, row.transit_switch),)
)
IC_PORTS_BY_GATEWAY = IndexOf(IcPortBinding, lambda row: (row.gateway,))


def port_addresses(row: IcPortBinding) -> set[tuple[str, Address]]:
    """The transit switch of a port with each of its addresses."""
    return {(row.transit_switch, interface.ip) for interface in parse_port_address(row.address)}


IC_PORTS_BY_ADDRESS = IndexOf(IcPortBinding, port_addresses)

IC_ROUTES_BY_TS = IndexOf(IcRoute, lambda row: (row.transit_switch,))
IC_ROUTES_BY_ZONE = IndexOf(IcRoute, lambda row: (row.availability_zone,))
IC_ROUTES_RANKED = IndexOf(IcRoute, lambda row: ((row.availability_zone, rank_of(row)),))
"""The zone of a route with the route's rank."""

IC_ROUTES_BY_ZONE_AND_TS = IndexOf(
    IcRoute, lambda row: ((row.availability_zone, row.transit_switch),)
)
IC_ROUTES_BY_PREFIX = IndexOf(IcRoute, lambda row: _prefix(row.ip_prefix))
IC_ROUTES_BY_OFFER = IndexOf(IcRoute, _offer)
"""By zone, transit switch, route table and canonical prefix."""

IC_MONITORS_BY_ENDPOINT = IndexOf(IcServiceMonitor, lambda row: (monitor_endpoint(row),))
