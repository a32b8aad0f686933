"""How the interconnection engine is put together: all of its reconcilers, in one place.

Derived state comes first, in the order in which it depends on each other; what is written follows
in the order in which a joining zone needs it. Nothing but speed depends on the latter.
"""

from dataclasses import dataclass

from isthmus.engine.reconciler import AnyReconciler
from isthmus.engine.view import View
from isthmus.exchange.routes.advertise import AdvertisedRoutes, AdvertisedSources
from isthmus.exchange.routes.attachments import Attachments, GlobalPolicy
from isthmus.exchange.routes.import_policy import Guard
from isthmus.exchange.routes.learn import LearnedRoutes, LearnedSources
from isthmus.exchange.routes.load_balancer_vips import RouterVips
from isthmus.exchange.routes.path_readiness import Paths
from isthmus.exchange.routes.refused_routes import Announcements
from isthmus.exchange.routes.static_routes import StaticRoutes
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
from isthmus.exchange.topology.transit_switches import (
    DatapathKeys,
    TransitSwitchCopies,
    TransitSwitchKeys,
    VxlanMode,
)
from isthmus.exchange.zones.heartbeat import SignOfLife
from isthmus.exchange.zones.registration import LINGER, OwnZone, ZoneRegistration
from isthmus.exchange.zones.sequence_numbers import FleetSequence, ZoneSequence


@dataclass(frozen=True, slots=True)
class Exchange:
    """The engine's parts: all of them for `isthmus.engine.engine`, some to be asked."""

    reconcilers: tuple[AnyReconciler, ...]
    zone: OwnZone
    registration: ZoneRegistration
    attachments: Attachments
    static_routes: StaticRoutes
    advertised: AdvertisedSources
    learned: LearnedSources
    learned_routes: LearnedRoutes
    guard: Guard
    announced: Announcements
    paths: Paths | None
    alive: SignOfLife


def exchange(
    view: View, *, guarded: bool = False, alone: bool = False, settle: float = 0.0
) -> Exchange:
    """Wire the interconnection engine over a view.

    Args:
        alone: whether there is a controller without the engine: `ovn-ic` exchanges, and of the
            engine there is just what looks, and what claims, renames and removes the zone.
        guarded: whether somebody will tell `Exchange.guard` what may not be exchanged; until
            then no route is added anywhere. And another way to a prefix is added only when
            packets will arrive by it.
        settle: seconds that nodes are given before they do; see `Exchange.paths`.
    """
    guard = Guard(view, known=not guarded)
    announced = Announcements(view, guard)
    zone = OwnZone(view)
    policy = GlobalPolicy(view)
    vxlan_mode = VxlanMode(view)
    static_routes = StaticRoutes(view)
    vips = RouterVips(view)
    attachments = Attachments(view, zone)
    advertised = AdvertisedSources(view, policy, attachments, static_routes, vips, guard)
    learned = LearnedSources(view, zone, policy, attachments, static_routes, vips, guard, announced)
    advertised_routes = AdvertisedRoutes(view, zone, advertised, guard)
    # `ovn-ic` does not wait for gateways, so neither does the engine in its place.
    paths = Paths(view, attachments, settle) if guarded else None
    learned_routes = LearnedRoutes(view, zone, static_routes, learned, guard, paths)

    registration = ZoneRegistration(view, LINGER if alone else 0.0)
    alive = SignOfLife(view, zone)
    tunnel_keys = DatapathKeys(view, vxlan_mode)
    switch_keys = TransitSwitchKeys(view, zone, tunnel_keys)
    router_keys = TransitRouterKeys(view, zone, tunnel_keys)
    switch_copies = TransitSwitchCopies(view, zone, vxlan_mode)

    derived: tuple[AnyReconciler, ...] = (
        zone,
        policy,
        vxlan_mode,
        static_routes,
        vips,
        attachments,
        advertised,
        learned,
        announced,
    )
    written: tuple[AnyReconciler, ...] = (
        registration,  # the first: the only one of a controller alone
        GatewayPublication(view, zone),
        switch_keys,
        switch_copies,
        PortPublication(view, zone),
        PortCopies(view, zone),
        RemoteChassis(view, zone),
        RemoteBindings(view, zone),
        router_keys,
        TransitRouterCopies(view, zone),
        TransitRouterPortPublication(view, zone),
        TransitRouterPortCopies(view, zone),
        MonitorRequests(view, zone),
        MonitorCopies(view, zone),
        advertised_routes,
        learned_routes,
        ZoneSequence(view, zone),
        FleetSequence(view, zone),
        alive,
    )
    zone.dependents = (attachments, advertised, learned, *written[1:])
    vxlan_mode.dependents = (switch_keys, switch_copies, router_keys)
    policy.dependents = (advertised, learned)
    attachments.dependents = (advertised, learned)
    vips.dependents = (advertised, learned)
    static_routes.dependents = (advertised, learned, learned_routes)
    guard.outputs = (advertised_routes, learned_routes)
    if alone:
        # Those that are never asked must not gather what they would have to do, either.
        advertised.output = learned.output = None
        zone.dependents = (attachments, advertised, learned)
        static_routes.dependents = (advertised, learned)
        vxlan_mode.dependents = guard.outputs = ()
        written = written[:1]
    return Exchange(
        (*derived, *written),
        zone,
        registration,
        attachments,
        static_routes,
        advertised,
        learned,
        learned_routes,
        guard,
        announced,
        paths,
        alive,
    )
