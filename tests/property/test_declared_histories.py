"""Random histories of declared routes and rules: incremental equals recompute equals a restart."""

from collections.abc import Callable
from ipaddress import ip_network
from itertools import chain

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.model.operations import Delete, Insert, Mutate, Ref, Update
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcPortBinding,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    RowId,
    TransitSwitch,
)
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map, node, subnet

TS = {"ts": "169.254.100.0/24", "ts1": "169.254.101.0/24,fd00:101::/112"}
PREFIXES = ("10.77.0.0/16", "10.77.3.0/24", "fd00:77::/64", "10.1.0.0/16")
ZONES = ("a1", "b1", "other", "nobody")


def _declare(site: ControlledZone, value: int) -> None:
    routes = [
        {"prefix": prefix, "zone": ZONES[(value + number) % 4]}
        for number, prefix in enumerate(PREFIXES)
        if value >> number & 1 and ZONES[(value + number) % 4] != site.name
    ]
    if value > 8:
        routes += [{"prefix": PREFIXES[0], "zone": "other", "transit-switch": "ts1"}]
    site.join(
        auto_route="true" if value % 3 else "false",
        routes=yaml.safe_dump(routes),
        accept=yaml.safe_dump({"*": {"max": 2}}) if value % 4 == 1 else None,
    )


def _leave(site: ControlledZone, value: int) -> None:
    site.apply(config_map(enable_ic="false" if value % 2 else "True"))


def _subnet(site: ControlledZone, value: int) -> None:
    if value > 5 and subnet(f"s{value % 3}", "").key in site.manifests:
        site.delete(subnet(f"s{value % 3}", ""))
    else:
        site.apply(subnet(f"s{value % 3}", PREFIXES[value % 4], vpc="blue" if value == 1 else ""))


def _node(site: ControlledZone, value: int) -> None:
    site.apply(node("n", f"10.77.{value % 5}.1"))


def _by_hand(site: ControlledZone, value: int) -> None:
    prefix = PREFIXES[value % 2]
    rows = [r for r in site.all(LogicalRouterStaticRoute) if r["ip_prefix"] == prefix]
    if rows and value > 5:
        gone = frozenset({Ref(RowId(rows[0]["_uuid"]))})
        site.write(Mutate(LogicalRouter, site.router, (("static_routes", "delete", gone),)))
    elif rows and value > 3:
        columns: tuple[dict[str, object], ...] = (
            {"nexthop": "169.254.100.99"},
            {"route_table": "t"},
            {"external_ids": {}},
        )
        site.update(LogicalRouterStaticRoute, RowId(rows[0]["_uuid"]), **columns[value % 3])
    else:
        site.add_route(prefix, rows[0]["nexthop"] if rows else "169.254.100.98")


def _rename_zone(site: ControlledZone, value: int) -> None:
    # As another zone's change would look; its own engine names it back.
    rows = [row for row in site.all(AvailabilityZone) if row["name"] in {"a1", "b1"}]
    if rows and not site.all(AvailabilityZone, name="other"):
        site.write(Update(AvailabilityZone, RowId(rows[-1]["_uuid"]), {"name": "other"}))


def _address(site: ControlledZone, value: int) -> None:
    for row in site.all(IcPortBinding)[:1]:
        columns = {"address": f"0a:00:00:00:00:09 169.254.{100 + value % 2}.{50 + value}/24"}
        site.write(Update(IcPortBinding, RowId(row["_uuid"]), columns))


def _ts(site: ControlledZone, value: int) -> None:
    name = sorted(TS)[value % 2]
    have = site.all(TransitSwitch, name=name)
    if have and value > 7:
        site.write(Delete(TransitSwitch, RowId(have[0]["_uuid"])))
    elif not have:
        ids = {"subnet": TS[name], "vendor": "kube-ovn"}
        site.write(Insert(TransitSwitch, {"name": name, "external_ids": ids}))


def _restart(site: ControlledZone, value: int) -> None:
    site.start()


STEPS: list[Callable[[ControlledZone, int], None]] = [
    _declare, _declare, _declare, _leave, _subnet, _subnet, _node, _by_hand, _by_hand,
    _rename_zone, _address, _ts, _ts, _restart,
]  # fmt: skip
HISTORY = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(STEPS), st.integers(0, 9), st.booleans()),
    max_size=20,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(history=HISTORY, chance=st.integers(0, 1000))
def test_incremental_equals_recompute(
    history: list[tuple[int, Callable[[ControlledZone, int], None], int, bool]], chance: int
) -> None:
    """In every settled state, neither a recompute nor a new daemon finds anything to do."""
    fleet = ControlledFleet("a1", "b1")
    for site in fleet.zones:
        site.random.seed(chance)
        site.join()
    fleet.settle()
    for who, step, value, settle in history:
        step(fleet.zones[who], value)
        if settle:
            fleet.settle()
            _check(fleet)
    fleet.settle()
    _check(fleet)
    _check_new(fleet)
    for site in fleet.zones:
        _check_routes(site)


def _check(fleet: ControlledFleet) -> None:
    for site in fleet.zones:
        before = {name: len(d.committed) for name, d in site.databases.items()}
        problems = site.problems()
        site.engine.recompute("test")
        site.settle()
        assert {name: len(d.committed) for name, d in site.databases.items()} == before
        assert site.problems() == problems


def _check_new(fleet: ControlledFleet) -> None:
    for site in fleet.zones:
        before = {name: len(d.committed) for name, d in site.databases.items()}
        valid = site.inputs.wanted is not None and not site.inputs.refused
        problems = site.problems()
        site.start()
        site.settle()
        assert {name: len(d.committed) for name, d in site.databases.items()} == before
        assert not valid or site.problems() == problems


def _check_routes(site: ControlledZone) -> None:
    """No declared or learned route overlaps a local prefix of the VPC."""
    if site.inputs.config is None:
        return
    declared = {(str(r.prefix), r.zone) for r in site.inputs.config.routes}
    local = list(
        chain.from_iterable(site.exchange.routes.policy.current.local["ovn-cluster"].values())
    )
    router = site.find(LogicalRouter, name="ovn-cluster")
    for row in site.all(LogicalRouterStaticRoute):
        zone = row["external_ids"].get("isthmus-route")
        if zone is not None:
            assert row["_uuid"] in router["static_routes"]
            assert (row["ip_prefix"], zone) in declared
        if zone is not None or "ic-learned-route" in row["external_ids"]:
            assert not any(ip_network(row["ip_prefix"]).overlaps(prefix) for prefix in local)
    assert site.all(LogicalRouterPort, name="ovn-default")
    assert set(site.databases) == set(Database)
