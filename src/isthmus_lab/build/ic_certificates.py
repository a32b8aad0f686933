"""The keys and certificates of a lab's IC databases and zones, as `isthmus pki` lays them out.

Used by the starter of labs with TLS, and by tests that add a member.
"""

import datetime
from collections.abc import Sequence

from isthmus.pki import ca_pair as authorities
from isthmus.pki.certificates import AUTHORITY_DAYS, LEAF_DAYS, Kind, Wish, issue
from isthmus.pki.files import TlsFiles, write_pair
from isthmus_lab.topology.layout import Layout
from isthmus_lab.topology.plan import ClusterPlan


def make_authorities(layout: Layout) -> None:
    """Make the lab's authorities."""
    made = authorities.new_authorities(f"lab {layout.lab}", _now(), AUTHORITY_DAYS)
    authorities.write(layout.authority, made)


def issue_member(layout: Layout, name: str, addresses: Sequence[str]) -> None:
    """Issue a certificate to a member of the IC databases.

    Args:
        layout: with authorities.
        name: the member's machine.
        addresses: the member's.
    """
    _issue(layout, name, Wish(Kind.MEMBER, name, tuple(addresses)))


def issue_zone(layout: Layout, cluster: ClusterPlan) -> None:
    """Issue a certificate to a cluster's Isthmus."""
    _issue(layout, cluster.name, Wish(Kind.ZONE, cluster.az_name))


def _issue(layout: Layout, owner: str, wish: Wish) -> None:
    member = wish.kind is Kind.MEMBER
    signer = authorities.signer_in(layout.authority, member=member)
    files = TlsFiles.in_directory(layout.tls(owner))
    write_pair(files, issue(signer, wish, _now(), LEAF_DAYS))
    authorities.write_trust(files, authorities.trust_in(layout.authority, member=member))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
