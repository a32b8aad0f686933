"""Whole clusters for tests of the controller: fake databases, a minimal northd, both engines."""

import random
from typing import Any

from isthmus.controller.import_policy import guarded
from isthmus.controller.inputs.inputs import CONFIG_MAP, Inputs
from isthmus.controller.inputs.snapshot import Manifest, ObjectKey, Snapshot
from isthmus.controller.wiring import reconcilers
from isthmus.engine.engine import Engine
from isthmus.engine.transactions import Transaction
from isthmus.engine.view import View
from isthmus.exchange.wiring import exchange
from isthmus.model.operations import Delete, Insert, Mutate, NewRef, Operation, Ref, Update, Value
from isthmus.model.problems import Problem
from isthmus.model.rows import (
    Chassis,
    Database,
    LogicalRouter,
    LogicalRouterPolicy,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    SbEncap,
    TransitSwitch,
)
from support.fakes.ovsdb import FakeCluster, FakeDatabase, settle_all
from support.fakes.zone import northd

CONFIG = {
    "enable-ic": "true",
    "az-name": "az1",
    "ic-db-host": "192.168.65.3",
    "ic-nb-port": "6645",
    "ic-sb-port": "6646",
    "gw-nodes": "gw",
    "auto-route": "true",
}


def config_map(**changes: Any) -> Manifest:
    """The ConfigMap with some keys changed (_ for -) or, if None, left out."""
    named = {key.replace("_", "-"): value for key, value in changes.items()}
    data = {key: value for key, value in {**CONFIG, **named}.items() if value is not None}
    return manifest("ConfigMap", CONFIG_MAP.name, data=data)


def subnet(name: str, cidr: Any, **spec: Any) -> Manifest:
    """A Subnet."""
    return manifest("Subnet", name, spec={"cidrBlock": cidr, **spec})


def node(name: str, *addresses: str) -> Manifest:
    """A Node."""
    entries = [{"type": "InternalIP", "address": address} for address in addresses]
    return manifest("Node", name, status={"addresses": entries})


def manifest(kind: str, name: str, **body: Any) -> Manifest:
    """Any object."""
    namespace = CONFIG_MAP.namespace if kind == "ConfigMap" else ""
    return Manifest(ObjectKey(kind, namespace, name), body, "test.yaml")


def snapshot(*manifests: Manifest, complete: bool = True) -> Snapshot:
    """A snapshot of these objects."""
    return Snapshot({m.key: m for m in manifests}, (), complete)


class Region:
    """Some sites on one pair of IC databases."""

    def __init__(self, *names: str, subnets: str = "169.254.100.0/24") -> None:
        self.ic_nb, self.ic_sb = FakeDatabase(Database.IC_NB), FakeDatabase(Database.IC_SB)
        self.add_ts("ts", subnets)
        self.sites = [
            Site(name, number, self.ic_nb, self.ic_sb) for number, name in enumerate(names, 1)
        ]

    def add_ts(self, name: str, subnets: str, vendor: str = "kube-ovn") -> None:
        """Create a transit switch."""
        ids = {"subnet": subnets, "vendor": vendor}
        self.ic_nb.transact([Insert(TransitSwitch, {"name": name, "external_ids": ids})])

    def drop_ts(self, name: str) -> None:
        """Delete a transit switch."""
        self.ic_nb.transact([Delete(TransitSwitch, RowId(self.ts(name)["_uuid"]))])

    def ts(self, name: str = "ts") -> dict[str, Any]:
        """A transit switch."""
        return next(row for row in self.ic_nb.rows(TransitSwitch) if row["name"] == name)

    def settle(self, limit: int = 100) -> None:
        """Let every site work until nobody has anything to do."""
        settle_all(self.sites, limit)


class Site(FakeCluster):
    """One Kube-OVN cluster with a gateway node, controlled by manifests.

    Args:
        name: the zone's name, also in the name of its gateway chassis (`gw-NAME`); the node is
            `gw` everywhere.
        number: makes its addresses unique.
        ic_nb, ic_sb: shared with other sites.

    Attributes:
        reachable: the databases that can be read and written.
        chance: decides which transaction in flight ends first.
    """

    def __init__(self, name: str, number: int, ic_nb: FakeDatabase, ic_sb: FakeDatabase) -> None:
        super().__init__(ic_nb, ic_sb)
        self.name = name
        self.reachable = set(Database)
        self.chance = random.Random(number)  # noqa: S311 - no secret
        self.nb, self.sb = self.databases[Database.NB], self.databases[Database.SB]
        self.manifests: dict[ObjectKey, Manifest] = {}
        self.write(Insert(NbGlobal, {"options": {"northd_probe_interval": "5000"}}))
        self.write(Insert(LogicalRouter, {"name": "ovn-cluster"}))
        self.add_chassis(f"gw-{name}", "gw", f"192.0.2.{number}")
        self.add_router_port("ovn-default", f"10.{number}.0.1/16")
        self.start()

    def start(self) -> None:
        """Start controller and engine from nothing, as a restarted daemon does."""
        self.in_flight: list[Transaction] = []
        view = View()
        self.inputs = Inputs()
        self.intents = reconcilers(view, self.inputs)
        self.exchange = exchange(view, guarded=True)
        self.attach(Engine(view, [*self.exchange.reconcilers, *self.intents]))
        self.feed()
        self.engine.recompute("start")
        if self.manifests:
            self.apply()

    # -- the operator --------------------------------------------------------------------------

    def apply(self, *manifests: Manifest, complete: bool = True) -> None:
        """Write manifests, and hand all of them over."""
        self.manifests.update({m.key: m for m in manifests})
        self.hand_over(Snapshot(dict(self.manifests), (), complete))

    def delete(self, *manifests: Manifest) -> None:
        """Delete manifests, and hand over the rest."""
        for gone in manifests:
            del self.manifests[gone.key]
        self.apply()

    def join(self, **changes: Any) -> None:
        """Write the ConfigMap, with this site's zone name and some other changes."""
        self.apply(config_map(**{"az_name": self.name, **changes}))

    def hand_over(self, snapshot: Snapshot) -> None:
        """Give a snapshot to the inputs, as the daemon does."""
        changed = self.inputs.update(snapshot)
        self.exchange.guard.tell(guarded(self.inputs))
        for intent in self.intents:
            intent.mark(intent.affected(changed))

    # -- the daemon ----------------------------------------------------------------------------

    def step(self) -> bool:
        """Feed, plan, and let one of the transactions in flight end; False if there is none."""
        self.feed()
        for transaction in self.engine.plan(self.now, self.reachable, self.reachable):
            self.in_flight.append(transaction)
        if not self.in_flight:
            self.now = self.engine.next_wakeup() or self.now
            return False
        database = self.chance.choice(sorted({sent.database for sent in self.in_flight}))
        transaction = next(sent for sent in self.in_flight if sent.database is database)
        self.in_flight.remove(transaction)
        result = self.commit(transaction)
        self.feed()
        self.engine.completed(transaction, result, self.now)
        return True

    def work(self) -> bool:
        """One round of northd and engines; whether anything was done."""
        changed = northd(self.nb, self.sb)
        return self.settle() > 0 or changed

    def problems(self) -> list[Problem]:
        """All that is reported."""
        return [*self.inputs.problems(), *self.engine.problems()]

    def traces(self) -> list[str]:
        """What there is of the interconnection in the cluster's own databases."""
        row = self.find(NbGlobal)
        found = [f"zone {row['name']}"] if row["name"] else []
        found += [f"options:{key}" for key in row["options"] if key.startswith("ic-")]
        found += [f"external_ids:{key}" for key in row["external_ids"]]
        for kind, kept in (
            (LogicalSwitch, {}),
            (LogicalSwitchPort, {}),
            (LogicalRouterPort, {"ovn-default"}),
            (LogicalRouterStaticRoute, {}),
            (LogicalRouterPolicy, {}),
        ):
            found += [f"{kind.TABLE} {r}" for r in self.all(kind) if r.get("name") not in kept]
        chassis = (r for r in self.all(Chassis) if "is-remote" in r["other_config"])
        return found + [f"chassis {row['name']}" for row in chassis]

    # -- the databases -------------------------------------------------------------------------

    def write(self, *operations: Operation) -> None:
        """Commit operations on one database."""
        result = self.databases[operations[0].table.DATABASE].transact(operations)
        assert type(result).__name__ == "Committed", result

    def all(self, kind: type[Row], **columns: object) -> list[dict[str, Any]]:
        """All rows with these column values."""
        rows = self.databases[kind.DATABASE].rows(kind)
        return [row for row in rows if all(row[c] == v for c, v in columns.items())]

    def find(self, kind: type[Row], **columns: object) -> dict[str, Any]:
        """The only row with these column values."""
        rows = self.all(kind, **columns)
        assert len(rows) == 1, f"{kind.TABLE} {columns}: {rows}"
        return rows[0]

    def uuid(self, kind: type[Row], **columns: object) -> RowId:
        """The UUID of the only row with these column values."""
        return RowId(str(self.find(kind, **columns)["_uuid"]))

    @property
    def router(self) -> RowId:
        """The UUID of the default VPC's router."""
        return self.uuid(LogicalRouter, name="ovn-cluster")

    def adopt(self, column: str, kind: type[Row], **row: Any) -> None:
        """Add a child row to the default VPC's router."""
        ref = NewRef()
        joined = Mutate(LogicalRouter, self.router, ((column, "insert", frozenset({ref})),))
        self.write(Insert(kind, row, ref), joined)

    def add_router_port(self, name: str, *networks: str) -> None:
        """Add a port of a subnet to the router."""
        mac = "0a:00:00:00:00:01"
        self.adopt("ports", LogicalRouterPort, name=name, mac=mac, networks=frozenset(networks))

    def add_route(self, prefix: str, nexthop: str, **columns: Any) -> None:
        """Add a static route to the router."""
        row = {"ip_prefix": prefix, "nexthop": nexthop, **columns}
        self.adopt("static_routes", LogicalRouterStaticRoute, **row)

    def drop_route(self, prefix: str) -> None:
        """Remove the static routes with this prefix from the router."""
        rows = self.all(LogicalRouterStaticRoute, ip_prefix=prefix)
        gone = frozenset(Ref(RowId(row["_uuid"])) for row in rows)
        self.write(Mutate(LogicalRouter, self.router, (("static_routes", "delete", gone),)))

    def add_chassis(self, name: str, hostname: str, ip: str, *, interconn: bool = True) -> None:
        """Register a chassis, as ovn-controller does."""
        encap = NewRef()
        row: dict[str, Value] = {
            "name": name,
            "hostname": hostname,
            "encaps": (encap,),
            "other_config": {"is-interconn": "true"} if interconn else {},
        }
        tunnel = {"type": "geneve", "ip": ip, "chassis_name": name}
        self.write(Insert(SbEncap, tunnel, encap), Insert(Chassis, row))

    def set(self, kind: type[Row], uuid: RowId, **columns: Any) -> None:
        """Change columns of a row."""
        self.write(Update(kind, uuid, columns))
