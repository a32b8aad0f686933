"""Keys and certificates of an API server and its clients.

Used by `isthmus_lab.kube.server`. One authority signs all certificates. In those of clients, the
common name is the user and organizations are groups, as Kubernetes requires.
"""

import datetime
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.pki.certificates import KeyPair

_LIFE = datetime.timedelta(days=30)
"""Far longer than a lab exists."""

_SKEW = datetime.timedelta(hours=1)


def new_key() -> bytes:
    """A private key (P-256), PEM."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def new_authority(name: str) -> KeyPair:
    """A self-signed authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(key, subject)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _pair(key, builder.sign(key, hashes.SHA256()))


def issue_server(authority: KeyPair, addresses: Sequence[str]) -> KeyPair:
    """A server's certificate, for IP addresses and the host name "localhost"."""
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]
    extension = x509.SubjectAlternativeName(names)
    return _issue(authority, subject, ExtendedKeyUsageOID.SERVER_AUTH, extension)


def issue_client(authority: KeyPair, user: str, groups: Sequence[str] = ()) -> KeyPair:
    """A client's certificate."""
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
    return _issue(authority, subject, ExtendedKeyUsageOID.CLIENT_AUTH)


def _issue(
    authority: KeyPair,
    subject: Sequence[x509.NameAttribute[str]],
    purpose: x509.ObjectIdentifier,
    *extensions: x509.ExtensionType,
) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic curve key")
    issuer = x509.load_pem_x509_certificate(authority.certificate).subject
    builder = (
        _builder(key, x509.Name(subject))
        .issuer_name(issuer)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return _pair(key, builder.sign(signer, hashes.SHA256()))


def _builder(key: ec.EllipticCurvePrivateKey, subject: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
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
    return KeyPair(_key_pem(key), certificate.public_bytes(serialization.Encoding.PEM))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # The only private key format from which kube-apiserver also reads the public key.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
