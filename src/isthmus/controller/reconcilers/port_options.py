"""Options of our router ports on transit switches: the MTU, and the deny lists of routes.

Pure; used by `port_operations`. Operators may set the same options manually. Marks on the port
record what we have set, and only that is removed: list entries of others stay, and with
`mtu: "off"` a manual MTU stays.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from isthmus.model.prefix_index import sort_key
from isthmus.model.prefixes import Network

GATEWAY_MTU = "gateway_mtu"
DENY_ADVERTISE, DENY_LEARN = "ic-route-deny-adv", "ic-route-deny-learn"

MTU_MARK = "isthmus-gateway-mtu"
"""Key in `external_ids` of our router ports: the MTU that we have set."""

DENY_MARK = "isthmus-route-deny"
"""Key in `external_ids` of our router ports: our entries in the deny lists."""

MARKS = frozenset({MTU_MARK, DENY_MARK})


@dataclass(frozen=True, slots=True)
class PortSettings:
    """The desired settings of a router port.

    Args:
        mtu: in bytes; None to set none.
        denied: the prefixes that are neither advertised nor learned through the port.
    """

    mtu: int | None = None
    denied: tuple[str, ...] = ()

    def options(self, options: Mapping[str, str], marks: Mapping[str, str]) -> dict[str, str]:
        """The desired `options` of a port.

        Args:
            options: its present `options`.
            marks: its present `external_ids`.
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
        """The `external_ids` that record what we have set."""
        marks = {} if self.mtu is None else {MTU_MARK: str(self.mtu)}
        return {**marks, DENY_MARK: ",".join(self.denied)} if self.denied else marks


def entries(text: str) -> list[str]:
    """The entries of a comma-separated list."""
    return [entry for part in text.split(",") if (entry := part.strip())]


def listed(prefixes: Iterable[Network]) -> tuple[str, ...]:
    """Prefixes as text, in canonical order."""
    return _listed(frozenset(prefixes))


@lru_cache(maxsize=16)
def _listed(prefixes: frozenset[Network]) -> tuple[str, ...]:
    # There may be thousands of node addresses, which most edits do not change.
    return tuple(str(prefix) for prefix in sorted(prefixes, key=sort_key))


def denied_by(options: Mapping[str, str]) -> frozenset[str]:
    """The entries that both deny lists of a port contain."""
    lists = (entries(options.get(key, "")) for key in (DENY_ADVERTISE, DENY_LEARN))
    return frozenset.intersection(*map(frozenset, lists))
