"""What is written on transit switches in IC-NB to say whose they are, and whom they join.

Written by those who create them (Kube-OVN's deployment, `isthmus ic-db run`), heeded by the
controller of each cluster. `ovn-ic` ignores all of it.
"""

from collections.abc import Mapping

from isthmus.model.rows import TransitSwitch

VENDOR = "vendor"
KUBE_OVN = "kube-ovn"
"""The vendor of what Kube-OVN, or Isthmus in its place, makes for the default VPC."""

ISTHMUS = "isthmus"
"""The vendor of what Isthmus makes for custom VPCs: Kube-OVN's controllers leave it alone."""

NETWORK = "isthmus-network"
"""In `external_ids`: the interconnection network of custom VPCs that a transit switch serves."""

SUBNET = "subnet"
"""In `external_ids`: the subnets of the router ports on a transit switch."""


def is_ours(external_ids: Mapping[str, str]) -> bool:
    """Whether Kube-OVN or Isthmus made what carries these `external_ids`."""
    return external_ids.get(VENDOR) in {KUBE_OVN, ISTHMUS}


def network_of(row: TransitSwitch) -> str | None:
    """The network that a transit switch serves.

    Returns:
        Its name; empty for the network of all default VPCs; None for a transit switch that is
        another vendor's, or has no subnet.
    """
    ids = row.external_ids
    if not is_ours(ids) or not ids.get(SUBNET):
        return None
    network = ids.get(NETWORK, "")
    return network if network or ids[VENDOR] == KUBE_OVN else None
