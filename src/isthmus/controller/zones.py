"""The zone of this cluster, and the names of zones: questions to the view.

Used by the reconcilers and the status. A zone's name is claimed by the UUID of a cluster's
`NB_Global` row, in `IC_SB_Global.external_ids` (`isthmus.model.external_ids`).
"""

from isthmus.controller.joined_zone import joined_zone
from isthmus.engine.view import View
from isthmus.model.external_ids import zone_claim
from isthmus.model.rows import AvailabilityZone, IcSbGlobal, NbGlobal, RowId


def claimant(view: View, zone: str) -> str | None:
    """The cluster (UUID of its NB_Global) that claims a zone's name; None if none does."""
    row = view.single(IcSbGlobal)
    return None if row is None else row.external_ids.get(zone_claim(zone))


def is_registered(view: View, zone: str) -> bool:
    """Whether this cluster has that zone name, and has claimed it."""
    row = view.single(NbGlobal)
    return row is not None and row.name == zone and claimant(view, zone) == row.uuid


def is_joined(view: View) -> bool:
    """Whether the zone that Isthmus has joined is still the zone's name in NB."""
    row = view.single(NbGlobal)
    joined = joined_zone(row)
    return row is not None and joined is not None and row.name == joined.zone


def zone_name(view: View, zone: RowId) -> str:
    """The name of an IC-SB availability zone; empty if its row is gone."""
    row = view.get(AvailabilityZone, zone)
    return row.name if row is not None else ""
