"""Random histories of two zones: incremental equals recompute, zones keep to their own rows, and no
route is removed before its successor comes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from itertools import chain

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from isthmus.engine.transactions import Result, Transaction
from isthmus.exchange.routes.advertise import key_of
from isthmus.model.import_policy import ImportRules
from isthmus.model.indexes import IC_ROUTES_BY_OFFER
from isthmus.model.operations import Delete, Insert, Mutate, NewRef, Ref, Update, set_keys
from isthmus.model.prefixes import Network, canonical, is_default, is_inside
from isthmus.model.route_rules import RouteLimits, RouteRules, ZoneRule
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    IcNbGlobal,
    IcRoute,
    LoadBalancer,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    LogicalSwitch,
    LogicalSwitchPort,
    RowId,
    SbDatapathBinding,
    SbLearnedRoute,
    SbServiceMonitor,
    TransitSwitch,
)
from support.fakes.fleet import Fleet
from support.fakes.ownership import trespass
from support.fakes.zone import Zone

PREFIXES = ["10.1.0.0/16", "10.2.0.0/16", "10.1.5.0/24", "0.0.0.0/0", "169.254.3.0/24", "fd00::/64"]
OPTIONS = ["ic_route_adv", "ic_route_learn", "ic_route_adv_default", "ic_route_learn_default"]
TS = ["ts", "ts1"]


def _add_subnet(zone: Zone, value: int) -> None:
    name = f"net{value}"
    if not zone.all(LogicalRouterPort, name=name):
        zone.add_router_port(name, PREFIXES[value].replace(".0/", ".1/").replace("::/", "::1/"))


def _drop_subnet(zone: Zone, value: int) -> None:
    if zone.all(LogicalRouterPort, name=f"net{value}"):
        zone.drop_router_port(f"net{value}")


def _add_route(zone: Zone, value: int) -> None:
    zone.add_route(PREFIXES[value], "fd00::9" if ":" in PREFIXES[value] else "10.1.0.9")


def _drop_route(zone: Zone, value: int) -> None:
    zone.drop_route(PREFIXES[value], external_ids={})


def _option(zone: Zone, value: int) -> None:
    zone.set_options(**{OPTIONS[value % 4]: "true" if value < 3 else "false"})


def _denylist(zone: Zone, value: int) -> None:
    zone.set_options(ic_route_denylist=PREFIXES[value] if value % 2 else "")


def _attach(zone: Zone, value: int) -> None:
    ts = TS[value % 2]
    here = any(r["other_config"].get("interconn-ts") == ts for r in zone.all(LogicalSwitch))
    if here and not zone.all(LogicalSwitchPort, name=f"{ts}-{zone.name}"):
        number = 1 + len(zone.name) % 7
        if zone.all(LogicalRouterPort, name=f"{zone.name}-{ts}"):
            zone.drop_router_port(f"{zone.name}-{ts}")  # left behind by a switch that was deleted
        zone.attach_router(ts, f"169.254.{100 + value % 2}.{number}/24", chassis=f"gw-{number}")


def _readdress(zone: Zone, value: int) -> None:
    for row in zone.all(LogicalRouterPort, name=f"{zone.name}-{TS[value % 2]}"):
        networks = frozenset({f"169.254.{100 + value % 2}.{10 * len(zone.name) + value}/24"})
        zone.write(Update(LogicalRouterPort, RowId(row["_uuid"]), {"networks": networks}))


def _chassis(zone: Zone, value: int) -> None:
    number = 1 + len(zone.name) % 7
    have = zone.all(Chassis, name=f"gw-{number}", hostname=f"gw-{number}")
    if not have:
        zone.add_chassis(f"gw-{number}", f"192.0.2.{number}")
    elif not have[0]["other_config"].get("is-remote"):
        config = {"is-interconn": "true"} if value % 2 else {}
        uuid = RowId(have[0]["_uuid"])
        zone.write(Update(Chassis, uuid, {"other_config": config}))


def _ts(zone: Zone, value: int) -> None:
    have = zone.all(TransitSwitch, name=TS[value % 2])
    if have and value > 2:
        zone.write(Delete(TransitSwitch, RowId(have[0]["_uuid"])))
    elif not have:
        zone.write(Insert(TransitSwitch, {"name": TS[value % 2]}))


def _rename(zone: Zone, value: int) -> None:
    # Names of different lengths per cluster, so that the zones never clash.
    zone.rename(["", "a" * len(zone.cluster), "b" * len(zone.cluster)][value % 3])


def _restart(zone: Zone, value: int) -> None:
    zone.start()


def _load_balancer(zone: Zone, value: int) -> None:
    have = zone.all(LoadBalancer, name="lb")
    vips = {"vips": dict.fromkeys(["10.1.5.5:80", "[fd00::5]:80", "10.2.9.9"][: value % 4], "")}
    if have:
        zone.write(Update(LoadBalancer, RowId(have[0]["_uuid"]), vips))
        return
    ref = NewRef()
    held = ("load_balancer", "insert", frozenset({ref}))
    zone.write(
        Insert(LoadBalancer, {"name": "lb", **vips}, ref),
        Mutate(LogicalRouter, zone.router, (held,)),  # type: ignore[arg-type]
    )
    zone.set_options(ic_route_adv_lb="true", ic_route_learn_lb="true")


def _router(zone: Zone, value: int) -> None:
    zone.write(Update(LogicalRouter, zone.router, {"enabled": value < 3}))


def _filter(zone: Zone, value: int) -> None:
    key = ["ic-route-filter-learn", "ic-route-deny-adv", "ic-route-filter-adv"][value % 3]
    entry = {key: PREFIXES[value] if value < 4 else ""}
    zone.write(set_keys(LogicalRouter, zone.router, "options", entry))


def _taught(zone: Zone, value: int) -> None:
    ids = {"logical-router": str(zone.router)}
    if not zone.all(SbDatapathBinding, external_ids=ids):
        zone.write(Insert(SbDatapathBinding, {"external_ids": ids}))
    have = zone.all(SbLearnedRoute, ip_prefix=PREFIXES[value])
    if have:
        zone.write(Delete(SbLearnedRoute, RowId(have[0]["_uuid"])))
        return
    datapath = Ref(zone.uuid(SbDatapathBinding, external_ids=ids))
    row = {"datapath": datapath, "ip_prefix": PREFIXES[value], "nexthop": "10.1.0.7"}
    zone.write(Insert(SbLearnedRoute, row))  # type: ignore[arg-type]


def _sequence(zone: Zone, value: int) -> None:
    for row in zone.all(IcNbGlobal):
        options = {"vxlan_mode": "true" if value % 2 else "false"}
        columns = {"nb_ic_cfg": value, "options": options}
        zone.write(Update(IcNbGlobal, RowId(row["_uuid"]), columns))  # type: ignore[arg-type]


def _monitor(zone: Zone, value: int) -> None:
    port = f"vm{value % 2}"
    have = zone.all(SbServiceMonitor, logical_port=port, ic_learned=False)
    taken = zone.all(SbServiceMonitor, logical_port=port, ic_learned=True)
    if have:
        zone.write(Delete(SbServiceMonitor, RowId(have[0]["_uuid"])))
    elif not taken:
        target = {"az-name": "yy" if zone.cluster == "x" else "x"}
        row = {"logical_port": port, "ip": "10.9.9.9", "remote": True, "options": target}
        zone.write(Insert(SbServiceMonitor, row))  # type: ignore[arg-type]


RULES = [
    ZoneRule(),
    ZoneRule(most=1),
    ZoneRule((ip_network("10.0.0.0/14"),), 2),
    ZoneRule(default_route=True),
    ZoneRule((ip_network("10.1.0.0/16"), ip_network("fd00::/64")), None, default_route=True),
    ZoneRule(most=0),
]


def _local(zone: Zone, value: int) -> None:
    local = {f"Subnet s{i}": (ip_network(PREFIXES[i]),) for i in range(6) if value >> i & 1}
    node = {"Node n": (ip_network("10.2.0.7"),)} if value % 3 else {}
    assert isinstance(zone, AuditedZone)
    routers = {"ovn-cluster": local | node, "other": local}
    zone.set_rules(ImportRules(routers, zone.rules.rules))


def _rules(zone: Zone, value: int) -> None:
    assert isinstance(zone, AuditedZone)
    other = "y" * (3 - len(zone.name))
    advertise = (ip_network("10.1.0.0/16"), ip_network("::/0")) if value == 4 else None
    zones = {other: RULES[value]} if value % 2 else {}
    limits = zone.rules.rules.limits
    rules = RouteRules({**zones, "a": RULES[1]}, RULES[value // 2], advertise, limits)
    zone.set_rules(ImportRules(zone.rules.local, rules))


def _limits(zone: Zone, value: int) -> None:
    assert isinstance(zone, AuditedZone)
    limits = RouteLimits(zone=value, all=[1, 3, 8][value % 3]) if value else RouteLimits()
    zone.set_rules(ImportRules(zone.rules.local, replace(zone.rules.rules, limits=limits)))


def _router_name(zone: Zone, value: int) -> None:
    row = zone.uuid(LogicalRouter)
    zone.write(Update(LogicalRouter, row, {"name": "ovn-cluster" if value % 2 else "other"}))


STEPS: list[Callable[[Zone, int], None]] = [
    _add_subnet, _drop_subnet, _add_route, _drop_route, _option, _denylist,
    _attach, _attach, _readdress, _readdress, _chassis, _ts, _ts, _rename, _restart,
    _load_balancer, _router, _filter, _taught, _sequence, _monitor,
    _local, _local, _rules, _rules, _limits, _router_name,
]  # fmt: skip
HISTORY = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(STEPS), st.integers(0, 5), st.booleans()),
    max_size=25,
)


def removed_rows(transaction: Transaction) -> set[RowId]:
    """The routes that a transaction deletes."""
    gone = {o.uuid for o in transaction.operations if isinstance(o, Delete) and o.table is IcRoute}
    for operation in transaction.operations:
        if isinstance(operation, Mutate) and operation.table is LogicalRouter:
            for column, mutator, refs in operation.mutations:
                if (column, mutator) == ("static_routes", "delete") and isinstance(refs, frozenset):
                    gone |= {ref.uuid for ref in refs if isinstance(ref, Ref)}
    return gone


def inserted_routes(transaction: Transaction) -> set[tuple[object, ...]]:
    """What the routes that a transaction inserts lead to: prefix and table, or the offer."""
    made: set[tuple[object, ...]] = set()
    for operation in transaction.operations:
        if isinstance(operation, Insert) and "ip_prefix" in operation.row:
            row = operation.row
            prefix, table = canonical(str(row["ip_prefix"])), row["route_table"]
            if operation.table is IcRoute:
                made.add((row["transit_switch"], table, prefix))
            else:
                made.add((prefix, table))
    return made


class AuditedZone(Zone):
    """A zone whose transactions are checked for rows of other zones, and for gaps in routes.

    Attributes:
        rules: the last rules, which a restarted engine gets, too.
    """

    rules = ImportRules()

    def start(self, *, policy_follows: bool = False, settle: float = 0.0) -> None:
        """Start an engine from nothing, with the rules that the last one had."""
        super().start(policy_follows=policy_follows, settle=settle)
        if self.rules != ImportRules():
            self.exchange.routes.policy.set_rules(self.rules)

    def set_rules(self, values: ImportRules) -> None:
        """Set the rules of the import policy."""
        self.rules = values
        self.exchange.routes.policy.set_rules(values)

    @property
    def router(self) -> RowId:
        """The UUID of the only router, whatever its name."""
        return self.uuid(LogicalRouter)

    def plan(self) -> list[Transaction]:
        """Check that no route is removed to what is still wanted, unless another one comes."""
        planned = super().plan()
        routes = self.exchange.routes
        for transaction in planned:
            gone, made = removed_rows(transaction), inserted_routes(transaction)
            for destination, rows in routes.static_routes.learned.items():
                if rows.keys() <= gone and destination[1:] not in made:
                    assert not routes.groups.admitted(destination)
            for uuid in gone:
                route = self.engine.view.get(IcRoute, uuid)
                if route is not None and key_of(route).offer not in made:
                    key = (route.availability_zone, *key_of(route).offer)
                    left = {row.uuid for row in self.engine.view.all(IC_ROUTES_BY_OFFER, key)}
                    assert left - gone or key_of(route).offer not in routes.advertised.wanted
        return planned

    def commit(self, transaction: Transaction) -> Result:
        """Check, then commit."""
        ic_sb = self.databases[Database.IC_SB]
        if transaction.database in {Database.IC_NB, Database.IC_SB}:
            own = self.exchange.routes.zone.current
            old = {r["name"]: RowId(r["_uuid"]) for r in self.all(AvailabilityZone)}
            mine = {own.uuid if own else None, *(old.get(n) for n in self.names)}
            for operation in transaction.operations:
                verdicts = [trespass(operation, zone, ic_sb) for zone in mine]
                assert None in verdicts, verdicts
        return super().commit(transaction)

    @property
    def names(self) -> list[str]:
        """All names that this cluster may ever have."""
        return [self.cluster, "a" * len(self.cluster), "b" * len(self.cluster)]


def build() -> Fleet:
    """Two attached zones with one subnet each."""
    fleet = Fleet()
    for name in ("x", "yy"):
        fleet.zones.append(AuditedZone(name, fleet.ic_nb, fleet.ic_sb))
    fleet.add_ts("ts")
    fleet.settle()
    for number, zone in enumerate(fleet.zones, start=1):
        _chassis(zone, 1)
        _attach(zone, 0)
        zone.add_router_port("first", f"10.20{number}.0.1/24")
    fleet.settle()
    return fleet


@given(HISTORY)
@example([(0, _chassis, 0, True), (0, _rename, 1, False)])  # a problem names the zone
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_incremental_equals_recompute(
    history: list[tuple[int, Callable[[Zone, int], None], int, bool]],
) -> None:
    """After any history, engines restarted on the same databases find nothing to do."""
    fleet = build()
    for number, step, value, settle in history:
        step(fleet.zones[number], value)
        if settle:
            fleet.settle()
    fleet.settle()
    before = [len(zone.databases[d].committed) for zone in fleet.zones for d in Database]
    for zone in fleet.zones:
        learned, attached = (
            dict(zone.exchange.routes.learned.wanted),
            dict(zone.exchange.routes.attachments.by_port),
        )
        problems = zone.engine.problems()
        check_policy(zone)
        zone.start()
        zone.settle()
        assert zone.engine.problems() == problems
        assert zone.exchange.routes.learned.wanted == learned
        assert zone.exchange.routes.attachments.by_port == attached
    fleet.settle()
    assert [len(z.databases[d].committed) for z in fleet.zones for d in Database] == before


def check_policy(zone: Zone) -> None:
    """No learned route overlaps a local prefix or exceeds what the rules accept."""
    policy = zone.exchange.routes.policy
    if not policy.active or zone.exchange.routes.zone.current is None:
        return  # a zone that has left removes nothing by itself
    by_zone: dict[str, set[Network]] = {}
    limits, sources = policy.current.rules.limits, list[RowId]()
    for key, rows in zone.exchange.routes.static_routes.learned.items():
        prefix = ip_network(key.ip_prefix)
        local = policy.current.local.get(policy.router_name(key.router), {}).values()
        for own in chain.from_iterable(local):
            assert is_default(prefix) or not own.overlaps(prefix)
        for uuid in rows:
            source = zone.engine.view.table(LogicalRouterStaticRoute).rows[uuid]
            route = zone.engine.view.table(IcRoute).get(
                RowId(source.external_ids["ic-learned-route"])
            )
            assert route is not None
            by_zone.setdefault(policy.zone_of(route), set()).add(prefix)
            sources.append(route.availability_zone)
            rule = policy.rule_of(route)
            allowed = rule.prefixes is None or any(is_inside(prefix, p) for p in rule.prefixes)
            assert allowed or (is_default(prefix) and rule.default_route)
    for name, prefixes in by_zone.items():
        most = policy.current.rules.of_zone(name).most
        assert most is None or len(prefixes) <= most
    assert len(sources) <= limits.all
    assert all(number <= limits.zone for number in Counter(sources).values())
