"""Judges the CA that members of a guarded cluster believe between each other: pure.

Called by `files`. ovsdb-server compares no names, so that whoever has a certificate that it
believes may speak Raft to it, join the cluster and write any row: no zone may have one.
"""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from isthmus.model.problems import Problem, Subject
from isthmus.pki.certificate_info import Material, is_signed_by, look
from isthmus.pki.certificates import (
    AUTHORITY_UNIT,
    ORGANIZATION,
    UnusableError,
    is_authority,
    load_certificates,
)

KEY = "CA of members"
"""What it is, for messages."""

REMEDY = (
    "give members a CA that signs nobody else, self-signed, and put its certificate there:"
    " `isthmus pki init` makes one, and `isthmus pki bundle` and `renew` change to it"
)


def members_faults(
    material: Material, file: str, pem: bytes, now: datetime.datetime
) -> tuple[Problem, ...]:
    """Why zones could speak Raft, or members could not; empty if all is well.

    Args:
        material: a member's files, without faults of their own.
        file, pem: the name of the file with the members' CA, and its contents.
        now: with a time zone.
    """
    try:
        trusted = load_certificates(pem)
    except UnusableError as error:
        return (Subject(material.object, KEY, file).problem(str(error), REMEDY),)
    own = load_certificates(material.certificate_pem)[-1]
    message = (
        _no_anchor(trusted)
        or _signs_zones(trusted, load_certificates(material.ca_pem), material.ca_cert)
        or _does_not_sign(trusted, own, material.certificate, now)
    )
    return (Subject(material.object, KEY, file).problem(message, REMEDY),) if message else ()


def _no_anchor(trusted: list[x509.Certificate]) -> str:
    """OpenSSL, as ovsdb-server uses it, takes neither leaves nor intermediates as a chain's end."""
    for certificate in trusted:
        if not is_authority(certificate) or not is_signed_by(certificate, certificate):
            return (
                f"holds {_name(certificate)}, which is no self-signed CA: nobody is believed by it"
            )
    return ""


def _signs_zones(
    trusted: list[x509.Certificate], everyone: list[x509.Certificate], file: str
) -> str:
    """As far as can be known: a CA does not tell whom it signs, unless it is ours."""
    for authority in trusted:
        seen = look(authority)
        if seen.unit == AUTHORITY_UNIT and f"O={ORGANIZATION}" in seen.subject.split(","):
            return f"holds {_name(authority)}, which signs zones too: they could speak Raft"
    keys = set(map(_key, trusted))
    others = [authority for authority in everyone if _key(authority) not in keys]
    if not others:
        return f"holds every CA of {file}, so that zones that it lets in could speak Raft"
    for other in others:
        if any(is_signed_by(other, authority) for authority in trusted):
            return f"signed {_name(other)} of {file}, so that zones of that could speak Raft"
    return ""


def _does_not_sign(
    trusted: list[x509.Certificate], own: x509.Certificate, file: str, now: datetime.datetime
) -> str:
    signers = [authority for authority in trusted if is_signed_by(own, authority)]
    if not signers:
        return f"did not sign the certificate {file}: other members would not believe it"
    if all(signer.not_valid_after_utc <= now for signer in signers):
        return f"holds {_name(signers[0])}, which expired on {look(signers[0]).not_after:%Y-%m-%d}"
    return ""


def _key(certificate: x509.Certificate) -> bytes:
    """What signs: an authority whose certificate was renewed is the same one."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
