"""Gateways: our interconnection chassis go to IC-SB, other zones' gateways to SB."""

from abc import abstractmethod
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
    GATEWAYS_BY_ZONE,
    IC_ENCAPS_BY_TUNNEL,
    SB_ENCAPS_BY_TUNNEL,
)
from isthmus.model.operations import Delete, Insert, NewRef, Operation, Ref, Value, update
from isthmus.model.ovn_keys import IS_REMOTE, is_interconn, is_remote
from isthmus.model.prefixes import parse_address
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


def _chassis_at(view: View, kind: str, ip: str) -> Iterator[Chassis]:
    """The chassis in SB with a tunnel IP."""
    for encap in view.all(SB_ENCAPS_BY_TUNNEL, (kind, ip)):
        yield from view.all(CHASSIS_BY_ENCAP, encap.uuid)


def _gateways_at(view: View, kind: str, ip: str) -> Iterator[Gateway]:
    """The gateways in IC-SB with a tunnel IP."""
    for encap in view.all(IC_ENCAPS_BY_TUNNEL, (kind, ip)):
        yield from view.all(GATEWAYS_BY_ENCAP, encap.uuid)


def _is_usable(chassis: str) -> bool:
    """Whether a chassis name can be part of the name of a tunnel port, and of log lines.

    ovn-controller cuts the name after 6 bytes. Half a character makes the server refuse all that
    the same transaction changes: every other port and tunnel of the node.
    """
    return bool(chassis) and chassis.isascii() and chassis.isprintable()


class _Copies(ZoneReconciler[str]):
    """Copies chassis to gateways or back; the key is the name of both.

    A database holds each tunnel IP once. A tunnel end whose IP a node of another zone has is left
    out; `RemoteChassis` reports it, for both directions.
    """

    indexes = (CHASSIS_BY_NAME, GATEWAYS_BY_NAME)
    encap_table: ClassVar[type[SbEncap] | type[IcEncap]]
    owner_column: ClassVar[str]

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            Chassis: self._of_owner,
            Gateway: self._of_owner,
            SbEncap: self._of_encap,
            IcEncap: self._of_encap,
            AvailabilityZone: lambda change: [
                gateway.name for gateway in self._view.all(GATEWAYS_BY_ZONE, change.row.uuid)
            ],
        }

    def _of_owner(self, change: Change) -> Iterator[str]:
        rows: tuple[Chassis | Gateway, ...] = (*change.of(Chassis), *change.of(Gateway))
        for row in rows:
            yield row.name
            for tunnel in _tunnels(self._view, row):
                yield from self._at(tunnel.type, tunnel.ip)

    def _of_encap(self, change: Change) -> Iterator[str]:
        rows: tuple[SbEncap | IcEncap, ...] = (*change.of(SbEncap), *change.of(IcEncap))
        for row in rows:
            yield from self._at(row.type, row.ip)

    def _at(self, kind: str, ip: str) -> Iterator[str]:
        """The names of what has a tunnel IP."""
        yield from (chassis.name for chassis in _chassis_at(self._view, kind, ip))
        yield from (gateway.name for gateway in _gateways_at(self._view, kind, ip))

    @abstractmethod
    def _taken(self, tunnel: Tunnel, zone: AvailabilityZone) -> bool:
        """Whether a row that is not a copy of ours has the tunnel IP in the database to write."""

    def _write(
        self,
        kind: type[Gateway] | type[Chassis],
        have: Gateway | Chassis | None,
        source: Chassis | Gateway,
        zone: AvailabilityZone,
        columns: Mapping[str, Value],
    ) -> Iterator[Operation]:
        """Write the copy of a row, with its encaps; a new copy also gets `columns`.

        A copy of another name is renamed. It gets new encaps, since they bear its name, too.
        """
        same = have is not None and have.name == source.name
        # An encap that bears another name, written by hand, is replaced, too.
        existing = {
            tunnel: uuid
            for tunnel, uuid in _tunnels(self._view, have if same else None).items()
            if getattr(self._view.get(self.encap_table, uuid), self.owner_column) == source.name
        }
        wanted = _tunnels(self._view, source)
        free = [tunnel for tunnel in sorted(wanted) if not self._taken(tunnel, zone)]
        if not free:
            # The row must have an encap. Without any, the source will get one; a copy whose
            # encaps are all taken would hold an IP that its source does not have any more.
            if wanted and have is not None:
                yield Delete(kind, have.uuid)
            return
        refs: list[Ref | NewRef] = []
        for tunnel in free:
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
        row: dict[str, Value] = {"name": source.name, "hostname": source.hostname}
        if set(free) != set(existing):
            row["encaps"] = tuple(refs)
        if have is None:
            yield Insert(kind, {**row, **columns})
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
            return ()
        columns = {"availability_zone": Ref(zone.uuid)}
        return self._write(Gateway, gateway, chassis, zone, columns)

    def _taken(self, tunnel: Tunnel, zone: AvailabilityZone) -> bool:
        gateways = _gateways_at(self._view, tunnel.type, tunnel.ip)
        return any(gateway.availability_zone != zone.uuid for gateway in gateways)


class RemoteChassis(_Copies):
    """Other zones' gateways as remote chassis in SB; reports those that clash with our nodes.

    The chassis of a gateway that has another name now, with the same tunnel IP, is renamed: the
    ports that are bound to it stay bound.
    """

    name: ClassVar[str] = "remote chassis"
    writes: ClassVar[Database] = Database.SB
    encap_table: ClassVar[type[SbEncap] | type[IcEncap]] = SbEncap
    owner_column: ClassVar[str] = "chassis_name"

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        gateway = self._view.one(GATEWAYS_BY_NAME, key)
        chassis = self._view.one(CHASSIS_BY_NAME, key)
        foreign = gateway is not None and gateway.availability_zone != zone.uuid
        if gateway is not None and foreign:
            self.report(key, *self._clashes(gateway, zone), *self._invalid(gateway))
        if chassis is not None and not is_remote(chassis):
            return ()  # a local chassis is never touched
        if gateway is not None and foreign and _is_usable(key):
            columns: dict[str, Value] = {"other_config": {IS_REMOTE: "true"}}
            have = chassis or self._before(gateway)
            return self._write(Chassis, have, gateway, zone, columns)
        if chassis is None or self._is_renamed(chassis, zone):
            return ()
        return [Delete(Chassis, chassis.uuid)]

    def _before(self, gateway: Gateway) -> Chassis | None:
        """The remote chassis with a gateway's tunnel IP, if its own gateway is gone."""
        for tunnel in sorted(_tunnels(self._view, gateway)):
            for chassis in _chassis_at(self._view, tunnel.type, tunnel.ip):
                gone = self._view.one(GATEWAYS_BY_NAME, chassis.name) is None
                if gone and is_remote(chassis) and tunnel == min(_tunnels(self._view, chassis)):
                    return chassis
        return None

    def _is_renamed(self, chassis: Chassis, zone: AvailabilityZone) -> bool:
        """Whether a gateway without a chassis takes over the row of one whose gateway is gone."""
        return any(
            gateway.availability_zone != zone.uuid
            and self._view.one(CHASSIS_BY_NAME, gateway.name) is None
            and self._before(gateway) == chassis
            for tunnel in _tunnels(self._view, chassis)
            for gateway in _gateways_at(self._view, tunnel.type, tunnel.ip)
        )

    def _taken(self, tunnel: Tunnel, _zone: AvailabilityZone) -> bool:
        # ovn-controller would create a tunnel port that Open vSwitch refuses, again and again.
        return parse_address(tunnel.ip) is None or any(True for _ in self._local_at(tunnel))

    def _local_at(self, tunnel: Tunnel) -> Iterator[Chassis]:
        found = _chassis_at(self._view, tunnel.type, tunnel.ip)
        return (chassis for chassis in found if not is_remote(chassis))

    def _invalid(self, gateway: Gateway) -> Iterator[Problem]:
        """What Open vSwitch could not use of another zone's gateway."""
        other = zone_name(self._view, gateway.availability_zone)
        where, remedy = f"gateway {gateway.name} of zone {other}", f"have zone {other} correct it"
        if not _is_usable(gateway.name):
            yield Subject(where, "name", gateway.name).problem(
                "is not printable ASCII, so the gateway is not used",
                remedy,
                Reason.INVALID_GATEWAY,
            )
        for tunnel in sorted(_tunnels(self._view, gateway)):
            if parse_address(tunnel.ip) is None:
                yield Subject(where, "tunnel IP", tunnel.ip).problem(
                    "is not an IP address, so this tunnel is not used",
                    remedy,
                    Reason.INVALID_GATEWAY,
                )

    def _clashes(self, gateway: Gateway, zone: AvailabilityZone) -> Iterable[Problem]:
        """What our nodes have in common with another zone's gateway; each once, by its name."""
        other = zone_name(self._view, gateway.availability_zone)
        consequence = f"as gateway {gateway.hostname} of zone {other}, so no packets pass between"
        consequence += " the two zones through these nodes"
        undo = f"if zone {other} does not exist any more, run: isthmus zone prune {other}"
        chassis = self._view.one(CHASSIS_BY_NAME, gateway.name)
        if chassis is not None and not is_remote(chassis):
            node = f"node {chassis.hostname} of zone {zone.name}"
            return [
                Subject(node, "system-id", chassis.name).problem(
                    f"is the same {consequence}",
                    "set another external_ids:system-id in the Open vSwitch of one of them, and"
                    f" restart its ovn-controller; {undo}",
                    Reason.CHASSIS_NAME_TAKEN,
                )
            ]
        return dict.fromkeys(
            Subject(
                f"node {chassis.hostname} of zone {zone.name}", "ovn-encap-ip", tunnel.ip
            ).problem(
                f"is the same tunnel IP {consequence}",
                f"set another external_ids:ovn-encap-ip in the Open vSwitch of one of them; {undo}",
                Reason.TUNNEL_IP_TAKEN,
            )
            for tunnel in sorted(_tunnels(self._view, gateway))
            for chassis in self._local_at(tunnel)
        )
