"""The keys and certificates of a lab's IC databases and zones, as `isthmus pki` lays them out.

Used by the starter of labs with TLS, and by tests that add a member. One authority per lab.
"""

import datetime
from collections.abc import Sequence

from isthmus.pki.certificates import AUTHORITY_DAYS, LEAF_DAYS, Kind, Wish, issue, new_authority
from isthmus.pki.files import TlsFiles, authority_in, write_authority, write_file, write_pair
from isthmus_lab.names import Places
from isthmus_lab.plan import ClusterPlan


def make_authority(places: Places) -> None:
    """Make the lab's authority."""
    authority = new_authority(f"lab {places.lab}", _now(), AUTHORITY_DAYS)
    write_authority(places.authority, authority)


def issue_member(places: Places, name: str, addresses: Sequence[str]) -> None:
    """Issue a certificate to a member of the IC databases.

    Args:
        places: with an authority.
        name: the member's machine.
        addresses: the member's.
    """
    _issue(places, name, Wish(Kind.MEMBER, name, tuple(addresses)))


def issue_zone(places: Places, cluster: ClusterPlan) -> None:
    """Issue a certificate to a cluster's Isthmus."""
    _issue(places, cluster.name, Wish(Kind.ZONE, cluster.az_name))


def _issue(places: Places, owner: str, wish: Wish) -> None:
    authority = authority_in(places.authority)
    files = TlsFiles.in_directory(places.tls(owner))
    write_pair(files, issue(authority, wish, _now(), LEAF_DAYS))
    write_file(files.ca_cert, authority.certificate)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
