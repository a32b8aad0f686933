"""Transit routers and their ports (OVN 26.03 on): keys in IC-SB, copies in every zone's NB.

Every zone has a copy of every router with all of its ports. The zone that has a port's chassis
publishes the port in IC-SB, together with the tunnel key that all copies request. Schemas without
these tables have no keys here.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.exchange.topology.tunnel_keys import DatapathKeys, PortKeys
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    CHASSIS_BY_NAME,
    DATAPATHS_BY_IC_NB,
    IC_PORTS_BY_NAME,
    IC_PORTS_BY_TS,
    LRPS_BY_NAME,
    ROUTER_PORTS,
    ROUTERS_BY_TR,
    TRANSIT_ROUTER_PORTS_BY_CHASSIS,
    TRANSIT_ROUTER_PORTS_BY_NAME,
    TRANSIT_ROUTER_PORTS_BY_ROUTER,
    TRANSIT_ROUTERS_BY_NAME,
)
from isthmus.model.operations import (
    Delete,
    Insert,
    Operation,
    Ref,
    Value,
    insert_child,
    remove_children,
    set_keys,
    update,
)
from isthmus.model.ovn_keys import (
    INTERCONN_TR,
    REQUESTED_TNL_KEY,
    TRANSIT_ROUTER,
    TRANSIT_ROUTER_PORT,
    is_remote,
    requested_key,
)
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    IcDatapathBinding,
    IcPortBinding,
    LogicalRouter,
    LogicalRouterPort,
    Row,
    RowId,
    TransitRouter,
    TransitRouterPort,
)


class TransitRouterKeys(ZoneReconciler[RowId]):
    """One IC-SB datapath binding per transit router; the key is the router's UUID in IC-NB."""

    name: ClassVar[str] = "transit router keys"
    writes: ClassVar[Database] = Database.IC_SB

    def __init__(self, view: View, zone: OwnZone, tunnel_keys: DatapathKeys) -> None:
        super().__init__(view, zone)
        self._tunnel_keys = tunnel_keys

    def watches(self) -> Mapping[type[Row], Watch[RowId]]:
        return {
            TransitRouter: lambda change: [change.row.uuid],
            IcDatapathBinding: self._of_datapath,
        }

    def _of_datapath(self, change: Change) -> Iterator[RowId]:
        rows = list(change.of(IcDatapathBinding))
        for row in (*rows, *self._tunnel_keys.neighbours(change)):
            if row.type == TRANSIT_ROUTER and row.nb_ic_uuid:
                yield row.nb_ic_uuid

    def keys(self) -> Iterable[RowId]:
        yield from tuple(self._view.table(TransitRouter).rows)
        for row in self._view.table(IcDatapathBinding):
            if row.type == TRANSIT_ROUTER and row.nb_ic_uuid:
                yield row.nb_ic_uuid

    def batch_done(self) -> None:
        self._tunnel_keys.release()

    def align(self, key: RowId, zone: AvailabilityZone) -> Iterator[Operation]:
        rows = self._view.all(DATAPATHS_BY_IC_NB, key)
        columns: dict[str, Value] = {"type": TRANSIT_ROUTER, "nb_ic_uuid": Ref(key)}
        router = self._view.get(TransitRouter, key)
        return self._tunnel_keys.align(
            (row for row in rows if row.type == TRANSIT_ROUTER),
            None if router is None else columns,
            self._present_key(router.name) if router is not None else 0,
        )

    def _present_key(self, name: str) -> int:
        """The key that our copy has; 0 for none."""
        copies = self._view.all(ROUTERS_BY_TR, name)
        return next(filter(None, (requested_key(copy.options) for copy in copies)), 0)


class TransitRouterCopies(ZoneReconciler[str]):
    """A logical router in NB per transit router; the key is the router's name."""

    name: ClassVar[str] = "transit routers"
    writes: ClassVar[Database] = Database.NB
    indexes = (TRANSIT_ROUTERS_BY_NAME, ROUTERS_BY_TR)

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {**super().watches(), IcDatapathBinding: self._of_datapath}

    def _of_datapath(self, change: Change) -> Iterator[str]:
        for uuid in DATAPATHS_BY_IC_NB.affected(change):
            router = self._view.get(TransitRouter, uuid)
            if router is not None:
                yield router.name

    def align(self, key: str, zone: AvailabilityZone) -> Iterator[Operation]:
        copies = sorted(self._view.all(ROUTERS_BY_TR, key), key=lambda row: row.uuid)
        router = self._view.one(TRANSIT_ROUTERS_BY_NAME, key)
        for copy in copies if router is None else copies[1:]:
            yield Delete(LogicalRouter, copy.uuid)
        if router is None:
            return
        datapath = self._view.one(DATAPATHS_BY_IC_NB, router.uuid)
        if datapath is None:
            return  # northd would first choose a key of its own
        options = {INTERCONN_TR: key, REQUESTED_TNL_KEY: str(datapath.tunnel_key)}
        if not copies:
            yield Insert(LogicalRouter, {"name": key, "options": options})
        elif not options.items() <= copies[0].options.items():
            yield set_keys(LogicalRouter, copies[0].uuid, "options", options)


class TransitRouterPortPublication(ZoneReconciler[str]):
    """The ports on chassis of ours, as IC-SB port bindings; the key is the port's name."""

    name: ClassVar[str] = "transit router ports"
    writes: ClassVar[Database] = Database.IC_SB
    indexes = (TRANSIT_ROUTER_PORTS_BY_NAME, IC_PORTS_BY_NAME)

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__(view, zone)
        self._keys = PortKeys()

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {**super().watches(), TransitRouter: self._of_router, Chassis: self._of_chassis}

    def _of_router(self, change: Change) -> Iterator[str]:
        ports = self._view.all(TRANSIT_ROUTER_PORTS_BY_ROUTER, change.row.uuid)
        yield from (port.name for port in ports)

    def _of_chassis(self, change: Change) -> Iterator[str]:
        for side in change.of(Chassis):
            ports = self._view.all(TRANSIT_ROUTER_PORTS_BY_CHASSIS, side.name)
            yield from (port.name for port in ports)

    def keys(self) -> Iterable[str]:
        yield from (port.name for port in self._view.table(TransitRouterPort))
        for port in self._view.table(IcPortBinding):
            if port.type == TRANSIT_ROUTER_PORT:
                yield port.logical_port

    def batch_done(self) -> None:
        self._keys.release()

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        have = self._view.one(IC_PORTS_BY_NAME, key)
        if have is not None and have.availability_zone != zone.uuid:
            return ()
        if have is not None and have.type != TRANSIT_ROUTER_PORT:
            return ()
        port = self._view.one(TRANSIT_ROUTER_PORTS_BY_NAME, key)
        router = self._view.get(TransitRouter, port.tr_uuid) if port else None
        if port is None or router is None or not self._is_local(port):
            return [] if have is None else [Delete(IcPortBinding, have.uuid)]
        return self._align(port, router, have, zone)

    def _is_local(self, port: TransitRouterPort) -> bool:
        chassis = self._view.one(CHASSIS_BY_NAME, port.chassis)
        return chassis is not None and not is_remote(chassis)

    def _align(
        self,
        port: TransitRouterPort,
        router: TransitRouter,
        have: IcPortBinding | None,
        zone: AvailabilityZone,
    ) -> Iterator[Operation]:
        row: dict[str, Value] = {
            "transit_switch": router.name,
            "address": port.mac,
            "nb_ic_uuid": Ref(router.uuid),
        }
        if have is None:
            row |= {
                "logical_port": port.name,
                "type": TRANSIT_ROUTER_PORT,
                "availability_zone": Ref(zone.uuid),
                "tunnel_key": self._choose_key(router.name),
            }
            yield Insert(IcPortBinding, row)
        else:
            yield from update(have, row)

    def _choose_key(self, router: str) -> int:
        ports = self._view.all(IC_PORTS_BY_TS, router)
        return self._keys.choose(router, {port.tunnel_key for port in ports})


class TransitRouterPortCopies(ZoneReconciler[str]):
    """All ports of all transit routers on their copies in NB; the key is the port's name."""

    name: ClassVar[str] = "transit router port copies"
    writes: ClassVar[Database] = Database.NB
    indexes = (TRANSIT_ROUTER_PORTS_BY_NAME, IC_PORTS_BY_NAME, LRPS_BY_NAME)

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {**super().watches(), LogicalRouter: self._of_copy}

    def _of_copy(self, change: Change) -> Iterator[str]:
        for name in ROUTERS_BY_TR.affected(change):
            for port in self._view.all(IC_PORTS_BY_TS, name):
                yield port.logical_port

    def keys(self) -> Iterable[str]:
        yield from (port.name for port in self._view.table(TransitRouterPort))
        yield from (
            lrp.name for lrp in self._view.table(LogicalRouterPort) if INTERCONN_TR in lrp.options
        )

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        lrp = self._view.one(LRPS_BY_NAME, key)
        port = self._view.one(TRANSIT_ROUTER_PORTS_BY_NAME, key)
        binding = self._view.one(IC_PORTS_BY_NAME, key)
        published = binding is not None and binding.type == TRANSIT_ROUTER_PORT
        if lrp is not None and INTERCONN_TR not in lrp.options:
            return ()  # a port of the same name that is not ours
        if port is None or binding is None or not published:
            return self._remove(lrp)
        return self._align(port, binding, lrp)

    def _remove(self, lrp: LogicalRouterPort | None) -> Iterator[Operation]:
        router = self._view.parent(ROUTER_PORTS, lrp.uuid) if lrp else None
        if lrp is not None and router is not None:
            yield from remove_children(ROUTER_PORTS, router.uuid, [lrp.uuid])

    def _align(
        self, port: TransitRouterPort, binding: IcPortBinding, lrp: LogicalRouterPort | None
    ) -> Iterator[Operation]:
        copy = self._view.one(ROUTERS_BY_TR, binding.transit_switch)
        options = {
            INTERCONN_TR: port.name,
            "requested-chassis": port.chassis,
            REQUESTED_TNL_KEY: str(binding.tunnel_key),
        }
        row: dict[str, Value] = {"mac": port.mac, "networks": port.networks}
        if copy is None:
            return
        if lrp is None:
            row |= {"name": port.name, "options": options}
            yield from insert_child(ROUTER_PORTS, copy.uuid, row)
            return
        yield from update(lrp, row)
        if not options.items() <= lrp.options.items():
            yield set_keys(LogicalRouterPort, lrp.uuid, "options", options)
