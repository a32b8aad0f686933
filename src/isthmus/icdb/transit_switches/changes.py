"""Transit switches of running databases: the list, and whether one can be added or removed. Pure.

Called by `isthmus ic-db transit-switch` and by `server.transit_switch_creation`. Another vendor's
switch is listed and never changed. Neither are the values of an existing row: clusters have
addresses in its subnet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2

from isthmus.engine.view import View
from isthmus.icdb.transit_switches.spec import TransitSwitchSpec, described, subnets_of
from isthmus.model.external_ids import NETWORK, SUBNET, is_our_transit_switch
from isthmus.model.operations import Delete, Operation, Wait
from isthmus.model.prefixes import Network, overlapping, parse_network
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import AvailabilityZone, IcPortBinding, IcRoute, TransitSwitch

IPV4 = 4
_RESERVED = {4: 2, 6: 1}
"""Addresses of a subnet that ports cannot have: its own and, for IPv4, the broadcast address."""


@dataclass(frozen=True, slots=True)
class ListedTransitSwitch:
    """A transit switch and its use.

    Args:
        name, subnet: as in IC-NB; the subnet may be empty.
        network: of custom VPCs; empty for the default VPCs.
        ours: whether Kube-OVN or Isthmus created it.
        zones: the names of the zones that have a port on it.
        room: the most ports that its smallest subnet can have; None without a subnet.
    """

    name: str
    subnet: str
    network: str
    ours: bool
    zones: tuple[str, ...]
    room: int | None


def list_transit_switches(view: View) -> tuple[ListedTransitSwitch, ...]:
    """All transit switches by name, from IC-NB and IC-SB."""
    rows = sorted(view.table(TransitSwitch), key=lambda row: row.name)
    return tuple(
        ListedTransitSwitch(
            name=row.name,
            subnet=row.external_ids.get(SUBNET, ""),
            network=row.external_ids.get(NETWORK, ""),
            ours=is_our_transit_switch(row),
            zones=_attached(view, row.name),
            room=min(map(room, subnets_of(row)), default=None),
        )
        for row in rows
    )


def room(subnet: Network) -> int:
    """The number of router ports that a subnet has addresses for."""
    return max(0, subnet.num_addresses - _RESERVED[subnet.version])


def longest_prefix(ports: int, version: int) -> int:
    """The prefix length of the smallest subnet with room for `ports` router ports."""
    return (32 if version == IPV4 else 128) - ceil(log2(ports + _RESERVED[version]))


def addition(
    view: View, spec: TransitSwitchSpec, zones: int
) -> tuple[tuple[Operation, ...], tuple[Problem, ...]]:
    """Plan the addition of a transit switch on which a number of zones need ports.

    Returns the write to IC-NB, and why it must not be made; neither if it exists as given.
    """
    same = next((row for row in view.table(TransitSwitch) if row.name == spec.name), None)
    if same is not None:
        return (), tuple(_existing(spec, same))
    problems = (*_too_small(spec, zones), *overlaps(view, spec))
    return ((), problems) if problems else ((spec.insertion,), ())


def overlaps(view: View, spec: TransitSwitchSpec) -> tuple[Problem, ...]:
    """Why a transit switch must not be created: others that use its addresses."""
    return (*_overlapping_switches(view, spec), *_overlapping_routes(view, spec))


def removal(
    view: View, name: str, *, attached_too: bool
) -> tuple[tuple[Operation, ...], tuple[Problem, ...]]:
    """Plan the removal of a transit switch, with `attached_too` even if zones have ports on it.

    Returns the write to IC-NB, and why it must not be made.
    """
    row = next((row for row in view.table(TransitSwitch) if row.name == name), None)
    if row is None:
        known = ", ".join(sorted(row.name for row in view.table(TransitSwitch))) or "none"
        message = f"does not exist; existing ones: {known}"
        return (), (_problem(name, "", message, "give one of these"),)
    if not is_our_transit_switch(row):
        message = "is another vendor's, and is left alone"
        return (), (_problem(name, "", message, "remove it with the vendor's tools"),)
    zones = _attached(view, name)
    if zones and not attached_too:
        message = f"zones have ports on it and would lose their routes over it: {', '.join(zones)}"
        remedy = "let the zones leave it first, or give --yes to remove it anyway"
        return (), (_problem(name, "", message, remedy),)
    unchanged = Wait(TransitSwitch, row.uuid, {"name": row.name})
    return (unchanged, Delete(TransitSwitch, row.uuid)), ()


def _existing(spec: TransitSwitchSpec, row: TransitSwitch) -> Iterator[Problem]:
    if not is_our_transit_switch(row):
        yield _problem(spec.name, "", "is another vendor's", "give another name")
    elif not spec.is_as(row):
        found = described(row.external_ids)
        message = f"exists as {found}, and clusters may have addresses in that subnet"
        yield _problem(spec.name, str(spec), message, "give another name, or remove it first")


def _too_small(spec: TransitSwitchSpec, zones: int) -> Iterator[Problem]:
    for subnet in spec.subnets:
        if room(subnet) < zones:
            length = longest_prefix(zones, subnet.version)
            message = f"has room for {room(subnet)} zones; {zones} zones need at least a /{length}"
            remedy = f"give a /{length} or larger, or fewer --zones"
            yield _problem(spec.name, str(subnet), message, remedy)


def _overlapping_switches(view: View, spec: TransitSwitchSpec) -> Iterator[Problem]:
    for row in view.table(TransitSwitch):
        if is_our_transit_switch(row) and row.external_ids.get(NETWORK, "") != spec.network:
            continue  # networks of custom VPCs may have the same addresses
        for one, other in overlapping(spec.subnets, subnets_of(row)):
            message = f"overlaps {other} of transit switch {row.name}"
            remedy = "give a subnet that no other transit switch has"
            yield _problem(spec.name, str(one), message, remedy)


def _overlapping_routes(view: View, spec: TransitSwitchSpec) -> Iterator[Problem]:
    """Prefixes of zones that overlap the switch's subnets; default routes overlap everything."""
    names = {zone.uuid: zone.name for zone in view.table(AvailabilityZone)}
    networks = {row.name: row.external_ids.get(NETWORK, "") for row in view.table(TransitSwitch)}
    for route in view.table(IcRoute):
        prefix = parse_network(route.ip_prefix)
        of_other = networks.get(route.transit_switch, "") != spec.network
        if prefix is None or prefix.prefixlen == 0 or of_other:
            continue
        for one, other in overlapping(spec.subnets, (prefix,)):
            zone = names.get(route.availability_zone, "unknown")
            message = f"overlaps {other}, which zone {zone} advertises on {route.transit_switch}"
            yield _problem(spec.name, str(one), message, "give a subnet that no zone uses")


def _attached(view: View, name: str) -> tuple[str, ...]:
    names = {zone.uuid: zone.name for zone in view.table(AvailabilityZone)}
    ports = (port for port in view.table(IcPortBinding) if port.transit_switch == name)
    return tuple(sorted({names.get(port.availability_zone, "unknown") for port in ports}))


def _problem(name: str, value: str, message: str, remedy: str) -> Problem:
    subject = Subject(f"transit switch {name}", "subnet" if value else "", value)
    return subject.problem(message, remedy)
