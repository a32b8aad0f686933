"""Transit switches as given on the command line, and which of them have to be created. Pure.

Called by the command line and by `server.transit_switch_creation`. Rows have Kube-OVN's form:
`external_ids:subnet` holds "v4", "v6" or "v4,v6", and `external_ids:vendor` is "kube-ovn". The row
of a transit switch for custom VPCs names their network and has Isthmus as vendor, so Kube-OVN's
controllers leave it alone. Invariant: an existing row is never changed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_interface, ip_network
from itertools import combinations

from isthmus.model.external_ids import (
    ISTHMUS,
    KUBE_OVN,
    NETWORK,
    SUBNET,
    VENDOR,
    is_another_vendors,
    is_our_transit_switch,
)
from isthmus.model.operations import Insert
from isthmus.model.prefixes import Network, overlapping, parse_list
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import TransitSwitch
from isthmus.model.text import quoted

_FORM = "NAME=CIDR[,CIDR6][@NETWORK]"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FEWEST_ADDRESSES = 4
"""Two router ports, the network address and, for IPv4, the broadcast address."""


@dataclass(frozen=True, slots=True)
class TransitSwitchSpec:
    """A transit switch that must exist.

    Args:
        name: as in IC-NB.
        subnets: one or two networks, at most one per family; router ports have addresses in them.
        network: the network of custom VPCs that it serves; empty for the default VPCs.
    """

    name: str
    subnets: tuple[Network, ...]
    network: str = ""

    @property
    def subnet(self) -> str:
        """The value of `external_ids:subnet`."""
        return ",".join(map(str, self.subnets))

    @property
    def external_ids(self) -> Mapping[str, str]:
        """The row's `external_ids`."""
        if not self.network:
            return {SUBNET: self.subnet, VENDOR: KUBE_OVN}
        return {SUBNET: self.subnet, VENDOR: ISTHMUS, NETWORK: self.network}

    @property
    def insertion(self) -> Insert:
        """The write that creates the row."""
        return Insert(TransitSwitch, {"name": self.name, "external_ids": dict(self.external_ids)})

    def is_as(self, row: TransitSwitch) -> bool:
        """Whether a row has these subnets and this network."""
        same_network = row.external_ids.get(NETWORK, "") == self.network
        return same_network and frozenset(subnets_of(row)) == frozenset(self.subnets)

    def __str__(self) -> str:
        return f"{self.name}={described(self.external_ids)}"


DEFAULT = TransitSwitchSpec("ts", (IPv4Network("169.254.100.0/24"),))
"""The transit switch of Kube-OVN's guide."""


def parse_transit_switches(
    texts: Iterable[str],
) -> tuple[tuple[TransitSwitchSpec, ...], list[Problem]]:
    """Parse values of `--transit-switch`, each NAME=CIDR[,CIDR6][@NETWORK].

    Returns:
        the valid ones, and everything that is wrong with the others or between them.
    """
    specs: list[TransitSwitchSpec] = []
    problems: list[Problem] = []
    for text in texts:
        parsed = _parse(text)
        if isinstance(parsed, Problem):
            problems.append(parsed)
        else:
            specs.append(parsed)
    problems += _clashes(specs)
    return tuple(specs), problems


@dataclass(frozen=True, slots=True)
class CreationPlan:
    """How to bring about the transit switches that must exist.

    Args:
        create: those that do not exist.
        clashes: those whose names another vendor's transit switches have.
        differences: those that exist with other subnets or another network, and are not changed.
    """

    create: tuple[TransitSwitchSpec, ...] = ()
    clashes: tuple[Problem, ...] = ()
    differences: tuple[Problem, ...] = ()


def plan_creation(
    wanted: Sequence[TransitSwitchSpec] | None, existing: Iterable[TransitSwitch]
) -> CreationPlan:
    """Compare the transit switches that must exist with those that do.

    Args:
        wanted: None for `DEFAULT`, unless there is one of Kube-OVN's or Isthmus's already.
        existing: all rows of IC-NB's `Transit_Switch`.
    """
    rows = {row.name: row for row in existing}
    if wanted is None:
        if any(is_our_transit_switch(row) for row in rows.values()):
            return CreationPlan()
        wanted = (DEFAULT,)
    known = [(spec, rows[spec.name]) for spec in wanted if spec.name in rows]
    return CreationPlan(
        create=tuple(spec for spec in wanted if spec.name not in rows),
        clashes=tuple(
            _problem(
                str(spec), "is the name of another vendor's transit switch", "give another name"
            )
            for spec, row in known
            if is_another_vendors(row)
        ),
        differences=tuple(
            _different(spec, row)
            for spec, row in known
            if not is_another_vendors(row) and not spec.is_as(row)
        ),
    )


def _parse(text: str) -> TransitSwitchSpec | Problem:
    name, equals, rest = text.partition("=")
    cidrs, at, network = rest.partition("@")
    if not equals or not _NAME.fullmatch(name):
        return _problem(text, f"is not {_FORM}", f"write e.g. {DEFAULT}")
    if at and not _NAME.fullmatch(network):
        message = f"{quoted(network)} is not a valid network name"
        return _problem(text, message, f"write e.g. {DEFAULT}@blue")
    subnets: list[Network] = []
    for cidr in cidrs.split(","):
        subnet = _parse_subnet(text, cidr)
        if isinstance(subnet, Problem):
            return subnet
        subnets.append(subnet)
    if len({subnet.version for subnet in subnets}) < len(subnets):
        message = "has two subnets of one address family"
        return _problem(text, message, "give one IPv4 and one IPv6 subnet")
    subnets.sort(key=lambda subnet: subnet.version)
    return TransitSwitchSpec(name, tuple(subnets), network)


def _parse_subnet(text: str, cidr: str) -> Network | Problem:
    try:
        subnet = ip_network(cidr, strict=False)
    except ValueError:
        remedy = "write ADDRESS/LENGTH, e.g. 169.254.100.0/24"
        return _problem(text, f"{quoted(cidr)} is not a CIDR", remedy)
    if ip_interface(cidr).ip != subnet.network_address:
        return _problem(text, f"{quoted(cidr)} has host bits set", f"write {subnet}")
    if subnet.num_addresses < _FEWEST_ADDRESSES:
        return _problem(
            text, f"{quoted(cidr)} has no room for two router ports", "give a larger subnet"
        )
    return subnet


def _clashes(specs: Sequence[TransitSwitchSpec]) -> Iterable[Problem]:
    for one, other in combinations(specs, 2):
        value = str(other)
        if one.name == other.name:
            yield _problem(value, "has a name that is given twice", "give each transit switch once")
        elif one.network == other.network and any(overlapping(one.subnets, other.subnets)):
            message = f"overlaps the subnet {one.subnet} of {one.name}"
            yield _problem(value, message, "give each transit switch a subnet of its own")


def described(external_ids: Mapping[str, str]) -> str:
    """The subnets, and the network if there is one, as in `--transit-switch`."""
    subnet, network = external_ids.get(SUBNET, ""), external_ids.get(NETWORK, "")
    return f"{subnet}@{network}" if network else subnet


def subnets_of(row: TransitSwitch) -> tuple[Network, ...]:
    """The row's subnets, as far as they can be parsed."""
    return parse_list(row.external_ids.get(SUBNET, ""))[0]


def _different(spec: TransitSwitchSpec, row: TransitSwitch) -> Problem:
    ids, found = row.external_ids, described(row.external_ids)
    key = SUBNET if ids.get(NETWORK, "") == spec.network else NETWORK
    subject = Subject(f"transit switch {spec.name}", f"external_ids:{key}", ids.get(key, ""))
    if not found:
        return subject.problem(
            "is missing, and the transit switch is not changed",
            f"write the subnet that its ports are in: ovn-ic-nbctl set Transit_Switch {spec.name}"
            f" external_ids:{SUBNET}={spec.subnet}",
        )
    return subject.problem(
        f"the transit switch exists as {found} and is not changed to"
        f" {described(spec.external_ids)}",
        f"start with --transit-switch {spec.name}={found}, or let every cluster leave and delete"
        " the transit switch first",
    )


def _problem(value: str, message: str, remedy: str) -> Problem:
    return Subject("IC databases", "--transit-switch", value).problem(message, remedy)
