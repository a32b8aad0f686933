"""Leaving: the removal of everything of the interconnection from this cluster.

NB and SB are cleaned at once, each in one transaction, whether or not the IC databases can be
reached. The exchange engine removes our rows there when it can, because `NB_Global.name` is empty.
NB comes first: until its name is empty, the engine continues to write to the other databases.
A cluster that Isthmus never joined is not changed, nor is a cluster that has since joined by other
means under another name. If NB_Global has lost the record of the joined zone, the configuration's
zone and a marked router port show that Isthmus has joined.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from isthmus.controller.connections import PortPair, held_addresses
from isthmus.controller.inputs.inputs import Changed
from isthmus.controller.reconcilers.base import ControllerReconciler
from isthmus.controller.reconcilers.nb_global import OPTIONS
from isthmus.controller.reconcilers.port_operations import remove_ports
from isthmus.controller.zones import JOINED_ZONE_KEYS, ZONE, joined_zone, joined_zone_ids
from isthmus.engine.reconciler import Only, SingleKey, Watch
from isthmus.model.external_ids import claimed_zone
from isthmus.model.indexes import (
    DECLARED_ROUTES,
    LEARNED_ROUTES,
    MARKED_LRPS_BY_TS,
    ROUTER_POLICIES,
    ROUTER_ROUTES,
    SWITCH_PORTS,
    ChildrenOf,
    policy_prefix,
)
from isthmus.model.operations import Delete, Operation, Update, drop_keys, remove_children, set_keys
from isthmus.model.ovn_keys import is_remote
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import (
    Chassis,
    Database,
    IcSbGlobal,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    TransitSwitch,
)


class LeavingReconciler(ControllerReconciler[Only], SingleKey):
    """A reconciler that only works while leaving."""

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        """The tables with rows to remove; their changes count only while leaving."""
        return dict.fromkeys(self.tables, lambda _: self.keys() if self.inputs.leaving else ())

    def affected(self, changed: Changed) -> Iterable[Only]:
        """Leaving begins with the configuration."""
        return self.keys() if changed.taking_part else ()

    def joined(self) -> NbGlobal | None:
        """The row if Isthmus has joined and must leave, and NB has no other zone name since."""
        row = self.view.single(NbGlobal)
        joined = joined_zone(row)
        if row is None or not self.inputs.leaving:
            return None
        if joined is None:
            return row if self._lacks_record(row) else None
        return row if row.name in {"", joined.zone} else None

    def _lacks_record(self, row: NbGlobal) -> bool:
        """Whether NB shows that Isthmus has joined, but has lost the record of that."""
        config = self.inputs.last_config
        marked = any(self.view.index(MARKED_LRPS_BY_TS).keys())
        return config is not None and row.name == config.zone and marked


class LeaveNorthbound(LeavingReconciler):
    """The northbound database: zone name, options, ports, policies, routes, transit switches."""

    name: ClassVar[str] = "leaving (NB)"
    writes: ClassVar[Database] = Database.NB
    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB})
    tables: ClassVar[tuple[type[Row], ...]] = (
        NbGlobal,
        LogicalSwitch,
        LogicalSwitchPort,
        LogicalRouter,
        LogicalRouterPort,
        LogicalRouterPolicy,
        LogicalRouterStaticRoute,
    )

    def reconcile(self, key: Only) -> Iterable[Operation]:
        """Remove everything in one transaction; report if another zone name prevents that."""
        self.report(key, *self._renamed())
        row = self.joined()
        if row is None:
            return
        for switch in sorted(self.connections.transit_switch_names()):
            yield from self._switch(switch)
        learned = self.view.all(LEARNED_ROUTES, True)
        declared = self.view.all(DECLARED_ROUTES, True)
        routes = (route.uuid for route in (*learned, *declared))
        yield from self._from_routers(ROUTER_ROUTES, routes)
        policies = self.view.table(LogicalRouterPolicy)
        ours = (policy.uuid for policy in policies if policy_prefix(policy))
        yield from self._from_routers(ROUTER_POLICIES, ours)
        if row.name:
            yield Update(NbGlobal, row.uuid, {"name": ""})
        if joined_zone(row) is None:
            yield set_keys(NbGlobal, row.uuid, "external_ids", self._record(row.name))
        if options := OPTIONS.intersection(row.options):
            yield drop_keys(NbGlobal, row.uuid, "options", options)

    def _renamed(self) -> Iterator[Problem]:
        row = self.view.single(NbGlobal)
        joined = joined_zone(row)
        if row is None or joined is None or not self.inputs.leaving or self.joined() is not None:
            return
        yield Subject("NB_Global", "name", row.name).problem(
            f"is not {joined.zone}, the zone to leave, so nothing is removed",
            f"to leave, set it back: ovn-nbctl set NB_Global . name={joined.zone}; if another"
            f" controller runs the interconnection, run: ovn-nbctl remove NB_Global . external_ids"
            f" {ZONE}",
            Reason.INEFFECTIVE,
        )

    def _record(self, zone: str) -> Mapping[str, str]:
        """The joined zone, which must be on record until the IC databases are clean."""
        config = self.inputs.last_config
        return joined_zone_ids(config) if config is not None else {ZONE: zone}

    def _switch(self, name: str) -> Iterator[Operation]:
        """Our ports, the remote ports, and the copy unless it has other ports."""
        ports = self.connections.ports_on(name)
        ours = {port.switch_port.uuid for port in ports if port.switch_port is not None}
        deleted: list[LogicalSwitch] = []
        for switch in self.connections.copies(name):
            rows = list(self.connections.switch_ports(switch))
            if all(row.type == "remote" or row.uuid in ours for row in rows):
                deleted.append(switch)
                yield Delete(LogicalSwitch, switch.uuid)
            else:
                remote = (row.uuid for row in rows if row.type == "remote")
                yield from remove_children(SWITCH_PORTS, switch.uuid, remote)
        # Deleting a switch deletes its ports.
        left = [
            PortPair(None, None, port.router_port) if port.switch in deleted else port
            for port in ports
        ]
        yield from remove_ports(self.connections, left)

    def _from_routers(
        self, held: ChildrenOf[LogicalRouter, Any], children: Iterable[RowId]
    ) -> Iterator[Operation]:
        relation, gone = self.view.relation(held), frozenset(children)
        for router in self.view.table(LogicalRouter):
            found = gone.intersection(relation.children(router.uuid))
            yield from remove_children(held, router.uuid, found)


class LeaveSouthbound(LeavingReconciler):
    """The southbound database: the chassis of other zones."""

    name: ClassVar[str] = "leaving (SB)"
    writes: ClassVar[Database] = Database.SB
    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB, Database.SB})
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal, Chassis)

    def reconcile(self, key: Only) -> Iterable[Operation]:
        """Remove all remote chassis in one transaction."""
        row = self.joined()
        if row is None or row.name:
            return
        for chassis in self.view.table(Chassis):
            if is_remote(chassis):
                yield Delete(Chassis, chassis.uuid)


class RemoveJoinedZone(LeavingReconciler):
    """The record of the joined zone, when nothing of this cluster is left in any database.

    It is removed last, because it says which zone and which IC databases to clean.
    """

    name: ClassVar[str] = "leaving (joined zone)"
    writes: ClassVar[Database] = Database.NB
    # Only then does the view contain this cluster's last writes to them.
    after: ClassVar[frozenset[Database]] = frozenset({Database.SB, Database.IC_NB, Database.IC_SB})
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal, Chassis, IcSbGlobal, TransitSwitch)

    def reconcile(self, key: Only) -> Iterable[Operation]:
        """Remove the record."""
        row = self.joined()
        if row is not None and not row.name and not self._left_over(row):
            keys = JOINED_ZONE_KEYS.intersection(row.external_ids)
            yield drop_keys(NbGlobal, row.uuid, "external_ids", keys)

    def _left_over(self, row: NbGlobal) -> bool:
        """Whether the zone's claim, an address claim or a remote chassis is left."""
        shared = self.view.single(IcSbGlobal)
        claims = shared.external_ids if shared is not None else {}
        return (
            any(claimed_zone(key) and holder == row.uuid for key, holder in claims.items())
            or any(held_addresses(ts, row.uuid) for ts in self.view.table(TransitSwitch))
            or any(is_remote(chassis) for chassis in self.view.table(Chassis))
        )
