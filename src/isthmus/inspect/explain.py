"""Why a prefix is or is not advertised or learned. Pure.

Used by the control command `engine/explain` on a running engine, and by `isthmus engine explain`
on databases that were read once. Invariant: every verdict comes from the reconcilers of
`isthmus.exchange`; this module repeats none of their rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from isthmus.engine.view import View
from isthmus.exchange.routes.advertise import AdvertiseDecision, AdvertiseKey, key_of
from isthmus.exchange.routes.attachments import Attachment
from isthmus.exchange.routes.learn import learn_key
from isthmus.exchange.routes.options import Refusal
from isthmus.exchange.wiring import Exchange
from isthmus.model.prefixes import Network, is_default, is_inside, parse_network
from isthmus.model.rows import (
    AvailabilityZone,
    IcRoute,
    LoadBalancer,
    LogicalRouter,
    LogicalRouterPort,
    LogicalRouterStaticRoute,
    NbGlobal,
    RowId,
)
from isthmus.model.text import quoted

_NO_RULE = "no rule refuses the route"
_NO_RULE_SEEN = "no rule in the databases refuses the route"
_UNSEEN = (
    "the databases do not contain the rules of `isthmus run` (overlaps with Subnets, reserved"
    " prefixes, accept, advertise), which may refuse more; --unixctl asks the daemon"
)


class Verdict(StrEnum):
    """What the engine does with a route."""

    ADVERTISED = "advertised"
    LEARNED = "learned"
    REFUSED = "refused"
    PENDING = "to be written"


@dataclass(frozen=True, slots=True)
class RouteVerdict:
    """What the engine does with one route at one attachment.

    Args:
        verdict: the decision, and whether it has been written to the databases.
        rule: the rule that refuses the route, or why it passes.
        zone: the zone that advertises the route.
        router, port: the names of our router and of its port on the transit switch.
        nexthop: empty if the route is refused before the next hop is known.
        source: where the route comes from: a row of ours, or the other zone's route in IC-SB.
    """

    verdict: Verdict
    rule: str
    zone: str
    transit_switch: str
    router: str
    port: str
    prefix: str
    nexthop: str
    route_table: str
    origin: str
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All decisions on one prefix, as seen by one zone.

    Args:
        prefix: the prefix in question; routes to it and to prefixes that contain it are explained.
        zone: the name of our zone; empty if the cluster does not take part.
        remarks: what prevents any decision.
    """

    prefix: str
    zone: str
    advertising: tuple[RouteVerdict, ...]
    learning: tuple[RouteVerdict, ...]
    remarks: tuple[str, ...]


def explain(
    view: View, exchange: Exchange, prefix: Network, *, offline: bool = False
) -> Explanation:
    """Collect the engine's decisions about a prefix.

    Args:
        view: the engine's view.
        exchange: the engine's parts, with their derived state up to date.
        prefix: a network; for a single address, the network of that host.
        offline: whether the engine lacks the rules that a daemon may have.
    """
    explainer = _Explainer(view, exchange, prefix, _NO_RULE_SEEN if offline else _NO_RULE)
    advertising = tuple(sorted(explainer.advertising(), key=_order))
    learning = tuple(sorted(explainer.learning(), key=_order))
    remarks = tuple(explainer.remarks(bool(advertising), bool(learning)))
    if offline and (advertising or learning):
        remarks += (_UNSEEN,)
    return Explanation(str(prefix), explainer.zone_name, advertising, learning, remarks)


class _Explainer:
    """One prefix, and the parts of the engine that decide about it."""

    def __init__(self, view: View, exchange: Exchange, prefix: Network, accepted: str) -> None:
        self._view, self._exchange, self._prefix = view, exchange, prefix
        self._accepted = accepted
        self._state = exchange.routes
        zone = exchange.routes.zone.current
        self.zone_name = zone.name if zone else ""
        self._own = zone.uuid if zone else None
        routes = view.table(IcRoute)
        self._in_ic_sb = {key_of(row)[:4] for row in routes if row.availability_zone == self._own}
        self._routes = [
            (row, network)
            for row in routes
            if (network := parse_network(row.ip_prefix)) is not None and self._concerns(network)
        ]

    def advertising(self) -> Iterator[RouteVerdict]:
        """Decisions about our sources of the prefix, at each attachment."""
        for source in dict.fromkeys(self._state.advertised.keys()):
            for decision in self._state.advertised.decide(source):
                if self._concerns(decision.prefix):
                    yield self._advertised(source, decision)

    def learning(self) -> Iterator[RouteVerdict]:
        """Decisions about routes to the prefix in IC-SB, at each attachment to their switch."""
        for route, network in self._routes:
            attached = self._state.attachments.by_ts.get(route.transit_switch, {})
            for attachment in attached.values():
                refusal = self._state.groups.refuses(route, attachment)
                if refusal is not Refusal.SAME_ROUTER:
                    yield self._learned(route, network, attachment, refusal)

    def remarks(self, advertising: bool, learning: bool) -> Iterator[str]:
        """What prevents decisions in either direction.

        Args:
            advertising, learning: whether there are decisions in this direction.
        """
        nb_global = self._view.table(NbGlobal).single()
        if not self.zone_name:
            name = nb_global.name if nb_global else ""
            unregistered = f"is {quoted(name)}, which is not registered for this cluster"
            state = unregistered if name else "is empty"
            yield f"this cluster does not take part: NB_Global.name {state}"
        elif not self._state.attachments.by_port:
            yield "no router of this cluster is attached to a transit switch"
        if not self._state.policy.complete:
            yield "the configuration has not been read yet; until then no route is learned"
        if not advertising:
            yield "no router port, static route or VIP on an attached router has this prefix"
        if not learning:
            others = (row for row, _ in self._routes if row.availability_zone != self._own)
            unseen = {row.transit_switch for row in others} - self._state.attachments.by_ts.keys()
            switches = ", ".join(sorted(unseen))
            if unseen:
                yield f"other zones advertise this prefix on {switches}, where we are not attached"
            else:
                yield "no other zone advertises this prefix in IC-SB"

    def _concerns(self, network: Network) -> bool:
        """Whether a route to `network` leads to the prefix; a default route only if asked for."""
        return network == self._prefix or (
            is_inside(self._prefix, network) and not is_default(network)
        )

    def _advertised(self, row: RowId, decision: AdvertiseDecision) -> RouteVerdict:
        outcome, attachment = decision.outcome, decision.attachment
        if isinstance(outcome, AdvertiseKey):
            written = outcome[:4] in self._in_ic_sb
            verdict = Verdict.ADVERTISED if written else Verdict.PENDING
            rule, nexthop = self._accepted, outcome.nexthop
        else:
            verdict, nexthop = Verdict.REFUSED, ""
            rule = self._rule(outcome, None, decision.prefix, attachment)
        return RouteVerdict(
            verdict=verdict,
            rule=rule,
            zone=self.zone_name,
            transit_switch=attachment.ts,
            router=self._router(attachment.router),
            port=attachment.port,
            prefix=str(decision.prefix),
            nexthop=nexthop,
            route_table=decision.route_table,
            origin=decision.source.origin,
            source=self._describe(row),
        )

    def _learned(
        self, route: IcRoute, prefix: Network, attachment: Attachment, refusal: Refusal | None
    ) -> RouteVerdict:
        if refusal is not None:
            verdict, rule = Verdict.REFUSED, self._rule(refusal, route, prefix, attachment)
        else:
            key = learn_key(route, attachment.router)
            written = key in self._state.static_routes.learned.get(key.destination, {}).values()
            verdict, rule = Verdict.LEARNED if written else Verdict.PENDING, self._accepted
            writer = self._exchange.learned_routes
            if writer is not None and writer.waits(key):
                rule += "; another path is in use until packets arrive by this one"
        zone = self._view.get(AvailabilityZone, route.availability_zone)
        return RouteVerdict(
            verdict=verdict,
            rule=rule,
            zone=zone.name if zone else "?",
            transit_switch=route.transit_switch,
            router=self._router(attachment.router),
            port=attachment.port,
            prefix=route.ip_prefix,
            nexthop=route.nexthop,
            route_table=route.route_table,
            origin=route.origin,
            source=f"IC-SB Route {route.uuid}",
        )

    def _rule(
        self, refusal: Refusal, route: IcRoute | None, prefix: Network, attachment: Attachment
    ) -> str:
        """The rule that refuses the route, with its text if the configuration contains it."""
        detail = self._state.policy.detail(refusal, route, prefix, attachment.router)
        return f"{refusal} ({detail})" if detail else str(refusal)

    def _router(self, uuid: RowId) -> str:
        router = self._view.get(LogicalRouter, uuid)
        return router.name if router else "?"

    def _describe(self, uuid: RowId) -> str:
        if (port := self._view.get(LogicalRouterPort, uuid)) is not None:
            return f"router port {port.name}"
        if (route := self._view.get(LogicalRouterStaticRoute, uuid)) is not None:
            return f"static route {route.ip_prefix} via {route.nexthop}"
        if (balancer := self._view.get(LoadBalancer, uuid)) is not None:
            return f"load balancer {balancer.name or uuid}"
        return f"SB Learned_Route {uuid}"


_order = attrgetter("prefix", "zone", "transit_switch", "port", "nexthop")
"""The order of routes in an explanation."""
