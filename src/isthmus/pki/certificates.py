"""Makes certificates: an authority's own, and those that it signs for members and zones.

Called by `isthmus pki`. Nothing here touches files. A certificate's organizational unit says what
it is for and its common name for whom, so that what a server lets a client do can depend on them.
OVSDB itself looks at neither: to ovsdb-server, whoever has a certificate of the authority is in;
`isthmus ic-db guard` looks at both.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
LEAF_DAYS = 365

ORGANIZATION = "isthmus"

AUTHORITY_UNIT = "authority"
"""The unit of an authority that signs zones and operators, and members too if there is no other."""

MEMBERS_UNIT = "authority of members"
"""The unit of one that signs members alone."""

LONGEST_NAME = 64
"""Characters in a common name (RFC 5280, `ub-common-name`)."""

_SKEW = datetime.timedelta(minutes=5)
"""How far clocks may be apart: a new certificate is to be good everywhere at once."""


class Kind(StrEnum):
    """Whom a certificate is for, as its organizational unit has it."""

    MEMBER = "member"
    ZONE = "zone"
    OPERATOR = "operator"


_PURPOSES = {
    # Members of a Raft cluster connect to each other with the certificate that they serve with.
    Kind.MEMBER: (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    Kind.ZONE: (ExtendedKeyUsageOID.CLIENT_AUTH,),
    Kind.OPERATOR: (ExtendedKeyUsageOID.CLIENT_AUTH,),
}


class UnusableError(Exception):
    """A key or certificate cannot be used for what is asked; the text says why."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its certificate, both PEM."""

    key: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Wish:
    """What to issue.

    Args:
        kind: whom it is for.
        name: the member's or zone's name, 1 to 64 characters.
        addresses: IP addresses and host names under which a member is reached.
    """

    kind: Kind
    name: str
    addresses: tuple[str, ...] = ()


def new_authority(
    name: str,
    now: datetime.datetime,
    days: int = AUTHORITY_DAYS,
    unit: str = AUTHORITY_UNIT,
) -> KeyPair:
    """A self-signed authority with a key on P-256.

    Args:
        name: its common name.
        now: with a time zone.
        days: how long it is good.
        unit: whom it signs.

    Raises:
        UnusableError: the name does not fit.
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


def issue(authority: KeyPair, wish: Wish, now: datetime.datetime, days: int = LEAF_DAYS) -> KeyPair:
    """A new key on P-256 with a certificate that an authority signs.

    Its life ends with the authority's at the latest.

    Raises:
        UnusableError: the authority cannot sign, or the name does not fit.
    """
    extension = x509.SubjectAlternativeName([_general_name(name) for name in _names(wish)])
    subject = _subject(wish.name, wish.kind)
    return _signed(authority, subject, extension, _PURPOSES[wish.kind], now, days)


def renew(
    authority: KeyPair, certificate: bytes, now: datetime.datetime, days: int = LEAF_DAYS
) -> KeyPair:
    """A new key, with a certificate for the same subject, names and purposes as another one.

    Raises:
        UnusableError: the authority cannot sign, or the certificate says too little or is itself
            an authority's.
    """
    old = load_certificate(certificate)
    if is_authority(old):
        raise UnusableError("is an authority's certificate; make a new authority instead")
    try:
        names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        purposes = old.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise UnusableError(f"says nothing of its {error.oid._name}; issue a new one") from error  # noqa: SLF001 - the library's only name for people
    return _signed(authority, old.subject, names, tuple(purposes), now, days)


def load_certificate(pem: bytes) -> x509.Certificate:
    """The first certificate of a PEM text.

    Raises:
        UnusableError: there is none.
    """
    return load_certificates(pem)[0]


def load_certificates(pem: bytes) -> list[x509.Certificate]:
    """All certificates of a PEM text, at least one.

    Raises:
        UnusableError: there is none, or one is damaged.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise UnusableError("holds no certificate in PEM, or a damaged one") from error


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may sign others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def bundle(texts: Sequence[bytes]) -> bytes:
    """All authorities of several PEM texts as one, each once, in the order given.

    Raises:
        UnusableError: one is no authority's certificate.
    """
    found: dict[bytes, x509.Certificate] = {}
    for certificate in (c for text in texts for c in load_certificates(text)):
        if not is_authority(certificate):
            subject = certificate.subject.rfc4514_string()
            raise UnusableError(f"holds the certificate of {subject}, which is no authority")
        found.setdefault(certificate.fingerprint(hashes.SHA256()), certificate)
    return b"".join(_pem(certificate) for certificate in found.values())


def _signed(  # noqa: PLR0913, PLR0917 - a certificate is what it says
    authority: KeyPair,
    subject: x509.Name,
    names: x509.SubjectAlternativeName,
    purposes: Sequence[x509.ObjectIdentifier],
    now: datetime.datetime,
    days: int,
) -> KeyPair:
    issuer, signer = _signer(authority, now)
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
    authority: KeyPair, now: datetime.datetime
) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
    certificate = load_certificate(authority.certificate)
    if not is_authority(certificate):
        raise UnusableError("is no authority's certificate, and cannot sign others")
    if certificate.not_valid_after_utc <= now:
        raise UnusableError(f"has expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    try:
        key = serialization.load_pem_private_key(authority.key, None)
    except (ValueError, TypeError) as error:
        raise UnusableError("has no private key in PEM, or one with a passphrase") from error
    if key.public_key() != certificate.public_key():
        raise UnusableError("has a private key that is not the certificate's")
    return certificate, key  # type: ignore[return-value] # the certificate's key signs


def _subject(name: str, unit: str) -> x509.Name:
    if not 1 <= len(name) <= LONGEST_NAME:
        raise UnusableError(f"the name {name!r} is not 1 to {LONGEST_NAME} characters long")
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _names(wish: Wish) -> tuple[str, ...]:
    # A certificate without any alternative name is refused by modern clients.
    return wish.addresses or (wish.name,)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError as error:
        raise UnusableError(f"{text!r} is neither an IP address nor a host name") from error


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
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return KeyPair(pem, _pem(certificate))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
