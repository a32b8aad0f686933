"""Issue certificates: those of CAs, and those that CAs sign for members, zones and operators.

Called by `isthmus pki`. Does not access files. The organizational unit of a certificate is its
kind, and the common name is its owner. ovsdb-server ignores both and accepts every client with a
certificate of its CA; the authorizing proxy checks both.
"""

import datetime
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.model.text import quoted

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

CA_DAYS = 3650
LEAF_DAYS = 365

ORGANIZATION = "isthmus"

CA_UNIT = "authority"
"""The unit of a CA that signs zones and operators; without a members' CA, members as well."""

MEMBERS_CA_UNIT = "authority of members"
"""The unit of a CA that signs only members."""

MAX_NAME = 64
"""Characters in a common name (RFC 5280, `ub-common-name`)."""

_SKEW = datetime.timedelta(minutes=5)
"""Tolerated clock skew: a new certificate must be valid on all hosts immediately."""


class Kind(StrEnum):
    """The kinds of certificates; the value is the organizational unit."""

    MEMBER = "member"
    ZONE = "zone"
    OPERATOR = "operator"


class UnusableError(Exception):
    """A key or certificate is not suitable; the text says why."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its certificate, both PEM."""

    key: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class IssueSpec:
    """The contents of a certificate to issue.

    Args:
        kind: of the owner.
        name: of the member, zone or operator; 1 to 64 characters.
        addresses: IP addresses and host names of a member.
    """

    kind: Kind
    name: str
    addresses: tuple[str, ...] = ()


def new_ca(name: str, now: datetime.datetime, days: int = CA_DAYS, unit: str = CA_UNIT) -> KeyPair:
    """Create a self-signed CA with a P-256 key; its unit is `CA_UNIT` or `MEMBERS_CA_UNIT`.

    Raises:
        UnusableError: the name is empty or too long.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name, unit)
    builder = (
        _builder(key.public_key(), subject, now, now + datetime.timedelta(days=days))
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _pair(key, builder.sign(key, hashes.SHA256()))


def issue(ca: KeyPair, spec: IssueSpec, now: datetime.datetime, days: int = LEAF_DAYS) -> KeyPair:
    """Create a P-256 key with a certificate signed by a CA, whose validity it does not exceed.

    Raises:
        UnusableError: the CA cannot sign, or a name is malformed.
    """
    # Modern clients refuse certificates without a subject alternative name.
    names = map(_general_name, spec.addresses or (spec.name,))
    subject = _subject(spec.name, spec.kind)
    alternative = x509.SubjectAlternativeName(names)
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if spec.kind is Kind.MEMBER:
        # Members of a Raft cluster use the same certificate as servers and as clients.
        purposes.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    return _signed(ca, subject, alternative, purposes, now, days)


def renew(
    ca: KeyPair, certificate: bytes, now: datetime.datetime, days: int = LEAF_DAYS
) -> KeyPair:
    """Create a key with a certificate for the same subject, names and purposes as another one.

    Raises:
        UnusableError: the CA cannot sign; or the certificate is a CA's, or lacks names or purposes.
    """
    old = load_certificates(certificate)[0]
    if is_ca(old):
        raise UnusableError("is a CA certificate; create a new CA instead (`isthmus pki init`)")
    try:
        names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        purposes = old.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise UnusableError(f"has no {error.oid._name}; issue a new one") from error  # noqa: SLF001 - the library's only readable name
    return _signed(ca, old.subject, names, tuple(purposes), now, days)


def load_certificates(pem: bytes) -> list[x509.Certificate]:
    """All certificates in a PEM text, at least one.

    Raises:
        UnusableError: there is none, or one is damaged.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
        for certificate in found:
            _parse_whole(certificate)
    except _NOT_PARSED as error:
        raise UnusableError("does not contain a valid PEM certificate") from error
    return found


_NOT_PARSED = (
    ValueError, TypeError, UnsupportedAlgorithm,
    x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType,
)  # fmt: skip


def _parse_whole(certificate: x509.Certificate) -> None:
    """Parse the parts that the library parses only when they are read, here and nowhere else."""
    for name in (certificate.subject, certificate.issuer):
        name.rfc4514_string()
    certificate.extensions  # noqa: B018 - see above
    certificate.public_key()
    certificate.not_valid_before_utc.isoformat()
    certificate.not_valid_after_utc.isoformat()


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether a certificate is a CA's."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """A certificate's extension of one kind; None if it has none."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def bundle(texts: Sequence[bytes]) -> bytes:
    """Combine the CAs of several PEM texts, each once, in their order.

    Raises:
        UnusableError: a certificate is not a CA's.
    """
    found: dict[bytes, x509.Certificate] = {}
    for certificate in (c for text in texts for c in load_certificates(text)):
        if not is_ca(certificate):
            subject = certificate.subject.rfc4514_string()
            raise UnusableError(f"contains the certificate of {subject}, which is not a CA")
        found.setdefault(certificate.fingerprint(hashes.SHA256()), certificate)
    pem = serialization.Encoding.PEM
    return b"".join(certificate.public_bytes(pem) for certificate in found.values())


def _signed(  # noqa: PLR0913, PLR0917 - a certificate is what it says
    ca: KeyPair,
    subject: x509.Name,
    names: x509.SubjectAlternativeName,
    purposes: Sequence[x509.ObjectIdentifier],
    now: datetime.datetime,
    days: int,
) -> KeyPair:
    issuer, signer = _signer(ca, now)
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + datetime.timedelta(days=days), issuer.not_valid_after_utc)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    builder = (
        _builder(key.public_key(), subject, now, until)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(names, critical=False)
    )
    return _pair(key, builder.sign(signer, hashes.SHA256()))


def _signer(
    ca: KeyPair, now: datetime.datetime
) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
    certificate = load_certificates(ca.certificate)[0]
    if not is_ca(certificate):
        raise UnusableError("is not a CA certificate, so it cannot sign others")
    if certificate.not_valid_after_utc <= now:
        raise UnusableError(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    try:
        key = serialization.load_pem_private_key(ca.key, None)
    except (ValueError, TypeError) as error:
        raise UnusableError("has no PEM private key, or one with a passphrase") from error
    if key.public_key() != certificate.public_key():
        raise UnusableError("has a private key that does not match the certificate")
    return certificate, key  # type: ignore[return-value] # the certificate's key can sign


def _subject(name: str, unit: str) -> x509.Name:
    if not 1 <= len(name) <= MAX_NAME:
        raise UnusableError(f"the name {quoted(name)} is not 1 to {MAX_NAME} characters long")
    parts = {
        NameOID.ORGANIZATION_NAME: ORGANIZATION,
        NameOID.ORGANIZATIONAL_UNIT_NAME: unit,
        NameOID.COMMON_NAME: name,
    }
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


def _general_name(text: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ip_address(text.strip("[]")))
    try:
        return x509.DNSName(text)
    except ValueError as error:
        raise UnusableError(f"{quoted(text)} is neither an IP address nor a host name") from error


def _builder(
    key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    now: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> KeyPair:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(pem, certificate.public_bytes(serialization.Encoding.PEM))
