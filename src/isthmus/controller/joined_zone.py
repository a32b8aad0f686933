"""The zone that this cluster has joined, kept in `NB_Global.external_ids`.

To leave, Isthmus must know its zone and the IC databases even if the ConfigMap is already gone when
Isthmus starts. `NbGlobalOptions` writes these keys when it joins; the leaving reconcilers and the
daemon read them. They are removed when nothing of this cluster is left in any database.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.controller.config.configmap import Config
from isthmus.model.rows import NbGlobal

ZONE = "isthmus-zone"
IC_NB_REMOTE = "isthmus-ic-nb-db"
IC_SB_REMOTE = "isthmus-ic-sb-db"
KEYS = frozenset({ZONE, IC_NB_REMOTE, IC_SB_REMOTE})


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
    return {
        ZONE: config.zone,
        IC_NB_REMOTE: config.ic_nb_remote,
        IC_SB_REMOTE: config.ic_sb_remote,
    }


def joined_zone(row: NbGlobal | None) -> JoinedZone | None:
    """The zone in the row; None if Isthmus has not joined, or has left completely."""
    if row is None or not row.external_ids.get(ZONE):
        return None
    ids = row.external_ids
    return JoinedZone(ids[ZONE], ids.get(IC_NB_REMOTE, ""), ids.get(IC_SB_REMOTE, ""))
