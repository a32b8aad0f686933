"""What certificates say, and what is wrong with them, as values.

Called by `isthmus pki show`, by `isthmus ic-db` and by the sessions to databases. Any
certificates serve: those of `isthmus pki`, of cert-manager, of Kube-OVN.
"""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.model.problems import Problem, Subject
from isthmus.pki.certificates import Kind, UnusableError, is_authority, load_certificates

SOON = datetime.timedelta(days=30)
"""How long before its end a certificate is reported."""

RENEW = "renew it (`isthmus pki renew`), or have renewed what issues it"

_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "server",
    ExtendedKeyUsageOID.CLIENT_AUTH: "client",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What one certificate says.

    Args:
        subject, issuer: distinguished names (RFC 4514).
        common_name, unit: of the subject; empty if it has none.
        serial: hexadecimal.
        not_before, not_after: in UTC.
        names: IP addresses and host names.
        purposes: "server", "client"; empty if it does not say.
        authority: whether it may sign others.
        sha256: the fingerprint, hexadecimal.
    """

    subject: str
    issuer: str
    common_name: str
    unit: str
    serial: str
    not_before: datetime.datetime
    not_after: datetime.datetime
    names: tuple[str, ...]
    purposes: tuple[str, ...]
    authority: bool
    sha256: str

    @property
    def kind(self) -> Kind | None:
        """Whom it is for, if `isthmus pki` issued it."""
        return Kind(self.unit) if self.unit in set(Kind) else None

    def days_left(self, now: datetime.datetime) -> int:
        """Full days until its end; negative if that is past."""
        return (self.not_after - now).days


@dataclass(frozen=True, slots=True)
class Material:
    """The contents of the three files that one side of a connection has, in PEM.

    Args:
        object: what they are, for messages, e.g. "TLS of /etc/isthmus/tls".
        certificate, private_key, ca_cert: file names, for messages.
        certificate_pem, key_pem, ca_pem: what is in them.
    """

    object: str
    certificate: str
    private_key: str
    ca_cert: str
    certificate_pem: bytes
    key_pem: bytes
    ca_pem: bytes


def look(certificate: x509.Certificate) -> Look:
    """Read one certificate."""
    return Look(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        common_name=_attribute(certificate, NameOID.COMMON_NAME),
        unit=_attribute(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        names=_names(certificate),
        purposes=_purposes(certificate),
        authority=is_authority(certificate),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def looks(pem: bytes) -> tuple[Look, ...]:
    """Read all certificates of a PEM text.

    Raises:
        UnusableError: there is none, or one is damaged.
    """
    return tuple(look(certificate) for certificate in load_certificates(pem))


def faults(
    material: Material, now: datetime.datetime, *, serves: bool = False
) -> tuple[Problem, ...]:
    """Why nobody could be talked to with these files; empty if all is well.

    Args:
        material: the files' contents.
        now: with a time zone.
        serves: whether they are a server's, which is a client of its fellow members as well.
    """
    try:
        file, value = "certificate", material.certificate
        own = load_certificates(material.certificate_pem)
        file, value = "CA certificate", material.ca_cert
        authorities = load_certificates(material.ca_pem)
    except UnusableError as error:
        remedy = "put a certificate in PEM there"
        return (Subject(material.object, file, value).problem(str(error), remedy),)
    found = [
        *_validity(material, "certificate", material.certificate, look(own[0]), now),
        *_key_faults(material, own[0]),
    ]
    if serves:
        # A client's certificate may be of a CA that servers believe, and clients need not.
        found += _trust_faults(material, own, authorities, now)
        found += _purpose_faults(material, look(own[0]))
    return tuple(found)


def warnings(material: Material, now: datetime.datetime) -> tuple[Problem, ...]:
    """The certificates of readable files that end within `SOON`."""
    found = []
    files = (
        ("certificate", material.certificate, material.certificate_pem),
        ("CA certificate", material.ca_cert, material.ca_pem),
    )
    for key, value, pem in files:
        for seen in looks(pem):
            left = seen.not_after - now
            if datetime.timedelta(0) < left < SOON:
                message = f"of {seen.common_name} expires on {_date(seen.not_after)}"
                found.append(Subject(material.object, key, value).problem(message, RENEW))
    return tuple(found)


def _validity(
    material: Material, key: str, file: str, seen: Look, now: datetime.datetime
) -> list[Problem]:
    if seen.not_after <= now:
        message = f"of {seen.common_name} expired on {_date(seen.not_after)}"
        return [Subject(material.object, key, file).problem(message, RENEW)]
    if seen.not_before > now:
        message = f"of {seen.common_name} is good only from {_date(seen.not_before)} on"
        remedy = "set this machine's clock right, or that of the one that issued it"
        return [Subject(material.object, key, file).problem(message, remedy)]
    return []


def _key_faults(material: Material, own: x509.Certificate) -> list[Problem]:
    try:
        key = serialization.load_pem_private_key(material.key_pem, None)
    except (ValueError, TypeError):
        message = "holds no private key in PEM, or one with a passphrase"
        remedy = "put the certificate's private key there, without a passphrase"
        return [
            Subject(material.object, "private key", material.private_key).problem(message, remedy)
        ]
    if key.public_key() == own.public_key():
        return []
    message = f"is not that of the certificate {material.certificate}"
    remedy = "give the private key and the certificate that were made together"
    return [Subject(material.object, "private key", material.private_key).problem(message, remedy)]


def _trust_faults(
    material: Material,
    own: list[x509.Certificate],
    authorities: list[x509.Certificate],
    now: datetime.datetime,
) -> list[Problem]:
    """Whether one of our authorities signed our certificate, as fellow members will ask."""
    signers = [a for a in authorities if is_signed_by(own[-1], a)]
    if not signers:
        issuer = own[-1].issuer.rfc4514_string()
        message = f"did not sign the certificate {material.certificate}, which {issuer} did"
        remedy = "give the certificate of the CA that signs all members and zones, or a bundle"
        return [
            Subject(material.object, "CA certificate", material.ca_cert).problem(message, remedy)
        ]
    judged = [
        _validity(material, "CA certificate", material.ca_cert, look(signer), now)
        for signer in signers
    ]
    return [] if any(not found for found in judged) else judged[0]


def _purpose_faults(material: Material, seen: Look) -> list[Problem]:
    missing = [p for p in ("server", "client") if seen.purposes and p not in seen.purposes]
    if not missing:
        return []
    message = f"of {seen.common_name} is not for use as a {missing[0]}; a member is both"
    remedy = "issue one with the usages server auth and client auth (`isthmus pki issue member`)"
    return [Subject(material.object, "certificate", material.certificate).problem(message, remedy)]


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the one signed the other."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress))
    )


def _purposes(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(_PURPOSES.get(oid, oid.dotted_string) for oid in usage)


def _date(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
