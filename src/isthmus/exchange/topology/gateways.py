"""Gateways: our interconnection chassis go to IC-SB, other zones' gateways to SB."""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, NamedTuple

from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.exchange.zones.own_zone import ZoneReconciler, zone_name
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    CHASSIS_BY_ENCAP,
    CHASSIS_BY_NAME,
    GATEWAYS_BY_ENCAP,
    GATEWAYS_BY_NAME,
)
from isthmus.model.operations import Delete, Insert, NewRef, Operation, Ref, Value, update
from isthmus.model.ovn_keys import IS_REMOTE, is_interconn, is_remote
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    Gateway,
    IcEncap,
    Row,
    RowId,
    SbEncap,
)


class Tunnel(NamedTuple):
    """One tunnel end, with the columns that both `Encap` tables have."""

    type: str
    ip: str
    options: tuple[tuple[str, str], ...]


def _tunnels(view: View, row: Chassis | Gateway | None) -> dict[Tunnel, RowId]:
    """The tunnel ends of a row, with the UUIDs of their encaps."""
    if row is None:
        return {}
    kind: type[SbEncap] | type[IcEncap] = SbEncap if isinstance(row, Chassis) else IcEncap
    encaps = (view.get(kind, uuid) for uuid in sorted(row.encaps))
    return {
        Tunnel(encap.type, encap.ip, tuple(sorted(encap.options.items()))): encap.uuid
        for encap in encaps
        if encap is not None
    }


class _Copies(ZoneReconciler[str]):
    """Copies chassis to gateways or back; the key is the name of both."""

    indexes = (CHASSIS_BY_NAME, GATEWAYS_BY_NAME)
    encap_table: ClassVar[type[SbEncap] | type[IcEncap]]
    owner_column: ClassVar[str]

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {**super().watches(), SbEncap: self._of_sb_encap, IcEncap: self._of_ic_encap}

    def _of_sb_encap(self, change: Change) -> Iterable[str]:
        return [chassis.name for chassis in self._view.all(CHASSIS_BY_ENCAP, change.row.uuid)]

    def _of_ic_encap(self, change: Change) -> Iterable[str]:
        return [gateway.name for gateway in self._view.all(GATEWAYS_BY_ENCAP, change.row.uuid)]

    def _write(
        self,
        kind: type[Gateway] | type[Chassis],
        have: Gateway | Chassis | None,
        source: Chassis | Gateway,
        columns: Mapping[str, Value],
    ) -> Iterator[Operation]:
        """Write the copy of a row, with its encaps; a new copy also gets `columns`."""
        existing, wanted = _tunnels(self._view, have), _tunnels(self._view, source)
        refs: list[Ref | NewRef] = []
        for tunnel in sorted(wanted, key=lambda tunnel: (tunnel.type, tunnel.ip)):
            if tunnel in existing:
                refs.append(Ref(existing[tunnel]))
                continue
            refs.append(new := NewRef())
            encap: dict[str, Value] = {
                "type": tunnel.type,
                "ip": tunnel.ip,
                "options": dict(tunnel.options),
                self.owner_column: source.name,
            }
            yield Insert(self.encap_table, encap, new)
        row: dict[str, Value] = {"hostname": source.hostname}
        if set(wanted) != set(existing):
            row["encaps"] = tuple(refs)
        if have is None:
            yield Insert(kind, {"name": source.name, **row, **columns})
        else:
            yield from update(have, row)


class GatewayPublication(_Copies):
    """Our interconnection chassis as gateways in IC-SB."""

    name: ClassVar[str] = "gateways"
    writes: ClassVar[Database] = Database.IC_SB
    encap_table: ClassVar[type[SbEncap] | type[IcEncap]] = IcEncap
    owner_column: ClassVar[str] = "gateway_name"

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        chassis = self._view.one(CHASSIS_BY_NAME, key)
        gateway = self._view.one(GATEWAYS_BY_NAME, key)
        ours = gateway is not None and gateway.availability_zone == zone.uuid
        if chassis is None or not is_interconn(chassis):
            return [Delete(Gateway, gateway.uuid)] if gateway is not None and ours else ()
        if gateway is not None and not ours:
            self.report(key, self._clash(chassis, gateway))
            return ()
        if not _tunnels(self._view, chassis):
            return ()  # a gateway must have an encap; the chassis will get one
        columns = {"availability_zone": Ref(zone.uuid)}
        return self._write(Gateway, gateway, chassis, columns)

    def _clash(self, chassis: Chassis, gateway: Gateway) -> Problem:
        other = zone_name(self._view, gateway.availability_zone)
        return Subject(f"chassis {chassis.name}", "name", chassis.hostname).problem(
            f"is the name of a gateway of zone {other}, too, so this chassis"
            " is not published as a gateway",
            "set another external_ids:system-id in the node's Open vSwitch",
            Reason.CHASSIS_NAME_TAKEN,
        )


class RemoteChassis(_Copies):
    """Other zones' gateways as remote chassis in SB."""

    name: ClassVar[str] = "remote chassis"
    writes: ClassVar[Database] = Database.SB
    encap_table: ClassVar[type[SbEncap] | type[IcEncap]] = SbEncap
    owner_column: ClassVar[str] = "chassis_name"

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        gateway = self._view.one(GATEWAYS_BY_NAME, key)
        chassis = self._view.one(CHASSIS_BY_NAME, key)
        if chassis is not None and not is_remote(chassis):
            return ()  # a local chassis is never touched; `GatewayPublication` reports the clash
        if gateway is not None and gateway.availability_zone != zone.uuid:
            return self._write(Chassis, chassis, gateway, {"other_config": {IS_REMOTE: "true"}})
        return [] if chassis is None else [Delete(Chassis, chassis.uuid)]
