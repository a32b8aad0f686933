"""Ports on transit switches: ours to IC-SB, the others' to NB, their chassis to SB.

All three reconcilers are keyed by the logical port's name, which is unique in NB and in IC-SB.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.exchange.lookup import INTERCONN_TS, REQUESTED_TNL_KEY, Lookup
from isthmus.exchange.zone import OwnZone
from isthmus.model.changes import Change
from isthmus.model.operations import (
    Delete,
    Insert,
    Mutate,
    NewRef,
    Operation,
    Ref,
    Update,
    Value,
    set_keys,
)
from isthmus.model.problems import Problem
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
    RowId,
    SbPortBinding,
    TransitSwitch,
)
from isthmus.reconcile.reconciler import Reconciler, Watch

PORT_KEYS = range(1, 1 << 15)
ROUTER_ID = "router-id"
TRANSIT_SWITCH_PORT = "transit-switch-port"
_REMOTE = "remote"
_REDIRECT = "cr-"


class PortPublication(Reconciler[str]):
    """Our router ports on transit switches as IC-SB port bindings."""

    name: ClassVar[str] = "ports"
    writes: ClassVar[Database | None] = Database.IC_SB

    def __init__(self, lookup: Lookup, zone: OwnZone) -> None:
        super().__init__()
        self._lookup, self._zone = lookup, zone
        self._handed_out: set[tuple[str, int]] = set()

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            LogicalSwitch: self._of_switch,
            LogicalSwitchPort: _names,
            LogicalRouter: self._of_router,
            LogicalRouterPort: self._of_router_port,
            SbPortBinding: self._of_binding,
            Chassis: self._of_chassis,
            TransitSwitch: self._of_transit_switch,
            IcPortBinding: _names,
        }

    def _of_switch(self, change: Change) -> Iterator[str]:
        for children in (*change.joined.values(), *change.left.values()):
            for uuid in children:
                lsp = self._lookup.lsps.get(uuid)
                if lsp is not None:
                    yield lsp.name
        names = {
            s.other_config.get(INTERCONN_TS) for s in change.sides if isinstance(s, LogicalSwitch)
        }
        if len(names) > 1 or change.new is None:
            for ts in names - {None}:
                yield from (port.logical_port for port in self._lookup.ic_ports_by_ts.all(ts))
            for uuid in tuple(self._lookup.switch_ports.children(change.row.uuid)):
                lsp = self._lookup.lsps.get(uuid)
                if lsp is not None:
                    yield lsp.name

    def _of_router(self, change: Change) -> Iterator[str]:
        for children in (change.joined.get("ports", ()), change.left.get("ports", ())):
            for uuid in children:
                lrp = self._lookup.lrps.get(uuid)
                if lrp is not None:
                    yield from self._on(lrp.name)

    def _of_router_port(self, change: Change) -> Iterator[str]:
        for side in change.sides:
            if isinstance(side, LogicalRouterPort):
                yield from self._on(side.name)

    def _of_binding(self, change: Change) -> Iterator[str]:
        for side in change.sides:
            if isinstance(side, SbPortBinding):
                yield side.logical_port
                yield from self._on(side.logical_port.removeprefix(_REDIRECT))

    def _of_chassis(self, change: Change) -> Iterator[str]:
        for binding in self._lookup.bindings_by_chassis.all(change.row.uuid):
            yield from self._on(binding.logical_port.removeprefix(_REDIRECT))

    def _of_transit_switch(self, change: Change) -> Iterator[str]:
        for side in change.sides:
            if isinstance(side, TransitSwitch):
                yield from self._all_on(side.name)

    def _all_on(self, ts: str) -> Iterator[str]:
        yield from (port.logical_port for port in self._lookup.ic_ports_by_ts.all(ts))
        for switch in self._lookup.switch_by_ts.all(ts):
            for uuid in tuple(self._lookup.switch_ports.children(switch.uuid)):
                lsp = self._lookup.lsps.get(uuid)
                if lsp is not None:
                    yield lsp.name

    def _on(self, lrp_name: str) -> Iterator[str]:
        return (lsp.name for lsp in self._lookup.lsp_by_router_port.all(lrp_name))

    def keys(self) -> Iterable[str]:
        for ts in tuple(self._lookup.switch_by_ts.keys()):
            yield from self._all_on(ts)
        yield from (port.logical_port for port in self._lookup.ic_ports)

    def batch_done(self) -> None:
        self._handed_out.clear()

    def reconcile(self, key: str) -> Iterable[Operation]:
        self.report(key)
        zone = self._zone.current
        if zone is None:
            return ()
        lsp = self._published(key)
        have = self._lookup.ic_port_by_name.one(key)
        if lsp is None:
            return self._delete(have, zone)
        if have is None:
            return self._insert(lsp, zone)
        if have.availability_zone != zone.uuid:
            self.report(key, self._clash(have))
            return ()
        if have.transit_switch != self._lookup.transit_switch_of(lsp):
            return [*self._delete(have, zone), *self._insert(lsp, zone)]
        return self._update(have, lsp)

    def _published(self, name: str) -> LogicalSwitchPort | None:
        lsp = self._lookup.lsp_by_name.one(name)
        if lsp is None or lsp.type != "router":
            return None
        ts = self._lookup.transit_switch_of(lsp)
        if ts is None or self._lookup.ts_by_name.one(ts) is None:
            return None
        return lsp if self._lookup.binding_by_port.one(name) is not None else None

    def _wanted(self, lsp: LogicalSwitchPort) -> tuple[str, str, dict[str, str]]:
        """Address, gateway and external_ids of the binding."""
        peer = lsp.options.get("router-port", "")
        patch = self._lookup.binding_by_port.one(peer)
        redirect = self._lookup.binding_by_port.one(_REDIRECT + peer)
        chassis = self._lookup.chassis.get(redirect.chassis if redirect else None)
        lrp = self._lookup.lrp_by_name.one(peer)
        router = self._lookup.router_of(lrp) if lrp else None
        return (
            min(patch.mac, default="") if patch else "",
            chassis.name if chassis else "",
            {ROUTER_ID: router.uuid} if router else {},
        )

    def _insert(self, lsp: LogicalSwitchPort, zone: AvailabilityZone) -> Iterator[Operation]:
        ts = self._lookup.transit_switch_of(lsp) or ""
        address, gateway, external_ids = self._wanted(lsp)
        row: dict[str, Value] = {
            "logical_port": lsp.name,
            "transit_switch": ts,
            "availability_zone": Ref(zone.uuid),
            "tunnel_key": self._choose_key(ts, lsp),
            "address": address,
            "gateway": gateway,
            "external_ids": external_ids,
            **self._marks(ts),
        }
        yield Insert(IcPortBinding, row)

    def _marks(self, ts: str) -> dict[str, Value]:
        """What newer schemas say beside the transit switch's name."""
        row = self._lookup.ts_by_name.one(ts)
        if row is None or not self._lookup.schema.has(IcPortBinding, "nb_ic_uuid"):
            return {}
        return {"type": TRANSIT_SWITCH_PORT, "nb_ic_uuid": Ref(row.uuid)}

    def _update(self, have: IcPortBinding, lsp: LogicalSwitchPort) -> Iterator[Operation]:
        address, gateway, external_ids = self._wanted(lsp)
        row: dict[str, Value] = {}
        if have.address != address:
            row["address"] = address
        if have.gateway != gateway:
            row["gateway"] = gateway
        marks = self._marks(have.transit_switch)
        if marks and (have.type, Ref(have.nb_ic_uuid or RowId(""))) != tuple(marks.values()):
            row |= marks
        if row:
            yield Update(IcPortBinding, have.uuid, row)
        router = external_ids.get(ROUTER_ID)
        if have.external_ids.get(ROUTER_ID) != router:
            if router is None:
                gone = frozenset({ROUTER_ID})
                yield Mutate(IcPortBinding, have.uuid, (("external_ids", "delete", gone),))
            else:
                yield set_keys(IcPortBinding, have.uuid, "external_ids", {ROUTER_ID: router})

    @staticmethod
    def _delete(have: IcPortBinding | None, zone: AvailabilityZone) -> Iterator[Operation]:
        if have is not None and have.availability_zone == zone.uuid:
            yield Delete(IcPortBinding, have.uuid)

    def _choose_key(self, ts: str, lsp: LogicalSwitchPort) -> int:
        """The key that the port asks for already, if it is free; else the first that is.

        A changed key is not followed by every ovn-controller (23.03 keeps flows of the old one),
        so a port keeps its key when IC-SB has lost its row, and the controller asks for one at
        once.
        """
        taken = {
            port.tunnel_key
            for port in self._lookup.ic_ports_by_ts.all(ts)
            if not self._is_going(port)
        }
        taken |= {key for switch, key in self._handed_out if switch == ts}
        asked = lsp.options.get(REQUESTED_TNL_KEY, "")
        wanted = int(asked) if asked.isdecimal() else 0
        if wanted not in PORT_KEYS or wanted in taken:
            wanted = next(key for key in PORT_KEYS if key not in taken)
        self._handed_out.add((ts, wanted))
        return wanted

    def _is_going(self, port: IcPortBinding) -> bool:
        """Whether a binding of ours is about to be deleted (its port was renamed, say)."""
        zone = self._zone.current
        ours = zone is not None and port.availability_zone == zone.uuid
        return ours and self._published(port.logical_port) is None

    def _clash(self, have: IcPortBinding) -> Problem:
        other = self._lookup.zones.get(have.availability_zone)
        return Problem(
            object=f"transit switch {have.transit_switch}",
            key="port",
            value=have.logical_port,
            message=f"zone {other.name if other else '?'} has published a port of the same name",
            remedy="rename the logical switch port in one of the two clusters",
        )


class PortCopies(Reconciler[str]):
    """The others' ports as `remote` ports in NB, and our own ports' tunnel keys."""

    name: ClassVar[str] = "remote ports"
    writes: ClassVar[Database | None] = Database.NB

    def __init__(self, lookup: Lookup, zone: OwnZone) -> None:
        super().__init__()
        self._lookup, self._zone = lookup, zone

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            IcPortBinding: _names,
            LogicalSwitchPort: _names,
            LogicalSwitch: self._of_switch,
        }

    def _of_switch(self, change: Change) -> Iterator[str]:
        for uuid in change.joined.get("ports", ()):
            lsp = self._lookup.lsps.get(uuid)
            if lsp is not None:
                yield lsp.name
        names = [
            s.other_config.get(INTERCONN_TS) for s in change.sides if isinstance(s, LogicalSwitch)
        ]
        if change.old is None or len(set(names)) > 1:
            for ts in filter(None, names):
                yield from (port.logical_port for port in self._lookup.ic_ports_by_ts.all(ts))

    def keys(self) -> Iterable[str]:
        yield from (port.logical_port for port in self._lookup.ic_ports)
        for ts in tuple(self._lookup.switch_by_ts.keys()):
            for switch in self._lookup.switch_by_ts.all(ts):
                for uuid in tuple(self._lookup.switch_ports.children(switch.uuid)):
                    lsp = self._lookup.lsps.get(uuid)
                    if lsp is not None:
                        yield lsp.name

    def reconcile(self, key: str) -> Iterable[Operation]:
        self.report(key)
        zone = self._zone.current
        if zone is None:
            return ()
        lsp = self._lookup.lsp_by_name.one(key)
        port = self._lookup.ic_port_by_name.one(key)
        if port is not None and port.availability_zone == zone.uuid:
            return self._local(lsp, port)
        return self._remote(key, lsp, port)

    def _remote(
        self, key: str, lsp: LogicalSwitchPort | None, port: IcPortBinding | None
    ) -> Iterable[Operation]:
        """Another zone's port, or one that nobody publishes any more."""
        switch = None if port is None else self._copy_of(port.transit_switch)
        if port is None or switch is None:
            return self._remove(lsp)
        if lsp is None:
            return self._insert(port, switch)
        if lsp.type != _REMOTE:
            self.report(key, self._clash(lsp, port))
            return ()
        if self._lookup.switch_ports.parent(lsp.uuid) != switch.uuid:
            return [*self._remove(lsp), *self._insert(port, switch)]
        return self._update(lsp, port)

    def _copy_of(self, ts: str) -> LogicalSwitch | None:
        return min(self._lookup.switch_by_ts.all(ts), key=lambda row: row.uuid, default=None)

    def _local(self, lsp: LogicalSwitchPort | None, port: IcPortBinding) -> Iterator[Operation]:
        """Our own port: northd must use the tunnel key that is committed in IC-SB."""
        if lsp is None or lsp.type == _REMOTE:
            yield from self._remove(lsp)
        elif self._lookup.transit_switch_of(lsp) == port.transit_switch:
            yield from self._set_key(lsp, port)

    @staticmethod
    def _set_key(lsp: LogicalSwitchPort, port: IcPortBinding) -> Iterator[Operation]:
        key = str(port.tunnel_key)
        if lsp.options.get(REQUESTED_TNL_KEY) != key:
            yield set_keys(LogicalSwitchPort, lsp.uuid, "options", {REQUESTED_TNL_KEY: key})

    def _remove(self, lsp: LogicalSwitchPort | None) -> Iterator[Operation]:
        if lsp is None or lsp.type != _REMOTE:
            return
        switch = self._lookup.own_switch_of(lsp)
        if switch is not None and INTERCONN_TS in switch.other_config:
            gone = frozenset({Ref(lsp.uuid)})
            yield Mutate(LogicalSwitch, switch.uuid, (("ports", "delete", gone),))

    @staticmethod
    def _addresses(port: IcPortBinding) -> frozenset[str]:
        return frozenset({port.address}) if port.address else frozenset()

    def _insert(self, port: IcPortBinding, switch: LogicalSwitch) -> Iterator[Operation]:
        new = NewRef()
        row: dict[str, Value] = {
            "name": port.logical_port,
            "type": _REMOTE,
            "up": True,
            "addresses": self._addresses(port),
            "options": {REQUESTED_TNL_KEY: str(port.tunnel_key)},
        }
        yield Insert(LogicalSwitchPort, row, new)
        yield Mutate(LogicalSwitch, switch.uuid, (("ports", "insert", frozenset({new})),))

    def _update(self, lsp: LogicalSwitchPort, port: IcPortBinding) -> Iterator[Operation]:
        # `up` is set once, by `_insert`: from then on northd decides, and would not give way.
        if lsp.addresses != self._addresses(port):
            yield Update(LogicalSwitchPort, lsp.uuid, {"addresses": self._addresses(port)})
        yield from self._set_key(lsp, port)

    def _clash(self, lsp: LogicalSwitchPort, port: IcPortBinding) -> Problem:
        other = self._lookup.zones.get(port.availability_zone)
        return Problem(
            object=f"transit switch {port.transit_switch}",
            key="port",
            value=port.logical_port,
            message=f"a local port of type {lsp.type or 'VIF'} has the name of a port of zone"
            f" {other.name if other else '?'}",
            remedy="rename the local logical switch port",
        )


class RemoteBindings(Reconciler[str]):
    """Where the others' ports are: the chassis of remote SB port bindings."""

    name: ClassVar[str] = "remote port bindings"
    writes: ClassVar[Database | None] = Database.SB

    def __init__(self, lookup: Lookup, zone: OwnZone) -> None:
        super().__init__()
        self._lookup, self._zone = lookup, zone

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            SbPortBinding: _names,
            IcPortBinding: _names,
            LogicalSwitchPort: _names,
            Chassis: self._of_chassis,
        }

    def _of_chassis(self, change: Change) -> Iterator[str]:
        for side in change.sides:
            if isinstance(side, Chassis):
                for port in self._lookup.ic_ports_by_gateway.all(side.name):
                    yield port.logical_port

    def keys(self) -> Iterable[str]:
        return (port.logical_port for port in self._lookup.ic_ports)

    def reconcile(self, key: str) -> Iterator[Operation]:
        zone = self._zone.current
        port = self._lookup.ic_port_by_name.one(key)
        binding = self._lookup.binding_by_port.one(key)
        if zone is None or port is None or binding is None or binding.type != _REMOTE:
            return
        lsp = self._lookup.lsp_by_name.one(key)
        if port.availability_zone == zone.uuid or lsp is None:
            return
        if "requested-chassis" in lsp.options:
            return  # somebody decides that by hand
        if not port.gateway:
            if binding.chassis is not None:
                yield Update(SbPortBinding, binding.uuid, {"chassis": frozenset[str]()})
            return
        chassis = self._lookup.chassis_by_name.one(port.gateway)
        if chassis is not None and binding.chassis != chassis.uuid:
            yield Update(SbPortBinding, binding.uuid, {"chassis": Ref(chassis.uuid)})


def _names(change: Change) -> Iterator[str]:
    for side in change.sides:
        if isinstance(side, LogicalSwitchPort):
            yield side.name
        elif isinstance(side, (IcPortBinding, SbPortBinding)):
            yield side.logical_port
