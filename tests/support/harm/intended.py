"""Edits that mean to close paths, and their ends: a zone leaves and returns, a Subnet is private.

Each starts what it means, or ends it if it is in force. What a daemon closes then is not lost.
"""

from typing import NamedTuple

from support.fakes.controlled_zone import ControlledZone
from support.fakes.manifests import subnet
from support.harm.paths import Path
from support.harm.world import Intent, World

VPCS = {"": 0, "v": 100}
"""The VPCs, and by how much the second number of their prefixes exceeds the zone's."""


class _Prefix(NamedTuple):
    """A prefix of a zone, with its Subnet's VPC."""

    vpc: str
    cidr: str


def zone_leaves(world: World, zone: ControlledZone) -> None:
    """`enable-ic` is "false", and "true" when the zone returns."""
    _toggle(world, zone, Intent("leave", _everything, config={"enable_ic": "false"}))


def exchange_stops(world: World, zone: ControlledZone) -> None:
    """`auto-route` is "false": the zone neither advertises nor learns routes."""
    _toggle(world, zone, Intent("auto-route", _everything, config={"auto_route": "false"}))


def vpc_leaves(world: World, zone: ControlledZone) -> None:
    """A custom VPC takes part no longer."""
    of_vpc = {_prefix(each, "v").cidr for each in world.fleet.zones}
    meant = Intent("vpcs", lambda path: path.prefix in of_vpc, config={"vpcs": None})
    _toggle(world, zone, meant)


def accepts_nothing(world: World, zone: ControlledZone) -> None:
    """`accept` refuses the prefixes of the other zone, or of all that it does not list."""
    value = world.random.choice(['{az1: [], az2: [], "*": []}', "az9: [10.9.0.0/16]\n'*': []"])
    meant = Intent("accept", lambda path: path.zone == zone.cluster, config={"accept": value})
    _toggle(world, zone, meant)


def advertises_nothing(world: World, zone: ControlledZone) -> None:
    """`advertise` contains none of the zone's prefixes."""
    outside = {"advertise": "10.250.0.0/16"}
    meant = Intent("advertise", lambda path: path.zone != zone.cluster, config=outside)
    _toggle(world, zone, meant)


def subnet_private(world: World, zone: ControlledZone) -> None:
    """A Subnet becomes private; later it is public again, or its manifest is gone."""
    prefix = _prefix(zone, world.random.choice(list(VPCS)))
    name = f"private{prefix.vpc}"
    found = {p for p in world.baseline if p.prefix == prefix.cidr}
    spec = {"vpc": prefix.vpc} if prefix.vpc else {}
    private = subnet(name, prefix.cidr, disableInterConnection=True, **spec)
    public = subnet(name, prefix.cidr, **spec)
    after = public if world.random.random() < 0.5 else None
    _toggle(world, zone, Intent(name, found.__contains__, manifest=private, after=after))


def subnet_overlaps(world: World, zone: ControlledZone) -> None:
    """A Subnet has the other zone's CIDR, whole or in part."""
    other = next(each for each in world.fleet.zones if each is not zone)
    cidr = _prefix(other, "").cidr
    found = {p for p in world.baseline if p.zone == zone.cluster and p.prefix == cidr}
    cidr = world.random.choice([cidr, cidr.replace("/16", "/20")])
    meant = Intent("overlap", found.__contains__, manifest=subnet("overlap", cidr))
    _toggle(world, zone, meant)


INTENDED = (
    zone_leaves, zone_leaves, exchange_stops, vpc_leaves, accepts_nothing, advertises_nothing,
    subnet_private, subnet_private, subnet_overlaps,
)  # fmt: skip


def _toggle(world: World, zone: ControlledZone, intent: Intent) -> None:
    if (zone.cluster, intent.name) in world.intents:
        world.end(zone, intent.name)
    else:
        world.begin(zone, intent)


def _everything(_: Path) -> bool:
    return True


def _prefix(zone: ControlledZone, vpc: str) -> _Prefix:
    return _Prefix(vpc, f"10.{int(zone.cluster[-1]) + VPCS[vpc]}.0.0/16")
