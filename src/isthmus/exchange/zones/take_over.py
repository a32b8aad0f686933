"""Taking a zone's name over from another cluster, on purpose: what it means, and the write.

Called by `isthmus zone take-over`. Pure. The claim in IC-SB is moved to this cluster
(isthmus.model.external_ids); the engines on both sides do the rest: the old holder's stops writing,
and ours replaces the zone's gateways, ports and routes by its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.engine.view import View
from isthmus.model.external_ids import zone_claim
from isthmus.model.operations import Insert, Operation, Wait, set_keys
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import (
    AvailabilityZone,
    Gateway,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    NbGlobal,
    Row,
    RowId,
)


class NotToBeTakenError(Exception):
    """The name cannot be taken over.

    Args:
        problem: why, and what to do.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class TakeOver:
    """What taking over does.

    Args:
        zone: the name.
        cluster: the UUID of this cluster's NB_Global.
        holder: that of the cluster that claims the name now; empty if none does.
        gateways: the zone's gateways now, by hostname or name; replaced by this cluster's.
        ports, routes: how many of the zone are replaced likewise.
        operations: the write to IC-SB; none if the name is this cluster's already.
    """

    zone: str
    cluster: str
    holder: str
    gateways: tuple[str, ...]
    ports: int
    routes: int
    operations: tuple[Operation, ...]


def take_over(view: View, name: str) -> TakeOver:
    """Work out how this cluster gets a name.

    Args:
        view: NB and IC-SB.
        name: the availability zone; it must be what NB_Global says that this cluster is called.

    Raises:
        NotToBeTakenError: this cluster is called otherwise.
    """
    nb_global = view.table(NbGlobal).single()
    if nb_global is None or nb_global.name != name:
        raise NotToBeTakenError(_called_otherwise(nb_global.name if nb_global else "", name))
    ic_global = view.table(IcSbGlobal).single()
    claims = {} if ic_global is None else ic_global.external_ids
    holder = claims.get(zone_claim(name), "")
    zone = next((row for row in view.table(AvailabilityZone) if row.name == name), None)
    gateways = [row for row in view.table(Gateway) if zone and row.availability_zone == zone.uuid]
    return TakeOver(
        zone=name,
        cluster=nb_global.uuid,
        holder=holder,
        gateways=tuple(sorted(gateway.hostname or gateway.name for gateway in gateways)),
        ports=_count(view, IcPortBinding, zone),
        routes=_count(view, IcRoute, zone),
        operations=() if holder == nb_global.uuid else _claim(ic_global, name, nb_global.uuid),
    )


def _claim(ic_global: IcSbGlobal | None, name: str, cluster: RowId) -> tuple[Operation, ...]:
    claim = {zone_claim(name): str(cluster)}
    if ic_global is None:
        return (Insert(IcSbGlobal, {"external_ids": claim}),)
    # What was shown to the operator must still be true.
    unchanged = Wait(IcSbGlobal, ic_global.uuid, {"external_ids": dict(ic_global.external_ids)})
    return unchanged, set_keys(IcSbGlobal, ic_global.uuid, "external_ids", claim)


def _count(
    view: View, kind: type[IcPortBinding] | type[IcRoute], zone: AvailabilityZone | None
) -> int:
    rows: Sequence[Row] = tuple(view.table(kind))
    return sum(
        zone is not None and getattr(row, "availability_zone", "") == zone.uuid for row in rows
    )


def _called_otherwise(called: str, name: str) -> Problem:
    return Subject("NB_Global", "name", called).problem(
        f"this cluster is not called {name!r}, so it cannot take over that name",
        f"set az-name to {name!r} first (or, without the controller, NB_Global's name)",
    )
