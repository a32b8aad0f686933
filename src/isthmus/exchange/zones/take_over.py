"""Takes over a zone's name from another cluster: the effects, and the write. Pure.

Called by `isthmus zone take-over`. The write moves the claim in IC-SB to this cluster
(isthmus.model.external_ids). The engines do the rest: that of the old holder stops writing, and
ours replaces the zone's gateways, ports and routes with its own.
"""

from dataclasses import dataclass

from isthmus.engine.view import View
from isthmus.exchange.zones.zone_rows import ZoneRows, claims_of
from isthmus.model.external_ids import zone_claim
from isthmus.model.operations import Insert, Operation, Wait, set_keys
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import IcSbGlobal, NbGlobal, RowId
from isthmus.model.text import quoted


@dataclass(frozen=True, slots=True)
class TakeOver:
    """What a take-over changes.

    Args:
        zone: the zone's name.
        cluster: the UUID of this cluster's NB_Global row.
        holder: the UUID of the cluster that claims the name now; empty if there is no claim.
        gateways: the zone's present gateways, by hostname or name; this cluster's replace them.
        ports, routes: how many ports and routes of the zone are replaced.
        operations: the write to IC-SB; none if this cluster already has the name.
    """

    zone: str
    cluster: str
    holder: str
    gateways: tuple[str, ...]
    ports: int
    routes: int
    operations: tuple[Operation, ...]


def plan_take_over(view: View, name: str) -> TakeOver | Problem:
    """Plan the take-over of a name by this cluster.

    Args:
        view: NB and IC-SB.
        name: the availability zone; must be the name of this cluster in NB_Global.

    Returns:
        The plan, or why there is none: this cluster has another name.
    """
    nb_global = view.table(NbGlobal).single()
    if nb_global is None or nb_global.name != name:
        return Subject("NB_Global", "name", nb_global.name if nb_global else "").problem(
            f"is not {quoted(name)}, so this cluster cannot take over that name",
            f"first set az-name (without the controller, NB_Global.name) to {quoted(name)}",
        )
    ic_global = view.table(IcSbGlobal).single()
    holder = claims_of(view).get(zone_claim(name), "")
    rows = ZoneRows.of(view, name)
    return TakeOver(
        zone=name,
        cluster=nb_global.uuid,
        holder=holder,
        gateways=tuple(sorted(gateway.hostname or gateway.name for gateway in rows.gateways)),
        ports=len(rows.ports),
        routes=len(rows.routes),
        operations=() if holder == nb_global.uuid else _claim(ic_global, name, nb_global.uuid),
    )


def _claim(ic_global: IcSbGlobal | None, name: str, cluster: RowId) -> tuple[Operation, ...]:
    claim = {zone_claim(name): str(cluster)}
    if ic_global is None:
        return (Insert(IcSbGlobal, {"external_ids": claim}),)
    # What was shown to the operator must still be true.
    unchanged = Wait(IcSbGlobal, ic_global.uuid, {"external_ids": dict(ic_global.external_ids)})
    return unchanged, set_keys(IcSbGlobal, ic_global.uuid, "external_ids", claim)
