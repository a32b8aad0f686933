"""Kube-OVN Subnets, as far as the interconnection depends on them. Used by `Inputs`.

Invariant: a Subnet that may have been intended to be private never counts as public.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from isthmus.controller.config.suggestions import shortened, suggestion
from isthmus.controller.inputs.nodes import Node
from isthmus.controller.inputs.snapshot import Manifest
from isthmus.model.prefix_index import sort_key
from isthmus.model.prefixes import Network, is_inside
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.text import failure_text

JOIN_SUBNET = "join"
"""The subnet between the nodes and the router, unless Kube-OVN runs with `--node-switch`."""

_KEYS = ("cidrBlock", "disableInterConnection", "vpc", "vlan")


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet.

    Args:
        name: its name.
        prefixes: its CIDRs, at most one per family (`spec.cidrBlock`); none if OVN does not
            provide it (`spec.provider`), or if a DHCP server assigns an underlay's addresses.
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
        last: its last valid form, if any.

    Returns:
        The subnet, and its problems. If there are any, the subnet is `last`, so that a manifest is
        never applied in part. Without `last`, the CIDR counts if it is valid, and a
        `disableInterConnection` that is not valid counts as true: the key is there to keep the
        subnet private, and a connection that is missing for a while does less harm than a private
        network that other clusters can reach.
    """
    spec = manifest.body.get("spec")
    name, problems = manifest.key.name, list[Problem]()
    reader = _SubnetReader(str(manifest.key), spec if isinstance(spec, dict) else {}, problems)
    misspelt = reader.check_keys()
    prefixes = reader.prefixes()
    disabled = reader.boolean("disableInterConnection") or misspelt
    subnet = Subnet(name, prefixes, reader.string("vpc"), reader.string("vlan"), disabled)
    if not problems:
        return subnet, ()
    if last is not None:
        return last, tuple(problems)
    return (subnet if prefixes else None), tuple(problems)


def with_join_subnets(subnets: Mapping[str, Subnet], nodes: Iterable[Node]) -> Mapping[str, Subnet]:
    """Make the join subnet private: the one that the Nodes name, with or without a manifest."""
    joins: dict[str, dict[Network, None]] = {}
    for node in nodes:
        if node.join_subnet or node.join_prefixes:
            networks = joins.setdefault(node.join_subnet or JOIN_SUBNET, {})
            networks.update(dict.fromkeys(node.join_prefixes))
    if not joins and JOIN_SUBNET in subnets:
        joins[JOIN_SUBNET] = {}
    found = dict(subnets)
    for name, networks in joins.items():
        written = subnets[name].prefixes if name in subnets else ()
        prefixes = tuple(dict.fromkeys((*written, *networks)))
        found[name] = Subnet(name, prefixes, disabled=True)  # always in the default VPC
    return found


def shared_prefixes(subnets: Iterable[Subnet], default_vpc: str) -> Iterator[Problem]:
    """Overlaps between the subnets of each VPC.

    Underlay subnets are in VLANs of their own, and may overlap.
    """
    pairs = [
        (subnet.vpc or default_vpc, prefix, subnet)
        for subnet in subnets
        if not subnet.vlan
        for prefix in subnet.prefixes
    ]
    pairs.sort(key=lambda pair: (pair[0], *sort_key(pair[1]), pair[2].name))
    around: list[tuple[str, Network, Subnet]] = []
    for pair in pairs:
        vpc, prefix, subnet = pair
        # In this order, a prefix comes directly after the prefixes that contain it.
        while around and not (around[-1][0] == vpc and is_inside(prefix, around[-1][1])):
            around.pop()
        if around:
            _, other, owner = around[-1]
            yield Subject(f"Subnet {subnet.name}", "spec.cidrBlock", str(prefix)).problem(
                f"overlaps {other} of Subnet {owner.name} in the same VPC {vpc}",
                "use a different CIDR for each Subnet of a VPC",
                Reason.OVERLAPPING_SUBNETS,
            )
        around.append(pair)


@dataclass(frozen=True, slots=True)
class _SubnetReader:
    """Reads the spec of one Subnet."""

    name: str
    spec: dict[Any, Any]
    problems: list[Problem]

    def prefixes(self) -> tuple[Network, ...]:
        value = self.spec.get("cidrBlock")
        # OVN's subnets have the provider "ovn" or "NAME.NAMESPACE.ovn", or none (Kube-OVN).
        provider = self.string("provider") or "ovn"
        foreign = provider.rpartition(".")[2] != "ovn"
        if foreign or (value in (None, "") and self.spec.get("vlan")):  # a set needs a hash
            # Not on OVN's routers, or an underlay whose addresses come from a DHCP server.
            return ()
        if not isinstance(value, str) or not value.strip():
            message = "is missing" if value is None else "must be a string like 10.16.0.0/16"
            self._bad("cidrBlock", value, message, "write the subnet's CIDR")
            return ()
        try:
            prefixes = tuple(ip_network(item.strip(), strict=False) for item in value.split(","))
        except ValueError as error:
            message = f"is not a valid CIDR: {failure_text(error)}"
            self._bad("cidrBlock", value, message, "write e.g. 10.16.0.0/16")
            return ()
        if len({prefix.version for prefix in prefixes}) < len(prefixes):
            message = "has two CIDRs of one family"
            self._bad("cidrBlock", value, message, "write at most one per family")
            return ()
        return prefixes

    def boolean(self, key: str) -> bool:
        """The value of a flag; True, which is the safe value, if it is not valid."""
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
        """Report misspelt keys; return whether one of them stands for a set privacy flag."""
        disabled = False
        for key, value in self.spec.items():
            wanted = None if key in _KEYS else suggestion(str(key), _KEYS)
            if wanted is not None and wanted not in self.spec:
                self._bad(str(key), None, "is not a known key", f"write {wanted}")
                disabled |= wanted == "disableInterConnection" and value is not False
        return disabled

    def _bad(self, key: str, value: Any, message: str, remedy: str) -> None:
        subject = Subject(self.name, f"spec.{key}", "" if value is None else shortened(value))
        self.problems.append(subject.problem(message, remedy, Reason.INVALID_SUBNET))
