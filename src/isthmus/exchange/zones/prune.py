"""Which zones live, and removing what a dead one has left. Pure.

Called by `isthmus zone list` and `isthmus zone prune`, and by `isthmus.icdb.server.zone_pruning`.
A zone run by Isthmus leaves a sign of life (isthmus.exchange.zones.heartbeat); one run by `ovn-ic`
leaves none, and is "unknown", never "dead".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from isthmus.engine.view import View
from isthmus.model.external_ids import (
    alive_key,
    alive_since,
    claimed_address,
    claimed_zone,
    zone_claim,
)
from isthmus.model.operations import Delete, Operation, Wait, drop_keys
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import (
    AvailabilityZone,
    Gateway,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    IcServiceMonitor,
    Row,
    TransitSwitch,
)

ALIVE_WITHIN = 1800
"""Seconds since the last sign of life within which a zone counts as alive: three signs."""


@dataclass(frozen=True, slots=True)
class ZoneLife:
    """A zone and when it last lived.

    Args:
        name: its name.
        state: "alive", "silent", or "unknown" if it leaves no sign of life.
        silent_for: seconds since the last sign; None if there is none.
        cluster: the UUID of the NB_Global that claims the name; empty if none does.
        gateways, ports, routes: how many it has in IC-SB.
        registered: whether it has a row; without one, only claims are left.
    """

    name: str
    state: str
    silent_for: int | None
    cluster: str
    gateways: int
    ports: int
    routes: int
    registered: bool


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What forgetting a zone does.

    Args:
        zone: which, as it is now.
        addresses: its claims to addresses on transit switches.
        ic_sb, ic_nb: the writes, one transaction each.
    """

    zone: ZoneLife
    addresses: int
    ic_sb: tuple[Operation, ...]
    ic_nb: tuple[Operation, ...]


def zones(view: View, now: int) -> tuple[ZoneLife, ...]:
    """All zones that have registered, or of which a claim is left, by name.

    Args:
        view: IC-SB, and IC-NB if claims to addresses count, too.
        now: seconds since 1970.
    """
    row = view.table(IcSbGlobal).single()
    claims = {} if row is None else row.external_ids
    names = {zone.name for zone in view.table(AvailabilityZone)}
    names |= {name for key in claims if (name := claimed_zone(key)) is not None}
    names |= {
        value.rpartition("/")[0]
        for switch in view.table(TransitSwitch)
        for key, value in switch.external_ids.items()
        if claimed_address(key) is not None
    }
    return tuple(_life(view, name, now) for name in sorted(names))


def forget(view: View, name: str, now: int, after: int, *, alive_too: bool) -> Forgetting | Problem:
    """Work out how a zone is removed, with all that it has in the shared databases.

    Args:
        view: IC-NB and IC-SB.
        name: the zone.
        now: seconds since 1970.
        after: seconds of silence before which a zone merely sleeps.
        alive_too: whether to remove it although it does.

    Returns:
        what to do, or why not.
    """
    zone = next((zone for zone in zones(view, now) if zone.name == name), None)
    if zone is None:
        return _problem(name, "there is no such zone", "take one of `isthmus zone list`")
    if zone.silent_for is not None and zone.silent_for < after and not alive_too:
        message = f"gave a sign of life {zone.silent_for} s ago, less than {after} s: it may sleep"
        remedy = "stop its daemon, and wait or give --silent-for; or give --alive-too"
        return _problem(name, message, remedy)
    claims = list(_address_claims(view, zone))
    return Forgetting(
        zone=zone,
        addresses=sum(len(keys) for _, keys in claims),
        ic_sb=tuple(_removal(view, name)),
        ic_nb=tuple(
            drop_keys(TransitSwitch, switch.uuid, "external_ids", keys) for switch, keys in claims
        ),
    )


def dead(view: View, now: int, after: int) -> tuple[str, ...]:
    """The zones that have given no sign of life for so long; those without any are not among them.

    Args:
        view: IC-SB.
        now: seconds since 1970.
        after: seconds.
    """
    return tuple(
        zone.name
        for zone in zones(view, now)
        if zone.silent_for is not None and zone.silent_for >= after
    )


def _life(view: View, name: str, now: int) -> ZoneLife:
    row = view.table(IcSbGlobal).single()
    claims = {} if row is None else row.external_ids
    last = alive_since(claims, name)
    # The clock of the zone's host may be ahead of ours.
    silent = None if last is None else max(0, now - last)
    zone = _row(view, name)
    return ZoneLife(
        name=name,
        state="unknown" if silent is None else "alive" if silent < ALIVE_WITHIN else "silent",
        silent_for=silent,
        cluster=claims.get(zone_claim(name), ""),
        gateways=len(_of(view, Gateway, zone)),
        ports=len(_of(view, IcPortBinding, zone)),
        routes=len(_of(view, IcRoute, zone)),
        registered=zone is not None,
    )


def _row(view: View, name: str) -> AvailabilityZone | None:
    return next((row for row in view.table(AvailabilityZone) if row.name == name), None)


def _of(
    view: View,
    kind: type[Gateway] | type[IcPortBinding] | type[IcRoute],
    zone: AvailabilityZone | None,
) -> list[Row]:
    rows: Iterable[Row] = view.table(kind)
    return [
        row
        for row in rows
        if zone is not None and getattr(row, "availability_zone", "") == zone.uuid
    ]


def _removal(view: View, name: str) -> Iterator[Operation]:
    zone, row = _row(view, name), view.table(IcSbGlobal).single()
    if row is not None:
        # It must not have come back to life since it was looked at.
        yield Wait(IcSbGlobal, row.uuid, {"external_ids": dict(row.external_ids)})
        keys = frozenset({zone_claim(name), alive_key(name)})
        yield drop_keys(IcSbGlobal, row.uuid, "external_ids", keys)
    for monitor in view.table(IcServiceMonitor):
        if monitor.source_availability_zone == name:
            yield Delete(IcServiceMonitor, monitor.uuid)
    if zone is not None:
        # Encaps go with their gateways.
        for kind in (IcRoute, IcPortBinding, Gateway):
            for found in _of(view, kind, zone):
                yield Delete(kind, found.uuid)
        yield Delete(AvailabilityZone, zone.uuid)


def _address_claims(view: View, zone: ZoneLife) -> Iterator[tuple[TransitSwitch, frozenset[str]]]:
    for switch in view.table(TransitSwitch):
        keys = frozenset(
            key
            for key, value in switch.external_ids.items()
            if claimed_address(key) is not None and _holds(value, zone)
        )
        if keys:
            yield switch, keys


def _holds(value: str, zone: ZoneLife) -> bool:
    """Whether a claim's value, "ZONE/CLUSTER", is this zone's."""
    name, _, cluster = value.rpartition("/")
    return cluster == zone.cluster if zone.cluster else name == zone.name


def _problem(name: str, message: str, remedy: str) -> Problem:
    return Subject(f"zone {name}").problem(message, remedy)
