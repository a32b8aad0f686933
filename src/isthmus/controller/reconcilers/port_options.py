"""Options that our router ports on transit switches have: the MTU, and what they keep private.

Pure; used by `port_operations`. People may have set the same options by hand, so what we have set
is noted on the port, and only that is taken back: entries of a list that somebody else added stay,
and with `mtu: "off"` an MTU set by hand stays.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from isthmus.model.prefixes import Network

GATEWAY_MTU = "gateway_mtu"
DENY_ADVERTISE, DENY_LEARN = "ic-route-deny-adv", "ic-route-deny-learn"

MTU_MARK = "isthmus-gateway-mtu"
"""In `external_ids` of our router ports: the MTU that we have set."""

DENY_MARK = "isthmus-route-deny"
"""In `external_ids` of our router ports: the entries of the deny lists that are ours."""

MARKS = frozenset({MTU_MARK, DENY_MARK})


@dataclass(frozen=True, slots=True)
class PortSettings:
    """What a router port is to have.

    Args:
        mtu: in bytes; None for none of ours.
        denied: the prefixes that are neither advertised nor learned through the port.
    """

    mtu: int | None = None
    denied: tuple[str, ...] = ()

    def options(self, options: Mapping[str, str], marks: Mapping[str, str]) -> dict[str, str]:
        """The options that a port should have instead of those that it has.

        Args:
            options: of the port.
            marks: its `external_ids`.
        """
        wanted = dict(options)
        if self.mtu is not None:
            wanted[GATEWAY_MTU] = str(self.mtu)
        elif GATEWAY_MTU in options and marks.get(MTU_MARK) == options[GATEWAY_MTU]:
            del wanted[GATEWAY_MTU]
        ours = {*entries(marks.get(DENY_MARK, "")), *self.denied}
        for key in (DENY_ADVERTISE, DENY_LEARN):
            others = [entry for entry in entries(options.get(key, "")) if entry not in ours]
            wanted.pop(key, None)
            if self.denied or others:
                wanted[key] = ",".join([*self.denied, *others])
        return wanted

    @property
    def marks(self) -> dict[str, str]:
        """The `external_ids` that say which of the options are ours."""
        marks = {} if self.mtu is None else {MTU_MARK: str(self.mtu)}
        return {**marks, DENY_MARK: ",".join(self.denied)} if self.denied else marks


def entries(text: str) -> list[str]:
    """The entries of a comma-separated list."""
    return [entry for part in text.split(",") if (entry := part.strip())]


def listed(prefixes: Iterable[Network]) -> tuple[str, ...]:
    """Prefixes as text in their canonical order."""
    return _listed(frozenset(prefixes))


@lru_cache(maxsize=16)
def _listed(prefixes: frozenset[Network]) -> tuple[str, ...]:
    # The nodes' addresses may be thousands, and stay the same from edit to edit.
    return tuple(str(prefix) for prefix in sorted(prefixes, key=_order))


def denied_by(options: Mapping[str, str]) -> frozenset[str]:
    """The entries that are on both deny lists of a port."""
    lists = (entries(options.get(key, "")) for key in (DENY_ADVERTISE, DENY_LEARN))
    return frozenset.intersection(*map(frozenset, lists))


def _order(prefix: Network) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen
