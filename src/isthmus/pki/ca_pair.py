"""The authorities of a site: which one signs whom, and who believes which.

Called by `isthmus pki` and by labs. Members have an authority of their own. To ovsdb-server whoever
has a certificate that it believes is a member, so between members no other one is believed: a zone
could speak Raft, and write any row. Clients believe it alone, too. A directory of before has one
authority for all.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.pki.certificate_info import Look
from isthmus.pki.certificates import (
    MEMBERS_UNIT,
    KeyPair,
    Kind,
    bundle,
    new_authority,
)
from isthmus.pki.files import TlsFiles, write_file

CERTIFICATE, KEY = "ca.crt", "ca.key"
MEMBERS_CERTIFICATE, MEMBERS_KEY = "members.crt", "members.key"

FILES = (CERTIFICATE, KEY, MEMBERS_CERTIFICATE, MEMBERS_KEY)
"""What `write` makes in a directory."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """Those of a site.

    Args:
        others: signs zones and operators.
        members: signs members.
    """

    others: KeyPair
    members: KeyPair


@dataclass(frozen=True, slots=True)
class Trust:
    """The certificates of authorities, in PEM, that one side of a connection believes.

    Args:
        all: to connect to servers, and as a server to let clients in: `ca.crt`.
        members: between members: `members-ca.crt`; empty if there is no such file.
    """

    all: bytes
    members: bytes = b""


def new_authorities(name: str, now: datetime.datetime, days: int) -> Authorities:
    """Both authorities, the members' with the same name and a word more.

    Raises:
        UnusableError: the name does not fit.
    """
    # Authorities of one name would be taken for each other where certificates are verified.
    members = new_authority(f"{name} members", now, days, MEMBERS_UNIT)
    return Authorities(new_authority(name, now, days), members)


def write(directory: Path, authorities: Authorities) -> None:
    """Put authorities into a directory, which is made if need be."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(directory / CERTIFICATE, authorities.others.certificate)
    write_file(directory / KEY, authorities.others.key, secret=True)
    write_file(directory / MEMBERS_CERTIFICATE, authorities.members.certificate)
    write_file(directory / MEMBERS_KEY, authorities.members.key, secret=True)


def is_member(seen: Look) -> bool:
    """Whether a certificate is a member's; one from elsewhere is, if it is good for a server."""
    return seen.kind is Kind.MEMBER or (seen.kind is None and "server" in seen.purposes)


def signer_in(directory: Path, *, member: bool) -> KeyPair:
    """The authority in a directory that signs members, or all others.

    Raises:
        OSError: one of its files cannot be read.
    """
    apart = member and (directory / MEMBERS_CERTIFICATE).exists()
    certificate, key = (MEMBERS_CERTIFICATE, MEMBERS_KEY) if apart else (CERTIFICATE, KEY)
    return KeyPair((directory / key).read_bytes(), (directory / certificate).read_bytes())


def trust_in(directory: Path, *, member: bool) -> Trust:
    """Whom a member, or anyone else, is to believe.

    Args:
        directory: with authorities; or with what one side has, who goes on to believe the same.
        member: whether it is one.

    Raises:
        OSError: a certificate cannot be read.
        UnusableError: one is no authority's.
    """
    files = TlsFiles.in_directory(directory)
    if files.certificate.exists():
        return Trust(files.ca_cert.read_bytes(), _if_there(files.members_ca) if member else b"")
    others = (directory / CERTIFICATE).read_bytes()
    members = _if_there(directory / MEMBERS_CERTIFICATE)
    if not members:
        return Trust(others)
    # Clients speak to members alone.
    return Trust(bundle([members, others]), members) if member else Trust(members)


def together(trusts: Sequence[Trust]) -> Trust:
    """What believes all that others believe.

    Raises:
        UnusableError: something is no authority's certificate.
    """
    members = [trust.members for trust in trusts if trust.members]
    return Trust(bundle([trust.all for trust in trusts]), bundle(members))


def write_trust(files: TlsFiles, trust: Trust) -> None:
    """Have one side believe it."""
    write_file(files.ca_cert, trust.all)
    if trust.members:
        write_file(files.members_ca, trust.members)


def _if_there(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
