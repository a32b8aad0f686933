"""Parse certificates, and report the problems of a set of TLS files. Pure.

Called by `isthmus pki`, `isthmus ic-db` and the sessions with databases. Works with the
certificates of `isthmus pki`, cert-manager, Kube-OVN and other issuers.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.text import counted
from isthmus.pki.certificates import Kind, UnusableError, extension, is_ca, load_certificates

SOON = datetime.timedelta(days=30)
"""How long before its expiry a certificate is reported."""

RENEW = "renew it (`isthmus pki renew`, or with the tool that issued it)"

_PURPOSES = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """The contents of one certificate.

    Args:
        subject, issuer: distinguished names (RFC 4514).
        common_name, unit: of the subject; empty if it has none.
        serial: hexadecimal.
        not_before, not_after: in UTC.
        names: IP addresses and host names.
        purposes: "server", "client"; empty for any.
        authority: whether it is a CA.
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
        """The kind of a certificate of `isthmus pki`; None for certificates of other issuers."""
        return Kind(self.unit) if self.unit in set(Kind) else None

    def days_left(self, now: datetime.datetime) -> int:
        """Full days until it expires; negative after that."""
        return (self.not_after - now).days


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """The contents of the three files of one side of a connection, in PEM.

    Args:
        object: their description in messages, e.g. "TLS files in /etc/isthmus/tls".
        certificate, private_key, ca_cert: file names, for messages.
        certificate_pem, key_pem, ca_pem: the contents.
    """

    object: str
    certificate: str
    private_key: str
    ca_cert: str
    certificate_pem: bytes
    key_pem: bytes
    ca_pem: bytes

    def problem(
        self, key: str, message: str, remedy: str, reason: Reason = Reason.OTHER
    ) -> Problem:
        """A problem of the "certificate", the "private key" or the "CA certificate"."""
        files = {"certificate": self.certificate, "private key": self.private_key}
        subject = Subject(self.object, key, files.get(key, self.ca_cert))
        return subject.problem(message, remedy, reason)


def describe(certificate: x509.Certificate) -> CertificateInfo:
    """Extract the contents of one certificate."""
    return CertificateInfo(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        common_name=_attribute(certificate, NameOID.COMMON_NAME),
        unit=_attribute(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        names=_names(certificate),
        purposes=_purposes(certificate),
        authority=is_ca(certificate),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def parse_pem(pem: bytes) -> tuple[CertificateInfo, ...]:
    """Extract the contents of all certificates in a PEM text.

    Raises:
        UnusableError: there is none, or one is damaged.
    """
    return tuple(describe(certificate) for certificate in load_certificates(pem))


def material_problems(
    material: TlsMaterial, now: datetime.datetime, *, serves: bool = False
) -> tuple[Problem, ...]:
    """Why connections with these files would fail; empty if they are suitable.

    `serves` says that they are a member's, which is a server and a client of the other members.
    """
    try:
        file = "certificate"
        own = load_certificates(material.certificate_pem)
        file = "CA certificate"
        cas = load_certificates(material.ca_pem)
    except UnusableError as error:
        return (material.problem(file, str(error), "put a PEM certificate there"),)
    # A server ignores a root that comes with our certificate, and uses its own.
    chain = [one for one in own if not _is_root(one)]
    found = _invalid(material, "certificate", own[:1], chain, now)
    found += _key_problems(material, own[0])
    signers = [ca for ca in cas if is_signed_by(own[-1], ca)]
    if serves:
        # A client's certificate may be signed by a CA that only servers trust.
        found += _signer_problems(material, own[-1], signers)
        found += _purpose_problems(material, describe(own[0]))
    found += _invalid(material, "CA certificate", signers or cas, cas, now)
    return tuple(found)


def expiry_warnings(material: TlsMaterial, now: datetime.datetime) -> tuple[Problem, ...]:
    """A problem for each certificate that expires within `SOON`, of the CAs and between, too."""
    found = []
    files = (("certificate", material.certificate_pem), ("CA certificate", material.ca_pem))
    for key, pem in files:
        for info in parse_pem(pem):
            left = info.not_after - now
            if datetime.timedelta(0) < left < SOON:
                days = counted(info.days_left(now), "day")
                message = f"of {info.common_name} expires on {_date(info.not_after)}, in {days}"
                found.append(material.problem(key, message, RENEW, Reason.CERTIFICATE_EXPIRES))
    return tuple(found)


def _validity(
    material: TlsMaterial, key: str, info: CertificateInfo, now: datetime.datetime
) -> list[Problem]:
    if info.not_after <= now:
        days = (now - info.not_after).days
        ago = counted(days, "day") if days else "less than a day"
        message = f"of {info.common_name} expired on {_date(info.not_after)}, {ago} ago"
        # Another remedy, so another identity: the log names the moment of expiry.
        remedy = RENEW.replace("renew it", "renew it now")
        return [material.problem(key, message, remedy, Reason.CERTIFICATE_EXPIRES)]
    if info.not_before > now:
        message = f"of {info.common_name} is valid only from {_date(info.not_before)}"
        remedy = "correct the clock of this host, or of the host that issued it"
        return [material.problem(key, message, remedy, Reason.CERTIFICATE_EXPIRES)]
    return []


def _invalid(
    material: TlsMaterial,
    key: str,
    certificates: Sequence[x509.Certificate],
    file: Sequence[x509.Certificate],
    now: datetime.datetime,
) -> list[Problem]:
    """Why none of these certificates, with those above it in its file, is valid now."""
    checks = []
    for one in certificates:
        rest = [] if _is_root(one) else [other for other in file if other != one]
        above = [other for other in rest if is_signed_by(one, other)]
        problems = _validity(material, key, describe(one), now)
        checks.append(problems or _invalid(material, key, above, rest, now))
    return checks[0] if checks and all(checks) else []


def _is_root(certificate: x509.Certificate) -> bool:
    return certificate.issuer == certificate.subject


def _key_problems(material: TlsMaterial, own: x509.Certificate) -> list[Problem]:
    try:
        key = serialization.load_pem_private_key(material.key_pem, None)
    except (ValueError, TypeError):
        message = "does not contain a PEM private key without a passphrase"
        remedy = "put the certificate's private key there, without a passphrase"
        return [material.problem("private key", message, remedy)]
    if key.public_key() == own.public_key():
        return []
    message = f"does not match the certificate {material.certificate}"
    remedy = "use the private key and the certificate that were issued together"
    return [material.problem("private key", message, remedy)]


def _signer_problems(
    material: TlsMaterial, own: x509.Certificate, signers: Sequence[x509.Certificate]
) -> list[Problem]:
    """Other members trust our certificate only if one of the CAs signed it."""
    if signers:
        return []
    issuer = own.issuer.rfc4514_string()
    message = f"did not sign the certificate {material.certificate}, whose issuer is {issuer}"
    remedy = "use the certificate of the CA that signed it, or a bundle (`isthmus pki bundle`)"
    return [material.problem("CA certificate", message, remedy)]


def _purpose_problems(material: TlsMaterial, info: CertificateInfo) -> list[Problem]:
    missing = [p for p in ("server", "client") if info.purposes and p not in info.purposes]
    if not missing:
        return []
    message = (
        f"of {info.common_name} is not valid for a {missing[0]}; a member is server and client"
    )
    remedy = "issue one with the usages server auth and client auth (`isthmus pki issue member`)"
    return [material.problem("certificate", message, remedy)]


def is_signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether a CA signed a certificate."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    names = extension(certificate, x509.SubjectAlternativeName) or ()
    return tuple(
        str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress))
    )


def _purposes(certificate: x509.Certificate) -> tuple[str, ...]:
    usage = extension(certificate, x509.ExtendedKeyUsage) or ()
    return tuple(_PURPOSES.get(oid, oid.dotted_string) for oid in usage)


def _date(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
