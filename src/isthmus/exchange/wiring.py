"""How the interconnection engine is put together: all of its parts and edges, in one place.

Derived state comes first, each before what depends on it; reconcilers follow in the order in which
a joining zone needs them. Only speed depends on the latter.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from isthmus.engine.reconciler import (
    AnyDerivedState,
    AnyEdge,
    AnyKeyed,
    AnyReconciler,
    Edge,
    edges_to_all_keys,
)
from isthmus.engine.view import View
from isthmus.exchange.routes.advertise import AdvertisedSources
from isthmus.exchange.routes.advertised_routes import AdvertisedRoutes
from isthmus.exchange.routes.ambiguous_prefixes import AmbiguousPrefixes
from isthmus.exchange.routes.attachments import Attachments
from isthmus.exchange.routes.considered_routes import ConsideredRoutes
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.exchange.routes.learn import LearnedSources
from isthmus.exchange.routes.learned_routes import LearnedRoutes
from isthmus.exchange.routes.load_balancer_vips import RouterVips
from isthmus.exchange.routes.options import GlobalRouteOptions
from isthmus.exchange.routes.path_readiness import PathReadiness
from isthmus.exchange.routes.prefix_groups import GroupChange, PrefixGroups
from isthmus.exchange.routes.refused_routes import RefusedRoutes, problem_key
from isthmus.exchange.routes.static_routes import Destination, StaticRoutes
from isthmus.exchange.topology.gateways import GatewayPublication, RemoteChassis
from isthmus.exchange.topology.published_ports import PortPublication
from isthmus.exchange.topology.remote_ports import PortCopies, RemoteBindings
from isthmus.exchange.topology.service_monitors import MonitorCopies, MonitorRequests
from isthmus.exchange.topology.transit_routers import (
    TransitRouterCopies,
    TransitRouterKeys,
    TransitRouterPortCopies,
    TransitRouterPortPublication,
)
from isthmus.exchange.topology.transit_switches import TransitSwitchCopies, TransitSwitchKeys
from isthmus.exchange.topology.tunnel_keys import DatapathKeys, VxlanMode
from isthmus.exchange.zones.heartbeat import Heartbeat
from isthmus.exchange.zones.own_zone import OwnZone
from isthmus.exchange.zones.registration import LINGER, ZoneRegistration
from isthmus.exchange.zones.sequence_numbers import FleetSequence, ZoneSequence
from isthmus.model.route_rules import RouteLimits


class RouteState:
    """What is known and decided about routes: all derived state, and nothing that writes.

    Args:
        limits: how many routes are considered; None if there is a controller, which will call
            `policy.set_rules`. Until then the policy is incomplete. With a controller, prefixes
            are published without host bits, unless `NB_Global.options` says otherwise.

    Attributes:
        states: all of it, in order.
    """

    def __init__(self, view: View, limits: RouteLimits | None) -> None:
        self.policy = ImportPolicy(view, limits)
        self.considered = ConsideredRoutes(view, self.policy)
        self.zone = OwnZone(view)
        self.options = GlobalRouteOptions(view, host_bits=limits is not None)
        self.static_routes = StaticRoutes(view)
        self.vips = RouterVips(view)
        self.attachments = Attachments(view, self.zone)
        rules = self.options, self.attachments, self.static_routes, self.vips, self.policy
        self.advertised = AdvertisedSources(view, *rules)
        self.learned = LearnedSources(view, *rules, self.considered)
        self.groups = PrefixGroups(self.policy, self.learned)
        self.refused = RefusedRoutes(self.policy, self.groups)
        self.ambiguous = AmbiguousPrefixes(view, self.policy, self.learned, self.groups)
        decided = (
            self.considered,
            self.advertised,
            self.learned,
            self.groups,
            self.refused,
            self.ambiguous,
        )
        self.states: tuple[AnyDerivedState, ...] = (self.zone, *rules, *decided)

    def edges(self) -> list[AnyEdge]:
        """Which of it depends on which."""
        policy, options, vips = self.policy, self.options, self.vips
        attachments, advertised, learned = self.attachments, self.advertised, self.learned
        groups, refused, ambiguous = self.groups, self.refused, self.ambiguous
        return [
            *edges_to_all_keys(self.zone, attachments),
            Edge(policy, self.considered, lambda c: self.considered.keys() if c.limits else ()),
            Edge(self.considered, learned, lambda route: (route,)),
            Edge(policy, advertised, lambda change: advertised.of_prefixes(change.advertised)),
            Edge(policy, learned, lambda change: change.routes),
            Edge(policy, groups, lambda change: groups.of_zones(change.limited)),
            Edge(options, advertised, advertised.of_prefixes),
            Edge(options, learned, learned.of_prefixes),
            Edge(self.static_routes, advertised, lambda route: (route.uuid,)),
            Edge(self.static_routes, learned, learned.of_static_route),
            Edge(vips, advertised, lambda change: change.load_balancers),
            Edge(vips, learned, lambda change: learned.of_router(change.router)),
            Edge(attachments, advertised, advertised.of_attachment),
            Edge(attachments, learned, learned.of_attachment),
            Edge(learned, groups, lambda change: (change.route,) if policy.active else ()),
            Edge(learned, ambiguous, lambda change: change.destinations if policy.active else ()),
            Edge(groups, refused, lambda change: (problem_key(change.group),)),
            Edge(groups, ambiguous, lambda change: self.moved(change) if policy.active else ()),
        ]

    def moved(self, change: GroupChange) -> Iterable[Destination]:
        """The destinations that moved across the limit of a zone."""
        return self.learned.destinations(change.group.router, change.moved)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The engine's parts: all of them for `isthmus.engine.engine`, some for direct access.

    Args:
        reconcilers, edges: for the engine.
        routes: what is known and decided about routes.
        registration: of our zone.
        learned_routes, heartbeat, paths: None where they are not wired.
    """

    reconcilers: tuple[AnyKeyed, ...]
    edges: tuple[AnyEdge, ...]
    routes: RouteState
    registration: ZoneRegistration
    learned_routes: LearnedRoutes | None = None
    heartbeat: Heartbeat | None = None
    paths: PathReadiness | None = None


def exchange(
    view: View,
    *,
    policy_follows: bool = False,
    settle: float = 0.0,
    limits: RouteLimits | None = None,
) -> Exchange:
    """Wire the interconnection engine over a view.

    Args:
        policy_follows: whether there is a controller, which will set the import policy. Until then
            no route is added. Another route to a prefix is then added only when packets will
            arrive by it, and gateways stay published while OVN chooses others; `ovn-ic` does
            neither, so nor does the engine in its place.
        settle: see `PathReadiness`.
        limits: how many routes are considered without a controller; None for the defaults.
    """
    routes = RouteState(view, None if policy_follows else limits or RouteLimits())
    zone, policy = routes.zone, routes.policy
    paths = PathReadiness(view, routes.attachments, settle) if policy_follows else None
    vxlan = VxlanMode(view)
    registration, heartbeat = ZoneRegistration(view), Heartbeat(view, zone)
    switches, others = _topology(view, zone, vxlan, controlled=policy_follows)
    advertised = AdvertisedRoutes(view, zone, routes.advertised, policy)
    learned = LearnedRoutes(view, zone, routes.static_routes, routes.groups, policy, paths)
    sequences = ZoneSequence(view, zone), FleetSequence(view, zone)
    in_zone = (*switches, *others, advertised, learned, *sequences, heartbeat)
    edges = [
        *routes.edges(),
        *edges_to_all_keys(zone, *in_zone),
        *edges_to_all_keys(vxlan, *switches),
        Edge(routes.advertised, advertised, lambda key: (key,)),
        Edge(routes.learned, learned, lambda change: change.destinations),
        Edge(routes.groups, learned, routes.moved),
        Edge(routes.static_routes, learned, learned.of_static_route),
        Edge(policy, advertised, lambda change: advertised.keys() if change.completed else ()),
        Edge(policy, learned, lambda change: learned.keys() if change.completed else ()),
    ]
    states: tuple[AnyDerivedState, ...] = (*routes.states, vxlan)
    if paths is not None:
        states = (*states, paths)
        edges.append(Edge(paths, learned, lambda _: learned.waiting()))
    parts = (*states, registration, *in_zone)
    return Exchange(parts, tuple(edges), routes, registration, learned, heartbeat, paths)


def observer(view: View) -> Exchange:
    """Wire what a controller needs next to an `ovn-ic` that exchanges the routes.

    That is the derived state about routes, and the registration of our zone.
    """
    routes = RouteState(view, None)
    registration = ZoneRegistration(view, LINGER)
    return Exchange((*routes.states, registration), tuple(routes.edges()), routes, registration)


def _topology(
    view: View, zone: OwnZone, vxlan: VxlanMode, *, controlled: bool
) -> tuple[tuple[AnyReconciler, ...], tuple[AnyReconciler, ...]]:
    """What depends on the VXLAN mode (the keys and copies of switches), and all other topology."""
    tunnel_keys = DatapathKeys(view, vxlan)
    return (
        TransitSwitchKeys(view, zone, tunnel_keys),
        TransitSwitchCopies(view, zone, vxlan),
        TransitRouterKeys(view, zone, tunnel_keys),
    ), (
        GatewayPublication(view, zone),
        PortPublication(view, zone, keeps_gateway=controlled),
        PortCopies(view, zone),
        RemoteChassis(view, zone),
        RemoteBindings(view, zone),
        TransitRouterCopies(view, zone),
        TransitRouterPortPublication(view, zone),
        TransitRouterPortCopies(view, zone),
        MonitorRequests(view, zone),
        MonitorCopies(view, zone),
    )
