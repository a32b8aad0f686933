"""Which routes may be exchanged: the switches of `NB_Global.options`, and filters.

Values and functions only; `isthmus.exchange.routes.advertise` and `.learn` ask them for each route.
Facts: ovn-nb(5), NB_Global and Logical_Router_Port options.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from isthmus.model.prefixes import (
    Network,
    PrefixSet,
    is_default,
    is_inside,
    is_link_local,
    parse_list,
)

CONNECTED, STATIC, LOADBALANCER = "connected", "static", "loadbalancer"
CONNECTED_DYNAMIC = "connected-dynamic"
"""Origins of IC-SB routes."""


HOST_BITS = "isthmus-route-host-bits"
"""The key of `NB_Global.options` that sets `RoutePolicy.host_bits`."""

IPV4_BY_IPV6 = "ic-route-ipv4-next-hop-ipv6"
"""In `options` of a router port on a transit switch, or of its router: IPv4 prefixes go by an IPv6
next hop where there is no IPv4 one. `ovn-ic` has it after 26.03."""


class Refusal(StrEnum):
    """Why a route is not advertised or not learned; the text is shown to people."""

    OFF = "ic-route-adv or ic-route-learn is not true"
    LINK_LOCAL = "the prefix is link-local"
    DEFAULT = "it is a default route and ic-route-adv-default or ic-route-learn-default is not true"
    DENYLIST = "the prefix lies inside ic-route-denylist (or ic-route-blacklist)"
    NOT_IN_FILTER = "the prefix lies inside no entry of the port's or router's filter list"
    DENIED = "the prefix lies inside the port's or router's deny list"
    UNPARSABLE = "the prefix or the next hop does not parse"
    NEXTHOP_LINK_LOCAL = "the next hop is link-local"
    SAME_ROUTER = "the same router advertises it"
    SAME_ZONE = "our own zone advertises it, from a daemon that names no router"
    TAG = "its tag is the port's ic-route-filter-tag"
    ROUTE_TABLE = "its route table is not the port's"
    DISABLED = "the router is disabled"
    OWN_ROUTE = "the router has a static route of its own with this prefix"
    UNREACHABLE = "the next hop lies in no network of the router port"
    LOAD_BALANCER = "it is of a load balancer and ic-route-adv-lb or ic-route-learn-lb is not true"
    DYNAMIC = "a routing daemon has taught the router this prefix (SB Learned_Route)"
    LOCAL_VIP = "a load balancer of the router has a VIP inside the prefix"
    BY_SOURCE = "the static route goes by source address (policy src-ip)"
    DISCARDS = "the static route discards, which OVN before 24.03 does not tell other zones"
    NO_NEXTHOP = "the port has no address of the prefix's family"
    OVERLAP = "the prefix overlaps one of this cluster's own"
    NOT_ACCEPTED = "the configuration accepts no such prefix from the zone"
    TOO_MANY = "the zone announces more prefixes than the configuration accepts from it"
    NOT_ADVERTISED = "the configuration lists what is advertised, and not this"
    DECLARED = "it is a declared route to another zone"


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """The `ic-route-*` options of `NB_Global`.

    Args:
        host_bits: publish connected networks with the port's host bits ("10.0.0.1/16"), as
            `ovn-ic` does up to 26.03 at least: then it finds its own when it takes over from us.
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
    # The list has an entry for each node, and each route is held against it.
    _denied: PrefixSet = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_denied", PrefixSet(self.denylist))

    @classmethod
    def of(cls, options: Mapping[str, str]) -> "RoutePolicy":
        """Read the options; entries of the list that do not parse are skipped, and kept."""
        denied = options.get("ic-route-denylist") or options.get("ic-route-blacklist") or ""
        networks, bad = parse_list(denied)
        return cls(
            advertise=is_true(options, "ic-route-adv"),
            learn=is_true(options, "ic-route-learn"),
            advertise_default=is_true(options, "ic-route-adv-default"),
            learn_default=is_true(options, "ic-route-learn-default"),
            advertise_lb=is_true(options, "ic-route-adv-lb"),
            learn_lb=is_true(options, "ic-route-learn-lb"),
            denylist=networks,
            bad_entries=bad,
            host_bits=is_true(options, HOST_BITS),
        )

    def refuses_advertising(self, prefix: Network) -> Refusal | None:
        """Why a prefix may not be advertised, or None."""
        return self._refuses(prefix, switch=self.advertise, default=self.advertise_default)

    def refuses_learning(self, prefix: Network, *, default: bool = False) -> Refusal | None:
        """Why a prefix may not be learned, or None.

        Args:
            default: whether default routes may be learned whatever the options say.
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
        allowed: prefixes that may pass, or None if no list was given.
        denied: prefixes that may not.
        bad_entries: what did not parse.
    """

    allowed: tuple[Network, ...] | None = None
    denied: tuple[Network, ...] = ()
    bad_entries: tuple[str, ...] = ()

    @classmethod
    def of(cls, direction: str, *sources: Mapping[str, str]) -> "Filter":
        """Read `ic-route-filter-{direction}` and `ic-route-deny-{direction}` of all sources."""
        filters = [
            s[f"ic-route-filter-{direction}"]
            for s in sources
            if s.get(f"ic-route-filter-{direction}")
        ]
        denies = [
            s[f"ic-route-deny-{direction}"] for s in sources if s.get(f"ic-route-deny-{direction}")
        ]
        allowed, bad_filter = parse_list(",".join(filters))
        denied, bad_deny = parse_list(",".join(denies))
        return cls(allowed if filters else None, denied, (*bad_filter, *bad_deny))

    def refuses(self, prefix: Network) -> Refusal | None:
        """Why a prefix may not pass, or None."""
        if self.allowed is not None and not any(is_inside(prefix, e) for e in self.allowed):
            return Refusal.NOT_IN_FILTER
        if any(is_inside(prefix, entry) for entry in self.denied):
            return Refusal.DENIED
        return None


def is_true(options: Mapping[str, str], key: str) -> bool:
    """A boolean option as OVN reads it: anything but "true", in any case, is false."""
    return options.get(key, "").lower() == "true"
