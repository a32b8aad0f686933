"""Kube-OVN Subnets: what `Inputs` needs to know of them.

Invariant: a Subnet whose owner may have meant to keep it out of the interconnection is never
taken for one that may be advertised.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from isthmus.controller.config.suggestions import meant, shown
from isthmus.controller.inputs.snapshot import Manifest
from isthmus.model.prefixes import Network, is_inside
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason

_KEYS = ("cidrBlock", "disableInterConnection", "vpc", "vlan")


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet.

    Args:
        name: its name.
        prefixes: its CIDRs, at most one per family (`spec.cidrBlock`).
        vpc: its VPC; empty means the default one (`spec.vpc`).
        vlan: the VLAN of an underlay subnet; else empty (`spec.vlan`).
        disabled: whether it stays out of the interconnection (`spec.disableInterConnection`).
    """

    name: str
    prefixes: tuple[Network, ...]
    vpc: str = ""
    vlan: str = ""
    disabled: bool = False


def parse_subnet(
    manifest: Manifest, last: Subnet | None
) -> tuple[Subnet | None, tuple[Problem, ...]]:
    """Read a Subnet.

    Args:
        manifest: as written.
        last: what it was when it could last be read.

    Returns:
        The subnet, and what is wrong. If anything is, the subnet is `last`: it is not half
        applied. Without a `last`, the CIDR is used if at least that can be read, and an
        unreadable `disableInterConnection` counts as true: whoever wrote the key at all most
        likely wanted to keep the subnet private, and a connection missing for a moment does
        less harm than a private network shown to other clusters.
    """
    spec = manifest.body.get("spec")
    name, problems = manifest.key.name, list[Problem]()
    reader = _Reader(str(manifest.key), spec if isinstance(spec, dict) else {}, problems)
    misspelt = reader.check_keys()
    prefixes = reader.prefixes()
    disabled = reader.boolean("disableInterConnection") or misspelt
    subnet = Subnet(name, prefixes, reader.string("vpc"), reader.string("vlan"), disabled)
    if not problems:
        return subnet, ()
    if last is not None:
        return last, tuple(problems)
    return (subnet if prefixes else None), tuple(problems)


def shared_prefixes(subnets: Iterable[Subnet], default_vpc: str) -> Iterator[Problem]:
    """What is wrong between the subnets of each VPC: no address may belong to two of them.

    Underlay subnets are in VLANs of their own, and may be as they like.
    """
    pairs = [
        (subnet.vpc or default_vpc, prefix, subnet)
        for subnet in subnets
        if not subnet.vlan
        for prefix in subnet.prefixes
    ]
    pairs.sort(key=lambda pair: (pair[0], *_order(pair[1]), pair[2].name))
    around: list[tuple[str, Network, Subnet]] = []
    for pair in pairs:
        vpc, prefix, subnet = pair
        # Sorted like this, a prefix comes right after those that it lies inside.
        while around and not (around[-1][0] == vpc and is_inside(prefix, around[-1][1])):
            around.pop()
        if around:
            _, other, owner = around[-1]
            yield Subject(f"Subnet {subnet.name}", "spec.cidrBlock", str(prefix)).problem(
                f"overlaps {other} of Subnet {owner.name} in the same VPC {vpc}",
                "give each subnet of a VPC addresses of its own",
                Reason.OVERLAPPING_SUBNETS,
            )
        around.append(pair)


def _order(prefix: Network) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one Subnet's spec."""

    name: str
    spec: dict[Any, Any]
    problems: list[Problem]

    def prefixes(self) -> tuple[Network, ...]:
        value = self.spec.get("cidrBlock")
        if not isinstance(value, str) or not value.strip():
            message = "is missing" if value is None else "must be a string like 10.16.0.0/16"
            self._bad("cidrBlock", value, message, "write the subnet's CIDR")
            return ()
        try:
            prefixes = tuple(ip_network(item.strip(), strict=False) for item in value.split(","))
        except ValueError as error:
            self._bad("cidrBlock", value, f"is no CIDR: {error}", "write e.g. 10.16.0.0/16")
            return ()
        if len({prefix.version for prefix in prefixes}) < len(prefixes):
            self._bad(
                "cidrBlock", value, "has two CIDRs of one family", "write one per family at most"
            )
            return ()
        return prefixes

    def boolean(self, key: str) -> bool:
        """The flag; True (the safe side) if it is there and cannot be read."""
        value = self.spec.get(key, False)
        if isinstance(value, bool):
            return value
        self._bad(key, value, "must be true or false", "write true or false without quotes")
        return True

    def string(self, key: str) -> str:
        value = self.spec.get(key)
        if value is None or isinstance(value, str):
            return value or ""
        self._bad(key, value, "must be a string", "put it in quotes")
        return ""

    def check_keys(self) -> bool:
        """Report misspelt keys; whether `disableInterConnection` was meant by one and set."""
        disabled = False
        for key, value in self.spec.items():
            wanted = None if key in _KEYS else meant(str(key), _KEYS)
            if wanted is not None and wanted not in self.spec:
                self._bad(str(key), None, "is not known", f"write {wanted}")
                disabled |= wanted == "disableInterConnection" and value is not False
        return disabled

    def _bad(self, key: str, value: Any, message: str, remedy: str) -> None:
        text = "" if value is None else shown(value)
        self.problems.append(
            Subject(self.name, f"spec.{key}", text).problem(message, remedy, Reason.INVALID_SUBNET)
        )
