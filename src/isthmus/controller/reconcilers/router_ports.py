"""Connections of VPCs to transit switches: switch port, router port and gateway candidates.

A key is a transit switch, and everything of it changes in one transaction, by the smallest
difference, so that no connection is interrupted to change a detail. Names, MAC and gateways follow
Kube-OVN; ports that Kube-OVN has created are adopted unchanged. Nothing changes while the zone is
not registered, e.g. because another cluster has claimed its name.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

from isthmus.controller.config.configmap import Config, ConfigKey
from isthmus.controller.connections import (
    PortPair,
    connects_node,
    held_addresses,
    rivals_changed,
    transit_switches_of,
)
from isthmus.controller.gateway_conflicts import GatewayConflicts
from isthmus.controller.inputs.inputs import Changed
from isthmus.controller.reconcilers.address_allocation import parse_subnets
from isthmus.controller.reconcilers.base import ControllerReconciler
from isthmus.controller.reconcilers.gateway_candidates import choose_gateways
from isthmus.controller.reconcilers.port_operations import (
    WantedPort,
    align_gateways,
    align_ports,
    align_settings,
    remove_ports,
)
from isthmus.controller.reconcilers.port_options import DENY_MARK, PortSettings, entries
from isthmus.controller.reconcilers.private_prefixes import PrivateLists
from isthmus.controller.zones import is_registered
from isthmus.engine.reconciler import Watch
from isthmus.model.changes import Change
from isthmus.model.external_ids import (
    ISTHMUS,
    NETWORK,
    SUBNET,
    TS_MARK,
    VENDOR,
    claimed_address,
    is_another_vendors,
    is_ours,
    missing_mark,
    network_of,
)
from isthmus.model.indexes import IC_PORTS_BY_TS
from isthmus.model.operations import Operation
from isthmus.model.ovn_keys import REDIRECT, is_remote
from isthmus.model.prefixes import Address, parse_address, parse_interface
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    Gateway,
    GatewayChassis,
    IcEncap,
    IcPortBinding,
    IcSbGlobal,
    LoadBalancer,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    Nat,
    NbGlobal,
    Row,
    RowId,
    SbEncap,
    SbPortBinding,
    TransitSwitch,
)

_UNICAST_MAC = re.compile(r"[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}")


@dataclass(frozen=True, slots=True)
class _Endpoints:
    """What a connection connects.

    Args:
        cluster: the UUID of this cluster, as in claims.
        transit_switch, switch: the transit switch, and this zone's copy of it.
        networks: the router port's networks.
        vpc, router: the VPC and its router.
    """

    cluster: RowId
    transit_switch: TransitSwitch
    switch: LogicalSwitch
    networks: frozenset[str]
    vpc: str
    router: LogicalRouter


class RouterPorts(ControllerReconciler[str]):
    """The connection to one transit switch; the key is its name."""

    name: ClassVar[str] = "router ports"
    writes: ClassVar[Database] = Database.NB

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        """The parts of connections, address claims, all gateways, NAT and load balancers."""
        return {
            TransitSwitch: self._of_transit_switch,
            LogicalSwitch: transit_switches_of,
            LogicalSwitchPort: self._of_switch_port,
            LogicalRouter: self._of_router,
            LogicalRouterPort: self._all,
            GatewayChassis: self._all,
            Nat: self._all,
            LoadBalancer: self._of_load_balancer,
            LoadBalancerGroup: self._all,
            Chassis: self._of_chassis,
            SbEncap: self._all,
            SbPortBinding: self._of_binding,
            NbGlobal: self._all,
            IcPortBinding: self._of_ic_port,
            IcSbGlobal: self._all,
            AvailabilityZone: self._of_zone,
            Gateway: self._all,
            IcEncap: self._all,
        }

    def affected(self, changed: Changed) -> Iterable[str]:
        """All transit switches, if names, gateways, MTU or private prefixes changed.

        Nothing depends on Nodes that are not in `gw-nodes`.
        """
        config = self.inputs.config
        gateways = config.gateways if config is not None else ()
        keys = (
            ConfigKey.AZ_NAME,
            ConfigKey.GW_NODES,
            ConfigKey.MTU,
            ConfigKey.VPCS,
            ConfigKey.FORCE_CONNECT,
        )
        nodes = changed.node_list or not changed.nodes.isdisjoint(gateways)
        return self.keys() if changed.any_of(*keys) or changed.private or nodes else ()

    def keys(self) -> Iterable[str]:
        """The transit switches that exist, and those of which something is left in NB."""
        return self.connections.transit_switch_names()

    def reconcile(self, key: str) -> Iterable[Operation]:
        """Create, correct or remove the connection."""
        self.report(key)
        config, cluster = self.inputs.config, self.view.single(NbGlobal)
        if config is None or cluster is None or not is_registered(self.view, config.zone):
            return ()
        row = self.connections.transit_switch(key)
        existing = self.connections.ports_on(key)
        vpc = self.connections.vpc_of(row) if row is not None else None
        router = self.connections.router(vpc) if vpc is not None else None
        if self._is_only_missing(key, row, existing):
            return self._keep(config, key, existing)
        if row is None or vpc is None or router is None:
            return remove_ports(self.connections, existing)  # `VpcReports` reports a missing router
        rival = self.connections.shadowing(row)
        if rival is not None:
            return self._give_way(row, rival.name, existing)
        networks = self._networks(row, cluster.uuid)
        switch = next(self.connections.copies(key), None)
        if not networks or switch is None:
            # `AddressClaims` claims the addresses, and the exchange engine makes the copy.
            return remove_ports(self.connections, self._astray(existing, router))
        ends = _Endpoints(cluster.uuid, row, switch, networks, vpc, router)
        return self._align(config, ends, existing)

    def _is_only_missing(
        self, key: str, row: TransitSwitch | None, existing: list[PortPair]
    ) -> bool:
        """Whether a transit switch or its marks are missing, which asks for no disconnection.

        The ports go with the copy, which the exchange engine deletes unless packets need it.
        """
        if row is None:
            return any(pair.switch is not None for pair in existing)
        if not existing or is_another_vendors(row):
            return False
        if _was_of_custom_vpc(row, existing):
            # Without the marks it looks like a transit switch of the default VPC.
            self.report(key, _unmarked(row, NETWORK))
            return True
        if not missing_mark(row):
            return False
        self.report(key, _unmarked(row, missing_mark(row)))
        return network_of(row) is None or not self.connections.subnet(row)

    def _keep(self, config: Config, key: str, existing: list[PortPair]) -> Iterator[Operation]:
        """Keep gateways and private prefixes up to date, and change nothing else."""
        private = PrivateLists(self.view, self.inputs, self.connections)
        for port in (pair.router_port for pair in existing):
            router = self.connections.router_of(port) if port is not None else None
            if port is not None and router is not None:
                switches = self.connections.connected_to(router)
                gateways, _ = choose_gateways(
                    self.view, self.connections, self.inputs, switches, key
                )
                if gateways:
                    yield from align_gateways(self.connections, port, gateways)
                held = _held([PortPair(None, None, port)])
                settings = PortSettings(config.mtu, private.on_port(router.name, held))
                yield from align_settings(port, settings, {})

    def _give_way(
        self, row: TransitSwitch, rival: str, existing: list[PortPair]
    ) -> Iterable[Operation]:
        """Disconnect a transit switch in favour of another, unless that would lose a zone."""
        zones = self.connections.zones_on
        lost = zones(row.name) - zones(rival) if existing else set[str]()
        self.report(row.name, _shared_subnet(row, rival, lost))
        return () if lost else remove_ports(self.connections, existing)

    def _astray(self, existing: list[PortPair], router: LogicalRouter) -> list[PortPair]:
        """The connections of other routers, which must not stay connected to this network."""
        of = self.connections.router_of
        return [p for p in existing if p.router_port is not None and of(p.router_port) != router]

    def _align(
        self, config: Config, ends: _Endpoints, existing: list[PortPair]
    ) -> Iterable[Operation]:
        row, vpc = ends.transit_switch, ends.vpc
        switches = self.connections.transit_switches(vpc)
        gateways, problems = choose_gateways(
            self.view, self.connections, self.inputs, switches, row.name
        )
        conflicts, held = GatewayConflicts(self.view, self.inputs).of(vpc, ends.router, existing)
        problems += conflicts
        if missing_mark(row):
            problems = [*problems, _unmarked(row, missing_mark(row))]
        self.report(row.name, *problems)
        if held:
            return remove_ports(self.connections, self._astray(existing, ends.router))
        if not gateways:
            self.report(row.name, self._no_gateway(config), *problems)
            if not existing:
                return ()
        name = f"{config.zone}-{row.name}"
        existing = self._named_first(name, existing)
        private = PrivateLists(self.view, self.inputs, self.connections)
        wanted = WantedPort(
            transit_switch=row.name,
            switch_port=f"{row.name}-{config.zone}",
            router_port=name,
            mac=_mac(existing, f"{config.zone} {row.name} {ends.cluster}"),
            networks=ends.networks,
            gateways=gateways or None,
            vendor=self.connections.vendor(vpc),
            settings=PortSettings(config.mtu, private.on_port(vpc, _held(existing))),
            tunnel_key=self._tunnel_key(row, ends.networks, f"{row.name}-{config.zone}"),
        )
        taken = self._taken(wanted, ends, existing)
        if taken is not None:
            self.report(row.name, taken, *problems)
            return remove_ports(self.connections, self._astray(existing, ends.router))
        return align_ports(self.connections, wanted, existing, ends.switch, ends.router)

    def _named_first(self, name: str, existing: list[PortPair]) -> list[PortPair]:
        """The existing connections; the one whose router port has the right name comes first."""
        peer = self.connections.router_port_named(name)
        known = any(port.router_port == peer for port in existing)
        if peer is not None and is_ours(peer.external_ids) and not known:
            return [PortPair(None, None, peer), *existing]
        return sorted(existing, key=lambda port: port.router_port != peer)

    def _networks(self, row: TransitSwitch, cluster: RowId) -> frozenset[str]:
        """Our addresses on a transit switch with prefix lengths; none unless all are claimed."""
        try:
            subnets = parse_subnets(self.connections.subnet(row))
        except ValueError:
            return frozenset()  # `AddressClaims` reports it
        keys = sorted(held_addresses(row, cluster))
        claimed = [parse_address(claimed_address(key) or "") for key in keys]
        networks: set[str] = set()
        for subnet in subnets:
            inside: list[Address] = [a for a in claimed if a is not None and a in subnet]
            if not inside:
                return frozenset()
            networks.add(f"{min(inside, key=int)}/{subnet.prefixlen}")
        return frozenset(networks)

    def _tunnel_key(self, row: TransitSwitch, networks: frozenset[str], name: str) -> int:
        """The key to request: our address's offset in the subnet, which no other claimant has.

        If a zone without claims (`ovn-ic`) uses it, the next free key. A port of that name that is
        still published, although its row in NB was lost, keeps its key.
        """
        interfaces = [i for text in networks if (i := parse_interface(text)) is not None]
        first = min(interfaces, key=lambda interface: interface.version, default=None)
        if first is None:
            return 0
        place = int(first.ip) - int(first.network.network_address)
        ports = self.view.all(IC_PORTS_BY_TS, row.name)
        keys = {port.logical_port: port.tunnel_key for port in ports}
        if name in keys:
            return keys[name]
        taken = set(keys.values())
        return next((key for key in range(place, 1 << 15) if key > 0 and key not in taken), 0)

    def _taken(
        self, wanted: WantedPort, ends: _Endpoints, existing: list[PortPair]
    ) -> Problem | None:
        """The problem that another port has one of the names; None if there is no such port."""
        own = {port.switch_port.uuid for port in existing if port.switch_port is not None}
        for port in self.connections.switch_ports(ends.switch):
            if port.name == wanted.switch_port and port.uuid not in own:
                return _name_taken("Logical_Switch_Port", port.name)
        peer = self.connections.router_port_named(wanted.router_port)
        # Kube-OVN marks router ports from 1.12 on; before, only the switch port identifies them.
        adopted = any(port.router_port == peer for port in existing)
        if peer is None:
            return None
        here = TS_MARK in peer.external_ids or self.connections.router_of(peer) == ends.router
        ours = here and (adopted or is_ours(peer.external_ids))
        return None if ours else _name_taken("Logical_Router_Port", peer.name)

    def _no_gateway(self, config: Config) -> Problem:
        subject = Subject(str(self.inputs.config_map), "data.gw-nodes", ",".join(config.gateways))
        return subject.problem(
            "none of these nodes can serve as a gateway, so the gateways are not changed",
            "list at least one node that can, or fix what is reported for each",
            Reason.NO_GATEWAY,
        )

    def _of_router(self, change: Change) -> Iterable[str]:
        nat = "nat" in change.joined or "nat" in change.left
        return self.keys() if nat else self.of_router(change)

    def _of_load_balancer(self, change: Change) -> Iterable[str]:
        # Endpoints come and go all the time, and conflicts do not depend on them.
        sides = {(row.name, bool(row.vips)) for row in change.of(LoadBalancer)}
        return self.keys() if len(sides) > 1 or len(change.sides) == 1 else ()

    def _of_transit_switch(self, change: Change) -> Iterable[str]:
        # Gateways depend on a switch's position among all.
        return self._all(change) if rivals_changed(change) else transit_switches_of(change)

    def _of_switch_port(self, change: Change) -> Iterable[str]:
        if connects_node(change):
            return self._all(change)  # the private prefixes of router ports depend on it
        return self.connections.transit_switch_of_port(change)

    def _of_ic_port(self, change: Change) -> Iterable[str]:
        """Which zones have ports decides between transit switches with one subnet."""
        return () if change.old is not None and change.new is not None else self.keys()

    def _of_chassis(self, change: Change) -> Iterable[str]:
        return () if all(map(is_remote, change.of(Chassis))) else self.keys()

    def _of_zone(self, change: Change) -> Iterable[str]:
        """Which gateways are other zones'; heartbeats do not matter."""
        names = [row.name for row in change.of(AvailabilityZone)]
        return () if names[1:] == names[:1] else self.keys()

    def _of_binding(self, change: Change) -> Iterable[str]:
        """Which chassis serves as a gateway."""
        ports = (row.logical_port for row in change.of(SbPortBinding))
        return self.keys() if any(port.startswith(REDIRECT) for port in ports) else ()

    def _all(self, change: Change) -> Iterable[str]:
        return {*self.keys(), *transit_switches_of(change)}


def _held(existing: Iterable[PortPair]) -> list[str]:
    """Our present entries in the deny lists of the connection."""
    ports = (port.router_port for port in existing if port.router_port is not None)
    return [entry for p in ports for entry in entries(p.external_ids.get(DENY_MARK, ""))]


def _mac(existing: Iterable[PortPair], seed: str) -> str:
    """The present MAC of the connection, so that peers need not learn another; else a new one."""
    for port in existing:
        if port.router_port is not None and _UNICAST_MAC.fullmatch(port.router_port.mac):
            return port.router_port.mac
    # 02: locally administered, unicast (IEEE 802, section 8.2).
    digest = blake2b(seed.encode(), digest_size=5).digest()
    return ":".join(f"{octet:02x}" for octet in (2, *digest))


def _was_of_custom_vpc(row: TransitSwitch, existing: list[PortPair]) -> bool:
    """Whether a transit switch without marks has a port that was made for a custom VPC."""
    ports = [port for pair in existing for port in (pair.switch_port, pair.router_port)]
    ours = any(port is not None and port.external_ids.get(VENDOR) == ISTHMUS for port in ports)
    return ours and VENDOR not in row.external_ids and NETWORK not in row.external_ids


def _unmarked(row: TransitSwitch, key: str) -> Problem:
    name = row.name
    return Subject(f"Transit_Switch {name}", f"external_ids:{key}").problem(
        "is missing, so only clusters that have a port there already stay connected",
        f"write it: ovn-ic-nbctl set Transit_Switch {name} external_ids:{key}=VALUE",
        Reason.INVALID_TRANSIT_SWITCH,
    )


def _shared_subnet(row: TransitSwitch, rival: str, lost: Collection[str]) -> Problem:
    subnet, only = row.external_ids.get(SUBNET, ""), f"so only {rival} is connected"
    kept = f"but stays connected, because {rival} has no port of {', '.join(sorted(lost))}"
    return Subject(f"Transit_Switch {row.name}", f"external_ids:{SUBNET}", subnet).problem(
        f"overlaps the subnet of {rival}, {kept if lost else only}",
        "delete one of the two, or create it again with a subnet of its own",
        Reason.SHARED_SUBNET,
    )


def _name_taken(table: str, name: str) -> Problem:
    return Subject(f"{table} {name}", "name", name).problem(
        "has the name of the port to create, but was not created by Kube-OVN or Isthmus",
        "rename or remove the port, or choose another az-name",
        Reason.NAME_TAKEN,
    )
