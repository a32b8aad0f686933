"""Keys and certificates of the IC databases and zones of a lab, in the layout of `isthmus pki`.

Used by the starter for labs with TLS, and by tests that add a member.
"""

import datetime
from collections.abc import Sequence

from isthmus.pki import ca_pair
from isthmus.pki.certificates import AUTHORITY_DAYS, LEAF_DAYS, Kind, Wish, issue
from isthmus.pki.files import TlsFiles, write_pair
from isthmus_lab.topology.layout import Layout
from isthmus_lab.topology.plan import ClusterPlan


def make_authorities(layout: Layout) -> None:
    """Create the certificate authorities of the lab."""
    made = ca_pair.new_authorities(f"lab {layout.lab}", _now(), AUTHORITY_DAYS)
    ca_pair.write(layout.authority, made)


def issue_member(layout: Layout, name: str, addresses: Sequence[str]) -> None:
    """Issue a certificate to a member of the IC databases.

    Args:
        layout: of a lab that has authorities.
        name: the machine of the member.
        addresses: IP addresses of the member.
    """
    _issue(layout, name, Wish(Kind.MEMBER, name, tuple(addresses)))


def issue_zone(layout: Layout, cluster: ClusterPlan) -> None:
    """Issue a certificate to Isthmus in a cluster."""
    _issue(layout, cluster.name, Wish(Kind.ZONE, cluster.az_name))


def _issue(layout: Layout, owner: str, wish: Wish) -> None:
    member = wish.kind is Kind.MEMBER
    signer = ca_pair.signer_in(layout.authority, member=member)
    files = TlsFiles.in_directory(layout.tls(owner))
    write_pair(files, issue(signer, wish, _now(), LEAF_DAYS))
    ca_pair.write_trust(files, ca_pair.trust_in(layout.authority, member=member))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
