"""Our ports on transit switches, which are published in IC-SB.

Keys are the names of logical ports, which are unique in NB and in IC-SB.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.exchange.topology.replaced_ports import (
    published_on,
    successor_of,
    with_replaced,
)
from isthmus.exchange.topology.transit_switches import port_keys, ports_on_copies, transit_switch_of
from isthmus.exchange.topology.tunnel_keys import PortKeys
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler, zone_name
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    BINDINGS_BY_CHASSIS,
    BINDINGS_BY_PORT,
    CHASSIS_BY_NAME,
    IC_PORTS_BY_GATEWAY,
    IC_PORTS_BY_NAME,
    IC_PORTS_BY_TS,
    IC_PORTS_BY_ZONE_AND_TS,
    LRPS_BY_NAME,
    LSPS_BY_NAME,
    LSPS_BY_PEER,
    LSPS_BY_ROUTER_PORT,
    ROUTER_PORTS,
    SWITCH_PORTS,
    TRANSIT_SWITCHES_BY_NAME,
)
from isthmus.model.operations import Delete, Insert, Operation, Ref, Value, change_map, update
from isthmus.model.ovn_keys import (
    REDIRECT,
    ROUTER_ID,
    ROUTER_PORT,
    TRANSIT_ROUTER_PORT,
    TRANSIT_SWITCH_PORT,
    is_interconn,
    requested_key,
    transit_switch_named,
)
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    IcPortBinding,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    Row,
    SbPortBinding,
    TransitSwitch,
)

PUBLISHED_TYPES = ("router", "switch")


class PortPublication(ZoneReconciler[str]):
    """Our router ports on transit switches as IC-SB port bindings.

    Args:
        keeps_gateway: whether a gateway stays published while OVN chooses another, so that the
            other zones do not unbind the port. `ovn-ic` withdraws it.
    """

    name: ClassVar[str] = "ports"
    writes: ClassVar[Database] = Database.IC_SB

    def __init__(self, view: View, zone: OwnZone, *, keeps_gateway: bool = False) -> None:
        super().__init__(view, zone)
        self._keys, self._keeps_gateway = PortKeys(), keeps_gateway

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            LogicalSwitch: self._of_switch,
            LogicalSwitchPort: self._of_port,
            LogicalRouter: self._of_router,
            LogicalRouterPort: self._of_router_port,
            SbPortBinding: self._of_binding,
            Chassis: self._of_chassis,
            TransitSwitch: self._of_transit_switch,
            IcPortBinding: IC_PORTS_BY_NAME.affected,
        }

    def _of_port(self, change: Change) -> Iterator[str]:
        for name in LSPS_BY_NAME.affected(change):
            yield name
            yield from (lsp.name for lsp in self._view.all(LSPS_BY_PEER, name))

    def _of_switch(self, change: Change) -> Iterator[str]:
        for lsp in self._view.moved(SWITCH_PORTS, change):
            yield lsp.name
            yield from (other.name for other in self._view.all(LSPS_BY_PEER, lsp.name))
        names = {transit_switch_named(s) for s in change.of(LogicalSwitch)}
        for ts in names:
            yield from published_on(self._view, self._zone.current, ts)
        if len(names) > 1 or change.new is None:
            for ts in names - {None}:
                yield from (port.logical_port for port in self._view.all(IC_PORTS_BY_TS, ts))
            yield from (p.name for p in self._view.children(SWITCH_PORTS, change.row.uuid))

    def _of_router(self, change: Change) -> Iterator[str]:
        for lrp in self._view.moved(ROUTER_PORTS, change):
            yield from self._on(lrp.name)

    def _of_router_port(self, change: Change) -> Iterator[str]:
        for side in change.of(LogicalRouterPort):
            yield from self._on(side.name)

    def _of_binding(self, change: Change) -> Iterator[str]:
        for side in change.of(SbPortBinding):
            yield side.logical_port
            for lsp in self._view.all(LSPS_BY_NAME, side.logical_port):
                yield from with_replaced(self._view, self._zone.current, lsp)
            yield from self._on(side.logical_port.removeprefix(REDIRECT))

    def _of_chassis(self, change: Change) -> Iterator[str]:
        for side in change.of(Chassis):
            yield from (p.logical_port for p in self._view.all(IC_PORTS_BY_GATEWAY, side.name))
        for binding in self._view.all(BINDINGS_BY_CHASSIS, change.row.uuid):
            yield binding.logical_port  # a port to another switch is bound itself
            yield from self._on(binding.logical_port.removeprefix(REDIRECT))

    def _of_transit_switch(self, change: Change) -> Iterator[str]:
        for side in change.of(TransitSwitch):
            yield from (port.logical_port for port in self._view.all(IC_PORTS_BY_TS, side.name))
            yield from (lsp.name for lsp in ports_on_copies(self._view, side.name))

    def _on(self, lrp_name: str) -> Iterator[str]:
        for lsp in self._view.all(LSPS_BY_ROUTER_PORT, lrp_name):
            yield from with_replaced(self._view, self._zone.current, lsp)

    def keys(self) -> Iterable[str]:
        return port_keys(self._view)

    def batch_done(self) -> None:
        self._keys.release()

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        lsp = self._published(key)
        have = self._view.one(IC_PORTS_BY_NAME, key)
        if have is not None and have.type == TRANSIT_ROUTER_PORT:
            return ()  # `isthmus.exchange.topology.transit_routers` handles those
        if lsp is not None:
            return self._align(key, lsp, have, zone)
        if have is not None and (kept := self._kept(have, zone)) is not None:
            return self._update(have, kept)
        return () if have is None or self._awaits_successor(have) else self._delete(have, zone)

    def _awaits_successor(self, have: IcPortBinding) -> bool:
        """Whether another port will replace one that is gone as soon as northd has bound it."""
        if self._view.one(TRANSIT_SWITCHES_BY_NAME, have.transit_switch) is None:
            return False
        if self._view.one(LSPS_BY_NAME, have.logical_port) is not None:
            return False
        successor = successor_of(self._view, have)
        return successor is not None and self._view.one(BINDINGS_BY_PORT, successor.name) is None

    def _align(
        self, key: str, lsp: LogicalSwitchPort, have: IcPortBinding | None, zone: AvailabilityZone
    ) -> Iterable[Operation]:
        if have is None:
            return self._insert(lsp, zone)
        if have.availability_zone != zone.uuid:
            self.report(key, self._clash(have))
            return ()
        if have.transit_switch != transit_switch_of(self._view, lsp):
            return [*self._delete(have, zone), *self._insert(lsp, zone)]
        return self._update(have, lsp)

    def _published(self, name: str) -> LogicalSwitchPort | None:
        lsp = self._view.one(LSPS_BY_NAME, name)
        if lsp is None or lsp.type not in PUBLISHED_TYPES:
            return None
        ts = transit_switch_of(self._view, lsp)
        if ts is None or self._view.one(TRANSIT_SWITCHES_BY_NAME, ts) is None:
            return None
        return lsp if self._view.one(BINDINGS_BY_PORT, name) is not None else None

    def _kept(self, have: IcPortBinding, zone: AvailabilityZone) -> LogicalSwitchPort | None:
        """The port of a binding of ours whose transit switch is only missing from IC-NB.

        A controller keeps the copy while packets need it, so other zones must follow a gateway that
        moves. The binding goes when the copy has gone.
        """
        lsp = self._view.one(LSPS_BY_NAME, have.logical_port)
        if not self._keeps_gateway or have.availability_zone != zone.uuid or lsp is None:
            return None
        bound = self._view.one(BINDINGS_BY_PORT, lsp.name) is not None
        on_copy = transit_switch_of(self._view, lsp) == have.transit_switch
        return lsp if lsp.type in PUBLISHED_TYPES and on_copy and bound else None

    def _wanted(self, lsp: LogicalSwitchPort, before: str) -> tuple[str, str, dict[str, str]]:
        """Address, gateway and external_ids of the binding; `before` is its gateway until now."""
        if lsp.type == "switch":
            return self._wanted_of_switch(lsp)
        peer = lsp.options.get(ROUTER_PORT, "")
        patch = self._view.one(BINDINGS_BY_PORT, peer)
        redirect = self._view.one(BINDINGS_BY_PORT, REDIRECT + peer)
        lrp = self._view.one(LRPS_BY_NAME, peer)
        router = self._view.parent(ROUTER_PORTS, lrp.uuid) if lrp else None
        return (
            min(patch.mac, default="") if patch else "",
            self._gateway(redirect, before) if redirect else "",
            {ROUTER_ID: router.uuid} if router else {},
        )

    def _gateway(self, redirect: SbPortBinding, before: str) -> str:
        """The chassis that serves a router port; the last one while none does, if it may again."""
        chassis = self._view.get(Chassis, redirect.chassis)
        if chassis is None and self._keeps_gateway:
            last = self._view.one(CHASSIS_BY_NAME, before)
            chassis = last if last is not None and is_interconn(last) else None
        return chassis.name if chassis is not None else ""

    def _wanted_of_switch(self, lsp: LogicalSwitchPort) -> tuple[str, str, dict[str, str]]:
        """The same for a port to another switch; `router-id` is then the UUID of that switch."""
        binding = self._view.one(BINDINGS_BY_PORT, lsp.name)
        chassis = self._view.get(Chassis, binding.chassis if binding else None)
        peer = self._view.one(LSPS_BY_NAME, lsp.peer or "")
        switch = self._view.parent(SWITCH_PORTS, peer.uuid) if peer else None
        ids = {ROUTER_ID: str(switch.uuid)} if switch else {}
        return "unknown", chassis.name if chassis else "", ids

    def _insert(self, lsp: LogicalSwitchPort, zone: AvailabilityZone) -> Iterator[Operation]:
        ts = transit_switch_of(self._view, lsp) or ""
        # The gateway of a port that this one replaces, e.g. because the zone was renamed.
        rows = self._view.all(IC_PORTS_BY_ZONE_AND_TS, (zone.uuid, ts))
        before = max((row.gateway for row in rows if self._is_going(row)), default="")
        address, gateway, external_ids = self._wanted(lsp, before)
        row: dict[str, Value] = {
            "logical_port": lsp.name,
            "transit_switch": ts,
            "availability_zone": Ref(zone.uuid),
            "tunnel_key": self._choose_key(ts, lsp),
            "address": address,
            "gateway": gateway,
            "external_ids": external_ids,
            **self._type_and_uuid(ts),
        }
        yield Insert(IcPortBinding, row)

    def _type_and_uuid(self, ts: str) -> dict[str, Value]:
        """The columns that newer schemas have in addition to the transit switch's name."""
        row = self._view.one(TRANSIT_SWITCHES_BY_NAME, ts)
        if row is None or not self._view.schema.has(IcPortBinding, "nb_ic_uuid"):
            return {}
        return {"type": TRANSIT_SWITCH_PORT, "nb_ic_uuid": Ref(row.uuid)}

    def _update(self, have: IcPortBinding, lsp: LogicalSwitchPort) -> Iterator[Operation]:
        address, gateway, external_ids = self._wanted(lsp, have.gateway)
        columns = self._type_and_uuid(have.transit_switch)
        yield from update(have, {"address": address, "gateway": gateway, **columns})
        ours = {key: value for key, value in have.external_ids.items() if key == ROUTER_ID}
        yield from change_map(IcPortBinding, have.uuid, "external_ids", ours, external_ids)

    @staticmethod
    def _delete(have: IcPortBinding, zone: AvailabilityZone) -> Iterator[Operation]:
        if have.availability_zone == zone.uuid:
            yield Delete(IcPortBinding, have.uuid)

    def _choose_key(self, ts: str, lsp: LogicalSwitchPort) -> int:
        """The key that the port already requests, if it is free; otherwise the first free one.

        Not every ovn-controller follows a changed key (23.03 keeps flows of the old one). So a
        port keeps its key when IC-SB has lost its row, and the controller requests one at once.
        """
        ports = self._view.all(IC_PORTS_BY_TS, ts)
        taken = {port.tunnel_key for port in ports if not self._is_going(port)}
        return self._keys.choose(ts, taken, requested_key(lsp.options))

    def _is_going(self, port: IcPortBinding) -> bool:
        """Whether a binding of ours is about to be deleted, e.g. because its port was renamed."""
        zone = self._zone.current
        ours = zone is not None and port.availability_zone == zone.uuid
        return ours and self._published(port.logical_port) is None

    def _clash(self, have: IcPortBinding) -> Problem:
        other = zone_name(self._view, have.availability_zone)
        return Subject(f"transit switch {have.transit_switch}", "port", have.logical_port).problem(
            f"zone {other} publishes a port of the same name, so this one is not published",
            "rename the logical switch port in one of the two clusters",
            Reason.NAME_TAKEN,
        )
