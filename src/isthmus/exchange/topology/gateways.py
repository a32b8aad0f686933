"""Gateways: our interconnection chassis go to IC-SB, other zones' gateways to SB."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from isthmus.engine.reconciler import Watch
from isthmus.engine.view import Table
from isthmus.exchange.zones.own_zone import ZoneReconciler
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    CHASSIS_BY_ENCAP,
    CHASSIS_BY_NAME,
    GATEWAYS_BY_ENCAP,
    GATEWAYS_BY_NAME,
)
from isthmus.model.operations import Delete, Insert, NewRef, Operation, Ref, Update, Value
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


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One tunnel end, with the columns that both `Encap` tables have."""

    type: str
    ip: str
    options: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, encap: SbEncap | IcEncap) -> "Tunnel":
        """The tunnel end of a row."""
        return cls(encap.type, encap.ip, tuple(sorted(encap.options.items())))

    def row(self, owner_column: str, owner: str) -> dict[str, Value]:
        """The columns of a new row; the name of `owner_column` differs between the two tables."""
        return {
            "type": self.type,
            "ip": self.ip,
            "options": dict(self.options),
            owner_column: owner,
        }


def _tunnels(
    table: "Table[SbEncap] | Table[IcEncap]", uuids: Iterable[RowId]
) -> dict[Tunnel, RowId]:
    rows = (table.get(uuid) for uuid in sorted(uuids))
    return {Tunnel.of(row): row.uuid for row in rows if row is not None}


def _sync_tunnels(
    table: type[SbEncap] | type[IcEncap],
    owner_column: str,
    owner: str,
    have: Mapping[Tunnel, RowId],
    want: Iterable[Tunnel],
) -> tuple[list[Insert], list[Ref | NewRef] | None]:
    """The inserts of missing rows, and the references to set; None if they are right already."""
    inserts: list[Insert] = []
    refs: list[Ref | NewRef] = []
    wanted = sorted(want, key=lambda tunnel: (tunnel.type, tunnel.ip))
    for tunnel in wanted:
        if tunnel in have:
            refs.append(Ref(have[tunnel]))
        else:
            new = NewRef()
            inserts.append(Insert(table, tunnel.row(owner_column, owner), new))
            refs.append(new)
    return inserts, None if set(wanted) == set(have) else refs


class GatewayPublication(ZoneReconciler[str]):
    """Local interconnection chassis as IC-SB gateways; the key is the chassis name."""

    name: ClassVar[str] = "gateways"
    writes: ClassVar[Database] = Database.IC_SB

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            Chassis: _names,
            Gateway: _names,
            SbEncap: self._of_encap,
            IcEncap: self._of_ic_encap,
        }

    def _of_encap(self, change: Change) -> Iterable[str]:
        uuid = change.row.uuid
        return [chassis.name for chassis in self._view.all(CHASSIS_BY_ENCAP, uuid)]

    def _of_ic_encap(self, change: Change) -> Iterable[str]:
        uuid = change.row.uuid
        return [gateway.name for gateway in self._view.all(GATEWAYS_BY_ENCAP, uuid)]

    def keys(self) -> Iterable[str]:
        yield from (chassis.name for chassis in self._view.table(Chassis))
        yield from (gateway.name for gateway in self._view.table(Gateway))

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        chassis = self._view.one(CHASSIS_BY_NAME, key)
        gateway = self._view.one(GATEWAYS_BY_NAME, key)
        if chassis is not None and is_interconn(chassis):
            if gateway is None:
                return self._insert(chassis, zone)
            if gateway.availability_zone == zone.uuid:
                return self._update(gateway, chassis)
            self.report(key, self._clash(chassis, gateway))
            return ()
        if gateway is not None and gateway.availability_zone == zone.uuid:
            return [Delete(Gateway, gateway.uuid)]
        return ()

    def _wanted(self, chassis: Chassis) -> list[Tunnel]:
        return list(_tunnels(self._view.table(SbEncap), chassis.encaps))

    def _insert(self, chassis: Chassis, zone: AvailabilityZone) -> Iterator[Operation]:
        wanted = self._wanted(chassis)
        if not wanted:
            return  # a gateway must have an encap; the chassis will get one
        inserts, refs = _sync_tunnels(IcEncap, "gateway_name", chassis.name, {}, wanted)
        yield from inserts
        row: dict[str, Value] = {
            "name": chassis.name,
            "hostname": chassis.hostname,
            "availability_zone": Ref(zone.uuid),
            "encaps": tuple(refs or ()),
        }
        yield Insert(Gateway, row)

    def _update(self, gateway: Gateway, chassis: Chassis) -> Iterator[Operation]:
        have = _tunnels(self._view.table(IcEncap), gateway.encaps)
        wanted = self._wanted(chassis)
        if not wanted:
            return
        inserts, refs = _sync_tunnels(IcEncap, "gateway_name", chassis.name, have, wanted)
        yield from inserts
        row: dict[str, Value] = {} if refs is None else {"encaps": tuple(refs)}
        if gateway.hostname != chassis.hostname:
            row["hostname"] = chassis.hostname
        if row:
            yield Update(Gateway, gateway.uuid, row)

    def _clash(self, chassis: Chassis, gateway: Gateway) -> Problem:
        other = self._view.get(AvailabilityZone, gateway.availability_zone)
        return Subject(f"chassis {chassis.name}", "name", chassis.hostname).problem(
            f"is the name of a gateway of zone {other.name if other else '?'}, too, so this chassis"
            " is not published as a gateway",
            "set another external_ids:system-id in the node's Open vSwitch",
            Reason.CHASSIS_NAME_TAKEN,
        )


class RemoteChassis(ZoneReconciler[str]):
    """Other zones' gateways as remote chassis in SB; the key is the gateway's name."""

    name: ClassVar[str] = "remote chassis"
    writes: ClassVar[Database] = Database.SB

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {Chassis: _names, Gateway: _names, IcEncap: self._of_encap, SbEncap: self._of_sb}

    def _of_encap(self, change: Change) -> Iterable[str]:
        uuid = change.row.uuid
        return [gateway.name for gateway in self._view.all(GATEWAYS_BY_ENCAP, uuid)]

    def _of_sb(self, change: Change) -> Iterable[str]:
        uuid = change.row.uuid
        return [chassis.name for chassis in self._view.all(CHASSIS_BY_ENCAP, uuid)]

    def keys(self) -> Iterable[str]:
        yield from (gateway.name for gateway in self._view.table(Gateway))
        yield from (chassis.name for chassis in self._view.table(Chassis) if is_remote(chassis))

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        gateway = self._view.one(GATEWAYS_BY_NAME, key)
        chassis = self._view.one(CHASSIS_BY_NAME, key)
        remote = gateway is not None and gateway.availability_zone != zone.uuid
        if chassis is not None and not is_remote(chassis):
            return ()  # a local chassis is never touched; `GatewayPublication` reports the clash
        if gateway is not None and remote:
            return self._insert(gateway) if chassis is None else self._update(chassis, gateway)
        return [] if chassis is None else [Delete(Chassis, chassis.uuid)]

    def _insert(self, gateway: Gateway) -> Iterator[Operation]:
        wanted = _tunnels(self._view.table(IcEncap), gateway.encaps)
        inserts, refs = _sync_tunnels(SbEncap, "chassis_name", gateway.name, {}, wanted)
        yield from inserts
        row: dict[str, Value] = {
            "name": gateway.name,
            "hostname": gateway.hostname,
            "other_config": {IS_REMOTE: "true"},
            "encaps": tuple(refs or ()),
        }
        yield Insert(Chassis, row)

    def _update(self, chassis: Chassis, gateway: Gateway) -> Iterator[Operation]:
        have = _tunnels(self._view.table(SbEncap), chassis.encaps)
        wanted = _tunnels(self._view.table(IcEncap), gateway.encaps)
        inserts, refs = _sync_tunnels(SbEncap, "chassis_name", gateway.name, have, wanted)
        yield from inserts
        row: dict[str, Value] = {} if refs is None else {"encaps": tuple(refs)}
        if chassis.hostname != gateway.hostname:
            row["hostname"] = gateway.hostname
        if row:
            yield Update(Chassis, chassis.uuid, row)


def _names(change: Change) -> Iterable[str]:
    return [side.name for side in change.sides if isinstance(side, (Chassis, Gateway))]
