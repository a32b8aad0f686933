"""A fake zone: its databases and the shared IC databases, a minimal northd, and an engine."""

import random
from collections.abc import Callable
from typing import Any

from isthmus.engine.engine import Engine
from isthmus.engine.transactions import Committed, Result, Transaction
from isthmus.engine.view import View
from isthmus.exchange.wiring import exchange, observer
from isthmus.model.operations import (
    Insert,
    Mutate,
    NewRef,
    Operation,
    Ref,
    Update,
    Value,
    set_keys,
)
from isthmus.model.prefixes import canonical
from isthmus.model.problems import Problem
from isthmus.model.rows import (
    Chassis,
    Database,
    GatewayChassis,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    NbGlobal,
    Row,
    RowId,
    SbEncap,
)
from support.fakes.northd import northd
from support.fakes.ovsdb import FakeDatabase, MakeDatabase


class Zone:
    """A cluster with an exchange engine and a router `ovn-cluster` to connect.

    Args:
        name: the zone's name.
        ic_nb, ic_sb: shared with the other zones of the test.
        make: makes its own databases, fake ones by default.

    Attributes:
        cluster: the first name, which `rename` does not change.
        now: the engine's clock, in seconds.
        reachable: the databases that can be read and written.
        dead: the names of chassis on which no ovn-controller runs.
        random: decides which transaction in flight ends first.
        on_commit: called after each transaction of the engine.
    """

    def __init__(
        self,
        name: str,
        ic_nb: FakeDatabase,
        ic_sb: FakeDatabase,
        make: MakeDatabase | None = None,
    ) -> None:
        self.cluster = self.name = name
        make = make or ic_nb.beside
        self.nb, self.sb = make(Database.NB, name), make(Database.SB, name)
        self.databases = {
            Database.NB: self.nb,
            Database.SB: self.sb,
            Database.IC_NB: ic_nb,
            Database.IC_SB: ic_sb,
        }
        self.now = 0.0
        self.reachable = set(Database)
        self.dead: set[str] = set()
        self.random = random.Random(0)  # noqa: S311 - no secret
        self.on_commit: Callable[[Transaction], None] = lambda _: None
        self.initialize()
        self.write(Insert(LogicalRouter, {"name": "ovn-cluster"}))
        self.start()

    def initialize(self) -> None:
        """Write the row of NB_Global."""
        on = {"ic-route-adv": "true", "ic-route-learn": "true"}
        self.write(Insert(NbGlobal, {"name": self.name, "options": on}))

    # -- the daemon ----------------------------------------------------------------------------

    def start(self, *, policy_follows: bool = False, settle: float = 0.0) -> None:
        """Start an engine from nothing, as a restarted daemon does; see `exchange`."""
        view = View()
        self.exchange = exchange(view, policy_follows=policy_follows, settle=settle)
        self.run(Engine(view, self.exchange.reconcilers, self.exchange.edges))

    def observe(self) -> None:
        """Start what a controller without the engine has, from nothing."""
        view = View()
        self.exchange = observer(view)
        self.run(Engine(view, self.exchange.reconcilers, self.exchange.edges))

    def run(self, engine: Engine) -> None:
        """Give an engine the contents of all databases, and all later changes."""
        self.engine = engine
        self.in_flight: list[Transaction] = []
        self._changes = [database.observe() for database in self.databases.values()]
        self.feed()
        engine.recompute("start")

    def feed(self) -> None:
        """Pass on what has changed."""
        changes = [change for source in self._changes for change in source]
        for source in self._changes:
            source.clear()
        self.engine.apply(changes)

    def step(self) -> bool:
        """Feed, plan, and end one of the transactions in flight; False if there is none."""
        self.feed()
        self.in_flight += self.plan()
        if not self.in_flight:
            self.now = self.engine.next_wakeup() or self.now
            return False
        database = self.random.choice(sorted({sent.database for sent in self.in_flight}))
        transaction = next(sent for sent in self.in_flight if sent.database is database)
        self.in_flight.remove(transaction)
        result = self.commit(transaction)
        self.feed()
        self.engine.completed(transaction, result, self.now)
        return True

    def plan(self) -> list[Transaction]:
        """The transactions to send."""
        return self.engine.plan(self.now, self.reachable, self.reachable)

    def commit(self, transaction: Transaction) -> Result:
        """Send one transaction to its database."""
        result = self.databases[transaction.database].transact(transaction.operations)
        self.on_commit(transaction)
        return result

    def settle(self, limit: int = 200) -> int:
        """Step until nothing is left to do; return the number of steps."""
        for steps in range(limit):
            if not self.step() and self.engine.next_wakeup() is None:
                return steps
        problems = "\n".join(map(str, self.engine.problems()))
        raise AssertionError(f"not settled after {limit} steps:\n{problems}")

    def work(self) -> bool:
        """Run northd and the engine until they are idle; return whether either did anything."""
        changed = northd(self.nb, self.sb, self.dead)
        return self.settle() > 0 or changed

    def problems(self) -> list[Problem]:
        """All problems."""
        return self.engine.problems()

    # -- the databases -------------------------------------------------------------------------

    def write(self, *operations: Operation) -> None:
        """Commit operations on one database."""
        result = self.databases[operations[0].table.DATABASE].transact(operations)
        assert result == Committed(), result

    def find(self, kind: type[Row], **columns: object) -> dict[str, Any]:
        """The only row with these column values."""
        rows = self.all(kind, **columns)
        assert len(rows) == 1, f"{kind.TABLE} {columns}: {rows}"
        return rows[0]

    def all(self, kind: type[Row], **columns: object) -> list[dict[str, Any]]:
        """All rows with these column values."""
        rows = self.databases[kind.DATABASE].rows(kind)
        return [row for row in rows if all(row[c] == v for c, v in columns.items())]

    def uuid(self, kind: type[Row], **columns: object) -> RowId:
        """The UUID of the only row with these column values."""
        return RowId(self.find(kind, **columns)["_uuid"])

    def update(self, kind: type[Row], uuid: RowId, **columns: Any) -> None:
        """Change columns of a row."""
        self.write(Update(kind, uuid, columns))

    # -- what operators, kube-ovn and ovn-controller write ----------------------------------------

    @property
    def router(self) -> RowId:
        """The UUID of the first router `ovn-cluster`."""
        return RowId(self.all(LogicalRouter, name="ovn-cluster")[0]["_uuid"])

    def set_options(self, **options: str) -> None:
        """Set NB_Global options; underscores stand for hyphens."""
        named = {key.replace("_", "-"): value for key, value in options.items()}
        self.write(set_keys(NbGlobal, self.uuid(NbGlobal), "options", named))

    def rename(self, name: str) -> None:
        """Change the zone's name."""
        self.update(NbGlobal, self.uuid(NbGlobal), name=name)
        self.name = name

    def add_chassis(
        self, name: str, ip: str, *, hostname: str | None = None, interconn: bool = True
    ) -> None:
        """Register a chassis, as ovn-controller does.

        Args:
            name: of the chassis.
            ip: of its tunnels.
            hostname: the chassis name if None.
            interconn: whether it is a gateway.
        """
        encap = NewRef()
        row: dict[str, Value] = {
            "name": name,
            "hostname": hostname or name,
            "encaps": (encap,),
            "other_config": {"is-interconn": "true"} if interconn else {},
        }
        tunnel = {"type": "geneve", "ip": ip, "chassis_name": name}
        self.write(Insert(SbEncap, tunnel, encap), Insert(Chassis, row))

    def adopt(self, column: str, kind: type[Row], **row: Any) -> None:
        """Add a child row to the router."""
        ref = NewRef()
        joined = Mutate(LogicalRouter, self.router, ((column, "insert", frozenset({ref})),))
        self.write(Insert(kind, row, ref), joined)

    def add_router_port(self, name: str, *networks: str) -> RowId:
        """Add a router port with a Subnet's gateway addresses."""
        mac = "0a:00:00:00:00:01"
        self.adopt("ports", LogicalRouterPort, name=name, mac=mac, networks=frozenset(networks))
        return self.uuid(LogicalRouterPort, name=name)

    def drop_router_port(self, name: str) -> None:
        """Remove a router port."""
        gone = frozenset({Ref(self.uuid(LogicalRouterPort, name=name))})
        self.write(Mutate(LogicalRouter, self.router, (("ports", "delete", gone),)))

    def add_route(self, prefix: str, nexthop: str, **columns: Any) -> None:
        """Add a static route to the router."""
        row = {"ip_prefix": prefix, "nexthop": nexthop, **columns}
        self.adopt("static_routes", LogicalRouterStaticRoute, **row)

    def drop_route(self, prefix: str, **columns: object) -> None:
        """Remove the static routes with this prefix, and these column values, from the router."""
        rows = self.all(LogicalRouterStaticRoute, **columns)
        routes = [row for row in rows if canonical(row["ip_prefix"]) == canonical(prefix)]
        gone = frozenset(Ref(RowId(row["_uuid"])) for row in routes)
        self.write(Mutate(LogicalRouter, self.router, (("static_routes", "delete", gone),)))

    def attach_router(self, ts: str, *networks: str, chassis: str = "") -> None:
        """Connect the router to the local copy of a transit switch."""
        lsp, lrp, gateway = NewRef(), NewRef(), NewRef()
        port: dict[str, Value] = {
            "name": f"{self.name}-{ts}",
            "mac": "0a:00:00:00:01:01",
            "networks": frozenset(networks),
        }
        operations: list[Operation] = []
        if chassis:
            port["gateway_chassis"] = (gateway,)
            name = f"{self.name}-{ts}-{chassis}"
            row: dict[str, Value] = {"name": name, "chassis_name": chassis, "priority": 9}
            operations.append(Insert(GatewayChassis, row, gateway))
        switch = next(
            RowId(row["_uuid"])
            for row in self.all(LogicalSwitch)
            if row["other_config"].get("interconn-ts") == ts
        )
        self.write(
            *operations,
            Insert(LogicalRouterPort, port, lrp),
            Mutate(LogicalRouter, self.router, (("ports", "insert", frozenset({lrp})),)),
            Insert(
                LogicalSwitchPort,
                {
                    "name": f"{ts}-{self.name}",
                    "type": "router",
                    "addresses": frozenset({"router"}),
                    "options": {"router-port": f"{self.name}-{ts}"},
                },
                lsp,
            ),
            Mutate(LogicalSwitch, switch, (("ports", "insert", frozenset({lsp})),)),
        )

    def attach(self, ts: str, address: str) -> None:
        """Connect the router to a transit switch through one gateway."""
        chassis = f"{self.name}-gw"
        if not self.all(Chassis, name=chassis):
            self.add_chassis(chassis, f"192.0.2.{len(self.name) + int(address.split('.')[3][:1])}")
        self.attach_router(ts, address, chassis=chassis)

    def learned(self) -> dict[str, set[str]]:
        """The router's learned prefixes, in canonical form, and their next hops."""
        held = self.find(LogicalRouter, name="ovn-cluster")["static_routes"]
        found: dict[str, set[str]] = {}
        for row in self.all(LogicalRouterStaticRoute):
            if row["_uuid"] in held and "ic-learned-route" in row["external_ids"]:
                found.setdefault(canonical(row["ip_prefix"]), set()).add(row["nexthop"])
        return found
