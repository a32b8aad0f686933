"""What the import policy makes of one IC-SB route on one router, as values."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.exchange.routes.options import Refusal
from isthmus.model.import_policy import LocalPrefix
from isthmus.model.prefixes import Network
from isthmus.model.rows import IcRoute, RowId


class FindingKind(StrEnum):
    """Why the policy is concerned with a prefix."""

    OVERLAP = "overlap"
    NOT_ACCEPTED = "not accepted"
    DEFAULT = "default route"
    LIMITED = "limited"


class Group(NamedTuple):
    """Prefixes of one zone that concern the policy for one reason, on one router.

    Args:
        kind: the reason; `LIMITED` prefixes may be learned, but only so many.
        router: the UUID of the router.
        zone: the name of the zone.
        local: the local prefix that they overlap.
    """

    kind: FindingKind
    router: RowId
    zone: str
    local: LocalPrefix | None = None


class Finding(NamedTuple):
    """One prefix of a group."""

    group: Group
    prefix: Network


_KIND_OF: Mapping[Refusal, FindingKind] = {
    Refusal.OVERLAP: FindingKind.OVERLAP,
    Refusal.NOT_ACCEPTED: FindingKind.NOT_ACCEPTED,
    Refusal.DEFAULT: FindingKind.DEFAULT,
}


def finding_of(
    policy: ImportPolicy, route: IcRoute, prefix: Network, router: RowId, refusal: Refusal | None
) -> Finding | None:
    """What the policy makes of a route; None if it is not concerned.

    Args:
        policy: the rules.
        route, prefix: the IC-SB route and its prefix.
        router: the UUID of the router that might learn it.
        refusal: why it does not, the limit of its zone aside; None if it does.
    """
    if not policy.active:
        return None
    zone, local = policy.zone_of(route), None
    if refusal is None:
        limited = policy.limit_of(zone) is not None
        return Finding(Group(FindingKind.LIMITED, router, zone), prefix) if limited else None
    kind = _KIND_OF.get(refusal)
    if kind is FindingKind.OVERLAP:
        local = policy.local_at(router, prefix)
    return Finding(Group(kind, router, zone, local), prefix) if kind else None
