"""The router's ports on transit switches: switch port, router port and gateway candidates.

One key is one transit switch, and all that belongs to it changes in one transaction, by the least
difference, so that a connection is not cut to change a detail. Names, MAC and gateways are
Kube-OVN's contract; a port that Kube-OVN made is taken over as it is. A zone that is not
registered (or whose name another cluster holds) changes nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

from isthmus.controller.config.configmap import Config, ConfigKey
from isthmus.controller.connections import (
    Lookup,
    RouterPort,
    held_addresses,
    ports_changed,
    transit_switches_of,
)
from isthmus.controller.inputs.inputs import Changed, Inputs
from isthmus.controller.reconcilers.address_allocation import parse_subnets
from isthmus.controller.reconcilers.base import IntentReconciler
from isthmus.controller.reconcilers.gateway_candidates import choose_gateways
from isthmus.controller.reconcilers.port_operations import WantedPort, align_ports, remove_ports
from isthmus.controller.reconcilers.port_options import DENY_MARK, PortSettings, entries
from isthmus.controller.reconcilers.private_prefixes import PrivateLists
from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.external_ids import (
    SUBNET,
    TS_MARK,
    IPAddress,
    claimed_address,
    is_ours,
)
from isthmus.model.indexes import IC_PORTS_BY_TS
from isthmus.model.operations import Operation
from isthmus.model.ovn_keys import is_remote
from isthmus.model.prefixes import parse_address, parse_interface
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    Chassis,
    Database,
    GatewayChassis,
    IcSbGlobal,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    TransitSwitch,
)

_UNICAST_MAC = re.compile(r"[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a connection is to be.

    Args:
        cluster: this cluster, as in claims.
        transit_switch, switch: the transit switch, and this zone's copy of it.
        networks: the router port's networks there.
        vpc, router: what to connect.
    """

    cluster: RowId
    transit_switch: TransitSwitch
    switch: LogicalSwitch
    networks: frozenset[str]
    vpc: str
    router: LogicalRouter


class RouterPorts(IntentReconciler[str]):
    """The connection to one transit switch; the key is its name."""

    name: ClassVar[str] = "router ports"
    writes: ClassVar[Database | None] = Database.NB

    def __init__(self, view: View, inputs: Inputs, lookup: Lookup) -> None:
        super().__init__(view, inputs, lookup)
        self._private = PrivateLists(inputs, lookup)
        self._ic_ports = view.index(IC_PORTS_BY_TS)

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        """What a connection consists of, the claims it uses, and the chassis it may run on."""
        return {
            TransitSwitch: self._of_transit_switch,
            LogicalSwitch: transit_switches_of,
            LogicalSwitchPort: self.lookup.transit_switch_of_port,
            LogicalRouter: lambda change: self.keys() if ports_changed(change) else (),
            LogicalRouterPort: self._all,
            GatewayChassis: self._all,
            Chassis: self._of_chassis,
            NbGlobal: self._all,
            IcSbGlobal: self._all,
        }

    def affected(self, changed: Changed) -> Iterable[str]:
        """Names, gateways, MTU and private prefixes concern every transit switch.

        Of a Node that is not in `gw-nodes`, nothing is reported.
        """
        config = self.inputs.config
        gateways = config.gateways if config is not None else ()
        if (
            changed.any_of(ConfigKey.AZ_NAME, ConfigKey.GW_NODES, ConfigKey.MTU, ConfigKey.VPCS)
            or changed.private
            or changed.node_list
            or not changed.nodes.isdisjoint(gateways)
        ):
            return self.keys()
        return ()

    def keys(self) -> Iterable[str]:
        """The transit switches there are, and those of which something is left in NB."""
        return self.lookup.transit_switch_names()

    def reconcile(self, key: str) -> Iterable[Operation]:
        """Make, mend or remove the connection."""
        self.report(key)
        config, cluster = self.inputs.config, self.lookup.nb_global()
        if config is None or cluster is None or not self.lookup.registered(config.zone):
            return ()
        row = self.lookup.transit_switches.one(key)
        existing = self.lookup.ports_on(key)
        vpc = self.lookup.vpc_of(row) if row is not None else None
        router = self.lookup.router(vpc) if vpc is not None else None
        if row is None or vpc is None or router is None:
            return remove_ports(self.lookup, existing)  # a missing router is reported elsewhere
        networks = _networks(row, cluster.uuid)
        switch = self.lookup.copies.one(key)
        if not networks or switch is None:
            # The claims come first, and the engine makes the copy.
            return remove_ports(self.lookup, self._astray(existing, router))
        place = _Place(cluster.uuid, row, switch, networks, vpc, router)
        return self._align(config, place, existing)

    def _astray(self, existing: list[RouterPort], router: LogicalRouter) -> list[RouterPort]:
        """The connections of other routers: another VPC's traffic must not wait for anything."""
        return [
            port
            for port in existing
            if port.router_port is not None and self.lookup.router_of(port.router_port) != router
        ]

    def _align(
        self,
        config: Config,
        place: _Place,
        existing: list[RouterPort],
    ) -> Iterable[Operation]:
        row, vpc = place.transit_switch, place.vpc
        switches = self.lookup.connected_names(vpc)
        gateways = choose_gateways(self.lookup, self.inputs, switches, row.name)
        self.report(row.name, *gateways.problems)
        if not gateways.priorities:
            self.report(row.name, self._no_gateway(config), *gateways.problems)
            if not existing:
                return ()
        name = f"{config.zone}-{row.name}"
        existing = self._named_first(name, existing)
        wanted = WantedPort(
            transit_switch=row.name,
            switch_port=f"{row.name}-{config.zone}",
            router_port=name,
            mac=_mac(existing, f"{config.zone} {row.name} {place.cluster}"),
            networks=place.networks,
            gateways=gateways.priorities or None,
            vendor=self.lookup.vendor(vpc),
            settings=PortSettings(config.mtu, self._private.on_port(vpc, _held(existing))),
            tunnel_key=self._tunnel_key(row, place.networks),
        )
        taken = self._taken(wanted, place, existing)
        if taken is not None:
            self.report(row.name, taken, *gateways.problems)
            return remove_ports(self.lookup, self._astray(existing, place.router))
        return align_ports(self.lookup, wanted, existing, place.switch, place.router)

    def _named_first(self, name: str, existing: list[RouterPort]) -> list[RouterPort]:
        """The existing connections, first the one whose router port has the right name."""
        peer = self.lookup.router_port_named(name)
        known = any(port.router_port == peer for port in existing)
        if peer is not None and is_ours(peer.external_ids) and not known:
            return [RouterPort(None, None, peer), *existing]
        return sorted(existing, key=lambda port: port.router_port != peer)

    def _tunnel_key(self, row: TransitSwitch, networks: frozenset[str]) -> int:
        """A key to ask for: our address's place in the subnet, which no other claimant has.

        A zone without claims (`ovn-ic`) may have it; then the next one that is free.
        """
        interfaces = [i for text in networks if (i := parse_interface(text)) is not None]
        first = min(interfaces, key=lambda interface: interface.version, default=None)
        if first is None:
            return 0
        place = int(first.ip) - int(first.network.network_address)
        taken = {port.tunnel_key for port in self._ic_ports.all(row.name)}
        return next((key for key in range(place, 1 << 15) if key > 0 and key not in taken), 0)

    def _taken(
        self,
        wanted: WantedPort,
        place: _Place,
        existing: list[RouterPort],
    ) -> Problem | None:
        """A port of one of the names that is not ours to change."""
        own = {port.switch_port.uuid for port in existing if port.switch_port is not None}
        for port in self.lookup.switch_ports(place.switch):
            if port.name == wanted.switch_port and port.uuid not in own:
                return _name_taken("Logical_Switch_Port", port.name)
        peer = self.lookup.router_port_named(wanted.router_port)
        if peer is not None and (
            not is_ours(peer.external_ids)
            or (self.lookup.router_of(peer) != place.router and TS_MARK not in peer.external_ids)
        ):
            return _name_taken("Logical_Router_Port", peer.name)
        return None

    def _no_gateway(self, config: Config) -> Problem:
        return Subject(
            str(self.inputs.config_map), "data.gw-nodes", ",".join(config.gateways)
        ).problem(
            "none of these nodes can serve as gateway, so the gateways stay as they are",
            "name at least one node that can, or mend what is reported for each",
            Reason.NO_GATEWAY,
        )

    def _of_transit_switch(self, change: Change) -> Iterable[str]:
        sides = [row for row in change.sides if isinstance(row, TransitSwitch)]
        if len({self.lookup.vpc_of(row) for row in sides}) > 1 or len(sides) == 1:
            return self._all(change)  # the place of each among all decides on its gateways
        return transit_switches_of(change)

    def _of_chassis(self, change: Change) -> Iterable[str]:
        local = any(isinstance(row, Chassis) and not is_remote(row) for row in change.sides)
        return self.keys() if local else ()

    def _all(self, change: Change) -> Iterable[str]:
        return {*self.keys(), *transit_switches_of(change)}


def _networks(row: TransitSwitch, cluster: RowId) -> frozenset[str]:
    """Our addresses on a transit switch with their lengths; none unless all are claimed."""
    try:
        subnets = parse_subnets(row.external_ids[SUBNET])
    except ValueError:
        return frozenset()  # reported with the claims
    keys = sorted(held_addresses(row, cluster))
    claimed = [parse_address(claimed_address(key) or "") for key in keys]
    networks: set[str] = set()
    for subnet in subnets:
        inside: list[IPAddress] = [a for a in claimed if a is not None and a in subnet]
        if not inside:
            return frozenset()
        networks.add(f"{min(inside, key=int)}/{subnet.prefixlen}")
    return frozenset(networks)


def _held(existing: Iterable[RouterPort]) -> list[str]:
    """The entries of deny lists that we have put on the connection."""
    ports = (port.router_port for port in existing)
    ids = (port.external_ids for port in ports if port is not None)
    return [entry for marks in ids for entry in entries(marks.get(DENY_MARK, ""))]


def _mac(existing: Iterable[RouterPort], seed: str) -> str:
    """The MAC that the connection has, so that peers need not learn another; else a new one."""
    for port in existing:
        if port.router_port is not None and _UNICAST_MAC.fullmatch(port.router_port.mac):
            return port.router_port.mac
    # 02: locally administered, unicast (IEEE 802, section 8.2).
    digest = blake2b(seed.encode(), digest_size=5).digest()
    return ":".join(f"{octet:02x}" for octet in (2, *digest))


def _name_taken(table: str, name: str) -> Problem:
    return Subject(f"{table} {name}", "name", name).problem(
        "is not Kube-OVN's or Isthmus's, but has the name of the port to be made",
        "rename or remove it, or choose another az-name",
        Reason.NAME_TAKEN,
    )
