"""The keys and certificates of a lab's IC databases and zones, as `isthmus pki` lays them out.

Used by the starter of labs with TLS, and by tests that add a member.
"""

import datetime
from collections.abc import Sequence

from isthmus.pki import ca_pair as authorities
from isthmus.pki.certificates import AUTHORITY_DAYS, LEAF_DAYS, Kind, Wish, issue
from isthmus.pki.files import TlsFiles, write_pair
from isthmus_lab.topology.names import Places
from isthmus_lab.topology.plan import ClusterPlan


def make_authorities(places: Places) -> None:
    """Make the lab's authorities."""
    made = authorities.new_authorities(f"lab {places.lab}", _now(), AUTHORITY_DAYS)
    authorities.write(places.authority, made)


def issue_member(places: Places, name: str, addresses: Sequence[str]) -> None:
    """Issue a certificate to a member of the IC databases.

    Args:
        places: with authorities.
        name: the member's machine.
        addresses: the member's.
    """
    _issue(places, name, Wish(Kind.MEMBER, name, tuple(addresses)))


def issue_zone(places: Places, cluster: ClusterPlan) -> None:
    """Issue a certificate to a cluster's Isthmus."""
    _issue(places, cluster.name, Wish(Kind.ZONE, cluster.az_name))


def _issue(places: Places, owner: str, wish: Wish) -> None:
    member = wish.kind is Kind.MEMBER
    signer = authorities.signer_in(places.authority, member=member)
    files = TlsFiles.in_directory(places.tls(owner))
    write_pair(files, issue(signer, wish, _now(), LEAF_DAYS))
    authorities.write_trust(files, authorities.trust_in(places.authority, member=member))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
