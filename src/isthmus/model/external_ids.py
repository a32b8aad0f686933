"""Isthmus' own keys in the shared databases, and Kube-OVN's marks on what it creates.

OVSDB has no rights per zone, and `Availability_Zone` has no column for the owner of a row. So a
zone claims its name in `IC_SB_Global.external_ids`, and the addresses of its router ports in the
transit switch's `external_ids` in IC-NB. `ovn-ic` ignores both. A cluster is identified by the
UUID of its `NB_Global` row, which lives as long as the northbound database.

The creator of a transit switch (Kube-OVN's deployment, or `isthmus ic-db run`) marks it with its
vendor, its subnet and the network that it serves; each cluster's controller reads these marks.
"""

from collections.abc import Mapping

from isthmus.model.prefixes import Address
from isthmus.model.rows import RowId, TransitSwitch

VENDOR = "vendor"
KUBE_OVN = "kube-ovn"
"""The vendor of what Kube-OVN, or Isthmus in its place, creates for the default VPC."""

ISTHMUS = "isthmus"
"""The vendor of what Isthmus creates for custom VPCs: Kube-OVN's controllers ignore it."""

NETWORK = "isthmus-network"
"""In `external_ids`: the interconnection network of custom VPCs that a transit switch serves."""

SUBNET = "subnet"
"""In `external_ids`: the subnets of the router ports on a transit switch."""

DECLARED = "isthmus-route"
"""On a static route that the controller keeps in place: the zone that it leads to."""

TS_MARK = "isthmus-transit-switch"
"""On a router port that the controller made: the transit switch that it connects."""

TRUSTED_ZONE = "isthmus-zone-row"
"""In `NB_Global.external_ids`: the UUID of our row in the IC-SB that holds the zones of all learned
routes."""

_ZONE = "isthmus-zone-"
_ADDRESS = "isthmus-address-"
_ALIVE = "isthmus-alive-"
_DIGITS = 12
"""Most digits of a time in seconds."""


def zone_claim(zone: str) -> str:
    """The key in `IC_SB_Global.external_ids` whose value is the UUID of the zone's NB_Global."""
    return _ZONE + zone


def claimed_zone(key: str) -> str | None:
    """The zone name of a zone claim's key; None for any other key."""
    return key.removeprefix(_ZONE) if key.startswith(_ZONE) else None


def alive_key(zone: str) -> str:
    """The key in `IC_SB_Global.external_ids` whose value is the time of the zone's heartbeat."""
    return _ALIVE + zone


def alive_since(external_ids: Mapping[str, str], zone: str) -> int | None:
    """The time of a zone's last heartbeat, in seconds since 1970; None if there is none."""
    text = external_ids.get(alive_key(zone), "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def heartbeats(external_ids: Mapping[str, str]) -> dict[str, int]:
    """The times of all zones' last heartbeats, by zone."""
    zones = [key.removeprefix(_ALIVE) for key in external_ids if key.startswith(_ALIVE)]
    times = {zone: alive_since(external_ids, zone) for zone in zones}
    return {zone: time for zone, time in times.items() if time is not None}


def address_claim(address: Address) -> str:
    """The key in `Transit_Switch.external_ids` whose value is `address_holder(...)`."""
    return _ADDRESS + str(address)


def claimed_address(key: str) -> str | None:
    """The address text of an address claim's key; None for any other key."""
    return key.removeprefix(_ADDRESS) if key.startswith(_ADDRESS) else None


def address_holder(zone: str, cluster: RowId) -> str:
    """The value of an address claim: the zone name for operators, the cluster UUID for programs."""
    return f"{zone}/{cluster}"


def is_ours(external_ids: Mapping[str, str]) -> bool:
    """Whether Kube-OVN or Isthmus created the row with these `external_ids`."""
    return external_ids.get(VENDOR) in {KUBE_OVN, ISTHMUS}


def is_our_transit_switch(row: TransitSwitch) -> bool:
    """Whether Kube-OVN or Isthmus created a transit switch.

    Kube-OVN marks its transit switches with the vendor from 1.16 on. Earlier releases write only
    the subnet, a key that no other known creator of transit switches uses.
    """
    ids = row.external_ids
    return is_ours(ids) or (VENDOR not in ids and bool(ids.get(SUBNET)))


def is_another_vendors(row: TransitSwitch) -> bool:
    """Whether a vendor other than Kube-OVN and Isthmus has marked a transit switch as its own."""
    return VENDOR in row.external_ids and not is_ours(row.external_ids)


def missing_mark(row: TransitSwitch) -> str:
    """The key that a transit switch lacks to be connected; empty if it lacks none.

    Args:
        row: not another vendor's.
    """
    ids = row.external_ids
    if ids.get(VENDOR) == ISTHMUS and not ids.get(NETWORK):
        return NETWORK
    return "" if ids.get(SUBNET) else SUBNET


def network_of(row: TransitSwitch) -> str | None:
    """The network that a transit switch serves.

    Returns:
        Its name; empty for the network of all default VPCs; None for a transit switch that is
        another vendor's, or a custom VPC's without a network.
    """
    if is_another_vendors(row) or missing_mark(row) == NETWORK:
        return None
    return row.external_ids.get(NETWORK, "")
