"""Do no harm: nothing takes away the last working path to a prefix because something is missing.

`PathProtection` is the engine's veto. A path is given up if that is known to be meant: the cluster
leaves, its configuration or a transit switch names another network that exists, the zone at the
other end withdraws its route, or another path to the prefix is in place. A mark, row or name that
is only missing does not mean that (docs/decisions/0019-do-no-harm.md).

What depends on what decides the order: routes go first, on such evidence; policies, ports, chassis
and what we publish go when no route works over them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from isthmus.controller.inputs.inputs import Changed, Inputs
from isthmus.controller.reconcilers.base import ControllerKeyed
from isthmus.controller.working_paths import Gone, Link, WorkingPath, WorkingPaths
from isthmus.controller.zones import joined_zone
from isthmus.engine.reconciler import Only, Veto, Watch
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    BINDINGS_BY_CHASSIS,
    GATEWAYS_BY_NAME,
    IC_PORTS_BY_NAME,
    LSPS_BY_NAME,
    POLICIES_BY_PREFIX,
    PORT_GATEWAYS,
    ROUTER_POLICIES,
    ROUTER_ROUTES,
    STATIC_ROUTES_BY_DESTINATION,
    SWITCHES_BY_TS,
    policy_prefix,
)
from isthmus.model.operations import Delete, Insert, Mutate, Operation, Ref, Update
from isthmus.model.ovn_keys import IC_LEARNED_ROUTE, REQUESTED_TNL_KEY
from isthmus.model.prefixes import parse_interface
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
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
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    SbEncap,
    SbPortBinding,
    TransitSwitch,
)

Objection = Problem | None
"""Why a row must stay; None if that is a matter of moments, or someone else reports why."""


class PathProtection(ControllerKeyed[Only], Veto):
    """Objects to operations that take away the last working path without evidence of intent."""

    name: ClassVar[str] = "path protection"
    tables: ClassVar[tuple[type[Row], ...]] = (
        NbGlobal,
        LogicalSwitch,
        LogicalSwitchPort,
        LogicalRouter,
        LogicalRouterPort,
        LogicalRouterStaticRoute,
        GatewayChassis,
        Chassis,
        SbPortBinding,
        TransitSwitch,
        IcSbGlobal,
        AvailabilityZone,
        IcEncap,
        IcPortBinding,
        IcRoute,
    )

    def __init__(self, view: View, inputs: Inputs) -> None:
        super().__init__(view, inputs)
        self._paths = WorkingPaths(view, inputs)
        self._checks: Mapping[tuple[type[Operation], type[Row]], Callable[..., Any]] = {
            (Mutate, LogicalRouter): self._of_router,
            (Mutate, LogicalSwitch): self._of_switch,
            (Delete, LogicalSwitch): self._switch,
            (Delete, Chassis): self._chassis,
            (Update, Chassis): self._tunnels,
            (Update, SbPortBinding): self._binding,
            (Delete, AvailabilityZone): self._zone,
            (Delete, Gateway): self._gateway,
            (Delete, IcDatapathBinding): self._datapath,
            (Delete, IcPortBinding): self._published_port,
            (Update, IcPortBinding): self._published_gateway,
            (Delete, IcRoute): self._published_route,
        }

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        """Every change of `tables`, while something is held back."""
        return dict.fromkeys(self.tables, self._of_change)

    def _of_change(self, _: Change) -> Iterable[Only]:
        self._paths.forget()
        return self.keys() if self.held else ()

    def affected(self, changed: Changed) -> Iterable[Only]:
        """Any change of the inputs may show that a path is meant to go."""
        self._paths.forget()
        return self.keys() if self.held else ()

    def objections(self, operations: Sequence[Operation]) -> Collection[Problem] | None:
        """Check what the operations delete; inserted and changed rows cost a lookup."""
        if self.inputs.leaving:
            return None
        found: list[Objection] = []
        for operation in operations:
            check = self._checks.get((type(operation), operation.table))
            if check is not None:
                found += check(operation, operations)
        return {problem for problem in found if problem is not None} if found else None

    # -- northbound ----------------------------------------------------------------------------

    def _of_router(self, operation: Mutate, all_: Sequence[Operation]) -> Iterator[Objection]:
        """Router ports, routes and policies."""
        router, gone = self.view.get(LogicalRouter, operation.uuid), _gone(all_)
        for column, mutator, _ in operation.mutations if router is not None else ():
            if mutator != "delete" or router is None:
                continue
            for uuid in _gone([operation]):
                if column == "ports":
                    yield from self._router_port(router, uuid, gone, all_)
                elif column == "static_routes":
                    yield from self._route(router, uuid, gone, all_)
                elif column == "policies":
                    yield from self._policy(router, uuid, gone)

    def _router_port(
        self, router: LogicalRouter, uuid: RowId, gone: Gone, all_: Sequence[Operation]
    ) -> Iterator[Objection]:
        lrp = self.view.get(LogicalRouterPort, uuid)
        link = self._paths.link_of(lrp) if lrp is not None else None
        if link is not None and not _inserts(all_, router.uuid):
            yield from self._link(link, gone)

    def _link(self, link: Link, gone: Gone) -> Iterator[Objection]:
        """A link that goes, unless that is meant, or there is another way in and out."""
        if not self._paths.is_severed(link.router, link.ts) and (
            self._paths.is_only_entry(link)
            or any(
                path.link == link
                and self._paths.path(route, link.router.uuid, gone) is None
                and self._paths.is_last(route, link.router.uuid, gone)
                for route, path in self._paths.routes_over(link.switch)
            )
        ):
            yield self._lacking(link)

    def _route(
        self, router: LogicalRouter, uuid: RowId, gone: Gone, all_: Sequence[Operation]
    ) -> Iterator[Objection]:
        route = self.view.get(LogicalRouterStaticRoute, uuid)
        if route is None or IC_LEARNED_ROUTE not in route.external_ids:
            return
        path = self._paths.path(route, router.uuid)
        if path is None or _inserts(all_, router.uuid):
            return
        published = self._paths.is_published(path.link)
        if published and self._paths.is_withdrawn(route, path):
            return
        if self._paths.is_severed(router, path.link.ts) or self._paths.is_local(route, router):
            return
        if self._paths.is_last(route, router.uuid, gone):
            yield _unknown_zone(path, self._paths.zone_behind(path)) if published else None

    def _policy(self, router: LogicalRouter, uuid: RowId, gone: Gone) -> Iterator[Objection]:
        """A policy of a route that works, unless it is one too many."""
        policy = self.view.get(LogicalRouterPolicy, uuid)
        for prefix in policy_prefix(policy) if policy is not None else ():
            held = self.view.relation(ROUTER_POLICIES)
            others = self.view.all(POLICIES_BY_PREFIX, prefix)
            if any(o.uuid not in gone and held.parent(o.uuid) == router.uuid for o in others):
                continue
            for route in self.view.all(STATIC_ROUTES_BY_DESTINATION, prefix):
                if self.view.relation(ROUTER_ROUTES).parent(route.uuid) == router.uuid:
                    yield from () if self._paths.path(route, router.uuid) is None else (None,)

    def _of_switch(self, operation: Mutate, all_: Sequence[Operation]) -> Iterator[Objection]:
        """Ports on transit switches: a remote one, or ours."""
        gone = _gone(all_)
        for uuid in _gone([operation]):
            port = self.view.get(LogicalSwitchPort, uuid)
            if port is None or _inserts(all_, operation.uuid):
                continue
            link = self._paths.link(port)
            if link is not None:
                yield from self._link(link, gone)
            elif self._paths.carries_to(port):
                yield None

    def _switch(self, operation: Delete, all_: Sequence[Operation]) -> Iterator[Objection]:
        switch, gone = self.view.get(LogicalSwitch, operation.uuid), {operation.uuid, *_gone(all_)}
        for link in self._paths.links_on(switch) if switch is not None else ():
            yield from self._link(link, gone)

    # -- southbound ----------------------------------------------------------------------------

    def _chassis(self, operation: Delete, _: Sequence[Operation]) -> Iterator[Objection]:
        """Another zone's gateway, unless another one has its ports or its tunnels now."""
        chassis = self.view.get(Chassis, operation.uuid)
        encaps = [self.view.get(SbEncap, uuid) for uuid in chassis.encaps] if chassis else []
        tunnels = {encap.ip for encap in encaps if encap is not None}
        if chassis is None or any(encap.ip in tunnels for encap in self.view.table(IcEncap)):
            return
        for binding in self.view.all(BINDINGS_BY_CHASSIS, operation.uuid):
            remote = self.view.one(LSPS_BY_NAME, binding.logical_port)
            port = self.view.one(IC_PORTS_BY_NAME, binding.logical_port)
            moved = port is not None and port.gateway not in {"", chassis.name}
            if remote is not None and not moved and self._paths.carries_to(remote):
                yield None

    def _tunnels(self, operation: Update, all_: Sequence[Operation]) -> Iterator[Objection]:
        """Another zone's gateway that loses a tunnel IP to a third zone's of the same name."""
        chassis, encaps = self.view.get(Chassis, operation.uuid), operation.row.get("encaps")
        if chassis is None or not isinstance(encaps, tuple):
            return
        gateway = self.view.one(GATEWAYS_BY_NAME, str(operation.row.get("name", chassis.name)))
        kept = {encap.uuid for encap in encaps if isinstance(encap, Ref)}
        lost = [self.view.get(SbEncap, uuid) for uuid in set(chassis.encaps) - kept]
        added = {o.row["ip"] for o in all_ if isinstance(o, Insert) and o.table is SbEncap}
        if gateway is None or {encap.ip for encap in lost if encap is not None} <= added:
            return
        for binding in self.view.all(BINDINGS_BY_CHASSIS, operation.uuid):
            remote = self.view.one(LSPS_BY_NAME, binding.logical_port)
            port = self.view.one(IC_PORTS_BY_NAME, binding.logical_port)
            known = port is not None and port.availability_zone == gateway.availability_zone
            if remote is not None and not known and self._paths.carries_to(remote):
                yield None

    def _binding(self, operation: Update, _: Sequence[Operation]) -> Iterator[Objection]:
        """A remote port whose zone names no gateway at the moment."""
        binding = self.view.get(SbPortBinding, operation.uuid)
        remote = self.view.one(LSPS_BY_NAME, binding.logical_port) if binding is not None else None
        unbound = operation.row.get("chassis") == frozenset()
        if remote is not None and unbound and self._paths.carries_to(remote):
            yield None

    # -- what we publish -----------------------------------------------------------------------

    def _zone(self, operation: Delete, _: Sequence[Operation]) -> Iterator[Objection]:
        """Our zone, while it is the one to be in."""
        zone, config = self.view.get(AvailabilityZone, operation.uuid), self.inputs.config
        joined = joined_zone(self.view.single(NbGlobal))
        names = {config.zone if config else "", joined.zone if joined else ""}
        if zone is not None and zone.name in names:
            yield None

    def _gateway(self, operation: Delete, _: Sequence[Operation]) -> Iterator[Objection]:
        """A gateway candidate of a link, unless another chassis has its tunnels now."""
        gateway = self.view.get(Gateway, operation.uuid)
        encaps = [self.view.get(IcEncap, uuid) for uuid in gateway.encaps] if gateway else []
        tunnels = {encap.ip for encap in encaps if encap is not None}
        if gateway is None or any(
            encap.ip in tunnels and encap.chassis_name != gateway.name
            for encap in self.view.table(SbEncap)
        ):
            return
        for candidate in self.view.table(GatewayChassis):
            lrp = self.view.parent(PORT_GATEWAYS, candidate.uuid)
            link = self._paths.link_of(lrp) if lrp is not None else None
            serves = candidate.chassis_name == gateway.name
            if serves and link is not None and self._paths.carries(link):
                yield None

    def _datapath(self, operation: Delete, _: Sequence[Operation]) -> Iterator[Objection]:
        """The tunnel key of a link's switch."""
        row = self.view.get(IcDatapathBinding, operation.uuid)
        for switch in self.view.all(SWITCHES_BY_TS, row.transit_switch) if row is not None else ():
            used = row is not None and switch.other_config.get(REQUESTED_TNL_KEY) == str(
                row.tunnel_key
            )
            if used and any(map(self._paths.carries, self._paths.links_on(switch))):
                yield None

    def _published_port(self, operation: Delete, all_: Sequence[Operation]) -> Iterator[Objection]:
        """A link's port, unless it is published again."""
        link = self._link_of(operation.uuid)
        renewed = any(isinstance(o, Insert) and o.table is IcPortBinding for o in all_)
        if link is not None and not renewed and self._paths.carries(link):
            yield None

    def _published_gateway(self, operation: Update, _: Sequence[Operation]) -> Iterator[Objection]:
        """The gateway of a link's port, while there is no other."""
        link = self._link_of(operation.uuid)
        if operation.row.get("gateway") == "" and link is not None and self._paths.carries(link):
            yield None

    def _link_of(self, published: RowId) -> Link | None:
        row = self.view.get(IcPortBinding, published)
        port = self.view.one(LSPS_BY_NAME, row.logical_port) if row is not None else None
        return self._paths.link(port) if port is not None else None

    def _published_route(self, operation: Delete, _: Sequence[Operation]) -> Iterator[Objection]:
        """A route over a link that is not published at the moment."""
        row = self.view.get(IcRoute, operation.uuid)
        for switch in self.view.all(SWITCHES_BY_TS, row.transit_switch) if row is not None else ():
            for link in self._paths.links_on(switch):
                interfaces = map(parse_interface, link.router_port.networks)
                addresses = {str(i.ip) for i in interfaces if i is not None}
                if row and row.nexthop in addresses and not self._paths.is_published(link):
                    yield None

    def _lacking(self, link: Link) -> Objection:
        """That there is no such transit switch; otherwise a reconciler reports what is missing."""
        if self.connections.transit_switch(link.ts) is not None:
            return None
        return Subject(f"Transit_Switch {link.ts}").problem(
            "does not exist any more; its ports and routes stay, since there is no other path",
            f"create it again: isthmus ic-db transit-switch add {link.ts}=CIDR, or set"
            ' enable-ic to "false" to leave',
            Reason.PATH_KEPT,
        )


def _gone(operations: Iterable[Operation]) -> set[RowId]:
    """The rows that operations take out of their parents."""
    return {
        ref.uuid
        for operation in operations
        if isinstance(operation, Mutate)
        for _, mutator, value in operation.mutations
        if mutator == "delete" and isinstance(value, frozenset)
        for ref in value
        if isinstance(ref, Ref)
    }


def _inserts(operations: Iterable[Operation], parent: RowId) -> bool:
    """Whether operations put a new row in place of one that a parent loses."""
    return any(
        isinstance(operation, Mutate)
        and operation.uuid == parent
        and any(mutator == "insert" for _, mutator, _ in operation.mutations)
        for operation in operations
    )


def _unknown_zone(path: WorkingPath, zone: str | None) -> Problem:
    """Why a path stays: its zone is not in this IC-SB, or no route of the zone is."""
    remove = f"remove the port: ovn-nbctl lsp-del {path.remote.name}"
    subject = Subject(f"remote port {path.remote.name}")
    if zone is not None:
        return subject.problem(
            f"zone {zone} has advertised no route over it since IC-SB was emptied or replaced;"
            " its earlier routes stay",
            f"fix what keeps zone {zone} from advertising routes; if it has withdrawn them,"
            f" {remove} (it is made again without them)",
            Reason.PATH_KEPT,
        )
    return subject.problem(
        "is not in IC-SB, which was emptied or replaced; its routes stay",
        f"start Isthmus in the zone of the port; if that zone has left for good, {remove}",
        Reason.PATH_KEPT,
    )
