"""The fake OVSDB against the real ovsdb-server: the same histories have the same results."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.engine.transactions import Committed
from isthmus.model.operations import (
    Delete,
    Insert,
    Mutate,
    NewRef,
    Operation,
    Ref,
    Update,
    Value,
    Wait,
    drop_keys,
    set_keys,
)
from isthmus.model.rows import (
    ROW_TYPES,
    AvailabilityZone,
    Chassis,
    Database,
    Gateway,
    GatewayChassis,
    IcEncap,
    IcRoute,
    LoadBalancer,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    NbGlobal,
    Row,
    SbDatapathBinding,
    SbEncap,
    SbPortBinding,
)
from support.fakes.schemas import INDEXES, ROOTS, STRONG, WEAK
from support.fakes.worlds import FakeWorld, RealWorld, World, outcome
from support.ovn.servers import FILES, SCHEMAS, Servers

pytestmark = pytest.mark.ovn

Make = Callable[[World], list[Operation]]
"""Makes operations for a world, with UUIDs from that world."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Real servers for three of the databases."""
    servers = Servers(tmp_path_factory.mktemp("contract"))
    try:
        servers.serve(Database.NB, Database.SB, Database.IC_SB)
        yield servers
    finally:
        servers.stop_all()


@pytest.fixture(scope="module")
def real(servers: Servers) -> Iterator[dict[Database, RealWorld]]:
    """A session to each of them."""
    databases = (Database.NB, Database.SB, Database.IC_SB)
    worlds = {database: RealWorld(database, servers.socket(database)) for database in databases}
    yield worlds
    for world in worlds.values():
        world.session.close()


def both(real: dict[Database, RealWorld], database: Database) -> tuple[FakeWorld, RealWorld]:
    """Two empty worlds."""
    real[database].clear()
    return FakeWorld(database), real[database]


def step(worlds: tuple[World, World], make: Make) -> str:
    """Run a transaction in both worlds, check that outcome and contents are equal, return the
    outcome."""
    outcomes = [outcome(world.transact(make(world))) for world in worlds]
    fake, real = worlds
    assert outcomes[0] == outcomes[1]
    assert fake.dump() == real.dump()
    return outcomes[0]


# -- small transactions ------------------------------------------------------------------------


def insert(kind: type[Row], tag: str, ref: NewRef | None = None, **row: Value) -> Operation:
    """Insert a row with a tag."""
    return Insert(kind, {**row, "external_ids": {"tag": tag}}, ref)


def adopt(world: World, router: str, column: str, *children: Value) -> Operation:
    """Add children to a router."""
    mutation: Any = (column, "insert", tuple(children))
    return Mutate(LogicalRouter, world.find(LogicalRouter, router), (mutation,))


def abandon(world: World, router: str, route: str) -> Operation:
    """Remove a static route from a router."""
    gone = frozenset({Ref(world.find(LogicalRouterStaticRoute, route))})
    uuid = world.find(LogicalRouter, router)
    return Mutate(LogicalRouter, uuid, (("static_routes", "delete", gone),))


def router(tag: str) -> Make:
    """Add a router."""
    return lambda _world: [insert(LogicalRouter, tag, name=tag)]


def route(parent: str, tag: str) -> Make:
    """Add a static route to a router."""

    def make(world: World) -> list[Operation]:
        ref = NewRef()
        new = insert(LogicalRouterStaticRoute, tag, ref, ip_prefix=tag, nexthop="h")
        return [new, adopt(world, parent, "static_routes", ref)]

    return make


def delete(kind: type[Row], tag: str) -> Make:
    """Delete a row."""
    return lambda world: [Delete(kind, world.find(kind, tag))]


# -- histories written by hand -----------------------------------------------------------------


def test_rows_and_references(real: dict[Database, RealWorld]) -> None:
    """Rows can refer to rows of the same transaction, and vanish with the last reference."""
    worlds = both(real, Database.NB)

    def nested(world: World) -> list[Operation]:
        port, gateway = NewRef(), NewRef()
        networks = frozenset({"10.0.0.1/24", "fd00::1/64"})
        return [
            insert(GatewayChassis, "g", gateway, name="g", chassis_name="c", priority=7),
            insert(
                LogicalRouterPort, "p", port,
                name="p", mac="0a:00:00:00:00:01", networks=networks, gateway_chassis=(gateway,),
            ),
            adopt(world, "r", "ports", port),
        ]  # fmt: skip

    assert step(worlds, router("r")) == "Committed"
    assert step(worlds, route("r", "10.1.0.0/16")) == "Committed"
    assert step(worlds, nested) == "Committed"
    assert step(worlds, delete(LogicalRouter, "r")) == "Committed"
    assert worlds[0].dump() == {}


def test_an_unreferenced_row_is_not_stored(real: dict[Database, RealWorld]) -> None:
    """A row of a non-root table that is inserted without a reference is not stored."""
    worlds = both(real, Database.NB)
    orphan = [insert(LogicalRouterStaticRoute, "10.0.0.0/8", ip_prefix="10.0.0.0/8")]
    assert step(worlds, lambda _world: orphan) == "Committed"
    assert worlds[0].dump() == {}


def test_a_child_moves_and_a_shared_child_stays(real: dict[Database, RealWorld]) -> None:
    """A route that moves to another router stays, as does one with two routers."""
    worlds = both(real, Database.NB)
    for make in (router("one"), router("two"), route("one", "10.0.0.0/8")):
        step(worlds, make)

    def share(world: World) -> list[Operation]:
        child = Ref(world.find(LogicalRouterStaticRoute, "10.0.0.0/8"))
        return [adopt(world, "two", "static_routes", child)]

    step(worlds, lambda world: [*share(world), abandon(world, "one", "10.0.0.0/8")])
    assert len(worlds[0].dump()) == 3
    step(worlds, lambda world: [abandon(world, "two", "10.0.0.0/8")])
    assert len(worlds[0].dump()) == 2


def test_maps(real: dict[Database, RealWorld]) -> None:
    """Inserting keeps the value of an existing key, set_keys replaces it, and other keys stay."""
    worlds = both(real, Database.NB)
    step(worlds, lambda _w: [Insert(NbGlobal, {"options": {"a": "1", "b": "2"}})])

    def on_options(make: Callable[[Any], Operation]) -> dict[str, str]:
        step(worlds, lambda world: [make(next(iter(world.view.table(NbGlobal))).uuid)])
        return dict(next(iter(worlds[0].view.table(NbGlobal))).options)

    keep: Any = (("options", "insert", {"a": "9", "c": "3"}),)
    assert on_options(lambda u: Mutate(NbGlobal, u, keep)) == {"a": "1", "b": "2", "c": "3"}
    replaced = on_options(lambda u: set_keys(NbGlobal, u, "options", {"a": "9", "d": ""}))
    assert replaced == {"a": "9", "b": "2", "c": "3", "d": ""}
    dropped = on_options(lambda u: drop_keys(NbGlobal, u, "options", frozenset({"b", "x"})))
    assert dropped == {"a": "9", "c": "3", "d": ""}
    assert on_options(lambda u: Update(NbGlobal, u, {"options": {"z": "1"}})) == {"z": "1"}


def test_optional_values_and_sets(real: dict[Database, RealWorld]) -> None:
    """An optional column is set and cleared; a set grows, shrinks and is replaced."""
    worlds = both(real, Database.NB)
    step(worlds, router("r"))
    values: tuple[Value, ...] = (True, False, frozenset())
    for enabled in values:

        def enable(world: World, value: Value = enabled) -> list[Operation]:
            return [Update(LogicalRouter, world.find(LogicalRouter, "r"), {"enabled": value})]

        step(worlds, enable)
    assert worlds[0].dump()["Logical_Router", "r"]["enabled"] is None


def test_waiting_compares_and_sets(real: dict[Database, RealWorld]) -> None:
    """A Wait that does not match, or whose row is gone, aborts the transaction with "try again"."""
    worlds = both(real, Database.NB)
    step(worlds, router("r"))

    def change(tag: str, expected: str) -> Make:
        def make(world: World) -> list[Operation]:
            uuid = world.find(LogicalRouter, tag)
            wait = Wait(LogicalRouter, uuid, {"name": expected})
            return [
                insert(LogicalRouter, "new", name="n"),
                wait,
                Update(LogicalRouter, uuid, {"name": "x"}),
            ]

        return make

    assert step(worlds, change("r", "wrong")) == "TryAgain"
    assert step(worlds, change("missing", "r")) == "TryAgain"
    assert len(worlds[0].dump()) == 1
    assert step(worlds, change("r", "r")) == "Committed"
    assert worlds[0].dump()["Logical_Router", "r"]["name"] == "x"


def test_unique_indexes(real: dict[Database, RealWorld]) -> None:
    """A second row with the same key is refused unless the same transaction deletes the first."""
    worlds = both(real, Database.IC_SB)

    def again(world: World) -> list[Operation]:
        return [*add(world), Delete(AvailabilityZone, world.find(AvailabilityZone, "az"))]

    def add(_world: World) -> list[Operation]:
        return [Insert(AvailabilityZone, {"name": "az"})]

    assert step(worlds, add) == "Committed"
    assert step(worlds, add) == "constraint violation"
    assert step(worlds, again) == "Committed"
    assert step(worlds, lambda w: [*add(w), *add(w)]) == "constraint violation"


def test_a_global_table_has_one_row(real: dict[Database, RealWorld]) -> None:
    """A second row of NB_Global is refused."""
    worlds = both(real, Database.NB)
    assert step(worlds, lambda _w: [Insert(NbGlobal, {})]) == "Committed"
    assert step(worlds, lambda _w: [Insert(NbGlobal, {})]) == "constraint violation"


def test_strong_references_need_their_target(real: dict[Database, RealWorld]) -> None:
    """A referenced row cannot be deleted, and a missing row cannot be referenced."""
    worlds = both(real, Database.IC_SB)

    def gateway(world: World) -> list[Operation]:
        encap = NewRef()
        zone = Ref(world.find(AvailabilityZone, "az"))
        row: Any = {"availability_zone": zone, "hostname": "h", "encaps": (encap,)}
        tunnel = {"type": "geneve", "ip": "192.0.2.1", "gateway_name": "g"}
        return [Insert(IcEncap, tunnel, encap), insert(Gateway, "g", name="g", **row)]

    assert step(worlds, gateway) == "referential integrity violation"
    step(worlds, lambda _w: [Insert(AvailabilityZone, {"name": "az"})])
    assert step(worlds, gateway) == "Committed"
    assert step(worlds, delete(AvailabilityZone, "az")) == "referential integrity violation"
    assert step(worlds, delete(IcEncap, "192.0.2.1")) == "referential integrity violation"
    assert step(worlds, delete(Gateway, "g")) == "Committed"
    assert step(worlds, delete(AvailabilityZone, "az")) == "Committed"
    assert worlds[0].dump() == {}


def test_weak_references_are_cleared(real: dict[Database, RealWorld], servers: Servers) -> None:
    """A port binding loses its chassis when that is deleted, without an explicit operation."""
    worlds = both(real, Database.SB)

    def chassis(_world: World) -> list[Operation]:
        encap = NewRef()
        tunnel = {"type": "geneve", "ip": "192.0.2.1", "chassis_name": "c"}
        return [
            Insert(SbEncap, tunnel, encap),
            Insert(Chassis, {"name": "c", "hostname": "h", "encaps": (encap,)}),
        ]

    step(worlds, chassis)
    # The real table also requires a datapath, in a column that reconcilers do not use.
    binding: dict[str, Value] = {"logical_port": "p", "type": "patch"}
    worlds[0].transact([Insert(SbPortBinding, binding), Insert(SbDatapathBinding, {})])
    servers.ctl(
        "ovn-sbctl", Database.SB, "--id=@d", "create", "Datapath_Binding", "tunnel_key=1", "--",
        "create", "Port_Binding", "logical_port=p", "type=patch", "datapath=@d", "tunnel_key=1",
    )  # fmt: skip

    def bind(world: World) -> list[Operation]:
        uuid = world.find(SbPortBinding, "p")
        return [Update(SbPortBinding, uuid, {"chassis": Ref(world.find(Chassis, "c"))})]

    worlds[1].transact([])
    assert step(worlds, bind) == "Committed"
    assert worlds[0].dump()["Port_Binding", "p"]["chassis"] == "c"
    assert step(worlds, delete(Chassis, "c")) == "Committed"
    assert worlds[0].dump()["Port_Binding", "p"]["chassis"] is None


def test_weak_references_leave_a_set(real: dict[Database, RealWorld]) -> None:
    """A set of weak references loses missing and deleted rows and keeps the others."""
    worlds = both(real, Database.NB)

    def balancers(world: World) -> list[Operation]:
        one, two = NewRef(), NewRef()
        missing = Ref(world.find(LoadBalancer, "missing"))
        return [
            Insert(LoadBalancer, {"name": "one"}, one),
            Insert(LoadBalancer, {"name": "two"}, two),
            insert(LogicalRouter, "r", name="r", load_balancer=(one, two, missing)),
        ]

    assert step(worlds, balancers) == "Committed"
    assert worlds[0].dump()["Logical_Router", "r"]["load_balancer"] == {"one", "two"}
    assert step(worlds, delete(LoadBalancer, "one")) == "Committed"
    assert worlds[0].dump()["Logical_Router", "r"]["load_balancer"] == {"two"}


def test_nothing_of_a_refused_transaction_stays(real: dict[Database, RealWorld]) -> None:
    """Operations before the one that failed are rolled back."""
    worlds = both(real, Database.NB)
    step(worlds, router("r"))
    dangling = lambda w: [  # noqa: E731 - one use
        insert(LogicalRouter, "new", name="new"),
        adopt(w, "r", "static_routes", Ref(w.find(LogicalRouterStaticRoute, "missing"))),
    ]
    assert step(worlds, dangling) == "referential integrity violation"
    assert len(worlds[0].dump()) == 1


# -- generated histories -----------------------------------------------------------------------

TAGS = st.sampled_from(["r0", "r1", "r2"])
ROUTES = st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "fd00::/8"])
SMALL_MAP = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2"]), max_size=3)


def _unless_there(kind: type[Row], tag: str, make: Make) -> Make:
    # Tags must stay unique so that the worlds can be compared.
    return lambda world: make(world) if world.claim(kind, tag) else []


def _options(tag: str, how: str, values: dict[str, str]) -> Make:
    def make(world: World) -> list[Operation]:
        uuid = world.find(LogicalRouter, tag)
        keys = frozenset(values)
        operations: dict[str, Operation] = {
            "update": Update(LogicalRouter, uuid, {"options": values}),
            "insert": Mutate(LogicalRouter, uuid, (("options", "insert", values),)),
            "set": set_keys(LogicalRouter, uuid, "options", values),
            "drop": drop_keys(LogicalRouter, uuid, "options", keys),
            "wait": Wait(LogicalRouter, uuid, {"options": values}),
        }
        return [operations[how]]

    return make


def _port(parent: str, name: str, number: int) -> Make:
    def make(world: World) -> list[Operation]:
        ref = NewRef()
        row: Any = {"name": name, "mac": "0a:00:00:00:00:01", "networks": frozenset({"10.0.0.1/8"})}
        return [
            insert(LogicalRouterPort, f"port{number}", ref, **row),
            adopt(world, parent, "ports", ref),
        ]

    return _unless_there(LogicalRouterPort, f"port{number}", make)


def _share(parent: str, tag: str) -> Make:
    return lambda world: [
        adopt(world, parent, "static_routes", Ref(world.find(LogicalRouterStaticRoute, tag)))
    ]


NB_STEP = st.one_of(
    st.builds(lambda tag: _unless_there(LogicalRouter, tag, router(tag)), TAGS),
    st.builds(
        lambda parent, tag: _unless_there(LogicalRouterStaticRoute, tag, route(parent, tag)),
        TAGS,
        ROUTES,
    ),
    st.builds(lambda parent, tag: lambda w: [abandon(w, parent, tag)], TAGS, ROUTES),
    st.builds(_share, TAGS, ROUTES),
    st.builds(delete, st.just(LogicalRouter), TAGS),
    st.builds(delete, st.just(LogicalRouterStaticRoute), ROUTES),
    st.builds(
        _options, TAGS, st.sampled_from(["update", "insert", "set", "drop", "wait"]), SMALL_MAP
    ),
    st.builds(_port, TAGS, st.sampled_from(["p", "q"]), st.integers(0, 3)),
)
NAMES = st.sampled_from(["az1", "az2", "az3"])


def _ic_route(zone: str, prefix: str, number: int) -> Make:
    def make(world: World) -> list[Operation]:
        row: Any = {
            "transit_switch": "ts",
            "availability_zone": Ref(world.find(AvailabilityZone, zone)),
            "ip_prefix": prefix,
            "nexthop": "192.0.2.1",
            "origin": "static",
        }
        return [insert(IcRoute, f"route{number}", **row)]

    return _unless_there(IcRoute, f"route{number}", make)


def _rename(old: str, new: str) -> Make:
    return lambda w: [Update(AvailabilityZone, w.find(AvailabilityZone, old), {"name": new})]


IC_STEP = st.one_of(
    st.builds(lambda name: lambda _w: [Insert(AvailabilityZone, {"name": name})], NAMES),
    st.builds(delete, st.just(AvailabilityZone), NAMES),
    st.builds(_rename, NAMES, NAMES),
    st.builds(_ic_route, NAMES, ROUTES, st.integers(0, 4)),
    st.builds(lambda n: delete(IcRoute, f"route{n}"), st.integers(0, 4)),
)


@pytest.mark.parametrize(("database", "steps"), [(Database.NB, NB_STEP), (Database.IC_SB, IC_STEP)])
def test_any_history(
    real: dict[Database, RealWorld], database: Database, steps: st.SearchStrategy[Make]
) -> None:
    """Random transactions of several operations have equal outcomes and contents."""

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.lists(steps, min_size=1, max_size=3), max_size=12))
    def run(history: list[list[Make]]) -> None:
        worlds = both(real, database)
        for makes in history:
            # The operations of a transaction are made before it runs, with the UUIDs of that
            # moment.
            step(worlds, lambda world, m=makes: [op for make in m for op in make(world)])  # type: ignore[misc]

    run()


# -- what the fake knows of the schemas --------------------------------------------------------


@pytest.mark.parametrize("kind", ROW_TYPES, ids=lambda kind: kind.__name__)
def test_the_fake_has_the_schemas_rules(kind: type[Row]) -> None:
    """Roots, unique indexes and references of the fake match the installed schema."""
    schema = json.loads((SCHEMAS / f"{FILES[kind.DATABASE]}.ovsschema").read_text())
    if kind.TABLE not in schema["tables"]:
        pytest.skip("the installed schema is older than the table")
    table = schema["tables"][kind.TABLE]
    known = {*kind.__dataclass_fields__, *kind.CHILDREN}
    others = {t.TABLE for t in ROW_TYPES if t.DATABASE is kind.DATABASE}
    assert table.get("isRoot", False) == (kind.TABLE in ROOTS)
    assert {tuple(index) for index in table.get("indexes", []) if known.issuperset(index)} == set(
        INDEXES.get((kind.DATABASE, kind.TABLE), ())
    )
    found: dict[str, dict[str, str]] = {"strong": {}, "weak": {}}
    for name, column in table["columns"].items():
        key = column["type"]["key"] if isinstance(column["type"], dict) else None
        if isinstance(key, dict) and name in known and key.get("refTable") in others:
            found[key.get("refType", "strong")][name] = key["refTable"]
    assert found["strong"] == STRONG.get((kind.DATABASE, kind.TABLE), {})
    assert found["weak"] == WEAK.get((kind.DATABASE, kind.TABLE), {})


def test_an_empty_transaction_is_committed(real: dict[Database, RealWorld]) -> None:
    """An empty transaction is committed."""
    assert step(both(real, Database.NB), lambda _w: []) == outcome(Committed())
