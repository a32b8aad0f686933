"""Transit switches of running databases: what there are, and whether one can be added or removed.

Called by `isthmus ic-db transit-switch` and by `supervisor`. Pure. A switch of another vendor is
shown and never changed; what a row of ours says is never changed either: clusters have addresses in
its subnet.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log2

from isthmus.engine.view import View
from isthmus.icdb.transit_switches.spec import TransitSwitchSpec
from isthmus.model.external_ids import NETWORK, SUBNET, is_ours
from isthmus.model.operations import Delete, Insert, Operation, Value, Wait
from isthmus.model.prefixes import Network, parse_network
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import AvailabilityZone, IcPortBinding, IcRoute, TransitSwitch

IPV4 = 4
_RESERVED = {4: 2, 6: 1}
"""Addresses of a subnet that no port can have: its own and, for IPv4, the broadcast address."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A transit switch as it is.

    Args:
        name, subnet: as in IC-NB; the subnet may be empty.
        network: of custom VPCs; empty for that of the default VPCs.
        ours: whether Kube-OVN or Isthmus made it.
        zones: the names of those that have a port on it.
        room: the most ports that the smallest of its subnets can have; None without a subnet.
    """

    name: str
    subnet: str
    network: str
    ours: bool
    zones: tuple[str, ...]
    room: int | None


def shown(view: View) -> tuple[Shown, ...]:
    """All transit switches by name, from IC-NB and IC-SB."""
    rows = sorted(view.table(TransitSwitch), key=lambda row: row.name)
    return tuple(
        Shown(
            name=row.name,
            subnet=row.external_ids.get(SUBNET, ""),
            network=row.external_ids.get(NETWORK, ""),
            ours=is_ours(row.external_ids),
            zones=_attached(view, row.name),
            room=min(map(room, _subnets(row)), default=None),
        )
        for row in rows
    )


def room(subnet: Network) -> int:
    """How many router ports a subnet has addresses for."""
    return max(0, subnet.num_addresses - _RESERVED[subnet.version])


def longest_prefix(ports: int, version: int) -> int:
    """The length of the smallest subnet with room for so many ports."""
    return (32 if version == IPV4 else 128) - ceil(log2(ports + _RESERVED[version]))


def addition(
    view: View, spec: TransitSwitchSpec, zones: int
) -> tuple[tuple[Operation, ...], tuple[Problem, ...]]:
    """What adding a transit switch takes.

    Args:
        view: IC-NB and IC-SB.
        spec: the switch.
        zones: how many are to have a port on it.

    Returns:
        the write to IC-NB, and why it must not be; no write and no problem if it is there.
    """
    same = next((row for row in view.table(TransitSwitch) if row.name == spec.name), None)
    if same is not None:
        return (), tuple(_existing(spec, same))
    problems = (*_too_small(spec, zones), *in_the_way(view, spec))
    if problems:
        return (), problems
    row: Mapping[str, Value] = {"name": spec.name, "external_ids": dict(spec.external_ids)}
    return (Insert(TransitSwitch, row),), ()


def in_the_way(view: View, spec: TransitSwitchSpec) -> tuple[Problem, ...]:
    """Why a transit switch that does not exist must not: who uses its addresses already.

    Args:
        view: IC-NB and IC-SB.
        spec: the switch.
    """
    return (*_overlaps(view, spec), *_routed(view, spec))


def removal(
    view: View, name: str, *, attached_too: bool
) -> tuple[tuple[Operation, ...], tuple[Problem, ...]]:
    """What removing a transit switch takes.

    Args:
        view: IC-NB and IC-SB.
        name: the switch.
        attached_too: whether to remove it although zones have ports on it.

    Returns:
        the write to IC-NB, and why it must not be.
    """
    row = next((row for row in view.table(TransitSwitch) if row.name == name), None)
    if row is None:
        known = ", ".join(sorted(row.name for row in view.table(TransitSwitch))) or "none"
        return (), (_problem(name, "", f"does not exist; there are: {known}", "give one of them"),)
    if not is_ours(row.external_ids):
        message = "another vendor's, and is left alone"
        return (), (_problem(name, "", f"is {message}", "remove it with the vendor's tools"),)
    zones = _attached(view, name)
    if zones and not attached_too:
        message = f"zones have ports on it, and lose the ways over it: {', '.join(zones)}"
        remedy = "have them leave first, or give --yes to remove it under them"
        return (), (_problem(name, "", message, remedy),)
    unchanged = Wait(TransitSwitch, row.uuid, {"name": row.name})
    return (unchanged, Delete(TransitSwitch, row.uuid)), ()


def _existing(spec: TransitSwitchSpec, row: TransitSwitch) -> Iterator[Problem]:
    subnet, network = row.external_ids.get(SUBNET, ""), row.external_ids.get(NETWORK, "")
    if not is_ours(row.external_ids):
        yield _problem(spec.name, "", "is another vendor's", "give another name")
    elif frozenset(_subnets(row)) != frozenset(spec.subnets) or network != spec.network:
        found = f"{subnet}@{network}" if network else subnet
        message = f"exists as {found}, and clusters may have addresses in that"
        yield _problem(spec.name, str(spec), message, "give another name, or remove it first")


def _too_small(spec: TransitSwitchSpec, zones: int) -> Iterator[Problem]:
    for subnet in spec.subnets:
        if room(subnet) < zones:
            needed = longest_prefix(zones, subnet.version)
            yield _problem(
                spec.name,
                str(subnet),
                f"has room for {room(subnet)} zones; {zones} zones need at least a /{needed}",
                f"give a /{needed} or larger, or fewer --zones",
            )


def _overlaps(view: View, spec: TransitSwitchSpec) -> Iterator[Problem]:
    for row in view.table(TransitSwitch):
        if is_ours(row.external_ids) and row.external_ids.get(NETWORK, "") != spec.network:
            continue  # networks of custom VPCs may use the same addresses
        for one, other in _overlapping(spec.subnets, _subnets(row)):
            message = f"overlaps {other} of transit switch {row.name}"
            yield _problem(spec.name, str(one), message, "give a subnet of its own")


def _routed(view: View, spec: TransitSwitchSpec) -> Iterator[Problem]:
    """Zones' subnets that lie in ours, or hold ours; default routes hold everything."""
    names = {zone.uuid: zone.name for zone in view.table(AvailabilityZone)}
    networks = {row.name: row.external_ids.get(NETWORK, "") for row in view.table(TransitSwitch)}
    for route in view.table(IcRoute):
        prefix = parse_network(route.ip_prefix)
        of_other = networks.get(route.transit_switch, "") != spec.network
        if prefix is None or prefix.prefixlen == 0 or of_other:
            continue
        for one, other in _overlapping(spec.subnets, (prefix,)):
            zone = names.get(route.availability_zone, "unknown")
            message = f"overlaps {other}, which zone {zone} advertises on {route.transit_switch}"
            yield _problem(spec.name, str(one), message, "give a subnet that no zone uses")


def _overlapping(
    ones: Iterable[Network], others: Iterable[Network]
) -> Iterator[tuple[Network, Network]]:
    candidates = tuple(others)
    for one in ones:
        for other in candidates:
            if one.version == other.version and one.overlaps(other):
                yield one, other


def _attached(view: View, name: str) -> tuple[str, ...]:
    names = {zone.uuid: zone.name for zone in view.table(AvailabilityZone)}
    ports = (port for port in view.table(IcPortBinding) if port.transit_switch == name)
    return tuple(sorted({names.get(port.availability_zone, "unknown") for port in ports}))


def _subnets(row: TransitSwitch) -> tuple[Network, ...]:
    texts = row.external_ids.get(SUBNET, "").split(",")
    parsed = (parse_network(text.strip()) for text in texts)
    return tuple(subnet for subnet in parsed if subnet is not None)


def _problem(name: str, value: str, message: str, remedy: str) -> Problem:
    return Subject(f"transit switch {name}", "subnet" if value else "", value).problem(
        message, remedy
    )
