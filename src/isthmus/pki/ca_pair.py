"""The two CAs of a site: which certificates each of them signs, and who trusts it.

Called by `isthmus pki` and by the lab. Members of the IC databases have a separate CA. On the Raft
ports ovsdb-server accepts any client whose certificate it trusts, and such a client can write any
row, so members trust only the members' CA there. Clients trust only the members' CA as well.
Directories of earlier versions have one CA for all.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.files import read_file
from isthmus.model.bounds import CREDENTIALS_FILE
from isthmus.pki.certificate_info import CertificateInfo
from isthmus.pki.certificates import MEMBERS_CA_UNIT, KeyPair, Kind, bundle, new_ca
from isthmus.pki.files import TlsFiles, write_file

CERTIFICATE, KEY = "ca.crt", "ca.key"
MEMBERS_CERTIFICATE, MEMBERS_KEY = "members.crt", "members.key"

FILES = (CERTIFICATE, KEY, MEMBERS_CERTIFICATE, MEMBERS_KEY)
"""The files that `write` creates in a directory."""


@dataclass(frozen=True, slots=True)
class CaPair:
    """The CAs of a site: one signs members, the other one zones and operators."""

    others: KeyPair
    members: KeyPair


@dataclass(frozen=True, slots=True)
class TrustedCas:
    """The CA certificates, in PEM, that one side of a connection trusts.

    Args:
        all: for connections to servers, and from clients: `ca.crt`.
        members: for connections between members: `members-ca.crt`; empty if there is no such file.
    """

    all: bytes
    members: bytes = b""


def new_ca_pair(name: str, now: datetime.datetime, days: int) -> CaPair:
    """Create both CAs; the members' CA has "members" after the name.

    Raises:
        UnusableError: the name is too long.
    """
    # Two CAs with the same name cannot be distinguished when a certificate is verified.
    members = new_ca(f"{name} members", now, days, MEMBERS_CA_UNIT)
    return CaPair(new_ca(name, now, days), members)


def write(directory: Path, cas: CaPair) -> None:
    """Write both CAs to a directory, which is created if necessary."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    pairs = ((CERTIFICATE, KEY, cas.others), (MEMBERS_CERTIFICATE, MEMBERS_KEY, cas.members))
    for certificate, key, pair in pairs:
        write_file(directory / certificate, pair.certificate)
        write_file(directory / key, pair.key, secret=True)


def is_member(info: CertificateInfo) -> bool:
    """Whether it is a member's certificate; one of another issuer is, if it is for servers."""
    return info.kind is Kind.MEMBER or (info.kind is None and "server" in info.purposes)


def load_signer(directory: Path, *, member: bool) -> KeyPair:
    """The CA in a directory that signs members, or all others.

    Raises:
        OSError: one of its files cannot be read.
    """
    apart = member and (directory / MEMBERS_CERTIFICATE).exists()
    certificate, key = (MEMBERS_CERTIFICATE, MEMBERS_KEY) if apart else (CERTIFICATE, KEY)
    return KeyPair(
        read_file(directory / key, CREDENTIALS_FILE),
        read_file(directory / certificate, CREDENTIALS_FILE),
    )


def trusted_cas(directory: Path, *, member: bool) -> TrustedCas:
    """The CAs that a member, or any other client, must trust.

    Args:
        directory: with CAs; or with the files of one side, for the CAs that it trusts now.
        member: whether it is a member.

    Raises:
        OSError: a certificate cannot be read.
        UnusableError: a certificate is not a CA's.
    """
    files = TlsFiles.in_directory(directory)
    if files.certificate.exists():
        return TrustedCas(
            read_file(files.ca_cert, CREDENTIALS_FILE),
            _read_if_exists(files.members_ca) if member else b"",
        )
    others = read_file(directory / CERTIFICATE, CREDENTIALS_FILE)
    members = _read_if_exists(directory / MEMBERS_CERTIFICATE)
    if not members:
        return TrustedCas(others)
    # Clients connect only to members.
    return TrustedCas(bundle([members, others]), members) if member else TrustedCas(members)


def combined(trusted: Sequence[TrustedCas]) -> TrustedCas:
    """All CAs of several.

    Raises:
        UnusableError: a certificate is not a CA's.
    """
    members = [one.members for one in trusted if one.members]
    return TrustedCas(bundle([one.all for one in trusted]), bundle(members))


def write_trusted_cas(files: TlsFiles, trusted: TrustedCas) -> None:
    """Write them to the files of one side."""
    write_file(files.ca_cert, trusted.all)
    if trusted.members:
        write_file(files.members_ca, trusted.members)


def _read_if_exists(path: Path) -> bytes:
    return read_file(path, CREDENTIALS_FILE) if path.exists() else b""
