"""Who holds which name and address: the keys that Isthmus keeps in the shared databases.

OVSDB has no rights per zone, and `Availability_Zone` has no column to say whose a row is. So a
zone claims its name in `IC_SB_Global.external_ids`, and the addresses of its router ports in the
transit switch's `external_ids` in IC-NB. Real `ovn-ic` ignores both. A cluster is identified by
the UUID of its `NB_Global` row: it lives as long as the northbound database.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from isthmus.model.rows import RowId

IPAddress = IPv4Address | IPv6Address

_ZONE = "isthmus-zone-"
_ADDRESS = "isthmus-address-"
_ALIVE = "isthmus-alive-"


def zone_claim(zone: str) -> str:
    """The key in `IC_SB_Global.external_ids` whose value is the UUID of the zone's NB_Global."""
    return _ZONE + zone


def claimed_zone(key: str) -> str | None:
    """The zone name of a zone claim's key; None for any other key."""
    return key.removeprefix(_ZONE) if key.startswith(_ZONE) else None


def alive_key(zone: str) -> str:
    """The key in `IC_SB_Global.external_ids` whose value is when the zone last lived."""
    return _ALIVE + zone


def alive_since(external_ids: Mapping[str, str], zone: str) -> int | None:
    """When a zone last gave a sign of life, in seconds since 1970; None if it gives none."""
    text = external_ids.get(alive_key(zone), "")
    return int(text) if text.isascii() and text.isdigit() else None


def address_claim(address: IPAddress) -> str:
    """The key in `Transit_Switch.external_ids` whose value is `address_holder(...)`."""
    return _ADDRESS + str(address)


def claimed_address(key: str) -> str | None:
    """The address text of an address claim's key; None for any other key."""
    return key.removeprefix(_ADDRESS) if key.startswith(_ADDRESS) else None


def address_holder(zone: str, cluster: RowId) -> str:
    """The value of an address claim: zone name for people, cluster UUID for programs."""
    return f"{zone}/{cluster}"
