"""Which routes may be exchanged by OVN's own options: those of `NB_Global`, and filters.

`isthmus.exchange.routes.advertise` and `.learn` apply them to each route.
Source of facts: ovn-nb(5), options of NB_Global and Logical_Router_Port.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar

from isthmus.engine.reconciler import DerivedState, Only, SingleKey
from isthmus.engine.view import View
from isthmus.model.ovn_keys import ADVERTISE, LEARN
from isthmus.model.prefixes import (
    Network,
    PrefixSet,
    changed_entries,
    is_default,
    is_inside,
    is_link_local,
    parse_list,
)
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import NbGlobal, Row

CONNECTED, STATIC, LOADBALANCER = "connected", "static", "loadbalancer"
CONNECTED_DYNAMIC = "connected-dynamic"
"""Origins of IC-SB routes."""


HOST_BITS = "isthmus-route-host-bits"
"""The key of `NB_Global.options` that sets `RouteOptions.host_bits`."""

IPV4_BY_IPV6 = "ic-route-ipv4-next-hop-ipv6"
"""In `options` of a router port on a transit switch, or of its router: IPv4 prefixes may have an
IPv6 next hop if there is no IPv4 one. `ovn-ic` has this option after 26.03."""


class Refusal(StrEnum):
    """Why a route is not advertised or not learned; the text is shown to operators."""

    OFF = "ic-route-adv or ic-route-learn is not true"
    LINK_LOCAL = "the prefix is link-local"
    DEFAULT = "default route, and ic-route-adv-default or ic-route-learn-default is not true"
    DENYLIST = "the prefix is inside an entry of ic-route-denylist (or ic-route-blacklist)"
    NOT_IN_FILTER = "the prefix is outside the filter list of the port or router"
    DENIED = "the prefix is inside an entry of the deny list of the port or router"
    UNPARSABLE = "the prefix or the next hop is invalid"
    NEXTHOP_LINK_LOCAL = "the next hop is link-local"
    SAME_ROUTER = "the same router advertises it"
    SAME_ZONE = "this zone advertises it, without naming the router"
    TAG = "its tag equals the port's ic-route-filter-tag"
    ROUTE_TABLE = "its route table differs from the port's"
    DISABLED = "the router is disabled"
    OWN_ROUTE = "the router has its own static route with this prefix"
    UNREACHABLE = "the next hop is outside all networks of the router port"
    LOAD_BALANCER = "load balancer VIP, and ic-route-adv-lb or ic-route-learn-lb is not true"
    DYNAMIC = "the router learned this prefix from a routing daemon (SB Learned_Route)"
    LOCAL_VIP = "a load balancer of the router has a VIP inside the prefix"
    BY_SOURCE = "the static route matches the source address (policy src-ip)"
    DISCARDS = "the static route discards packets; OVN before 24.03 does not advertise such routes"
    NO_NEXTHOP = "the port has no address of the same IP version as the prefix"
    OVERLAP = "the prefix overlaps one of this cluster's own"
    NOT_ACCEPTED = "the prefix is outside what the configuration accepts from the zone"
    TOO_MANY = "the zone advertises more prefixes than the configuration accepts from it"
    BEYOND_LIMIT = "the zone, or all zones together, have more routes in IC-SB than are considered"
    RESERVED = "the prefix is for this host, multicast or reserved, so it is never exchanged"
    BROAD = "the prefix is almost a default route, and the configuration does not accept it by name"
    NOT_ADVERTISED = "the prefix is outside what the configuration advertises"
    DECLARED = "declared route to another zone"


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """The `ic-route-*` options of `NB_Global`.

    Args:
        host_bits: publish prefixes with the host bits of their ports and static routes
            ("10.0.0.1/16"), as `ovn-ic` does, so that each daemon recognises the other's rows.
    """

    advertise: bool = False
    learn: bool = False
    advertise_default: bool = False
    learn_default: bool = False
    advertise_lb: bool = False
    learn_lb: bool = False
    denylist: tuple[Network, ...] = ()
    bad_entries: tuple[str, ...] = ()
    host_bits: bool = False
    # The list has an entry for each node, and every route is checked against it.
    _denied: PrefixSet = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_denied", PrefixSet(self.denylist))

    def affected(self, before: "RouteOptions") -> frozenset[Network] | None:
        """Which routes a change from other options may affect.

        Returns:
            Prefixes: routes inside one of them; None for any route.
        """
        same_list = replace(self, denylist=before.denylist, bad_entries=before.bad_entries)
        return changed_entries(before.denylist, self.denylist) if same_list == before else None

    @classmethod
    def of(cls, options: Mapping[str, str], *, host_bits: bool = True) -> "RouteOptions":
        """Read the options; invalid entries of the list go to `bad_entries`.

        Args:
            options: of `NB_Global`.
            host_bits: what holds if the options do not say.
        """
        denied = options.get("ic-route-denylist") or options.get("ic-route-blacklist") or ""
        networks, bad = parse_list(denied)
        return cls(
            advertise=is_true(options, ADVERTISE),
            learn=is_true(options, LEARN),
            advertise_default=is_true(options, "ic-route-adv-default"),
            learn_default=is_true(options, "ic-route-learn-default"),
            advertise_lb=is_true(options, "ic-route-adv-lb"),
            learn_lb=is_true(options, "ic-route-learn-lb"),
            denylist=networks,
            bad_entries=bad,
            host_bits=is_true({HOST_BITS: str(host_bits), **options}, HOST_BITS),
        )

    def refuses_advertising(self, prefix: Network) -> Refusal | None:
        """Why a prefix may not be advertised, or None."""
        return self._refuses(prefix, switch=self.advertise, default=self.advertise_default)

    def refuses_learning(self, prefix: Network, *, default: bool = False) -> Refusal | None:
        """Why a prefix may not be learned, or None.

        Args:
            default: allow default routes even if the options do not.
        """
        return self._refuses(prefix, switch=self.learn, default=self.learn_default or default)

    def _refuses(self, prefix: Network, *, switch: bool, default: bool) -> Refusal | None:
        if not switch:
            return Refusal.OFF
        if is_link_local(prefix):
            return Refusal.LINK_LOCAL
        if is_default(prefix) and not default:
            return Refusal.DEFAULT
        if self._denied.contains(prefix):
            return Refusal.DENYLIST
        return None


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter list and a deny list, merged from a router port and its router.

    Args:
        allowed: only prefixes inside one of these pass; None if there is no list.
        denied: prefixes inside one of these do not pass.
        bad_entries: invalid entries.
    """

    allowed: tuple[Network, ...] | None = None
    denied: tuple[Network, ...] = ()
    bad_entries: tuple[str, ...] = ()

    @classmethod
    def of(cls, direction: str, *sources: Mapping[str, str]) -> "Filter":
        """Read `ic-route-filter-{direction}` and `ic-route-deny-{direction}` of all sources."""
        filters, denies = (
            ",".join(
                filter(None, (source.get(f"ic-route-{kind}-{direction}") for source in sources))
            )
            for kind in ("filter", "deny")
        )
        allowed, bad_filter = parse_list(filters)
        denied, bad_deny = parse_list(denies)
        return cls(allowed if filters else None, denied, (*bad_filter, *bad_deny))

    def refuses(self, prefix: Network) -> Refusal | None:
        """Why a prefix may not pass, or None."""
        if self.allowed is not None and not any(is_inside(prefix, e) for e in self.allowed):
            return Refusal.NOT_IN_FILTER
        if any(is_inside(prefix, entry) for entry in self.denied):
            return Refusal.DENIED
        return None


def is_true(options: Mapping[str, str], key: str) -> bool:
    """A boolean option as OVN reads it: anything but "true", in any letter case, is false."""
    return options.get(key, "").lower() == "true"


class GlobalRouteOptions(SingleKey, DerivedState[Only, frozenset[Network] | None]):
    """The options of our `NB_Global`.

    A change is what `RouteOptions.affected` returns.

    Args:
        view: shared with the engine.
        host_bits: see `RouteOptions.of`.

    Attributes:
        current: the options.
    """

    name: ClassVar[str] = "route options"
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal,)

    def __init__(self, view: View, *, host_bits: bool = True) -> None:
        super().__init__()
        self._view, self._host_bits = view, host_bits
        self.current = RouteOptions()

    def derive(self, key: Only) -> Iterable[frozenset[Network] | None]:
        nb_global = self._view.single(NbGlobal)
        before = self.current
        options = nb_global.options if nb_global else {}
        self.current = RouteOptions.of(options, host_bits=self._host_bits)
        self.report(key, *invalid_entries("NB_Global", "ic-route-denylist", self.current))
        return () if self.current == before else (self.current.affected(before),)


def invalid_entries(row: str, options: str, read: RouteOptions | Filter) -> Iterator[Problem]:
    """The problems of invalid entries in the options of a row, as it is shown."""
    for entry in dict.fromkeys(read.bad_entries):
        yield Subject(row, f"options:{options}", entry).problem(
            "is not a valid prefix, so this entry is skipped",
            "write it as ADDRESS/LENGTH",
            Reason.INVALID_OPTION,
        )
