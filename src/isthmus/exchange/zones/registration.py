"""The availability zone: registering its name in IC-SB, and knowing which row is ours.

A name belongs to the cluster that claimed it (isthmus.model.external_ids). The claim is also how a
zone that was renamed while the daemon was down is recognised: the claim of the old name carries
our cluster's UUID. A zone without a claim was registered by `ovn-ic`; it is adopted unless its
gateways show that it belongs to another cluster.

`ovn-ic` that runs beside us may see that the zone's rows went before it sees that the zone has no
name any more, since it reads them in different databases; then it registers the zone once more.
The claim of a zone that was left therefore stays until the rows have been away for a while.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import ClassVar

from isthmus.engine.reconciler import AnyReconciler, Reconciler, Watch
from isthmus.engine.view import View
from isthmus.model.external_ids import alive_key, claimed_zone, zone_claim
from isthmus.model.indexes import (
    CHASSIS_BY_NAME,
    GATEWAYS_BY_ZONE,
    IC_PORTS_BY_ZONE,
    IC_ROUTES_BY_ZONE,
    ZONES_BY_NAME,
)
from isthmus.model.operations import Delete, Insert, Mutate, Operation, Update, set_keys
from isthmus.model.ovn_keys import is_remote
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    Gateway,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    NbGlobal,
    Row,
)

Only = tuple[()]
"""The key of reconcilers that have just one object."""

LINGER = 5.0
"""Seconds from when the rows of a zone went until `ovn-ic` is sure to know that it has no name:
a server tells all its clients of a change at once, so it lags by the time to schedule a process."""

_RIPE = -inf

_ZONE_TABLES: tuple[type[Row], ...] = (NbGlobal, IcSbGlobal, AvailabilityZone)


def watch_only(tables: Iterable[type[Row]]) -> Mapping[type[Row], Watch[Only]]:
    """Watches for a reconciler with one key: any change of these tables affects it."""
    return {table: lambda _change: [()] for table in tables}


class OwnZone(Reconciler[Only]):
    """Which IC-SB zone is ours; when that changes, everything of ours is looked at anew.

    Attributes:
        current: our registered zone, or None: then no other reconciler may write.
        dependents: reconcilers whose objects belong to the zone.
    """

    name: ClassVar[str] = "own zone"

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self.current: AvailabilityZone | None = None
        self.dependents: Sequence[AnyReconciler] = ()

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        return watch_only(_ZONE_TABLES)

    def keys(self) -> Iterable[Only]:
        return [()]

    def reconcile(self, key: Only) -> Iterable[Operation]:
        before, self.current = self.current, self._find()
        if _identity(before) != _identity(self.current):
            for dependent in self.dependents:
                dependent.mark(dependent.keys())
        return ()

    def _find(self) -> AvailabilityZone | None:
        nb_global = self._view.single(NbGlobal)
        ic_global = self._view.single(IcSbGlobal)
        if nb_global is None or ic_global is None or not nb_global.name:
            return None
        if ic_global.external_ids.get(zone_claim(nb_global.name)) != nb_global.uuid:
            return None
        return self._view.one(ZONES_BY_NAME, nb_global.name)


def _identity(zone: AvailabilityZone | None) -> tuple[str, str] | None:
    """What other rows say of a zone: most its UUID, some its name."""
    return None if zone is None else (zone.uuid, zone.name)


class ZoneRegistration(Reconciler[Only]):
    """Registers, renames and removes our zone, together with its claim.

    Args:
        view: shared with the engine.
        linger: seconds for which the rows of a zone that was left must have been away before its
            claim goes; with more than 0, `tick` must be called.
    """

    name: ClassVar[str] = "availability zone"
    writes: ClassVar[Database | None] = Database.IC_SB

    def __init__(self, view: View, linger: float = 0.0) -> None:
        super().__init__()
        self._view, self._linger = view, linger
        self._away: dict[str, float] = {}  # when claims of zones without rows go

    def tick(self, now: float) -> float:
        """Let time pass.

        Args:
            now: monotonic seconds.

        Returns:
            when to be called again even if nothing happens: monotonic seconds, or inf.
        """
        for name, due in self._away.items():
            self._away[name] = min(due, now + self._linger)
        for name in [name for name, due in self._away.items() if _RIPE < due <= now]:
            self._away[name] = _RIPE
            self.mark(self.keys())
        return min((due for due in self._away.values() if due > _RIPE), default=inf)

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        # Gateways are the evidence on whether a name without a claim is in use.
        return watch_only((*_ZONE_TABLES, Gateway))

    def keys(self) -> Iterable[Only]:
        return [()]

    def reconcile(self, key: Only) -> Iterable[Operation]:
        self.report(key)
        nb_global = self._view.single(NbGlobal)
        if nb_global is None:
            return ()
        claimed = self._claimed(nb_global)
        left = () if nb_global.name else claimed
        self._away = {name: due for name, due in self._away.items() if name in left}
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
        return [*removed, *self._register(zone, nb_global)]

    def _claims(self) -> Mapping[str, str]:
        ic_global = self._view.single(IcSbGlobal)
        return {} if ic_global is None else ic_global.external_ids

    def _claimed(self, nb_global: NbGlobal) -> list[str]:
        return sorted(
            name
            for key, holder in self._claims().items()
            if holder == nb_global.uuid and (name := claimed_zone(key)) is not None
        )

    def _taken(self, nb_global: NbGlobal) -> Problem | None:
        holder = self._claims().get(zone_claim(nb_global.name))
        if holder == nb_global.uuid:
            return None
        zone = self._view.one(ZONES_BY_NAME, nb_global.name)
        if holder is None and (zone is None or self._looks_ours(zone)):
            return None
        who = f"the cluster whose NB_Global is {holder}" if holder else "another cluster"
        return Subject("NB_Global", "name", nb_global.name).problem(
            f"the zone name is in use by {who}; nothing is exchanged under it",
            "give this cluster another az-name, or see isthmus zone take-over --help",
            Reason.ZONE_NAME_TAKEN,
        )

    def _looks_ours(self, zone: AvailabilityZone) -> bool:
        """Whether a zone without a claim may be ours: none of its gateways is a stranger's."""
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
        ic_global = self._view.single(IcSbGlobal)
        if ic_global is not None:
            drop = frozenset({zone_claim(kept), alive_key(kept)})
            yield Mutate(IcSbGlobal, ic_global.uuid, (("external_ids", "delete", drop),))
        if zone is None:
            yield Insert(AvailabilityZone, {"name": nb_global.name})
        else:
            yield Update(AvailabilityZone, zone.uuid, {"name": nb_global.name})
        if ic_global is not None:
            claim = {zone_claim(nb_global.name): str(nb_global.uuid)}
            yield set_keys(IcSbGlobal, ic_global.uuid, "external_ids", claim)

    def _leave(self, name: str) -> Iterable[Operation]:
        """Remove a zone of ours, its claim only when its rows are sure to stay away."""
        zone = self._view.one(ZONES_BY_NAME, name)
        if not self._linger:
            yield from self._remove(name)
        elif zone is not None:
            self._away.pop(name, None)
            yield from self._remove_rows(zone)
        elif self._away.setdefault(name, inf) == _RIPE:
            yield from self._remove(name)

    def _remove_rows(self, zone: AvailabilityZone) -> Iterable[Operation]:
        """Everything of a zone of ours, then the zone: other rows refer to it strongly."""
        for route in self._view.all(IC_ROUTES_BY_ZONE, zone.uuid):
            yield Delete(IcRoute, route.uuid)
        for port in self._view.all(IC_PORTS_BY_ZONE, zone.uuid):
            yield Delete(IcPortBinding, port.uuid)
        for gateway in self._view.all(GATEWAYS_BY_ZONE, zone.uuid):
            yield Delete(Gateway, gateway.uuid)
        yield Delete(AvailabilityZone, zone.uuid)

    def _remove(self, name: str) -> Iterable[Operation]:
        """A zone of ours, and its claim."""
        zone = self._view.one(ZONES_BY_NAME, name)
        if zone is not None:
            yield from self._remove_rows(zone)
        ic_global = self._view.single(IcSbGlobal)
        if ic_global is not None:
            drop = frozenset({zone_claim(name), alive_key(name)})
            yield Mutate(IcSbGlobal, ic_global.uuid, (("external_ids", "delete", drop),))
