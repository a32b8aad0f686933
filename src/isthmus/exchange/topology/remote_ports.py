"""Other zones' ports on transit switches: they go to NB as `remote` ports, their chassis to SB.

Keys are the names of logical ports, which are unique in NB and in IC-SB.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.engine.reconciler import Watch
from isthmus.exchange.topology.transit_switches import port_keys, transit_switch_of
from isthmus.exchange.zones.own_zone import ZoneReconciler, zone_name
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    BINDINGS_BY_PORT,
    CHASSIS_BY_NAME,
    GATEWAYS_BY_NAME,
    IC_PORTS_BY_GATEWAY,
    IC_PORTS_BY_NAME,
    IC_PORTS_BY_TS,
    LSPS_BY_NAME,
    SWITCH_PORTS,
    SWITCHES_BY_TS,
)
from isthmus.model.operations import (
    Operation,
    Ref,
    Value,
    insert_child,
    remove_children,
    set_keys,
    update,
)
from isthmus.model.ovn_keys import (
    REQUESTED_TNL_KEY,
    TRANSIT_ROUTER_PORT,
    interconn_ts,
    is_remote,
    transit_switch_named,
)
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    Gateway,
    IcPortBinding,
    LogicalSwitch,
    LogicalSwitchPort,
    Row,
)

_REMOTE = "remote"


class PortCopies(ZoneReconciler[str]):
    """Other zones' ports as `remote` ports in NB, and the tunnel keys of our own ports."""

    name: ClassVar[str] = "remote ports"
    writes: ClassVar[Database] = Database.NB
    indexes = (IC_PORTS_BY_NAME, LSPS_BY_NAME)

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {**super().watches(), LogicalSwitch: self._of_switch}

    def _of_switch(self, change: Change) -> Iterator[str]:
        yield from (lsp.name for lsp in self._view.moved(SWITCH_PORTS, change))
        names = [transit_switch_named(s) for s in change.of(LogicalSwitch)]
        if change.old is None or len(set(names)) > 1:
            for ts in filter(None, names):
                yield from (port.logical_port for port in self._view.all(IC_PORTS_BY_TS, ts))

    def keys(self) -> Iterable[str]:
        return port_keys(self._view)

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        lsp = self._view.one(LSPS_BY_NAME, key)
        port = self._view.one(IC_PORTS_BY_NAME, key)
        if port is not None and port.type == TRANSIT_ROUTER_PORT:
            return ()  # `isthmus.exchange.topology.transit_routers` handles those
        if port is not None and port.availability_zone == zone.uuid:
            return self._local(lsp, port)
        return self._remote(key, lsp, port)

    def _remote(
        self, key: str, lsp: LogicalSwitchPort | None, port: IcPortBinding | None
    ) -> Iterable[Operation]:
        """Handle another zone's port, or one that is no longer published."""
        copies = () if port is None else self._view.all(SWITCHES_BY_TS, port.transit_switch)
        switch = min(copies, key=lambda row: row.uuid, default=None)
        if port is None or switch is None:
            return self._remove(lsp)
        if lsp is None:
            return self._insert(port, switch)
        if lsp.type != _REMOTE and not self._was_remote(lsp, port):
            self.report(key, self._clash(lsp, port))
            return ()
        if self._view.parent(SWITCH_PORTS, lsp.uuid) != switch:
            return [*self._remove(lsp), *self._insert(port, switch)]
        return self._update(lsp, port)

    def _local(self, lsp: LogicalSwitchPort | None, port: IcPortBinding) -> Iterator[Operation]:
        """Handle our own port: northd must use the tunnel key that is committed in IC-SB."""
        if lsp is None or lsp.type == _REMOTE:
            yield from self._remove(lsp)
        elif transit_switch_of(self._view, lsp) == port.transit_switch:
            yield from self._set_key(lsp, port)

    @staticmethod
    def _set_key(lsp: LogicalSwitchPort, port: IcPortBinding) -> Iterator[Operation]:
        key = str(port.tunnel_key)
        if lsp.options.get(REQUESTED_TNL_KEY) != key:
            yield set_keys(LogicalSwitchPort, lsp.uuid, "options", {REQUESTED_TNL_KEY: key})

    def _remove(self, lsp: LogicalSwitchPort | None) -> Iterator[Operation]:
        if lsp is None or lsp.type != _REMOTE:
            return
        switch = self._view.parent(SWITCH_PORTS, lsp.uuid)
        if switch is not None and interconn_ts(switch):
            yield from remove_children(SWITCH_PORTS, switch.uuid, [lsp.uuid])

    def _was_remote(self, lsp: LogicalSwitchPort, port: IcPortBinding) -> bool:
        """Whether a port of another type has all else of a remote port, as after a slip by hand."""
        return (
            transit_switch_of(self._view, lsp) == port.transit_switch
            and lsp.addresses == self._addresses(port) != frozenset()
            and lsp.options.get(REQUESTED_TNL_KEY) == str(port.tunnel_key)
        )

    @staticmethod
    def _addresses(port: IcPortBinding) -> frozenset[str]:
        return frozenset({port.address}) if port.address else frozenset()

    def _insert(self, port: IcPortBinding, switch: LogicalSwitch) -> Iterator[Operation]:
        row: dict[str, Value] = {
            "name": port.logical_port,
            "type": _REMOTE,
            "up": True,
            "addresses": self._addresses(port),
            "options": {REQUESTED_TNL_KEY: str(port.tunnel_key)},
        }
        return insert_child(SWITCH_PORTS, switch.uuid, row)

    def _update(self, lsp: LogicalSwitchPort, port: IcPortBinding) -> Iterator[Operation]:
        # `_insert` sets `up` once; from then on it is northd's, which would set it back.
        yield from update(lsp, {"type": _REMOTE, "addresses": self._addresses(port)})
        yield from self._set_key(lsp, port)

    def _clash(self, lsp: LogicalSwitchPort, port: IcPortBinding) -> Problem:
        other = zone_name(self._view, port.availability_zone)
        return Subject(f"transit switch {port.transit_switch}", "port", port.logical_port).problem(
            f"is the name of a port of zone {other} and of a local port of type"
            f" {lsp.type or 'VIF'}, so the remote port is left out",
            "rename the local logical switch port",
            Reason.NAME_TAKEN,
        )


class RemoteBindings(ZoneReconciler[str]):
    """The chassis of other zones' ports, in the SB port bindings of type `remote`."""

    name: ClassVar[str] = "remote port bindings"
    writes: ClassVar[Database] = Database.SB
    indexes = (IC_PORTS_BY_NAME, BINDINGS_BY_PORT, LSPS_BY_NAME)

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {**super().watches(), Chassis: self._of_gateway, Gateway: self._of_gateway}

    def _of_gateway(self, change: Change) -> Iterator[str]:
        sides: tuple[Chassis | Gateway, ...] = (*change.of(Chassis), *change.of(Gateway))
        for side in sides:
            for port in self._view.all(IC_PORTS_BY_GATEWAY, side.name):
                yield port.logical_port

    def keys(self) -> Iterable[str]:
        return self._view.index(IC_PORTS_BY_NAME).keys()

    def align(self, key: str, zone: AvailabilityZone) -> Iterator[Operation]:
        port = self._view.one(IC_PORTS_BY_NAME, key)
        binding = self._view.one(BINDINGS_BY_PORT, key)
        if port is None or binding is None or binding.type != _REMOTE:
            return
        lsp = self._view.one(LSPS_BY_NAME, key)
        if port.availability_zone == zone.uuid or lsp is None:
            return
        if "requested-chassis" in lsp.options:
            return  # an operator has chosen the chassis
        if not port.gateway:
            yield from update(binding, {"chassis": frozenset[str]()})
            return
        gateway = self._view.one(GATEWAYS_BY_NAME, port.gateway)
        chassis = self._view.one(CHASSIS_BY_NAME, port.gateway)
        if gateway is None or gateway.availability_zone != port.availability_zone:
            self.report(key, self._unpublished(port))
        elif chassis is not None and is_remote(chassis):
            yield from update(binding, {"chassis": Ref(chassis.uuid)})

    def _unpublished(self, port: IcPortBinding) -> Problem:
        zone = zone_name(self._view, port.availability_zone)
        subject = Subject(f"port {port.logical_port} of zone {zone}", "gateway", port.gateway)
        return subject.problem(
            f"is a chassis that zone {zone} does not publish as a gateway, so packets to the zone"
            f" do not use this port of transit switch {port.transit_switch}",
            f"run `isthmus status` in zone {zone}: another node may have the chassis's name or"
            " tunnel IP",
            Reason.GATEWAY_NOT_PUBLISHED,
        )
