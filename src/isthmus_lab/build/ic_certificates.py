"""Keys and certificates of the IC databases and zones of a lab, in the layout of `isthmus pki`.

Used by the starter for labs with TLS, and by tests that add a member.
"""

import datetime
from collections.abc import Sequence

from isthmus.pki import ca_pair
from isthmus.pki.certificates import CA_DAYS, LEAF_DAYS, IssueSpec, Kind, issue
from isthmus.pki.files import TlsFiles, write_pair
from isthmus_lab.topology.layout import Layout


def make_authorities(layout: Layout) -> None:
    """Create the certificate authorities of the lab."""
    made = ca_pair.new_ca_pair(f"lab {layout.lab}", _now(), CA_DAYS)
    ca_pair.write(layout.authority, made)


def issue_member(layout: Layout, name: str, addresses: Sequence[str]) -> None:
    """Issue a certificate to a member of the IC databases.

    Args:
        layout: of a lab that has authorities.
        name: the machine of the member.
        addresses: IP addresses of the member.
    """
    _issue(layout, name, IssueSpec(Kind.MEMBER, name, tuple(addresses)))


def issue_zone(layout: Layout, owner: str, zone: str) -> None:
    """Issue a certificate to a client of the IC databases.

    Args:
        layout: of a lab that has authorities.
        owner: the cluster in which the client is.
        zone: the zone whose rows it may write.
    """
    _issue(layout, owner, IssueSpec(Kind.ZONE, zone))


def _issue(layout: Layout, owner: str, spec: IssueSpec) -> None:
    member = spec.kind is Kind.MEMBER
    signer = ca_pair.load_signer(layout.authority, member=member)
    files = TlsFiles.in_directory(layout.tls(owner))
    write_pair(files, issue(signer, spec, _now(), LEAF_DAYS))
    ca_pair.write_trusted_cas(files, ca_pair.trusted_cas(layout.authority, member=member))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
