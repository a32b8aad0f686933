"""`NB_Global`: the zone's name, the route options and the joined zone, as the inputs require.

Keys of `options` and `external_ids` that are not ours are never changed. The blacklist is computed
from the inputs, so an entry is removed with its reason. If another cluster has claimed the zone's
name, nothing is changed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.controller.config.configmap import Config, ConfigKey
from isthmus.controller.connections import connects_node
from isthmus.controller.inputs.inputs import Changed, Inputs
from isthmus.controller.reconcilers.base import ControllerReconciler
from isthmus.controller.reconcilers.private_prefixes import BLACKLIST, PrivateLists
from isthmus.controller.working_paths import WorkingPath, WorkingPaths
from isthmus.controller.zones import claimant, joined_zone, joined_zone_ids
from isthmus.engine.reconciler import Only, SingleKey, Watch
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.external_ids import TRUSTED_ZONE
from isthmus.model.indexes import (
    IC_PORTS_BY_ZONE_AND_TS,
    LEARNED_ROUTES,
    ROUTER_ROUTES,
    SWITCHES_BY_TS,
    ZONES_BY_NAME,
)
from isthmus.model.operations import Operation, Update, change_map, drop_keys, set_keys
from isthmus.model.ovn_keys import ADVERTISE, LEARN
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitchPort,
    NbGlobal,
    Row,
)

DENYLIST = "ic-route-denylist"
OPTIONS = frozenset({ADVERTISE, LEARN, BLACKLIST})
"""The options that belong to us."""


class NbGlobalOptions(ControllerReconciler[Only], SingleKey):
    """The only row of the table."""

    name: ClassVar[str] = "zone options"
    writes: ClassVar[Database] = Database.NB
    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB})
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal, IcSbGlobal, AvailabilityZone)

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        """The row, the names of zones, the router ports, and what connects the nodes."""
        ports = dict.fromkeys((LogicalSwitchPort, Chassis), self._of_node)
        return {**super().watches(), LogicalRouterPort: self.all_keys, **ports}

    def affected(self, changed: Changed) -> Iterable[Only]:
        """The zone, its databases, the route options, and the private prefixes."""
        databases = (ConfigKey.IC_DB_HOST, ConfigKey.IC_NB_PORT, ConfigKey.IC_SB_PORT)
        keys = (ConfigKey.AZ_NAME, *databases, ConfigKey.AUTO_ROUTE, ConfigKey.VPCS)
        return self.keys() if changed.any_of(*keys) or changed.private else ()

    def reconcile(self, key: Only) -> Iterable[Operation]:
        """Write the difference."""
        row, config = self.view.single(NbGlobal), self.inputs.config
        self.report(key)
        if row is None or config is None:
            return
        self.report(key, *self._problems(row, config))
        if not self._may_take(row, config):
            return
        if row.name != config.zone:
            yield Update(NbGlobal, row.uuid, {"name": config.zone})
        others = {name: value for name, value in row.options.items() if name not in OPTIONS}
        options = {**others, **self._options(row, config)}
        yield from change_map(NbGlobal, row.uuid, "options", row.options, options)
        ids = {**row.external_ids, **joined_zone_ids(config)}
        yield from change_map(NbGlobal, row.uuid, "external_ids", row.external_ids, ids)

    def _may_take(self, row: NbGlobal, config: Config) -> bool:
        if self._taken(row, config):
            return False
        # A registered zone keeps its name until IC-SB shows that the new name is free. The name of
        # a new zone is only written to NB here; `ZoneRegistration` checks before it publishes it.
        renamed = bool(row.name) and row.name != config.zone
        return not renamed or self.view.table(IcSbGlobal).single() is not None

    def _taken(self, row: NbGlobal, config: Config) -> bool:
        holder = claimant(self.view, config.zone)
        if holder is None and row.name and row.name != config.zone:
            # A zone that ovn-ic registered has no claim; nor has ours, if claims were removed.
            zone = self.view.one(ZONES_BY_NAME, config.zone)
            return zone is not None and row.external_ids.get(TRUSTED_ZONE) != zone.uuid
        return holder not in {None, row.uuid}

    def _options(self, row: NbGlobal, config: Config) -> Mapping[str, str]:
        private = PrivateLists(self.view, self.inputs, self.connections).everywhere()
        options = {BLACKLIST: ",".join(private)} if private else {}
        if config.auto_route is None:
            return {
                **options,
                **{k: row.options[k] for k in (ADVERTISE, LEARN) if k in row.options},
            }
        return {**options, ADVERTISE: "true", LEARN: "true"} if config.auto_route else options

    def _problems(self, row: NbGlobal, config: Config) -> Iterator[Problem]:
        if self._taken(row, config) and row.name != config.zone:
            yield Subject(str(self.inputs.config_map), "data.az-name", config.zone).problem(
                "is in use by another cluster in the same IC databases, so nothing is changed",
                "choose a name that no other cluster uses",
                Reason.ZONE_NAME_TAKEN,
            )
        if row.options.get(DENYLIST):
            yield Subject("NB_Global", f"options:{DENYLIST}", row.options[DENYLIST]).problem(
                f"overrides {BLACKLIST}, so Subnets with disableInterConnection, the join"
                " subnet and node addresses may be advertised",
                f"remove it: ovn-nbctl remove NB_Global . options {DENYLIST}",
                Reason.PRIVATE_PREFIXES_EXPOSED,
            )

    def _of_node(self, change: Change) -> Iterable[Only]:
        return self.keys() if connects_node(change) else ()


class TrustedZone(ControllerReconciler[Only], SingleKey):
    """Records the IC-SB that routes are learned from, once it has all of their zones.

    The record is the UUID of this cluster's row: in other IC databases, or in ones that have been
    emptied, it is another one. A database that was restored from a backup may have the same row,
    but lacks what was written later: if that includes a port of ours, the record is removed, and
    written again when all zones have published their routes again.
    """

    name: ClassVar[str] = "trusted zone"
    writes: ClassVar[Database] = Database.NB
    tables: ClassVar[tuple[type[Row], ...]] = (
        NbGlobal,
        IcSbGlobal,
        AvailabilityZone,
        IcPortBinding,
        IcRoute,
        LogicalRouterStaticRoute,
        LogicalSwitchPort,
    )

    def __init__(self, view: View, inputs: Inputs) -> None:
        super().__init__(view, inputs)
        self._paths = WorkingPaths(view, inputs)

    def affected(self, changed: Changed) -> Iterable[Only]:
        """Joining begins with the configuration."""
        return self.keys() if changed.taking_part else ()

    def reconcile(self, key: Only) -> Iterable[Operation]:
        """Write the record, or remove it."""
        self._paths.forget()
        row, zone = self.view.single(NbGlobal), self._paths.zone()
        if row is None or zone is None or joined_zone(row) is None:
            return
        trusted = row.external_ids.get(TRUSTED_ZONE) == zone.uuid
        if self._lacks_ports(zone):
            if trusted:
                yield drop_keys(NbGlobal, row.uuid, "external_ids", frozenset({TRUSTED_ZONE}))
        elif not trusted and self.inputs.config is not None and not any(self._unknown()):
            yield set_keys(NbGlobal, row.uuid, "external_ids", {TRUSTED_ZONE: zone.uuid})

    def _lacks_ports(self, zone: AvailabilityZone) -> bool:
        """Whether IC-SB lacks a port of ours that carries routes: it was restored from a backup."""
        return any(
            self.view.one(IC_PORTS_BY_ZONE_AND_TS, (zone.uuid, ts)) is None
            and any(True for _ in self._paths.routes_over(switch))
            for ts in tuple(self.view.index(SWITCHES_BY_TS).keys())
            for switch in self.view.all(SWITCHES_BY_TS, ts)
        )

    def _unknown(self) -> Iterator[WorkingPath]:
        """The paths whose zones IC-SB does not have."""
        for route in self.view.all(LEARNED_ROUTES, True):
            router = self.view.parent(ROUTER_ROUTES, route.uuid)
            path = self._paths.path(route, router.uuid) if router is not None else None
            if path is not None and not self._paths.is_withdrawn(route, path):
                yield path
