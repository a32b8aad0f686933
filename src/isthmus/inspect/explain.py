"""Why a prefix is advertised or learned, or is not: the engine's own decisions, asked again. Pure.

Used by the control command `engine/explain` on a running engine, and by `isthmus engine explain`
on databases that were read once. Invariant: it decides nothing itself; every verdict comes from
the reconcilers of `isthmus.exchange`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from isthmus.engine.view import View
from isthmus.exchange.routes.advertise import AdvertiseKey, Decision, key_of
from isthmus.exchange.routes.attachments import Attachment
from isthmus.exchange.routes.options import Refusal
from isthmus.exchange.routes.static_routes import LearnKey
from isthmus.exchange.wiring import Exchange
from isthmus.model.prefixes import Network, canonical, is_default, is_inside, parse_network
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


class Verdict(StrEnum):
    """What becomes of a route."""

    ADVERTISED = "advertised"
    LEARNED = "learned"
    REFUSED = "refused"
    PENDING = "to be written"


@dataclass(frozen=True, slots=True)
class Reason:
    """One decision of one engine.

    Args:
        verdict: what was decided, and whether the databases show it yet.
        rule: the rule that refused it; for others, what let it pass.
        zone: who advertises the route.
        router, port: ours, by name: whose route it is or would be, and through which port on the
            transit switch.
        source: what asks for it: a row of ours, or the zone's route in IC-SB.
        nexthop: empty if it is not known.
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
        prefix: what was asked for; routes to it and to prefixes around it are explained.
        zone: ours, by name; empty if it takes no part.
        remarks: what keeps decisions from being made at all.
    """

    prefix: str
    zone: str
    advertising: tuple[Reason, ...]
    learning: tuple[Reason, ...]
    remarks: tuple[str, ...]


def explain(view: View, exchange: Exchange, prefix: Network) -> Explanation:
    """Ask the engine's parts about a prefix.

    Args:
        view: what the engine sees.
        exchange: its parts, with nothing derived left to do.
        prefix: a network; for a single address, the network of that host.
    """
    asked = _Question(view, exchange, prefix)
    advertising = tuple(sorted(asked.advertising(), key=_order))
    learning = tuple(sorted(asked.learning(), key=_order))
    remarks = tuple(asked.remarks(bool(advertising), bool(learning)))
    return Explanation(str(prefix), asked.zone_name, advertising, learning, remarks)


class _Question:
    """One prefix, and whom to ask."""

    def __init__(self, view: View, exchange: Exchange, prefix: Network) -> None:
        self._view, self._exchange, self._prefix = view, exchange, prefix
        zone = exchange.zone.current
        self.zone_name = zone.name if zone else ""
        self._own = zone.uuid if zone else None
        self._ours_in_ic_sb = {
            key_of(row) for row in view.table(IcRoute) if row.availability_zone == self._own
        }

    def advertising(self) -> Iterator[Reason]:
        """Our sources of the prefix, at each attachment."""
        for source in dict.fromkeys(self._exchange.advertised.keys()):
            for decision in self._exchange.advertised.decide(source):
                if self._concerns(decision.prefix):
                    yield self._advertised(source, decision)

    def learning(self) -> Iterator[Reason]:
        """Routes in IC-SB to the prefix, at each attachment to their transit switch."""
        for route in self._view.table(IcRoute):
            network = parse_network(route.ip_prefix)
            if network is None or not self._concerns(network):
                continue
            for attachment in self._attached(route.transit_switch):
                refusal = self._exchange.learned.refuses(route, attachment)
                if refusal is not Refusal.SAME_ROUTER:
                    yield self._learned(route, attachment, refusal)

    def remarks(self, advertising: bool, learning: bool) -> Iterator[str]:
        """What else there is to know."""
        nb_global = self._view.table(NbGlobal).single()
        if not self.zone_name:
            name = nb_global.name if nb_global else ""
            state = f"is {name!r}, which is not registered for this cluster" if name else "is empty"
            yield f"this cluster takes no part: its NB_Global.name {state}"
        elif not self._exchange.attachments.by_port:
            yield "no router of this cluster is attached to a transit switch"
        if not self._exchange.guard.known:
            yield "the configuration has not been read yet: until it has, no route is added"
        if not advertising:
            yield "no router port, static route or VIP on an attached router has this prefix"
        if not learning and not (unseen := tuple(self._unattached())):
            yield "no other zone advertises it in IC-SB"
        elif not learning:
            yield f"it is advertised on {', '.join(unseen)}, where this cluster is not attached"

    def _unattached(self) -> Iterator[str]:
        switches = {
            row.transit_switch
            for row in self._view.table(IcRoute)
            if row.availability_zone != self._own
            and (network := parse_network(row.ip_prefix)) is not None
            and self._concerns(network)
        }
        yield from sorted(switches - self._exchange.attachments.by_ts.keys())

    def _concerns(self, network: Network) -> bool:
        """Whether a route to `network` is one to the prefix; a default route only if asked for."""
        return network == self._prefix or (
            is_inside(self._prefix, network) and not is_default(network)
        )

    def _attached(self, transit_switch: str) -> tuple[Attachment, ...]:
        return tuple(self._exchange.attachments.by_ts.get(transit_switch, {}).values())

    def _advertised(self, row: RowId, decision: Decision) -> Reason:
        outcome, attachment = decision.outcome, decision.attachment
        verdict, nexthop = Verdict.REFUSED, ""
        if isinstance(outcome, AdvertiseKey):
            there = outcome in self._ours_in_ic_sb
            verdict = Verdict.ADVERTISED if there else Verdict.PENDING
            rule, nexthop = "no rule refuses it", outcome.nexthop
        else:
            rule = self._rule(outcome, None, decision.prefix, attachment)
        return Reason(
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

    def _learned(self, route: IcRoute, attachment: Attachment, refusal: Refusal | None) -> Reason:
        prefix = parse_network(route.ip_prefix)
        if refusal is not None:
            verdict, rule = Verdict.REFUSED, self._rule(refusal, route, prefix, attachment)
        else:
            key = LearnKey(
                attachment.router,
                canonical(route.ip_prefix),
                route.nexthop,
                route.origin,
                route.route_table,
            )
            there = key in self._exchange.static_routes.learned
            verdict, rule = (Verdict.LEARNED if there else Verdict.PENDING), "no rule refuses it"
            if self._exchange.learned_routes.waits(key):
                rule += "; another way is in use, this one follows when packets arrive by it"
        zone = self._view.table(AvailabilityZone).get(route.availability_zone)
        return Reason(
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
        self,
        refusal: Refusal,
        route: IcRoute | None,
        prefix: Network | None,
        attachment: Attachment,
    ) -> str:
        """The rule that refuses, with what it says if the configuration made it."""
        if prefix is None:
            return str(refusal)
        detail = self._exchange.guard.detail(refusal, route, prefix, attachment.router)
        return f"{refusal} ({detail})" if detail else str(refusal)

    def _router(self, uuid: RowId) -> str:
        router = self._view.table(LogicalRouter).get(uuid)
        return router.name if router else "?"

    def _describe(self, uuid: RowId) -> str:
        if (port := self._view.table(LogicalRouterPort).get(uuid)) is not None:
            return f"router port {port.name}"
        if (route := self._view.table(LogicalRouterStaticRoute).get(uuid)) is not None:
            return f"static route {route.ip_prefix} via {route.nexthop}"
        if (balancer := self._view.table(LoadBalancer).get(uuid)) is not None:
            return f"load balancer {balancer.name or uuid}"
        return f"SB Learned_Route {uuid}"


def _order(reason: Reason) -> tuple[str, ...]:
    return (reason.prefix, reason.zone, reason.transit_switch, reason.port, reason.nexthop)
