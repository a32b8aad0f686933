"""Which zones are alive, and removing what a dead one has left. Pure.

Called by `isthmus zone list` and `isthmus zone prune`, and by `isthmus.icdb.server.zone_pruning`.
A zone run by Isthmus writes heartbeats (isthmus.exchange.zones.heartbeat). One run by `ovn-ic`
writes none, and is "unknown", never "dead".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.engine.view import View
from isthmus.exchange.zones.zone_rows import ZoneRows, claims_of, drop_claim
from isthmus.model.external_ids import (
    alive_since,
    claimed_address,
    claimed_zone,
    heartbeats,
    zone_claim,
)
from isthmus.model.operations import Operation, Wait, drop_keys
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import AvailabilityZone, IcSbGlobal, TransitSwitch

ALIVE_WITHIN = 1800
"""Seconds since the last heartbeat within which a zone counts as alive: three heartbeats."""


@dataclass(frozen=True, slots=True)
class ZoneLife:
    """A zone and the age of its heartbeat.

    Args:
        name: its name.
        state: "alive", "silent", or "unknown" if it has no heartbeat.
        silent_for: seconds since the last heartbeat; None if there is none.
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
class PrunePlan:
    """What pruning a zone does.

    Args:
        zone: the current row of the zone.
        addresses: how many claims to addresses on transit switches it has.
        ic_sb, ic_nb: the writes, one transaction each.
    """

    zone: ZoneLife
    addresses: int
    ic_sb: tuple[Operation, ...]
    ic_nb: tuple[Operation, ...]


def zones(view: View, now: int) -> tuple[ZoneLife, ...]:
    """All zones that have registered, or of which a claim is left, by name.

    Claims to addresses count if the view has IC-NB; `now` is in seconds since 1970.
    """
    claims = claims_of(view)
    names = {zone.name for zone in view.table(AvailabilityZone)}
    names |= {name for key in claims if (name := claimed_zone(key)) is not None}
    names |= {
        value.rpartition("/")[0]
        for switch in view.table(TransitSwitch)
        for key, value in switch.external_ids.items()
        if claimed_address(key) is not None
    }
    return tuple(_life(view, name, now) for name in sorted(names))


def plan_pruning(
    view: View, name: str, now: int, after: int, *, alive_too: bool
) -> PrunePlan | Problem:
    """Plan the removal of a zone with everything that it has in the shared databases.

    Args:
        view: IC-NB and IC-SB.
        name: the zone.
        now: seconds since 1970.
        after: the age of a heartbeat, in seconds, from which on a zone counts as dead.
        alive_too: whether to remove it even if it does not.

    Returns:
        The plan, or why there is none.
    """
    zone = next((zone for zone in zones(view, now) if zone.name == name), None)
    if zone is None:
        return Subject(f"zone {name}").problem(
            "does not exist in the IC databases", "choose one that `isthmus zone list` shows"
        )
    if zone.silent_for is not None and zone.silent_for < after and not alive_too:
        return Subject(f"zone {name}").problem(
            f"sent a heartbeat {zone.silent_for} s ago, less than {after} s, so it may be alive",
            "stop its daemon and wait, lower --silent-for, or add --alive-too",
        )
    others = [beat for other, beat in heartbeats(claims_of(view)).items() if other != name]
    quiet = now - max(others, default=now)
    if zone.silent_for is not None and quiet >= ALIVE_WITHIN and not alive_too:
        return Subject(f"zone {name}").problem(
            f"may be alive: no other zone sent a heartbeat in the last {quiet} s either, so the"
            " databases were down or this host's clock is wrong",
            "check the clock, wait until `isthmus zone list` shows living zones, or add"
            " --alive-too",
        )
    claims = list(_address_claims(view, zone))
    return PrunePlan(
        zone=zone,
        addresses=sum(len(keys) for _, keys in claims),
        ic_sb=tuple(_removal(view, name)),
        ic_nb=tuple(
            drop_keys(TransitSwitch, switch.uuid, "external_ids", keys) for switch, keys in claims
        ),
    )


def looks_dead(view: View, now: int, after: int) -> tuple[str, ...]:
    """The zones whose last heartbeat is at least `after` seconds old.

    Only `heartbeat_watch` shows whether they are: the databases may have been down, or a clock may
    be wrong.
    """
    beats = heartbeats(claims_of(view))
    return tuple(sorted(name for name, beat in beats.items() if now - beat >= after))


def _life(view: View, name: str, now: int) -> ZoneLife:
    claims = claims_of(view)
    last = alive_since(claims, name)
    # The clock of the zone's host may be ahead of ours.
    silent = None if last is None else max(0, now - last)
    rows = ZoneRows.of(view, name)
    return ZoneLife(
        name=name,
        state="unknown" if silent is None else "alive" if silent < ALIVE_WITHIN else "silent",
        silent_for=silent,
        cluster=claims.get(zone_claim(name), ""),
        gateways=len(rows.gateways),
        ports=len(rows.ports),
        routes=len(rows.routes),
        registered=rows.zone is not None,
    )


def _removal(view: View, name: str) -> Iterator[Operation]:
    row = view.single(IcSbGlobal)
    if row is not None:
        # The zone must not have sent a heartbeat since the databases were read.
        yield Wait(IcSbGlobal, row.uuid, {"external_ids": dict(row.external_ids)})
    yield from drop_claim(row, name)
    yield from ZoneRows.of(view, name).removal()


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
