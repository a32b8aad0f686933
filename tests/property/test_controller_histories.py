"""Random histories of two controlled clusters: incremental equals recompute."""

from collections.abc import Callable

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from isthmus.model.indexes import ROUTER_NATS
from isthmus.model.operations import (
    Delete,
    Insert,
    Mutate,
    NewRef,
    Ref,
    Update,
    Value,
    insert_child,
    set_keys,
)
from isthmus.model.rows import (
    AvailabilityZone,
    Chassis,
    Database,
    Gateway,
    GatewayChassis,
    IcPortBinding,
    IcRoute,
    LoadBalancer,
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
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet
from support.fakes.manifests import config_map, manifest, node, subnet

TS = {"ts": "169.254.100.0/29", "ts1": "fd00:101::/126", "ts2": "10.9.0.0/29,fd00:102::/125"}
NETWORKS = ("", "blue", "red")
VPCS = ("v", "w")
SUBNET_PORTS = ("ovn-default", "v-apps", "w-apps")
PREFIXES = ("10.1.0.0/16", "10.77.0.0/24", "fd00:77::/64")


def _config(site: ControlledZone, value: int) -> None:
    site.apply(
        config_map(
            az_name=site.name,
            auto_route="true" if value % 3 else "false",
            gw_nodes=("gw", "gw2,gw", "stranger", "gw,gw2")[value % 4],
            mtu=("1400", "1300", "off")[value % 3],
            force_connect=(None, "true", "false")[value % 3],
        )
    )


def _vpcs(site: ControlledZone, value: int) -> None:
    lists = (None, "v=blue", "w=blue", "v=red", "v=blue,w=red", "v=red,w=blue")
    site.apply(config_map(az_name=site.name, vpcs=lists[value]))


def _vpc_router(site: ControlledZone, value: int) -> None:
    name = VPCS[value % 2]
    have = site.all(LogicalRouter, name=name)
    if value > 3 and have:
        site.write(Delete(LogicalRouter, RowId(have[0]["_uuid"])))
    elif not have:
        port = NewRef()
        networks = frozenset({f"10.{ord(site.name[0]) % 2 + 1}.0.1/16"})
        row: dict[str, Value] = {"name": f"{name}-apps", "mac": "0a:00:00:00:00:02"}
        router: dict[str, Value] = {"name": name, "ports": frozenset({port})}
        site.write(
            Insert(LogicalRouterPort, {**row, "networks": networks}, port),
            Insert(LogicalRouter, router),
        )


def _vpc_object(site: ControlledZone, value: int) -> None:
    vpc = manifest("Vpc", VPCS[value % 2], spec={})
    if vpc.key in site.manifests:
        site.delete(vpc)
    else:
        site.apply(vpc)


def _network(site: ControlledZone, value: int) -> None:
    rows = site.all(TransitSwitch)
    if not rows:
        return
    row = min(rows, key=lambda row: str(row["name"])) if value % 2 else rows[-1]
    ids = {"isthmus-network": NETWORKS[value // 2], "vendor": "isthmus"}
    if not ids["isthmus-network"]:
        ids["vendor"] = "kube-ovn"
    site.write(set_keys(TransitSwitch, RowId(row["_uuid"]), "external_ids", ids))


def _rename(site: ControlledZone, value: int) -> None:
    # Names start with different letters, so that both zones rarely use the same one.
    site.apply(config_map(az_name=f"{site.name[0]}{value}" if value else "same"))


def _leave(site: ControlledZone, value: int) -> None:
    if value % 2 and config_map().key in site.manifests:
        site.delete(config_map())
    else:
        site.apply(config_map(enable_ic="false"))


def _spoil(site: ControlledZone, value: int) -> None:
    site.apply(config_map(enable_ic="True"), complete=bool(value % 2))


def _subnet(site: ControlledZone, value: int) -> None:
    closed = bool(value % 2)
    spec = {"disableInterConnection": closed, "vpc": ("", "v", "w")[value // 2]}
    site.apply(subnet(f"s{value % 3}", PREFIXES[value % 3], **spec), complete=value != 3)


def _node(site: ControlledZone, value: int) -> None:
    name = ("gw2", "gw")[value % 2]
    if value > 3 and node(name).key in site.manifests:
        site.delete(node(name))
    else:
        site.apply(node(name, f"192.0.2.{value}"))


def _chassis(site: ControlledZone, value: int) -> None:
    name = f"second-{site.name}"
    have = site.all(Chassis, name=name)
    if not have:
        site.add_chassis(
            name, f"198.51.100.{ord(site.name[0])}", hostname="gw2", interconn=value % 2 == 0
        )
    else:
        config = {"is-interconn": "true"} if value % 2 else {}
        site.update(Chassis, RowId(have[0]["_uuid"]), other_config=config)


def _ts(site: ControlledZone, value: int) -> None:
    name = sorted(TS)[value % 3]
    have = site.all(TransitSwitch, name=name)
    if have and value > 3:
        site.write(Delete(TransitSwitch, RowId(have[0]["_uuid"])))
    elif have:
        ids = {"subnet": TS[name] if value % 2 else "172.16.0.0/28"}
        site.write(set_keys(TransitSwitch, RowId(have[0]["_uuid"]), "external_ids", ids))
    else:
        ids = {"subnet": TS[name], "vendor": "kube-ovn" if value else "other"}
        site.write(Insert(TransitSwitch, {"name": name, "external_ids": ids}))


def _route(site: ControlledZone, value: int) -> None:
    prefix = PREFIXES[value % 3]
    if site.all(LogicalRouterStaticRoute, ip_prefix=prefix):
        site.drop_route(prefix)
    else:
        nexthop = "169.254.100.3" if value > 2 else "10.9.0.3"
        site.add_route(prefix, "fd00:101::2" if ":" in prefix else nexthop)


def _policy(site: ControlledZone, value: int) -> None:
    row = {"priority": 29500 - value % 2, "match": f"ip4.dst == {PREFIXES[value % 2]}"}
    ids = {"vendor": "kube-ovn"} if value > 2 else {}
    site.adopt("policies", LogicalRouterPolicy, action="allow", external_ids=ids, **row)


def _drift(site: ControlledZone, value: int) -> None:
    drifts: list[tuple[type[Row], dict[str, Value]]] = [
        (LogicalRouterPort, {"networks": frozenset({"169.254.100.3/29"})}),
        (LogicalRouterPort, {"external_ids": {"vendor": "kube-ovn"}}),
        (LogicalRouterPort, {"options": {"gateway_mtu": "9000"}}),
        (LogicalRouterPort, {"options": {"ic-route-deny-adv": "10.8.0.0/16"}}),
        (LogicalSwitchPort, {"addresses": frozenset({"unknown"})}),
        (LogicalSwitchPort, {"options": {"router-port": "elsewhere"}}),
        (GatewayChassis, {"priority": 7}),
        (LogicalRouterPolicy, {"action": "drop"}),
    ]
    kind, changes = drifts[(value + len(site.nb.committed)) % len(drifts)]
    # A port without a mark and without a peer can no longer be identified as ours.
    alone = "external_ids" in changes
    if alone:
        site.settle()
    rows = [row for row in site.all(kind) if row.get("name") not in SUBNET_PORTS]
    if rows and rows[0].get("type") != "remote":
        site.update(kind, RowId(rows[0]["_uuid"]), **changes)
    if alone:
        site.settle()


def _undo(site: ControlledZone, value: int) -> None:
    kind, column = [
        (LogicalSwitch, "ports"),
        (LogicalRouterPort, "gateway_chassis"),
        (LogicalRouter, "policies"),
        (LogicalRouter, "ports"),
    ][value % 4]
    for row in site.all(kind):
        kept = {p["_uuid"] for p in site.all(LogicalRouterPort) if p["name"] in SUBNET_PORTS}
        gone = [uuid for uuid in row[column] if uuid not in kept]
        if gone:
            refs = frozenset(Ref(RowId(uuid)) for uuid in sorted(gone)[:1])
            site.write(Mutate(kind, RowId(row["_uuid"]), ((column, "delete", refs),)))
            return


def _nat(site: ControlledZone, value: int) -> None:
    name = ("ovn-cluster", *VPCS)[value % 3]
    for router in site.all(LogicalRouter, name=name):
        held = [Ref(RowId(uuid)) for uuid in router["nat"]]
        if held:
            refs = frozenset(held)
            site.write(Mutate(LogicalRouter, RowId(router["_uuid"]), (("nat", "delete", refs),)))
        else:
            row = {"type": "snat", "external_ip": "198.51.100.9", "logical_ip": "10.1.0.0/16"}
            site.write(*insert_child(ROUTER_NATS, RowId(router["_uuid"]), row))


def _load_balancer(site: ControlledZone, value: int) -> None:
    name, have = ("ovn-cluster", *VPCS)[value % 3], site.all(LoadBalancer)
    if have and value > 3:
        site.write(Delete(LoadBalancer, RowId(have[0]["_uuid"])))
    elif have:
        vips = {} if have[0]["vips"] else {"10.96.0.1": "10.1.0.1"}
        site.update(LoadBalancer, RowId(have[0]["_uuid"]), vips=vips)
    else:
        balancer = NewRef()
        site.write(
            Insert(LoadBalancer, {"name": "lb", "vips": {"10.96.0.1": "10.1.0.1"}}, balancer),
            *(
                Update(LogicalRouter, RowId(row["_uuid"]), {"load_balancer": frozenset({balancer})})
                for row in site.all(LogicalRouter, name=name)
            ),
        )


def _gateway_port(site: ControlledZone, value: int) -> None:
    for port in site.all(LogicalRouterPort, name="ovn-default"):
        group = frozenset({Ref(RowId("00000000-0000-4000-8000-1"))})
        groups = frozenset[Ref]() if port["ha_chassis_group"] else group
        site.update(LogicalRouterPort, RowId(port["_uuid"]), ha_chassis_group=groups)


def _reach(site: ControlledZone, value: int) -> None:
    local = {Database.NB, Database.SB}
    site.reachable = local if value % 2 else set(Database)


def _restart(site: ControlledZone, value: int) -> None:
    site.start()


STEPS: list[Callable[[ControlledZone, int], None]] = [
    _vpcs, _vpcs, _vpc_router, _vpc_router, _vpc_object, _network, _config, _config, _rename,
    _leave, _spoil, _subnet, _node, _chassis,
    _ts, _ts, _route, _policy, _drift, _drift, _undo, _nat, _load_balancer, _gateway_port, _reach,
    _restart,
]  # fmt: skip
HISTORY = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(STEPS), st.integers(0, 5), st.booleans()),
    max_size=20,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@example(history=[(0, _route, 3, False), (0, _drift, 1, False)], chance=0)
@given(history=HISTORY, chance=st.integers(0, 1000))
def test_incremental_equals_recompute(
    history: list[tuple[int, object, int, bool]], chance: int
) -> None:
    """In every settled state, a full recompute neither writes nor reports anything new."""
    fleet = ControlledFleet("a1", "b1")
    ids = {"subnet": "169.254.200.0/29", "vendor": "isthmus", "isthmus-network": "blue"}
    fleet.ic_nb.transact([Insert(TransitSwitch, {"name": "b", "external_ids": ids})])
    for number, site in enumerate(fleet.zones):
        _vpc_router(site, number)
        site.random.seed(chance)
        site.join(vpcs=f"{VPCS[number]}=blue")
    fleet.settle()
    for who, step, value, settle in history:
        step(fleet.zones[who], value)  # type: ignore[operator]
        if settle:
            fleet.settle()
            _check(fleet)
    for site in fleet.zones:
        site.reachable = set(Database)
    fleet.settle()
    _check(fleet)
    _check_addresses(fleet)
    _check_routers(fleet)
    _leave_all(fleet)


def _leave_all(fleet: ControlledFleet) -> None:
    """After any history, leaving leaves only manual objects."""
    for site in fleet.zones:
        site.apply(config_map(enable_ic="false"))
    fleet.settle()
    for site in fleet.zones:
        by_hand = ("Logical_Router_Static_Route", "Logical_Router_Policy")
        traces = [trace for trace in site.traces() if not trace.startswith(by_hand)]
        assert [trace for trace in traces if "-apps'" not in trace] == []
    for kind in (AvailabilityZone, Gateway, IcPortBinding, IcRoute):
        assert fleet.ic_sb.rows(kind) == []
    for row in fleet.ic_nb.rows(TransitSwitch):
        assert row["external_ids"].keys() <= {"subnet", "vendor", "isthmus-network"}


def _check(fleet: ControlledFleet) -> None:
    for site in fleet.zones:
        before = {name: len(d.committed) for name, d in site.databases.items()}
        problems = site.problems()
        site.engine.recompute("test")
        site.settle()
        assert {name: len(d.committed) for name, d in site.databases.items()} == before
        assert site.problems() == problems


def _check_addresses(fleet: ControlledFleet) -> None:
    """No two clusters' ports on one transit switch share an address."""
    seen: dict[tuple[str, str], str] = {}
    for site in fleet.zones:
        for port in site.all(LogicalRouterPort):
            ts = port["external_ids"].get("isthmus-transit-switch")
            for network in port["networks"] if ts else ():
                assert seen.setdefault((ts, network), site.name) == site.name, (ts, network)


def _check_routers(fleet: ControlledFleet) -> None:
    """Our ports are on routers of VPCs that take part in their transit switch's network.

    Our policies are on such routers only.
    """
    for site in fleet.zones:
        config = site.inputs.config
        if config is None or site.find(NbGlobal)["name"] != config.zone:
            continue
        if any(report.held for report in site.engine.report((), ()).reconcilers):
            continue  # a path is kept, e.g. because `vpcs` names a VPC that does not exist
        vpcs = {network: vpc for vpc, network in config.vpcs.items()} | {"": "ovn-cluster"}
        networks = {
            row["name"]: row["external_ids"].get("isthmus-network", "")
            for row in site.all(TransitSwitch)
        }
        for router in site.all(LogicalRouter):
            for port in site.all(LogicalRouterPort):
                ts = port["external_ids"].get("isthmus-transit-switch")
                if ts and port["_uuid"] in router["ports"]:
                    assert vpcs.get(networks.get(ts, "?")) == router["name"], port
            for policy in site.all(LogicalRouterPolicy, priority=29500):
                if policy["_uuid"] in router["policies"] and policy["external_ids"]:
                    assert router["name"] in vpcs.values(), policy
