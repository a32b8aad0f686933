"""The zone of this cluster, and the names of zones: questions to the view.

Used by the reconcilers, the status and the daemon. A zone's name is claimed by the UUID of a
cluster's `NB_Global` row, in `IC_SB_Global.external_ids` (`isthmus.model.external_ids`).

To leave, Isthmus must know its zone and the IC databases even if the ConfigMap is already gone when
Isthmus starts. `NbGlobalOptions` writes them to `NB_Global.external_ids` when it joins; they are
removed when nothing of this cluster is left in any database.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.controller.config.configmap import Config
from isthmus.engine.view import View
from isthmus.model.external_ids import TRUSTED_ZONE, zone_claim
from isthmus.model.rows import AvailabilityZone, IcSbGlobal, NbGlobal, RowId

ZONE = "isthmus-zone"
IC_NB_REMOTE = "isthmus-ic-nb-db"
IC_SB_REMOTE = "isthmus-ic-sb-db"
JOINED_ZONE_KEYS = frozenset({ZONE, IC_NB_REMOTE, IC_SB_REMOTE, TRUSTED_ZONE})


@dataclass(frozen=True, slots=True)
class JoinedZone:
    """The zone that was joined.

    Args:
        zone: its name.
        ic_nb_remote, ic_sb_remote: the IC databases, in the syntax of ovsdb(7).
    """

    zone: str
    ic_nb_remote: str
    ic_sb_remote: str


def joined_zone_ids(config: Config) -> Mapping[str, str]:
    """The keys of `NB_Global.external_ids` to set when joining."""
    remotes = {IC_NB_REMOTE: config.ic_nb_remote, IC_SB_REMOTE: config.ic_sb_remote}
    return {ZONE: config.zone, **remotes}


def joined_zone(row: NbGlobal | None) -> JoinedZone | None:
    """The zone in the row; None if Isthmus has not joined, or has left completely."""
    if row is None or not row.external_ids.get(ZONE):
        return None
    ids = row.external_ids
    return JoinedZone(ids[ZONE], ids.get(IC_NB_REMOTE, ""), ids.get(IC_SB_REMOTE, ""))


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
