"""The tables, relations and indexes that the interconnection reconcilers share."""

from collections.abc import Iterator

from isthmus.engine.view import View
from isthmus.model.ovn_keys import INTERCONN_TR, INTERCONN_TS, ROUTER_PORT, interconn_ts
from isthmus.model.prefixes import Network, parse_network
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Gateway,
    IcDatapathBinding,
    IcEncap,
    IcNbGlobal,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    IcServiceMonitor,
    LoadBalancer,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    RowId,
    SbDatapathBinding,
    SbEncap,
    SbLearnedRoute,
    SbPortBinding,
    SbServiceMonitor,
    TransitRouter,
    TransitRouterPort,
    TransitSwitch,
)


def _network_key(prefix: str) -> list[Network]:
    network = parse_network(prefix)
    return [] if network is None else [network]


class Lookup:
    """Typed access to the view, made once per engine."""

    def __init__(self, view: View) -> None:
        self.schema = view.schema
        self.nb_global = view.table(NbGlobal)
        self.switches = view.table(LogicalSwitch)
        self.lsps = view.table(LogicalSwitchPort)
        self.routers = view.table(LogicalRouter)
        self.lrps = view.table(LogicalRouterPort)
        self.static_routes = view.table(LogicalRouterStaticRoute)
        self.load_balancers = view.table(LoadBalancer)
        self.lb_groups = view.table(LoadBalancerGroup)
        self.chassis = view.table(Chassis)
        self.encaps = view.table(SbEncap)
        self.bindings = view.table(SbPortBinding)
        self.sb_datapaths = view.table(SbDatapathBinding)
        self.dynamic_routes = view.table(SbLearnedRoute)
        self.transit_switches = view.table(TransitSwitch)
        self.monitors = view.table(SbServiceMonitor)
        self.ic_monitors = view.table(IcServiceMonitor)
        self.transit_routers = view.table(TransitRouter)
        self.transit_router_ports = view.table(TransitRouterPort)
        self.ic_nb_global = view.table(IcNbGlobal)
        self.ic_sb_global = view.table(IcSbGlobal)
        self.zones = view.table(AvailabilityZone)
        self.gateways = view.table(Gateway)
        self.ic_encaps = view.table(IcEncap)
        self.datapaths = view.table(IcDatapathBinding)
        self.ic_ports = view.table(IcPortBinding)
        self.ic_routes = view.table(IcRoute)

        self._index_nb(view)
        self._index_sb()
        self._index_ic()

    def _index_nb(self, view: View) -> None:
        self.switch_ports = view.relation(LogicalSwitch, "ports")
        self.router_ports = view.relation(LogicalRouter, "ports")
        self.router_routes = view.relation(LogicalRouter, "static_routes")
        self.switch_by_ts = self.switches.index(interconn_ts)
        self.lsp_by_name = self.lsps.index(lambda row: [row.name])
        self.lsp_by_router_port = self.lsps.index(
            lambda row: [row.options[ROUTER_PORT]] if ROUTER_PORT in row.options else []
        )
        self.routers_by_lb = self.routers.index(lambda row: row.load_balancer)
        self.routers_by_lb_group = self.routers.index(lambda row: row.load_balancer_group)
        self.lb_groups_by_lb = self.lb_groups.index(lambda row: row.load_balancer)
        self.router_by_tr = self.routers.index(
            lambda row: [row.options[INTERCONN_TR]] if INTERCONN_TR in row.options else []
        )
        self.lrp_by_name = self.lrps.index(lambda row: [row.name])
        self.lsps_by_peer = self.lsps.index(lambda row: [row.peer] if row.peer else [])

    def _index_sb(self) -> None:
        self.chassis_by_name = self.chassis.index(lambda row: [row.name])
        self.binding_by_port = self.bindings.index(lambda row: [row.logical_port])
        self.bindings_by_chassis = self.bindings.index(
            lambda row: [row.chassis] if row.chassis else []
        )
        self.sb_datapath_by_router = self.sb_datapaths.index(
            lambda row: (
                [row.external_ids["logical-router"]] if "logical-router" in row.external_ids else []
            )
        )
        self.dynamic_routes_by_datapath = self.dynamic_routes.index(lambda row: [row.datapath])
        self.dynamic_routes_by_prefix = self.dynamic_routes.index(
            lambda row: [(row.datapath, network) for network in _network_key(row.ip_prefix)]
        )
        self.chassis_by_encap = self.chassis.index(lambda row: row.encaps)

    def _index_ic(self) -> None:
        self.ts_by_name = self.transit_switches.index(lambda row: [row.name])
        self.transit_router_by_name = self.transit_routers.index(lambda row: [row.name])
        self.transit_router_port_by_name = self.transit_router_ports.index(lambda row: [row.name])
        self.transit_router_ports_by_router = self.transit_router_ports.index(
            lambda row: [row.tr_uuid]
        )
        self.transit_router_ports_by_chassis = self.transit_router_ports.index(
            lambda row: [row.chassis]
        )
        self.datapaths_by_ic_nb = self.datapaths.index(
            lambda row: [row.nb_ic_uuid] if row.nb_ic_uuid else []
        )
        self.zone_by_name = self.zones.index(lambda row: [row.name])
        self.gateway_by_name = self.gateways.index(lambda row: [row.name])
        self.gateways_by_zone = self.gateways.index(lambda row: [row.availability_zone])
        self.ic_encaps_by_type = self.ic_encaps.index(lambda row: [row.type])
        self.gateways_by_encap = self.gateways.index(lambda row: row.encaps)
        self.datapaths_by_ts = self.datapaths.index(lambda row: [row.transit_switch])
        self.datapath_by_key = self.datapaths.index(lambda row: [row.tunnel_key])
        self.ic_port_by_name = self.ic_ports.index(lambda row: [row.logical_port])
        self.ic_ports_by_ts = self.ic_ports.index(lambda row: [row.transit_switch])
        self.ic_ports_by_zone = self.ic_ports.index(lambda row: [row.availability_zone])
        self.ic_ports_by_gateway = self.ic_ports.index(lambda row: [row.gateway])
        self.ic_routes_by_ts = self.ic_routes.index(lambda row: [row.transit_switch])
        self.ic_routes_by_zone = self.ic_routes.index(lambda row: [row.availability_zone])
        self.ic_routes_by_prefix = self.ic_routes.index(lambda row: _network_key(row.ip_prefix))

    def routes_itself(self, router: RowId, prefix: Network) -> bool:
        """Whether a routing daemon on a host has taught a router a prefix (SB `Learned_Route`)."""
        datapath = self.sb_datapath_by_router.one(router)
        if datapath is None:
            return False
        return self.dynamic_routes_by_prefix.one((datapath.uuid, prefix)) is not None

    def own_switch_of(self, lsp: LogicalSwitchPort) -> LogicalSwitch | None:
        """The logical switch that has this port."""
        return self.switches.get(self.switch_ports.parent(lsp.uuid))

    def transit_switch_of(self, lsp: LogicalSwitchPort) -> str | None:
        """The name of the transit switch whose copy has this port, or None."""
        switch = self.own_switch_of(lsp)
        return None if switch is None else switch.other_config.get(INTERCONN_TS)

    def transit_ports_of(self, lrp_name: str) -> Iterator[LogicalSwitchPort]:
        """The ports on transit switches that the router port of that name attaches to."""
        for lsp in self.lsp_by_router_port.all(lrp_name):
            if self.transit_switch_of(lsp) is not None:
                yield lsp

    def router_of(self, lrp: LogicalRouterPort) -> LogicalRouter | None:
        """The router that has this port."""
        return self.routers.get(self.router_ports.parent(lrp.uuid))

    def ports_of(self, router: RowId) -> Iterator[LogicalRouterPort]:
        """The ports of a router."""
        for uuid in tuple(self.router_ports.children(router)):
            lrp = self.lrps.get(uuid)
            if lrp is not None:
                yield lrp
