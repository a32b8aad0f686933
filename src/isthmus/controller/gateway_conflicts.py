"""What a VPC's router would lose by a port on a transit switch. Pure.

Such a port is a distributed gateway port, and northd runs NAT and load balancers of a router on its
gateway ports. docs/reference/gateway-ports.md lists what it does with several, by release.
`RouterPorts` asks before it connects. Invariant: only the router's own rows and the release of
northd decide, so a conflict is the same before and after the connection is made.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from isthmus.controller.config.configmap import ConfigKey
from isthmus.controller.connections import Connections, PortPair
from isthmus.controller.inputs.inputs import Inputs
from isthmus.engine.view import View
from isthmus.model.indexes import PORT_GATEWAYS, ROUTER_NATS, ROUTER_PORTS
from isthmus.model.ovn_keys import GATEWAY_ROUTER, NORTHD_VERSION, RESIDE_ON_REDIRECT
from isthmus.model.prefixes import parse_address, parse_interface
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    LoadBalancer,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalRouterPort,
    NbGlobal,
)
from isthmus.model.text import listed

_EVERY_GATEWAY_PORT = (25, 3)
"""The first release of which we know that load balancers work on every gateway port."""

_SHOWN = 3


class GatewayConflicts:
    """The conflicts of the VPCs.

    Args:
        view, inputs: shared with the reconciler.
    """

    def __init__(self, view: View, inputs: Inputs) -> None:
        self._view, self._inputs, self._connections = view, inputs, Connections(view, inputs)

    def of(
        self, vpc: str, router: LogicalRouter, existing: Iterable[PortPair]
    ) -> tuple[list[Problem], bool]:
        """The problems of a VPC, and whether it must not be connected because of them.

        Args:
            vpc, router: the VPC and its router.
            existing: what there is of the connection to make. A VPC that is connected stays
                connected, and so does one that has lost the router port, but not the switch port.
        """
        config = self._inputs.config
        forced = config is not None and config.force_connect
        ours = {
            pair.router_port.uuid
            for name in self._connections.transit_switch_names()
            for pair in self._connections.ports_on(name)
            if pair.router_port is not None
        }
        ports = list(self._view.children(ROUTER_PORTS, router.uuid))
        others = [port for port in ports if port.uuid not in ours]
        connected = len(others) < len(ports) or any(pair.router_port is None for pair in existing)
        found = list(self._conflicts(router, others, len(self._connections.transit_switches(vpc))))
        outcome = "stays" if connected else "is" if forced else "is not"
        accept = f'or accept it with {ConfigKey.FORCE_CONNECT}: "true" in {self._inputs.config_map}'
        problems = [
            subject.problem(
                f"{effect}; VPC {vpc} {outcome} connected",
                remedy if forced else f"{remedy}, {accept}",
                Reason.CONNECTED_ANYWAY if forced else Reason.GATEWAY_CONFLICT,
            )
            for subject, effect, remedy in found
        ]
        return problems, bool(found) and not connected and not forced

    def _conflicts(
        self, router: LogicalRouter, ports: list[LogicalRouterPort], added: int
    ) -> Iterator[tuple[Subject, str, str]]:
        """Each conflict with its effect and the remedy.

        Args:
            router: the VPC's router.
            ports: its ports except ours.
            added: the number of gateway ports to add.
        """
        name = f"Logical_Router {router.name}"
        if GATEWAY_ROUTER in router.options:
            subject = Subject(name, f"options:{GATEWAY_ROUTER}", router.options[GATEWAY_ROUTER])
            effect = "makes it a gateway router, whose port on a transit switch OVN does not serve"
            yield subject, effect, "connect another VPC"
            return
        gateways = [port for port in ports if self._is_gateway(port)]
        changes = len(gateways) == 1 or (not gateways and added == 1)
        if changes and (rules := self._outside(router, gateways)):
            subject = Subject(name, "nat", listed(rules, _SHOWN))
            if gateways:
                effect = (
                    f"has an external address outside the networks of {gateways[0].name}, so OVN"
                    " ignores it when the router has another gateway port"
                )
                command = f"ovn-nbctl set NAT UUID gateway_port={gateways[0].uuid}"
                yield subject, effect, f"set the port of these rules: {command}"
            else:
                effect = "has no gateway port, so OVN would apply it to traffic between clusters"
                yield subject, effect, "delete these rules"
        old = gateways and self._northd_version() < _EVERY_GATEWAY_PORT
        if old and (balancers := self._load_balancers(router)):
            subject = Subject(name, "load_balancer", listed(balancers, _SHOWN))
            effect = "works on only one gateway port, and this release of OVN may choose ours"
            yield subject, effect, "upgrade OVN to 25.03"
        for port in sorted(ports, key=lambda port: port.name):
            if changes and port.options.get(RESIDE_ON_REDIRECT) == "true":
                subject = Subject(
                    f"Logical_Router_Port {port.name}", f"options:{RESIDE_ON_REDIRECT}", "true"
                )
                effect = "has an effect only while the router has exactly one gateway port"
                yield subject, effect, "remove the option"

    def _is_gateway(self, port: LogicalRouterPort) -> bool:
        candidates = self._view.children(PORT_GATEWAYS, port.uuid)
        return port.ha_chassis_group is not None or any(True for _ in candidates)

    def _outside(self, router: LogicalRouter, gateways: list[LogicalRouterPort]) -> list[str]:
        """The NAT rules that northd can assign to a gateway port only if it is the only one."""
        interfaces = [parse_interface(text) for port in gateways for text in port.networks]
        networks = [interface.network for interface in interfaces if interface is not None]
        return sorted(
            f"{rule.type} {rule.external_ip} ({rule.logical_ip})"
            for rule in self._view.children(ROUTER_NATS, router.uuid)
            if rule.gateway_port is None
            and (address := parse_address(rule.external_ip)) is not None
            and not any(address in network for network in networks)
        )

    def _load_balancers(self, router: LogicalRouter) -> list[str]:
        """The names of the router's load balancers that have an address."""
        groups = [self._view.get(LoadBalancerGroup, uuid) for uuid in router.load_balancer_group]
        held = chain(router.load_balancer, *(group.load_balancer for group in groups if group))
        rows = [self._view.get(LoadBalancer, uuid) for uuid in set(held)]
        return sorted(row.name for row in rows if row is not None and row.vips)

    def _northd_version(self) -> tuple[int, ...]:
        """Year and month of northd's release; 0 if unknown."""
        row = self._view.single(NbGlobal)
        found = re.match(r"(\d+)\.(\d+)", row.options.get(NORTHD_VERSION, "") if row else "")
        return tuple(map(int, found.groups())) if found else (0, 0)
