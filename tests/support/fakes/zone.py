"""One zone for tests of the exchange: databases, a minimal northd, and the engine."""

from collections.abc import Iterable
from typing import Any

from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.exchange.wiring import exchange
from isthmus.model.operations import (
    Delete,
    Insert,
    Mutate,
    NewRef,
    Operation,
    Ref,
    Update,
    Value,
    set_keys,
)
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
    SbPortBinding,
    TransitSwitch,
)
from support.fakes.ovsdb import FakeCluster, FakeDatabase, settle_all


class Fleet:
    """Some zones on one pair of IC databases."""

    def __init__(self, *names: str) -> None:
        self.zones: list[Zone] = []
        self.ic_nb, self.ic_sb = FakeDatabase(Database.IC_NB), FakeDatabase(Database.IC_SB)
        self.zones += [Zone(name, self.ic_nb, self.ic_sb) for name in names]

    def add_ts(self, name: str) -> None:
        """Create a transit switch."""
        self.ic_nb.transact([Insert(TransitSwitch, {"name": name})])

    def settle(self, limit: int = 100) -> None:
        """Let every zone's northd and engine work until nobody has anything to do."""
        settle_all(self.zones, limit)


class Zone(FakeCluster):
    """A cluster of which the router `r` is to be connected."""

    def __init__(self, name: str, ic_nb: FakeDatabase, ic_sb: FakeDatabase) -> None:
        super().__init__(ic_nb, ic_sb)
        self.cluster = self.name = name
        self.nb, self.sb = self.databases[Database.NB], self.databases[Database.SB]
        on = {"ic-route-adv": "true", "ic-route-learn": "true"}
        self.write(Database.NB, Insert(NbGlobal, {"name": name, "options": on}))
        self.write(Database.NB, Insert(LogicalRouter, {"name": "r"}))
        self.start()

    def start(self, *, guarded: bool = False, alone: bool = False, settle: float = 0.0) -> None:
        """Start an engine from nothing, as a restarted daemon does."""
        view = View()
        self.exchange = exchange(view, guarded=guarded, alone=alone, settle=settle)
        self.attach(Engine(view, self.exchange.reconcilers))
        self.feed()
        self.engine.recompute("start")

    def work(self) -> bool:
        """One round of northd and engine; whether anything was done."""
        changed = northd(self.nb, self.sb)
        return self.settle() > 0 or changed

    # -- what people and kube-ovn do -----------------------------------------------------------

    def write(self, database: Database, *operations: Operation) -> None:
        """Commit operations."""
        result = self.databases[database].transact(operations)
        assert type(result).__name__ == "Committed", result

    def find(self, kind: type[Row], **columns: object) -> dict[str, object]:
        """The only row with these column values."""
        rows = self.all(kind, **columns)
        assert len(rows) == 1, f"{kind.TABLE} {columns}: {rows}"
        return rows[0]

    def all(self, kind: type[Row], **columns: object) -> list[dict[str, object]]:
        """All rows with these column values."""
        rows = self.databases[kind.DATABASE].rows(kind)
        return [row for row in rows if all(row[c] == v for c, v in columns.items())]

    def uuid(self, kind: type[Row], **columns: object) -> RowId:
        """The UUID of the only row with these column values."""
        return RowId(str(self.find(kind, **columns)["_uuid"]))

    @property
    def router(self) -> RowId:
        """The UUID of router `r`."""
        return self.uuid(LogicalRouter, name="r")

    def set_options(self, **options: str) -> None:
        """Set NB_Global options; underscores stand for hyphens."""
        named = {key.replace("_", "-"): value for key, value in options.items()}
        self.write(Database.NB, set_keys(NbGlobal, self.uuid(NbGlobal), "options", named))

    def rename(self, name: str) -> None:
        """Change the zone's name."""
        self.write(Database.NB, Update(NbGlobal, self.uuid(NbGlobal), {"name": name}))
        self.name = name

    def add_chassis(self, name: str, ip: str, *, interconn: bool = True) -> None:
        """Register a chassis, as ovn-controller does."""
        encap = NewRef()
        config = {"is-interconn": "true"} if interconn else {}
        self.write(
            Database.SB,
            Insert(SbEncap, {"type": "geneve", "ip": ip, "chassis_name": name}, encap),
            Insert(
                Chassis,
                {"name": name, "hostname": name, "encaps": (encap,), "other_config": config},
            ),
        )

    def add_subnet(self, name: str, *networks: str) -> RowId:
        """Add a router port with a subnet's gateway addresses."""
        ref = NewRef()
        row: dict[str, Value] = {
            "name": name,
            "mac": "0a:00:00:00:00:01",
            "networks": frozenset(networks),
        }
        self.write(
            Database.NB,
            Insert(LogicalRouterPort, row, ref),
            Mutate(LogicalRouter, self.router, (("ports", "insert", frozenset({ref})),)),
        )
        return self.uuid(LogicalRouterPort, name=name)

    def drop_subnet(self, name: str) -> None:
        """Remove a router port."""
        gone = frozenset({Ref(self.uuid(LogicalRouterPort, name=name))})
        self.write(Database.NB, Mutate(LogicalRouter, self.router, (("ports", "delete", gone),)))

    def add_route(self, prefix: str, nexthop: str, **columns: str) -> None:
        """Add a static route by hand."""
        ref = NewRef()
        self.write(
            Database.NB,
            Insert(
                LogicalRouterStaticRoute, {"ip_prefix": prefix, "nexthop": nexthop, **columns}, ref
            ),
            Mutate(LogicalRouter, self.router, (("static_routes", "insert", frozenset({ref})),)),
        )

    def drop_route(self, prefix: str) -> None:
        """Remove the static routes with this prefix that were added by hand."""
        rows = self.all(LogicalRouterStaticRoute, ip_prefix=prefix, external_ids={})
        gone = frozenset(Ref(RowId(str(row["_uuid"]))) for row in rows)
        self.write(
            Database.NB, Mutate(LogicalRouter, self.router, (("static_routes", "delete", gone),))
        )

    def attach_router(self, ts: str, *networks: str, chassis: str = "") -> None:
        """Connect router `r` to the local copy of a transit switch."""
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
            RowId(str(row["_uuid"]))
            for row in self.all(LogicalSwitch)
            if row["other_config"].get("interconn-ts") == ts  # type: ignore[attr-defined]
        )
        self.write(
            Database.NB,
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

    def join(self, ts: str, address: str) -> None:
        """Be an ordinary zone: one gateway, attached to one transit switch."""
        chassis = f"{self.name}-gw"
        if not self.all(Chassis, name=chassis):
            self.add_chassis(chassis, f"192.0.2.{len(self.name) + int(address.split('.')[3][:1])}")
        self.attach_router(ts, address, chassis=chassis)

    def learned(self) -> dict[str, set[str]]:
        """Learned prefixes of router `r` and their next hops."""
        held = self.find(LogicalRouter, name="r")["static_routes"]
        found: dict[str, set[str]] = {}
        for row in self.all(LogicalRouterStaticRoute):
            if row["_uuid"] in held and "ic-learned-route" in row["external_ids"]:  # type: ignore[operator]
                found.setdefault(str(row["ip_prefix"]), set()).add(str(row["nexthop"]))
        return found


def northd(nb: FakeDatabase, sb: FakeDatabase) -> bool:
    """Make SB's port bindings follow NB, as far as interconnection looks at them."""
    wanted = {row["logical_port"]: row for row in _bindings(nb, sb)}
    have = {row["logical_port"]: row for row in sb.rows(SbPortBinding)}
    operations: list[Operation] = [
        Delete(SbPortBinding, row["_uuid"]) for name, row in have.items() if name not in wanted
    ]
    for name, row in wanted.items():
        if name not in have:
            operations.append(Insert(SbPortBinding, row))
        elif any(have[name][column] != value for column, value in row.items()):
            operations.append(Update(SbPortBinding, have[name]["_uuid"], row))
    if operations:
        assert type(sb.transact(operations)).__name__ == "Committed"
    return bool(operations)


def _bindings(nb: FakeDatabase, sb: FakeDatabase) -> Iterable[dict[str, Any]]:
    chassis = {row["name"]: Ref(row["_uuid"]) for row in sb.rows(Chassis)}
    for lsp in nb.rows(LogicalSwitchPort):
        kind = {"router": "patch", "remote": "remote"}.get(lsp["type"], "")
        yield {"logical_port": lsp["name"], "type": kind}
    gateways = {row["_uuid"]: row for row in nb.rows(GatewayChassis)}
    for lrp in nb.rows(LogicalRouterPort):
        mac = " ".join([lrp["mac"], *sorted(lrp["networks"])])
        yield {"logical_port": lrp["name"], "type": "patch", "mac": frozenset({mac})}
        names = [gateways[uuid]["chassis_name"] for uuid in lrp["gateway_chassis"]]
        if names:
            live = next((chassis[name].uuid for name in names if name in chassis), None)
            yield {
                "logical_port": f"cr-{lrp['name']}",
                "type": "chassisredirect",
                "chassis": live,
            }
