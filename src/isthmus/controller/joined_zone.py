"""What the northbound database remembers of the interconnection that this cluster is in.

The ConfigMap may be gone when Isthmus starts; to leave, it must still know which zone it had
joined and where the IC databases are. `NbGlobalOptions` writes this to `NB_Global.external_ids`
when it joins; the leaving reconcilers and the daemon read it; it is dropped once nothing of this
cluster is left anywhere.
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
class Memory:
    """What is remembered.

    Args:
        zone: the availability zone that was joined.
        ic_nb_remote, ic_sb_remote: the IC databases, in the syntax of ovsdb(7).
    """

    zone: str
    ic_nb_remote: str
    ic_sb_remote: str


def memory_of(config: Config) -> Mapping[str, str]:
    """The keys of `NB_Global.external_ids` to set when joining."""
    return {
        ZONE: config.zone,
        IC_NB_REMOTE: config.ic_nb_remote,
        IC_SB_REMOTE: config.ic_sb_remote,
    }


def remembered(row: NbGlobal | None) -> Memory | None:
    """What the row remembers; None if Isthmus has not joined, or has left completely."""
    if row is None or not row.external_ids.get(ZONE):
        return None
    ids = row.external_ids
    return Memory(ids[ZONE], ids.get(IC_NB_REMOTE, ""), ids.get(IC_SB_REMOTE, ""))
