"""Leaving: nothing of the interconnection stays in this cluster.

NB and SB are cleaned at once, each in one transaction, whether or not the IC databases can be
reached; the engine removes what is ours there when they can be, since `NB_Global.name` is empty.
NB comes first: until its name is empty, the engine goes on writing to the other three.
A cluster that Isthmus never joined (nothing is remembered) is not touched, nor is one that has
since joined by other means under another name.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.controller.connections import PortPair, held_addresses
from isthmus.controller.inputs.inputs import Changed
from isthmus.controller.joined_zone import KEYS, joined_zone
from isthmus.controller.reconcilers.base import ControllerReconciler
from isthmus.controller.reconcilers.nb_global import KEY, OPTIONS
from isthmus.controller.reconcilers.port_operations import remove_ports
from isthmus.engine.reconciler import Watch
from isthmus.model.changes import Change
from isthmus.model.external_ids import claimed_zone
from isthmus.model.indexes import DECLARED_ROUTES, LEARNED_ROUTES, policy_prefix
from isthmus.model.operations import Delete, Mutate, Operation, Ref, Update, drop_keys
from isthmus.model.ovn_keys import is_remote
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


class LeavingReconciler(ControllerReconciler[str]):
    """One key, `KEY`, and work to do only while leaving what was joined."""

    tables: ClassVar[tuple[type[Row], ...]] = ()

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        """All that may have to go; of no interest unless leaving."""
        return dict.fromkeys(self.tables, self._key)

    def affected(self, changed: Changed) -> Iterable[str]:
        """Leaving begins with the configuration."""
        return (KEY,) if changed.taking_part else ()

    def keys(self) -> Iterable[str]:
        """There is but one."""
        return (KEY,)

    def joined(self) -> NbGlobal | None:
        """The zone's row if Isthmus joined, is to leave, and nobody else has joined since."""
        row = self.view.single(NbGlobal)
        memory = joined_zone(row)
        if row is None or memory is None or not self.inputs.leaving:
            return None
        return row if row.name in {"", memory.zone} else None

    def _key(self, _: Change) -> Iterable[str]:
        return (KEY,) if self.inputs.leaving else ()


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

    def reconcile(self, key: str) -> Iterable[Operation]:
        """Remove all of it in one transaction."""
        row = self.joined()
        if row is None:
            return
        for switch in sorted(self.connections.transit_switch_names()):
            yield from self._switch(switch)
        learned = self.view.all(LEARNED_ROUTES, True)
        declared = self.view.all(DECLARED_ROUTES, True)
        routes = dict.fromkeys(route.uuid for route in (*learned, *declared))
        yield from self._from_routers("static_routes", routes)
        policies = (
            policy.uuid for policy in self.view.table(LogicalRouterPolicy) if policy_prefix(policy)
        )
        yield from self._from_routers("policies", policies)
        if row.name:
            yield Update(NbGlobal, row.uuid, {"name": ""})
        if options := OPTIONS.intersection(row.options):
            yield drop_keys(NbGlobal, row.uuid, "options", options)

    def _switch(self, name: str) -> Iterator[Operation]:
        """Our ports, the remote ports and the copy, unless it holds a port of somebody else's."""
        ports = self.connections.ports_on(name)
        ours = {port.switch_port.uuid for port in ports if port.switch_port is not None}
        deleted: list[LogicalSwitch] = []
        for switch in self.connections.copies(name):
            rows = list(self.connections.switch_ports(switch))
            remote = frozenset(Ref(row.uuid) for row in rows if row.type == "remote")
            if all(row.type == "remote" or row.uuid in ours for row in rows):
                deleted.append(switch)
                yield Delete(LogicalSwitch, switch.uuid)
            elif remote:
                yield Mutate(LogicalSwitch, switch.uuid, (("ports", "delete", remote),))
        # The ports of a deleted switch go with it.
        left = [
            PortPair(None, None, port.router_port) if port.switch in deleted else port
            for port in ports
        ]
        yield from remove_ports(self.connections, left)

    def _from_routers(self, column: str, children: Iterable[RowId]) -> Iterator[Operation]:
        relation = self.view.relation(LogicalRouter, column)
        by_router: dict[RowId, set[Ref]] = {}
        for child in children:
            router = relation.parent(child)
            if router is not None:
                by_router.setdefault(router, set()).add(Ref(child))
        for router, refs in by_router.items():
            yield Mutate(LogicalRouter, router, ((column, "delete", frozenset(refs)),))


class LeaveSouthbound(LeavingReconciler):
    """The southbound database: the other zones' chassis."""

    name: ClassVar[str] = "leaving (SB)"
    writes: ClassVar[Database] = Database.SB
    needs: ClassVar[frozenset[Database]] = frozenset({Database.NB, Database.SB})
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal, Chassis)

    def reconcile(self, key: str) -> Iterable[Operation]:
        """Remove all remote chassis in one transaction."""
        row = self.joined()
        if row is None or row.name:
            return
        for chassis in self.view.table(Chassis):
            if is_remote(chassis):
                yield Delete(Chassis, chassis.uuid)


class ForgetZone(LeavingReconciler):
    """The memory of the zone, once nothing of this cluster is left in any database.

    Without it nobody would know where to look for what is left, so it goes last.
    """

    name: ClassVar[str] = "leaving (memory)"
    writes: ClassVar[Database] = Database.NB
    # Only then does the view show the last that this cluster wrote to them.
    after: ClassVar[frozenset[Database]] = frozenset({Database.SB, Database.IC_NB, Database.IC_SB})
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal, Chassis, IcSbGlobal, TransitSwitch)

    def reconcile(self, key: str) -> Iterable[Operation]:
        """Forget what only the removal still needed."""
        row = self.joined()
        if row is not None and not row.name and not self._left_over(row):
            keys = KEYS.intersection(row.external_ids)
            yield drop_keys(NbGlobal, row.uuid, "external_ids", keys)

    def _left_over(self, row: NbGlobal) -> bool:
        """Whether the zone, an address or a remote chassis is still to be removed."""
        shared = self.view.table(IcSbGlobal).single()
        claims = shared.external_ids if shared is not None else {}
        return (
            any(claimed_zone(key) and holder == row.uuid for key, holder in claims.items())
            or any(held_addresses(ts, row.uuid) for ts in self.view.table(TransitSwitch))
            or any(is_remote(chassis) for chassis in self.view.table(Chassis))
        )
