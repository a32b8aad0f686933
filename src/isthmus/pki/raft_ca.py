"""Check the CA that members of a cluster with authorizing proxies trust on Raft ports. Pure.

Called by `files`. ovsdb-server does not compare names. Any client with a certificate that it trusts
can join the Raft cluster and write any row, so this CA must not sign zones.
"""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from isthmus.model.problems import Problem, Subject
from isthmus.pki.certificate_info import TlsMaterial, describe, is_signed_by
from isthmus.pki.certificates import CA_UNIT, ORGANIZATION, UnusableError, is_ca, load_certificates

KEY = "CA of members"
"""Its description in messages."""

REMEDY = (
    "put the certificate of a self-signed CA there that signs only members: `isthmus pki init`"
    " creates one; `isthmus pki bundle` and `isthmus pki renew` switch to it"
)


def members_ca_problems(
    material: TlsMaterial, file: str, pem: bytes, now: datetime.datetime
) -> tuple[Problem, ...]:
    """Why zones could join the Raft cluster, or members could not; empty if the CA is suitable.

    Args:
        material: a member's files, which have no other problems.
        file, pem: the name of the file with the members' CA, and its contents.
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
    """OpenSSL, as ovsdb-server uses it, accepts only self-signed CAs as trust anchors."""
    for certificate in trusted:
        if not is_ca(certificate) or not is_signed_by(certificate, certificate):
            what = f"contains {_name(certificate)}, which is not a self-signed CA"
            return f"{what}, so no certificate would be accepted"
    return ""


def _signs_zones(
    trusted: list[x509.Certificate], all_cas: list[x509.Certificate], file: str
) -> str:
    """Whether a CA evidently signs zones; only those of `isthmus pki` say what they sign."""
    for ca in trusted:
        info = describe(ca)
        if info.unit == CA_UNIT and f"O={ORGANIZATION}" in info.subject.split(","):
            what = f"contains {_name(ca)}, which also signs zones"
            return f"{what}, so they could join the Raft cluster"
    keys = set(map(_key, trusted))
    others = [ca for ca in all_cas if _key(ca) not in keys]
    if not others:
        return f"contains every CA of {file}, so zones could join the Raft cluster"
    for other in others:
        if any(is_signed_by(other, ca) for ca in trusted):
            return f"signed {_name(other)} of {file}, whose zones could join the Raft cluster"
    return ""


def _does_not_sign(
    trusted: list[x509.Certificate], own: x509.Certificate, file: str, now: datetime.datetime
) -> str:
    signers = [ca for ca in trusted if is_signed_by(own, ca)]
    if not signers:
        return f"did not sign the certificate {file}, so other members would refuse it"
    if all(signer.not_valid_after_utc <= now for signer in signers):
        expiry = signers[0].not_valid_after_utc
        return f"contains {_name(signers[0])}, which expired on {expiry:%Y-%m-%d}"
    return ""


def _key(certificate: x509.Certificate) -> bytes:
    """A CA's identity, which a renewed certificate keeps."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
