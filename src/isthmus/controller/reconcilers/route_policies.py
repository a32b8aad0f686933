"""Routing policies that make routes to other clusters win over Kube-OVN's policies by source.

Kube-OVN sends packets that leave a subnet to its gateway with policies on `ovn-cluster` (priority
29000, `ip4.src == …`), which OVN applies before routes. Therefore each prefix learned from another
cluster gets a policy `allow` at 29500. Kube-OVN does this for learned routes only. We also do it
for manual static routes with a next hop in a transit switch's subnet, because the manual setup in
Kube-OVN's guide does not work for such subnets otherwise.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import ClassVar

from isthmus.controller.connections import renamed
from isthmus.controller.inputs.inputs import Changed
from isthmus.controller.reconcilers.base import ControllerReconciler
from isthmus.engine.reconciler import Watch
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    POLICIES_BY_PREFIX,
    POLICY_PRIORITY,
    ROUTER_POLICIES,
    ROUTER_ROUTES,
    STATIC_ROUTES_BY_DESTINATION,
    policy_prefix,
    route_destination,
)
from isthmus.model.operations import (
    Operation,
    Update,
    Value,
    insert_child,
    remove_children,
    set_keys,
)
from isthmus.model.ovn_keys import IC_LEARNED_ROUTE
from isthmus.model.prefixes import Network, parse_address, parse_interface
from isthmus.model.rows import (
    Database,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    Row,
    RowId,
)

ALLOW = "allow"
ORIGIN = "origin"


class RoutePolicies(ControllerReconciler[Network]):
    """The policy of one prefix; a change of one route costs the same however many there are."""

    name: ClassVar[str] = "route policies"
    writes: ClassVar[Database] = Database.NB
    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB})

    def watches(self) -> Mapping[type[Row], Watch[Network]]:
        """Routes, policies, their routers, and the router ports on transit switches."""
        return {
            LogicalRouterStaticRoute: _prefixes,
            LogicalRouterPolicy: _prefixes,
            LogicalRouter: self._of_router,
            LogicalRouterPort: self._of_router_port,
        }

    def affected(self, changed: Changed) -> Iterable[Network]:
        """Joining concerns all prefixes; a VPC, those of its router's routes and policies."""
        if changed.taking_part:
            # When leaving, the policies are removed by `LeaveNorthbound`.
            yield from self.keys() if self.inputs.config is not None else ()
            return
        for router in filter(None, map(self.connections.router, changed.vpcs)):
            routes = self.view.relation(ROUTER_ROUTES).children(router.uuid)
            policies = self.view.relation(ROUTER_POLICIES).children(router.uuid)
            yield from self._prefixes_of(routes, policies)

    def _prefixes_of(self, routes: Iterable[RowId], policies: Iterable[RowId]) -> Iterator[Network]:
        for uuid in routes:
            route = self.view.get(LogicalRouterStaticRoute, uuid)
            yield from route_destination(route) if route is not None else ()
        for uuid in policies:
            policy = self.view.get(LogicalRouterPolicy, uuid)
            yield from policy_prefix(policy) if policy is not None else ()

    def keys(self) -> Iterable[Network]:
        """The prefixes of all routes and of all policies."""
        policies = self.view.index(POLICIES_BY_PREFIX)
        return {*self.view.index(STATIC_ROUTES_BY_DESTINATION).keys(), *policies.keys()}

    def reconcile(self, key: Network) -> Iterable[Operation]:
        """Keep one policy for each router with such a route, and remove all others."""
        if self.inputs.config is None:
            return
        vpcs = {vpc: self.connections.router(vpc) for vpc in self.inputs.vpcs}
        for vpc, router in vpcs.items():
            if router is not None:
                yield from self._align(key, vpc, router)
        connected = [router.uuid for router in vpcs.values() if router is not None]
        for policy in self.view.all(POLICIES_BY_PREFIX, key):
            parent = self.view.parent(ROUTER_POLICIES, policy.uuid)
            if parent is not None and parent.uuid not in connected:
                yield from remove_children(ROUTER_POLICIES, parent.uuid, [policy.uuid])

    def _align(self, key: Network, vpc: str, router: LogicalRouter) -> Iterator[Operation]:
        origin = self._origin(key, router)
        policies = [
            policy
            for policy in self.view.all(POLICIES_BY_PREFIX, key)
            if self.view.relation(ROUTER_POLICIES).parent(policy.uuid) == router.uuid
        ]
        kept = policies[:1] if origin is not None else []
        surplus = (policy.uuid for policy in policies[len(kept) :])
        yield from remove_children(ROUTER_POLICIES, router.uuid, surplus)
        for policy in kept:
            if policy.action != ALLOW:
                yield Update(LogicalRouterPolicy, policy.uuid, {"action": ALLOW})
            if origin is not None and policy.external_ids.get(ORIGIN) != origin:
                yield set_keys(LogicalRouterPolicy, policy.uuid, "external_ids", {ORIGIN: origin})
        if origin is not None and not kept:
            yield from _insert(router, key, {ORIGIN: origin, **self.connections.vendor(vpc)})

    def _origin(self, key: Network, router: LogicalRouter) -> str | None:
        """The origin of the route that needs a policy; None if none does."""
        origins = [
            route.options.get(ORIGIN, "connected")
            if IC_LEARNED_ROUTE in route.external_ids
            else "static"
            for route in self.view.all(STATIC_ROUTES_BY_DESTINATION, key)
            if self.view.relation(ROUTER_ROUTES).parent(route.uuid) == router.uuid
            and (IC_LEARNED_ROUTE in route.external_ids or self._leads_away(route, router))
        ]
        return min(origins, default=None)

    def _leads_away(self, route: LogicalRouterStaticRoute, router: LogicalRouter) -> bool:
        """Whether the next hop is on a transit switch."""
        nexthop = parse_address(route.nexthop)
        return nexthop is not None and any(
            nexthop in interface.network
            for port in self.connections.router_ports(router.name)
            for interface in map(parse_interface, port.networks)
            if interface is not None
        )

    def _of_router(self, change: Change) -> Iterator[Network]:
        if renamed(change):
            yield from self.keys()
        for children in (change.joined, change.left):
            routes, policies = children.get("static_routes", ()), children.get("policies", ())
            yield from self._prefixes_of(routes, policies)

    def _of_router_port(self, change: Change) -> Iterable[Network]:
        reach = [(row.networks, row.external_ids) for row in change.of(LogicalRouterPort)]
        if len(reach) == 2 and reach[0] == reach[1]:
            return ()
        routes = self.view.table(LogicalRouterStaticRoute)
        manual = (route for route in routes if IC_LEARNED_ROUTE not in route.external_ids)
        return chain.from_iterable(map(route_destination, manual))


def _prefixes(change: Change) -> Iterator[Network]:
    for route in change.of(LogicalRouterStaticRoute):
        yield from route_destination(route)
    for policy in change.of(LogicalRouterPolicy):
        yield from policy_prefix(policy)


def _insert(
    router: LogicalRouter, prefix: Network, external_ids: Mapping[str, str]
) -> Iterator[Operation]:
    row: dict[str, Value] = {
        "priority": POLICY_PRIORITY,
        "match": f"ip{prefix.version}.dst == {prefix}",
        "action": ALLOW,
        "external_ids": external_ids,
    }
    return insert_child(ROUTER_POLICIES, router.uuid, row)
