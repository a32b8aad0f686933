"""Registering our availability zone in IC-SB: its name, its claim, and their removal.

A name belongs to the cluster that claimed it (isthmus.model.external_ids). The claim also serves
to recognise a zone that was renamed while the daemon was down: the claim of the old name carries
our cluster's UUID. A zone without a claim was registered by `ovn-ic`; it is adopted unless its
gateways show that it belongs to another cluster.

An `ovn-ic` that runs next to us may see that the zone's rows are gone before it sees that the zone
has no name any more, because it reads them in different databases. Then it registers the zone once
more. The claim of a zone that was left therefore stays until the rows have been away for a while.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import ClassVar

from isthmus.engine.reconciler import Only, Reconciler, SingleKey
from isthmus.engine.view import View
from isthmus.exchange.zones.zone_rows import ZoneRows, claims_of, drop_claim
from isthmus.model.external_ids import TRUSTED_ZONE, claimed_zone, zone_claim
from isthmus.model.indexes import CHASSIS_BY_NAME, GATEWAYS_BY_ZONE, ZONES_BY_NAME
from isthmus.model.operations import Insert, Mutate, Operation, Update
from isthmus.model.ovn_keys import is_remote
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import AvailabilityZone, Database, Gateway, IcSbGlobal, NbGlobal, Row, RowId

LINGER = 5.0
"""Seconds after the removal of a zone's rows until `ovn-ic` is sure to know that it has no name:
a server notifies all its clients of a change at once, so it lags by the time to schedule a
process."""

_RIPE = -inf


class ZoneRegistration(SingleKey, Reconciler[Only]):
    """Registers, renames and removes our zone, together with its claim.

    State in memory: when the claims of zones that were left go. After a restart, the wait begins
    again.

    Args:
        linger: seconds for which the rows of a zone that was left must have been away before its
            claim goes; with more than 0, `tick` must be called.
    """

    name: ClassVar[str] = "availability zone"
    writes: ClassVar[Database] = Database.IC_SB
    # Gateways are the evidence of whether a name without a claim is in use.
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal, IcSbGlobal, AvailabilityZone, Gateway)

    def __init__(self, view: View, linger: float = 0.0) -> None:
        super().__init__()
        self._view, self._linger = view, linger
        self._claims_due: dict[str, float] = {}

    def tick(self, now: float) -> float:
        """Mark what is due; return when to be called again, in monotonic seconds, or inf."""
        for name, due in self._claims_due.items():
            self._claims_due[name] = min(due, now + self._linger)
        for name in [name for name, due in self._claims_due.items() if _RIPE < due <= now]:
            self._claims_due[name] = _RIPE
            self.mark(self.keys())
        return min((due for due in self._claims_due.values() if due > _RIPE), default=inf)

    def reconcile(self, key: Only) -> Iterable[Operation]:
        self.report(key)
        nb_global = self._view.single(NbGlobal)
        if nb_global is None:
            return ()
        claimed = self._claimed(nb_global)
        left = () if nb_global.name else claimed
        self._claims_due = {name: due for name, due in self._claims_due.items() if name in left}
        if not nb_global.name:
            return [operation for zone in claimed for operation in self._leave(zone)]
        if problem := self._taken(nb_global):
            self.report(key, problem)
            return ()
        stale = [zone for zone in claimed if zone != nb_global.name]
        zone = self._view.one(ZONES_BY_NAME, nb_global.name)
        if zone is None and stale:
            return self._rename(stale, nb_global)
        removed = [operation for old in stale for operation in self._remove(old)]
        if zone is None and (zone := self._renamed_by_hand(nb_global)) is not None:
            removed.append(Update(AvailabilityZone, zone.uuid, {"name": nb_global.name}))
        return [*removed, *self._register(zone, nb_global)]

    def _renamed_by_hand(self, nb_global: NbGlobal) -> AvailabilityZone | None:
        """Our row, as the controller has recorded it, under a name that no one claims."""
        recorded = RowId(nb_global.external_ids.get(TRUSTED_ZONE, ""))
        zone = self._view.get(AvailabilityZone, recorded)
        unclaimed = zone is not None and zone_claim(zone.name) not in claims_of(self._view)
        return zone if unclaimed else None

    def _claimed(self, nb_global: NbGlobal) -> list[str]:
        return sorted(
            name
            for key, holder in claims_of(self._view).items()
            if holder == nb_global.uuid and (name := claimed_zone(key)) is not None
        )

    def _taken(self, nb_global: NbGlobal) -> Problem | None:
        holder = claims_of(self._view).get(zone_claim(nb_global.name))
        if holder == nb_global.uuid:
            return None
        zone = self._view.one(ZONES_BY_NAME, nb_global.name)
        if holder is None and (zone is None or self._may_be_ours(zone)):
            return None
        who = f"the cluster whose NB_Global is {holder}" if holder else "another cluster"
        return Subject("NB_Global", "name", nb_global.name).problem(
            f"the zone name is in use by {who}, so this cluster exchanges nothing",
            "give this cluster another az-name, or see isthmus zone take-over --help",
            Reason.ZONE_NAME_TAKEN,
        )

    def _may_be_ours(self, zone: AvailabilityZone) -> bool:
        """Whether a zone without a claim has no gateways, or one that is a chassis of ours."""
        gateways = list(self._view.all(GATEWAYS_BY_ZONE, zone.uuid))
        return not gateways or any(self._is_local(gateway) for gateway in gateways)

    def _is_local(self, gateway: Gateway) -> bool:
        chassis = self._view.one(CHASSIS_BY_NAME, gateway.name)
        return chassis is not None and not is_remote(chassis)

    def _register(self, zone: AvailabilityZone | None, nb_global: NbGlobal) -> Iterable[Operation]:
        if zone is None:
            yield Insert(AvailabilityZone, {"name": nb_global.name})
        claim = {zone_claim(nb_global.name): str(nb_global.uuid)}
        ic_global = self._view.single(IcSbGlobal)
        if ic_global is None:
            yield Insert(IcSbGlobal, {"external_ids": claim})
        elif zone_claim(nb_global.name) not in ic_global.external_ids:
            # An insertion keeps the value of a key that exists: the first claim wins.
            yield Mutate(IcSbGlobal, ic_global.uuid, (("external_ids", "insert", claim),))

    def _rename(self, stale: Sequence[str], nb_global: NbGlobal) -> Iterable[Operation]:
        kept, *others = stale
        for other in others:
            yield from self._remove(other)
        zone = self._view.one(ZONES_BY_NAME, kept)
        yield from drop_claim(self._view.single(IcSbGlobal), kept)
        if zone is not None:
            yield Update(AvailabilityZone, zone.uuid, {"name": nb_global.name})
        yield from self._register(zone, nb_global)

    def _leave(self, name: str) -> Iterable[Operation]:
        """Remove a zone of ours, and its claim once its rows are sure to stay away."""
        rows = ZoneRows.of(self._view, name)
        if not self._linger:
            yield from self._remove(name)
        elif rows.zone is not None:
            self._claims_due.pop(name, None)
            yield from rows.removal()
        elif self._claims_due.setdefault(name, inf) == _RIPE:
            yield from self._remove(name)

    def _remove(self, name: str) -> Iterable[Operation]:
        """Remove a zone of ours, and its claim."""
        yield from ZoneRows.of(self._view, name).removal()
        yield from drop_claim(self._view.single(IcSbGlobal), name)
