"""What `isthmus show` and `isthmus routes` print, computed from views without databases."""

from isthmus.engine.view import View
from isthmus.inspect.routes import ClusterRoutes, Direction, RouteInfo, routes
from isthmus.inspect.topology import (
    GatewayInfo,
    IcTopology,
    PortInfo,
    TransitSwitchInfo,
    TunnelEnd,
    ZoneInfo,
    topology,
)
from isthmus.model.changes import Change
from isthmus.model.rows import (
    AvailabilityZone,
    Gateway,
    IcEncap,
    IcPortBinding,
    IcRoute,
    LogicalRouter,
    LogicalRouterStaticRoute,
    NbGlobal,
    Row,
    RowId,
    TransitSwitch,
)

AZ1, AZ2 = RowId("az1-uuid"), RowId("az2-uuid")
ROUTER = RowId("router-uuid")


def view_of(*rows: Row, held: tuple[RowId, ...] = ()) -> View:
    """A view with some rows; `held` are the static routes of every router."""
    view = View()
    for row in rows:
        joined = {"static_routes": frozenset(held)} if isinstance(row, LogicalRouter) else {}
        view.apply(Change(None, row, joined))
    return view


def port(zone: RowId, name: str, gateway: str, switch: str = "ts") -> IcPortBinding:
    """A port with an address made of its name."""
    return IcPortBinding(
        uuid=RowId(name), logical_port=name, transit_switch=switch, availability_zone=zone,
        gateway=gateway, address=f"mac {name}", tunnel_key=len(name),
    )  # fmt: skip


def test_no_zone_has_joined() -> None:
    """Empty databases are an empty topology."""
    assert topology(View()) == IcTopology((), ())


def test_a_topology_in_full() -> None:
    """Zones, gateways, tunnels and ports are sorted, each below its parent."""
    view = view_of(
        AvailabilityZone(uuid=AZ2, name="b"),
        AvailabilityZone(uuid=AZ1, name="a"),
        IcEncap(uuid=RowId("e1"), type="geneve", ip="192.0.2.2"),
        IcEncap(uuid=RowId("e2"), type="geneve", ip="192.0.2.1"),
        Gateway(
            uuid=RowId("g1"), name="c1", hostname="n1", availability_zone=AZ1,
            encaps=frozenset({RowId("e1"), RowId("e2"), RowId("gone")}),
        ),
        Gateway(uuid=RowId("g0"), name="c0", hostname="n0", availability_zone=AZ1),
        port(AZ1, "ts-a", "c1"),
        port(AZ1, "ts1-a", "dead", "ts1"),
        port(AZ2, "ts-b", ""),
        IcRoute(uuid=RowId("r1"), availability_zone=AZ1, ip_prefix="10.0.0.0/8"),
        TransitSwitch(uuid=RowId("t1"), name="ts1", external_ids={"isthmus-network": "blue"}),
        TransitSwitch(uuid=RowId("t"), name="ts", external_ids={"subnet": "169.254.100.0/24"}),
    )  # fmt: skip
    expected = PortInfo("ts-a", "ts", "mac ts-a", 4)
    tunnels = (TunnelEnd("geneve", "192.0.2.1"), TunnelEnd("geneve", "192.0.2.2"))
    assert topology(view) == IcTopology(
        zones=(
            ZoneInfo(
                "a",
                (GatewayInfo("c0", "n0", (), ()), GatewayInfo("c1", "n1", tunnels, (expected,))),
                unbound_ports=(PortInfo("ts1-a", "ts1", "mac ts1-a", 5),),
                routes=1,
            ),
            ZoneInfo("b", (), (PortInfo("ts-b", "ts", "mac ts-b", 4),), 0),
        ),
        transit_switches=(
            TransitSwitchInfo("ts", "169.254.100.0/24", 2),
            TransitSwitchInfo("ts1", "", 1, "blue"),
        ),
    )


def ic_route(name: str, zone: RowId, prefix: str, **columns: str) -> IcRoute:
    """An advertised route."""
    ids = {"lr-id": columns.pop("router", "")}
    return IcRoute(
        uuid=RowId(name), availability_zone=zone, ip_prefix=prefix, nexthop="169.254.100.1",
        transit_switch="ts", origin="connected", external_ids=ids, **columns,
    )  # fmt: skip


def learned(name: str, source: str, prefix: str) -> LogicalRouterStaticRoute:
    """A learned route."""
    return LogicalRouterStaticRoute(
        uuid=RowId(name), ip_prefix=prefix, nexthop="169.254.100.2", options={"origin": "static"},
        external_ids={"ic-learned-route": source},
    )  # fmt: skip


def test_a_cluster_that_does_not_take_part() -> None:
    """Without a row or a name in NB_Global there is no zone, and nothing is advertised."""
    other = ic_route("r", AZ2, "10.2.0.0/16")
    assert routes(View()) == ClusterRoutes("", ())
    view = view_of(NbGlobal(uuid=RowId("g")), AvailabilityZone(uuid=AZ2, name="b"), other)
    assert routes(view) == ClusterRoutes("", ())


def test_routes_of_both_directions() -> None:
    """Advertised routes are our zone's; learned ones name the zone and our router."""
    view = view_of(
        NbGlobal(uuid=RowId("g"), name="a"),
        LogicalRouter(uuid=ROUTER, name="r"),
        AvailabilityZone(uuid=AZ1, name="a"),
        AvailabilityZone(uuid=AZ2, name="b"),
        ic_route("own", AZ1, "10.1.0.0/16", router=ROUTER),
        ic_route("theirs", AZ2, "10.2.0.0/16", route_table="t"),
        ic_route("not learned", AZ2, "10.3.0.0/16"),
        learned("l", "theirs", "10.2.0.0/16"),
        LogicalRouterStaticRoute(uuid=RowId("by hand"), ip_prefix="10.9.0.0/16"),
        held=(RowId("l"), RowId("by hand")),
    )
    found = routes(view)
    assert found.zone == "a"
    assert found.routes == (
        RouteInfo(
            Direction.ADVERTISED, "10.1.0.0/16", "169.254.100.1", "a", "ts", "connected", "", "r"
        ),
        RouteInfo(
            Direction.LEARNED, "10.2.0.0/16", "169.254.100.1", "b", "ts", "connected", "t", "r"
        ),
    )


def test_a_learned_route_whose_source_is_gone() -> None:
    """The route is shown with question marks for zone and transit switch."""
    view = view_of(
        NbGlobal(uuid=RowId("g"), name="a"),
        LogicalRouter(uuid=ROUTER, name="r"),
        learned("l", "gone", "10.2.0.0/16"),
        held=(RowId("l"),),
    )
    assert routes(view).routes == (
        RouteInfo(Direction.LEARNED, "10.2.0.0/16", "169.254.100.2", "?", "?", "static", "", "r"),
    )


def test_routes_are_sorted_as_numbers() -> None:
    """Routes are sorted by family, address and length; an invalid prefix is shown, too."""
    prefixes = ["fd00::/8", "10.0.0.0/8", "9.0.0.0/8", "10.0.0.0/16", "nonsense"]
    view = view_of(
        NbGlobal(uuid=RowId("g"), name="a"),
        AvailabilityZone(uuid=AZ1, name="a"),
        *(ic_route(f"r{number}", AZ1, prefix) for number, prefix in enumerate(prefixes)),
    )
    found = [route.prefix for route in routes(view).routes]
    assert found == ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "nonsense", "fd00::/8"]
